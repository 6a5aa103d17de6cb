"""The service as a process: uploads that stall, the end that waits, a log that names nobody."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from bonexage.serving.run import listening
from bonexage.serving.settings import Settings
from dicoms import as_bytes, dataset
from services import PATH, png, post, served
from trials.served import Served
from trials.waiting import PATIENCE_SECONDS, eventually

STALL = 0.5
CANARY = "Canary"


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Served]:
    with served(folder, "--stall-seconds", str(PATIENCE_SECONDS)) as made:
        yield made


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service that ends a connection that is silent for half a second, also ours on a busy machine."""
    with served(tmp_path_factory.mktemp("impatient"), "--stall-seconds", str(STALL)) as made:
        yield made


def get(service: Served, path: str) -> httpx.Response:
    return httpx.get(f"{service.address}{path}", timeout=PATIENCE_SECONDS)


def begun_upload(address: str) -> socket.socket:
    """A connection on which an upload has begun that will not go on."""
    place = urlsplit(address)
    assert place.hostname
    assert place.port
    line = socket.create_connection((place.hostname, place.port), timeout=PATIENCE_SECONDS)
    line.sendall(
        f"POST {PATH} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 1000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode()
    )
    return line


def test_health_answers_beside_uploads_that_stall(service: Served) -> None:
    lines = [begun_upload(service.address) for _ in range(20)]
    assert get(service, "/healthz").text == "ok\n"
    for line in lines:
        assert not select.select([line], [], [], 0)[0], "it is still waited for"
        line.close()


def test_stalled_uploads_are_ended(impatient: Served) -> None:
    for line in [begun_upload(impatient.address) for _ in range(20)]:
        answer = b"".join(iter(lambda: line.recv(10_000), b""))  # noqa: B023 - used up at once
        assert answer.startswith(b"HTTP/1.1 408 "), answer
        assert b'"code": "stalled"' in answer
        line.close()


@pytest.mark.parametrize(
    ("lengths", "status"),
    [
        (["{all}"], b"200"),
        (["{short}"], b"400"),  # it ends within the closing boundary
        (["0"], b"400"),
        (["{all}", "{short}"], b"400"),
        (["-1"], b"400"),
        (["{all}x"], b"400"),
        (["1e3"], b"400"),
    ],
)
def test_a_form_of_another_length_than_is_stated_is_no_form(
    service: Served, lengths: list[str], status: bytes
) -> None:
    assert status_of_length(service, *lengths) == status


def test_a_form_shorter_than_is_stated_is_waited_for(impatient: Served) -> None:
    assert status_of_length(impatient, "{long}") == b"408"


def status_of_length(service: Served, *lengths: str) -> bytes:
    """The status of the answer to a form with these as its Content-Length."""
    request = httpx.Request(
        "POST", f"{service.address}{PATH}", files={"file": ("a.png", png())}, data={"sex": "F"}
    )
    body, place = request.read(), urlsplit(service.address)
    sizes = {"all": len(body), "short": len(body) - 5, "long": len(body) + 100}
    head = "".join(f"Content-Length: {each.format(**sizes)}\r\n" for each in lengths)
    head = f"{head}Content-Type: {request.headers['content-type']}\r\n\r\n"
    with socket.create_connection((place.hostname, place.port), timeout=PATIENCE_SECONDS) as line:
        line.sendall(f"POST {PATH} HTTP/1.1\r\nHost: {place.netloc}\r\n{head}".encode() + body)
        return line.recv(10_000)[9:12]


