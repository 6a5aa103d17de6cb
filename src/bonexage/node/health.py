"""Health and metrics over HTTP: /healthz, /readyz and /metrics."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from bonexage.errors import WrongUse
from bonexage.logline import error_facts
from bonexage.node.config import Http
from bonexage.node.logs import Log

_TEXT: Final = "text/plain; charset=utf-8"
SECONDS: Final = 10.0


@dataclass(frozen=True)
class Page:
    """What a path answers."""

    status: int
    content: bytes
    kind: str = _TEXT


@dataclass(frozen=True)
class Health:
    """What the pages ask.

    Attributes:
        alive: what works, by its name, and whether it does.
        ready: what films need, by its name, and whether it is there.
        counts: what a person has to look at, by its name, and how much of it there is.
        registry: the metrics.
    """

    alive: Callable[[], Mapping[str, bool]]
    ready: Callable[[], Mapping[str, bool]]
    counts: Callable[[], Mapping[str, int]]
    registry: CollectorRegistry


def serve_health(http: Http, health: Health, log: Log) -> ThreadingHTTPServer | None:
    """Start to tell health and metrics in a thread of its own; None where that is not wanted.

    Raises:
        WrongUse: the port cannot be listened on.
    """
    if not http.host:
        return None
    pages: dict[str, Callable[[], Page]] = {
        "/healthz": lambda: _told(health.alive()),
        "/readyz": lambda: _told({**health.alive(), **health.ready()}, health.counts()),
        "/metrics": lambda: Page(200, generate_latest(health.registry), CONTENT_TYPE_LATEST),
    }
    try:
        server = _server(http.host, log)((http.host, http.port), _handler(pages, log))
    except OSError as error:
        raise WrongUse(
            f"{http.host}:{http.port} cannot be listened on ({error.strerror})",
            remedy="Name a free port and an address of this machine under [http]",
        ) from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def _told(facts: Mapping[str, bool], counts: Mapping[str, int] = MappingProxyType({})) -> Page:
    lines = "".join(f"{name}: {'yes' if holds else 'no'}\n" for name, holds in facts.items())
    lines += "".join(f"{name}: {count}\n" for name, count in counts.items())
    return Page(200 if all(facts.values()) else 503, lines.encode())


def _server(host: str, log: Log) -> type[ThreadingHTTPServer]:
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, request: object, client_address: object) -> None:
            """Tell of a connection that broke as of everything else: in the log, and without addresses."""
            log("http-failed", **error_facts(sys.exception()))

    return Server


def _handler(pages: Mapping[str, Callable[[], Page]], log: Log) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS
        server_version, sys_version = "bonexage", ""

        def do_GET(self) -> None:
            wanted = pages.get(self.path.partition("?")[0])
            try:
                page = wanted() if wanted else Page(404, b"There is no such page.\n")
            except Exception as error:  # whatever it was, the one who asks is told that it cannot be told
                log("http-failed", **error_facts(error))
                page = Page(503, b"This cannot be told now.\n")
            self.send_response(page.status)
            self.send_header("Content-Type", page.kind)
            self.send_header("Content-Length", str(len(page.content)))
            self.end_headers()
            self.wfile.write(page.content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing: whoever asks for the metrics does so all the time."""

    return Handler
