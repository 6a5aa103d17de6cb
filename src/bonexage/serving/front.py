"""What every request passes first and last: its name, who may ask, how it went, what all answers say."""

from __future__ import annotations

import base64
import hmac
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bonexage.serving.logs import event, failure
from bonexage.serving.metrics import Metrics
from bonexage.serving.problems import Problem, answer
from bonexage.serving.settings import Settings

OPEN_TO_ALL: Final = frozenset({"/healthz", "/readyz"})
REQUEST_ID: Final = "X-Request-ID"
GONE: Final = 499
_SCHEMES: Final = ("http", "https")  # a proxy may speak TLS for it
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ALWAYS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"


@dataclass
class _Seen:
    """What is known of an answer when it has gone out."""

    status: int = 0
    code: str = ""


class Front:
    """An ASGI application before another one."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, seen = time.monotonic(), _Seen()
        headers = Headers(scope=scope)
        request_id = _request_id(headers.get(REQUEST_ID, ""))
        scope["request_id"] = request_id

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                _complete(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            check_length(headers)
            if scope["path"] not in OPEN_TO_ALL:
                check_origin(headers, self._settings)
                check_token(headers, self._settings.token)
            await self._app(scope, receive, send_on)
        except Problem as problem:
            seen.code = problem.code
            await answer(problem, request_id)(scope, receive, send_on)
        except ClientDisconnect:
            seen.status = GONE
        except Exception as error:
            failure("failed", error, id=request_id)
            seen.code = "failed"
            if not seen.status:
                await answer(_failed(), request_id)(scope, receive, send_on)
        finally:
            self._told(scope, request_id, seen, time.monotonic() - began)

    def _told(self, scope: Scope, request_id: str, seen: _Seen, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "-")
        method = scope["method"] if scope["method"] in _METHODS else "-"
        self._metrics.request(route, method, seen.status, seconds)
        facts: dict[str, Any] = {"code": seen.code or scope.get("problem", "")}
        event(
            "request",
            id=request_id,
            method=method,
            route=route,
            status=seen.status,
            milliseconds=round(1000 * seconds),
            films=scope.get("films", 0),
            **{name: value for name, value in facts.items() if value},
        )


def _failed() -> Problem:
    return Problem("failed", "the service failed at this request", "Tell the service's keeper")


def check_length(headers: Headers) -> None:
    """Refuse a body whose length is stated in two ways: a proxy may see another end of it (RFC 9112, 6.1).

    Raises:
        Problem: it is one of them; the connection ends with the answer.
    """
    if "transfer-encoding" in headers and "content-length" in headers:
        raise Problem(
            "wrong-use",
            "the request has both Content-Length and Transfer-Encoding",
            "Send one of them",
            headers={"Connection": "close"},
        )


def check_origin(headers: Headers, settings: Settings) -> None:
    """Refuse requests under foreign names, and those that another site's page has a browser send.

    Raises:
        Problem: the request is one of them.
    """
    host = headers.get("host", "")
    names = settings.own_names
    if names is not None and _name_in(host) not in names:
        raise Problem(
            "wrong-host",
            "the service is not known by the name in Host",
            "Use the address that it was started with, or start it with --name",
        )
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in {f"{scheme}://{host.lower()}" for scheme in _SCHEMES}:
        raise Problem(
            "foreign-origin",
            "pages of other sites may not ask",
            "Ask from the service's own page, or from a program",
        )


def check_token(headers: Headers, token: str | None) -> None:
    """Refuse requests without the token: as `Bearer`, or as password of `Basic`, which browsers ask for.

    Raises:
        Problem: the token is missing or wrong.
    """
    if token is None:
        return
    shown = _shown(headers.get("authorization", ""))
    if any(hmac.compare_digest(shown, each) for each in _written(token)):
        return
    raise Problem(
        "no-token",
        "the token is missing or wrong",
        "Send it as Authorization: Bearer TOKEN",
    )


def _shown(authorization: str) -> bytes:
    """The token in an Authorization header, as it was sent; b'' where there is none."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip(" \t").encode("latin-1")  # as ASGI servers decode headers
    if scheme.lower() == "basic":
        with suppress(ValueError):
            return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
    return b""


def _written(token: str) -> list[bytes]:
    """How clients may send a token: in UTF-8, as browsers are told to, or in Latin-1, as older ones do."""
    written = [token.encode()]
    with suppress(UnicodeEncodeError):
        written.append(token.encode("latin-1"))
    return written


def _name_in(host: str) -> str:
    """The name in a Host header, without its port."""
    with suppress(ValueError):
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    return ""


def _request_id(given: str) -> str:
    """The client's own name for its request where it is a UUID; any other text could name someone."""
    with suppress(ValueError):
        return str(uuid.UUID(given)) if len(given) == 36 else str(uuid.uuid4())
    return str(uuid.uuid4())


def _complete(headers: MutableHeaders, request_id: str) -> None:
    """What every answer says; a page's policy is its own."""
    headers[REQUEST_ID] = request_id
    for name, value in _ALWAYS.items():
        headers.setdefault(name, value)
    if not headers.get("content-type", "").startswith("text/html"):
        headers.setdefault("Content-Security-Policy", _POLICY)
