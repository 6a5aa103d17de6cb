"""What a request may take, who may ask, and what the service does when it has too much to do."""

from __future__ import annotations

import base64
import io
import os
import pickle
import signal
import tempfile
import uuid
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from bonexage.errors import WrongUse
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.reading.dicom import DEFAULT_LIMITS
from bonexage.serving import forms, worker
from bonexage.serving.app import make_app
from bonexage.serving.logs import LOGGER
from bonexage.serving.looking import Asked, as_message
from bonexage.serving.problems import Problem
from bonexage.serving.settings import Limits, Settings, check_reach
from bonexage.serving.uploads import Held
from services import PATH, png, post, running, settings
from trials.waiting import eventually

SMALL = Limits(bytes=200_000, pixels=20_000, files=2, queue=2, stall_seconds=1.0)


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with running(settings(folder, limits=SMALL)) as made:
        yield made


def code_of(said: Any) -> tuple[int, str]:
    return said.status_code, said.json()["code"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_whether_or_not_its_length_is_declared(
    client: TestClient, chunked: bool
) -> None:
    body = bytes(300_000)
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    content = (part for part in (head, body)) if chunked else head + body
    said = client.post(PATH, content=content, headers=kind)
    assert code_of(said) == (413, "too-large")


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(client: TestClient) -> None:
    assert code_of(post(client, png(height=200, width=101))) == (422, "too-many-pixels")


def test_a_decompression_bomb_is_refused(client: TestClient) -> None:
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    assert code_of(post(client, out.getvalue())) == (422, "too-many-pixels")


def test_too_many_files_are_refused(client: TestClient) -> None:
    assert code_of(post(client, *[b"x"] * 3)) == (413, "too-many-files")
    assert code_of(post(client, *[b"x"] * 9)) == (413, "too-many-files")


@pytest.mark.parametrize("content", [pickle.dumps({"a": [1]}), zlib.compress(bytes(100)), b"PK\x03\x04", b""])
def test_what_is_no_picture_is_unreadable_a_pickle_too(client: TestClient, content: bytes) -> None:
    assert code_of(post(client, content)) == (422, "unreadable")


@pytest.mark.parametrize("content", [b"", b"--x", b"--x\r\n\r\n\r\n--x--", b"\x00" * 100])
def test_a_damaged_form_is_wrong_use(client: TestClient, content: bytes) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert code_of(client.post(PATH, content=content, headers=kind)) == (400, "wrong-use")


def test_a_form_without_a_boundary_is_wrong_use(client: TestClient) -> None:
    said = client.post(PATH, content=b"--x--", headers={"Content-Type": "multipart/form-data"})
    assert code_of(said) == (400, "wrong-use")


def test_a_full_queue_answers_429_and_says_when_to_ask_again(client: TestClient) -> None:
    pool = client.app.state.service.pool  # type: ignore[attr-defined]
    with pool.places(3):
        said = post(client, png())
    assert code_of(said) == (429, "busy")
    assert int(said.headers["retry-after"]) >= 1
    assert post(client, png()).status_code == 200


def test_uploads_that_fill_the_memory_are_answered_429(client: TestClient) -> None:
    held = client.app.state.service.held  # type: ignore[attr-defined]
    with held.share("one") as share, held.share("another") as more:
        share.add(held.most // 2)
        more.add(held.most // 2 - 100)
        assert code_of(post(client, png())) == (429, "busy")
    assert held.bytes == 0


def test_one_peer_does_not_fill_the_memory_of_all_uploads() -> None:
    held = Held(1000)
    with held.share("one") as first, held.share("one") as second, held.share("another") as other:
        first.add(700)
        with pytest.raises(Problem, match="busy"):
            second.add(100)
        other.add(150)
    assert (held.bytes, held.by_peer.total()) == (0, 0)


def test_a_film_that_takes_too_long_is_told_so_and_its_worker_replaced(folder: Path) -> None:
    hasty = settings(folder, limits=replace(SMALL, seconds=0.000_01))
    with running(hasty) as client:
        pool = client.app.state.service.pool  # type: ignore[attr-defined]
        eventually(lambda: pool.started >= 2)
        said = post(client, png())
        assert code_of(said) in {(422, "too-slow"), (503, "no-worker")}
        eventually(lambda: pool.started >= 3)


@contextmanager
def asked_of_a_stopped_worker(client: TestClient) -> Iterator[tuple[Any, int, Future[Any]]]:
    """The pool, whose workers are all stopped; which of them has a film; and its answer."""
    pool = client.app.state.service.pool  # type: ignore[attr-defined]
    eventually(lambda: len(pool.pids) == 2)
    for pid in pool.pids:
        os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(post, client, png())
        (working,) = eventually(lambda: pool.working)
        yield pool, working, asked


def test_a_request_whose_worker_is_killed_is_answered_all_the_same(client: TestClient) -> None:
    with asked_of_a_stopped_worker(client) as (pool, working, asked):
        os.kill(working, signal.SIGKILL)
        for pid in set(pool.pids) - {working}:
            os.kill(pid, signal.SIGCONT)
        assert asked.result().status_code == 200
    assert post(client, png()).status_code == 200


def test_a_film_that_two_workers_die_of_is_unreadable(client: TestClient) -> None:
    with asked_of_a_stopped_worker(client) as (pool, first, asked):
        os.kill(first, signal.SIGKILL)
        (second,) = eventually(lambda: set(pool.working) - {first})
        os.kill(second, signal.SIGKILL)
        assert code_of(asked.result()) == (422, "unreadable")
        assert asked.result().json()["row"]["file"] == "hand.png"


def test_a_request_with_a_key_is_done_once_and_its_answer_given_again(client: TestClient) -> None:
    key = {"Idempotency-Key": "one"}
    metrics = 'bonexage_films_total{status="assessed"}'
    first = post(client, png(), headers=key)
    counted = [line for line in client.get("/metrics").text.splitlines() if line.startswith(metrics)]
    second = post(client, png(), headers=key)
    assert (second.status_code, second.content) == (200, first.content)
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert counted[0] in client.get("/metrics").text.splitlines()


def test_a_refusal_is_given_again_too(client: TestClient) -> None:
    first, second = (post(client, b"x", headers={"Idempotency-Key": "two"}) for _ in range(2))
    assert first.json() == second.json()
    assert second.headers["content-type"] == "application/problem+json"


def test_a_key_of_another_request_is_refused(client: TestClient) -> None:
    post(client, png(), headers={"Idempotency-Key": "three"})
    for other in (
        post(client, png(1), headers={"Idempotency-Key": "three"}),
        post(client, png(), headers={"Idempotency-Key": "three"}, sex="F"),
        post(client, png(), headers={"Idempotency-Key": "three"}, accept="text/html"),
    ):
        assert code_of(other) == (422, "key-reused")


def test_a_request_that_was_turned_away_may_come_again_with_its_key(client: TestClient) -> None:
    pool = client.app.state.service.pool  # type: ignore[attr-defined]
    with pool.places(3):
        assert post(client, png(), headers={"Idempotency-Key": "four"}).status_code == 429
    assert post(client, png(), headers={"Idempotency-Key": "four"}).status_code == 200


def test_what_is_no_key_is_wrong_use(client: TestClient) -> None:
    assert code_of(post(client, png(), headers={"Idempotency-Key": "a" * 129})) == (400, "wrong-use")


def test_pages_of_other_sites_may_not_ask_and_nobody_is_told_they_may(client: TestClient) -> None:
    for origin in (
        "https://elsewhere.example",
        "null",
        "http://[",
        "",
        "http://testserver.example",
        "testserver",
    ):
        said = post(client, png(), headers={"Origin": origin})
        assert code_of(said) == (403, "foreign-origin")
    own = post(client, png(), headers={"Origin": "http://testserver"})
    assert own.status_code == 200
    for each in (said, own, client.options(PATH, headers={"Origin": "http://testserver"})):
        assert not [name for name in each.headers if name.startswith("access-control-")]


def test_a_body_whose_length_is_stated_in_two_ways_is_refused(client: TestClient) -> None:
    headers = {"Content-Length": "5", "Transfer-Encoding": "chunked"}
    answer = client.post(PATH, content=b"hello", headers=headers)
    assert code_of(answer) == (400, "wrong-use")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("host", ["rebound.example", "[", "testserver.example", ":80", "\xe4"])
def test_a_name_that_is_not_its_own_is_refused(client: TestClient, host: str) -> None:
    said = client.get("/v1/model", headers={"Host": host.encode("latin-1")})
    assert code_of(said) == (421, "wrong-host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "TESTSERVER:80"])
def test_its_own_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/v1/model", headers={"Host": host}).status_code == 200


def test_without_the_token_only_health_is_told(folder: Path) -> None:
    token = "0123456789abcdef"
    basic = base64.b64encode(f"anyone:{token}".encode()).decode()
    with running(settings(folder, token=token)) as client:
        assert client.get("/healthz").status_code == 200
        for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic ?"}):
            said = client.get("/v1/model", headers=wrong)
            assert code_of(said) == (401, "no-token")
            schemes = [each.partition(" ")[0] for each in said.headers.get_list("www-authenticate")]
            assert schemes == ["Bearer", "Basic"], "a header each, or no browser asks"
        for right in (f"Bearer {token}", f"Basic {basic}"):
            assert client.get("/v1/model", headers={"Authorization": right}).status_code == 200


def test_beyond_this_machine_it_serves_with_a_token_or_insecurely() -> None:
    with pytest.raises(WrongUse, match="everyone who reaches"):
        check_reach(Settings(host="0.0.0.0"), insecure=False)
    check_reach(Settings(host="0.0.0.0"), insecure=True)
    check_reach(Settings(host="0.0.0.0", token="0123456789abcdef"), insecure=False)
    for loopback in ("127.0.0.1", "localhost", "::1"):
        check_reach(Settings(host=loopback), insecure=False)


CLIMBING = (
    "../../climbed.png",
    "/climbed.png",
    "..\\climbed.png",
    "....//climbed",
    "a/../../climbed\x00.png",
)


@pytest.mark.parametrize("name", CLIMBING)
def test_a_name_that_climbs_is_a_name_and_no_path(
    client: TestClient, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = post(client, png(), name=name).json()[0]
    assert "/" not in said["file"]
    assert "\\" not in said["file"]
    assert said["file"].startswith("climbed")
    assert list(tmp_path.iterdir()) == []


def test_films_and_rows_are_stored_where_the_keeper_says_and_under_no_client_s_name(
    folder: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "in" / "kept"
    with running(settings(folder, keep=kept)) as client:
        said = post(client, png(), b"no film", name="../../climbed.png")
    assert said.status_code == 200
    (day,) = kept.iterdir()
    (place,) = day.iterdir()
    assert place.name != said.headers["x-request-id"]
    assert sorted(each.name for each in place.iterdir()) == ["1.film", "1.json", "2.film", "2.json"]
    assert (place / "1.film").read_bytes() == png()
    assert [(each.stat().st_mode & 0o077) for each in (day, place)] == [0, 0]


def test_a_name_that_a_client_gives_twice_overwrites_nothing(folder: Path, tmp_path: Path) -> None:
    again = {"X-Request-ID": str(uuid.uuid4())}
    with running(settings(folder, keep=tmp_path)) as client:
        for number in (1, 2):
            assert post(client, png(number), headers=again).status_code == 200
    films = [path.read_bytes() for path in tmp_path.rglob("*.film")]
    assert sorted(films) == sorted([png(1), png(2)])


def test_an_upload_never_lies_on_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")  # a file there cannot be made
    with running(settings(folder)) as client:
        assert code_of(post(client, bytes(5_000_000))) == (422, "unreadable")


def test_a_worker_that_cannot_start_is_in_the_log(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = load_bundle(settings(folder).model)
    gone = Settings(model=tmp_path / "gone.zip", workers=1, names=("testserver",))
    with caplog.at_level("INFO", LOGGER), TestClient(make_app(gone, bundle)) as client:
        eventually(lambda: "worker-not-started" in caplog.messages)
        assert code_of(client.get("/readyz")) == (503, "no-worker")


def test_a_form_that_cannot_be_made_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> bytes:
        raise RuntimeError("Drawn^Hand")

    monkeypatch.setitem(forms.FORMS, "pdf", fail)  # type: ignore[arg-type]
    assessor, head = (
        Assessor(load_bundle(settings(tmp_path).model)),
        as_message(Asked("a.png", forms=("pdf",))),
    )
    said, _ = worker._handled(head, png(), assessor, DEFAULT_LIMITS)
    assert (said["error"]["code"], said["shaken"]) == ("failed", True)
    assert "Drawn" not in str(said)


def test_a_disk_that_refuses_is_said_so(folder: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    with running(settings(folder, keep=blocked)) as client:
        assert code_of(post(client, png())) == (507, "not-kept")