def test_a_connection_without_a_whole_head_of_a_request_is_ended(impatient: Served) -> None:
    place = urlsplit(impatient.address)
    for sent in (
        b"",
        b"GET /healthz HTTP/1.1\r\nHo",
        f"GET /healthz HTTP/1.1\r\nHost: {place.netloc}\r\n\r\nGE".encode(),
    ):
        with socket.create_connection((place.hostname, place.port), timeout=PATIENCE_SECONDS) as line:
            line.sendall(sent)
            heard = b"".join(iter(lambda: line.recv(10_000), b""))
            assert heard.count(b"HTTP/1.1 200") == sent.count(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json"])
def test_a_client_that_takes_nothing_of_its_answers_is_ended(impatient: Served, path: str) -> None:
    place = urlsplit(impatient.address)
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect((place.hostname, place.port))
    line.settimeout(1.0)
    many = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode() * 500

    def is_ended() -> bool:
        try:
            line.sendall(many)
        except TimeoutError:
            return False
        except OSError:
            return True
        return False

    eventually(is_ended)
    line.close()
    eventually(lambda: answers(impatient))


def test_a_client_that_goes_away_is_noted_and_no_harm(service: Served) -> None:
    begun_upload(service.address).close()
    eventually(lambda: any(event.get("status") == 499 for event in service.events))
    assert get(service, "/healthz").is_success


def test_it_says_at_the_start_where_it_listens_who_reaches_it_and_what_is_stored(service: Served) -> None:
    said = service.log.read_text(encoding="utf-8")
    assert "http://127.0.0.1:" in said
    assert "Only this machine can reach it. Nothing is stored." in said


def test_the_log_names_nobody_whatever_was_sent(service: Served) -> None:
    film = as_bytes(dataset(PatientName=f"{CANARY}^Anna", PatientID=CANARY, StudyDescription=CANARY))
    headers = {
        "X-Request-ID": CANARY,
        "Idempotency-Key": CANARY,
        "User-Agent": CANARY,
        "Referer": f"http://{CANARY}",
    }
    with httpx.Client(base_url=service.address, timeout=PATIENCE_SECONDS) as client:
        assert post(client, film, name=f"{CANARY}.dcm", headers=headers, sex="F").status_code == 200
        post(client, film[:700], name=f"{CANARY}.dcm", headers=headers)
        post(client, CANARY.encode(), name=f"{CANARY}.png")
        post(client, png(), name=f"{CANARY}.png", sex=CANARY, age_months=CANARY)
        client.get(f"/{CANARY}?patient={CANARY}", headers=headers)
        client.request(CANARY.upper(), "/healthz")
        client.get("/v1/model", headers={"Host": CANARY})
    with socket.create_connection(
        (urlsplit(service.address).hostname, urlsplit(service.address).port)
    ) as line:
        line.sendall(f"{CANARY} /{CANARY}\r\n\r\n".encode())
        line.recv(1000)
    eventually(lambda: any(event.get("status") == 421 for event in service.events))
    text = service.log.read_text(encoding="utf-8")
    assert CANARY.lower() not in text.lower()
    assert {event["status"] for event in service.events if event.get("event") == "request"} >= {
        200,
        422,
        400,
        404,
    }


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
def test_a_request_under_way_is_answered_when_the_service_is_to_end(folder: Path) -> None:
    drain = ("--drain-seconds", str(round(PATIENCE_SECONDS)))
    with served(folder, *drain) as service, ThreadPoolExecutor() as threads:
        workers = service.workers
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        with httpx.Client(base_url=service.address, timeout=PATIENCE_SECONDS) as client:
            asked = threads.submit(post, client, png())
            eventually(lambda: "bonexage_workers_working 1.0" in get(service, "/metrics").text)
            service.process.send_signal(signal.SIGTERM)
            eventually(lambda: not answers(service))
            for worker in workers:
                os.kill(worker, signal.SIGCONT)
            assert asked.result().json()[0]["status"] == "assessed"
        assert service.process.wait(PATIENCE_SECONDS) == 0
        assert [event["event"] for event in service.events[-2:]] == ["request", "ended"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
def test_a_service_that_is_killed_leaves_no_worker(folder: Path) -> None:
    with served(folder) as service:
        workers = service.workers
        service.process.kill()
    assert workers
    eventually(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def answers(service: Served) -> bool:
    """Whether new requests are answered."""
    try:
        return httpx.get(f"{service.address}/healthz").is_success
    except httpx.HTTPError:
        return False


def test_small_answers_are_sent_at_once() -> None:
    """As asyncio decides it by the protocol of the socket; else each waits 40 ms for the client's system."""

    async def no_delay() -> int:
        with listening(Settings(port=0)) as listener:
            heard = asyncio.get_running_loop().create_future()
            server = await asyncio.start_server(lambda _, line: heard.set_result(line), sock=listener)
            async with server:
                _, line = await asyncio.open_connection(*listener.getsockname())
                accepted = (await heard).get_extra_info("socket")
                line.close()
                return int(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    assert asyncio.run(no_delay())
