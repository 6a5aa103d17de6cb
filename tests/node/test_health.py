"""Health and metrics are told, or that they cannot be, and the log stays JSON without addresses."""

from __future__ import annotations

import errno
import io
import json
import socket
import sqlite3
import struct

import httpx
import pytest
from prometheus_client import CollectorRegistry

from bonexage.node.config import Http
from bonexage.node.health import Health, serve_health
from bonexage.node.logs import json_lines
from trials.waiting import PATIENCE_SECONDS, eventually


def test_a_page_that_fails_and_a_connection_that_breaks_are_lines_of_the_log() -> None:
    def broken() -> dict[str, bool]:
        raise sqlite3.OperationalError("Drawn^Hand")

    out = io.StringIO()
    health = Health(lambda: {"it runs": True}, broken, dict, CollectorRegistry())
    server = serve_health(Http("127.0.0.1", 0), health, json_lines(out))
    assert server
    port = server.server_address[1]
    try:
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE_SECONDS).status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE_SECONDS).status_code == 503
        line = socket.create_connection(("127.0.0.1", port))
        line.sendall(b"GET /healthz HTTP/1.1\r\n")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.close()  # with a reset
        eventually(lambda: out.getvalue().count("\n") == 2)
    finally:
        server.shutdown()
        server.server_close()
    told = [json.loads(each) for each in out.getvalue().splitlines()]
    assert {each["event"] for each in told} == {"http-failed"}
    assert told[0]["error"] == "OperationalError"
    assert "Drawn" not in out.getvalue()
    assert "127.0.0.1" not in out.getvalue()


class Full(io.StringIO):
    """A stream on a disk that is full."""

    is_full = True

    def flush(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_whose_disk_is_full_or_that_is_closed_stops_nothing() -> None:
    stream = Full()
    log = json_lines(stream)
    log("taken", film=1)
    stream.is_full = False
    log("taken", film=2)
    assert json.loads(stream.getvalue().splitlines()[-1])["film"] == 2
    stream.close()
    log("taken", film=3)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_health_is_told_at_an_address_of_ipv6() -> None:
    health = Health(lambda: {"it runs": True}, dict, dict, CollectorRegistry())
    server = serve_health(Http("::1", 0), health, lambda _event, **_facts: None)
    assert server
    try:
        told = httpx.get(f"http://[::1]:{server.server_address[1]}/healthz", timeout=PATIENCE_SECONDS)
        assert told.text == "it runs: yes\n"
    finally:
        server.shutdown()
        server.server_close()
