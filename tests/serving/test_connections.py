"""Connections that take more than their share are ended, and others are answered meanwhile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import h11
import httpx
import pytest
import uvicorn

from bonexage.serving.connections import _one_too_many, impatient, most_connections
from trials.waiting import PATIENCE_SECONDS, eventually

MOST = 20


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers how many bytes it was sent."""
    length, more = 0, True
    while more:
        message = await receive()
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    config = uvicorn.Config(app, http=impatient(PATIENCE_SECONDS, MOST), lifespan="off", log_config=None)
    made = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=made.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        made.should_exit = True
        thread.join()


def chunked(sizes: list[int]) -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (size, b"a" * size) for size in [*sizes, 0])


def answer(place: tuple[str, int], request: bytes) -> bytes:
    with socket.create_connection(place, timeout=PATIENCE_SECONDS) as line:
        with suppress(OSError):
            line.sendall(request)
        heard = b""
        with suppress(ConnectionResetError):
            while more := line.recv(10_000):
                heard += more
        return heard


@pytest.mark.parametrize("sizes", [[1] * 900, [15] * 1000, [1000] * 2000, [1, 40] * 3000])
def test_a_body_in_chunks_of_reasonable_size_is_taken(server: tuple[str, int], sizes: list[int]) -> None:
    heard = answer(server, chunked(sizes))
    assert heard.startswith(b"HTTP/1.1 200")
    assert f"\r\n{sum(sizes)}\r\n".encode() in heard


@pytest.mark.parametrize("sizes", [[1] * 50_000, [5000, *[2] * 50_000]])
def test_a_body_in_very_many_very_small_chunks_is_refused(server: tuple[str, int], sizes: list[int]) -> None:
    assert not answer(server, chunked(sizes)).startswith(b"HTTP/1.1 200")


def test_idle_connections_make_room_for_new_ones(server: tuple[str, int]) -> None:
    with ExitStack() as stack:
        lines = [
            stack.enter_context(socket.create_connection(server, timeout=PATIENCE_SECONDS))
            for _ in range(3 * MOST)
        ]
        for _ in range(3):
            assert httpx.get(f"http://{server[0]}:{server[1]}/", timeout=PATIENCE_SECONDS).status_code == 200
        assert eventually(lambda: sum(map(is_ended, lines)) >= 2 * MOST)
        assert not is_ended(lines[-1]), "the oldest go first"


def is_ended(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return line.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@dataclass(eq=False)
class Line:
    """A connection, busy or idle."""

    busy: bool = False

    @property
    def cycle(self) -> Any:
        return type("Cycle", (), {"response_complete": not self.busy})


@pytest.mark.parametrize(
    ("lines", "ended"),
    [
        ([("a", False), ("a", False), ("b", False)], 0),
        ([("b", False), ("a", True), ("a", False), ("a", False)], 2),
        ([("a", True), ("a", True), ("b", False)], 0),  # another peer fills all: its oldest goes
        ([("b", True), ("a", True), ("a", True), ("a", False)], 3),  # the newcomer's own peer does
        ([("a", True), ("a", False)], 1),
    ],
)
def test_the_peer_with_most_connections_loses_its_oldest_idle_one(
    lines: list[tuple[str, bool]], ended: int
) -> None:
    protocols = {Line(busy): peer for peer, busy in lines}
    assert _one_too_many(protocols) is list(protocols)[ended]


def test_files_are_left_for_the_service_itself() -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        most = most_connections()
        assert 0 < most < resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= soft
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_h11_has_what_is_relied_on() -> None:
    line = h11.Connection(h11.SERVER)
    line.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    assert isinstance(line.next_event(), h11.Request)
    assert isinstance(line.next_event(), h11.Data), "an event for each chunk"
