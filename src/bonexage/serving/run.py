"""Running the service: a socket, a server around the application, an end that waits for what is begun."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn

from bonexage.assessment import DISCLAIMER
from bonexage.errors import WrongUse
from bonexage.model.bundle import load_bundle
from bonexage.serving.app import make_app
from bonexage.serving.connections import impatient, most_connections
from bonexage.serving.keeping import check_keeping
from bonexage.serving.logs import start_logging
from bonexage.serving.settings import Settings

BACKLOG: Final = 512
KEEP_ALIVE_SECONDS: Final = 15  # longer than Retry-After asks for


def serve(settings: Settings, *, drain_seconds: int, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; then answer what is under way, for so many seconds at most.

    Args:
        settings: how the service is run.
        drain_seconds: how long requests under way may still take at the end.
        say: told the address, who can reach it, and what is stored, once it listens.

    Raises:
        WrongUse: the address cannot be listened on, or films cannot be stored where they are to be.
        BundleError: the model cannot be loaded.
    """
    bundle = load_bundle(settings.model)
    if settings.keep:
        check_keeping(settings.keep)
    start_logging()
    with listening(settings) as listener:
        for line in introduction(settings, listener.getsockname()[1], bundle.model):
            say(line)
        server = uvicorn.Server(
            uvicorn.Config(
                make_app(settings, bundle),
                http=impatient(settings.limits.stall_seconds, most_connections()),
                ws="none",
                loop="asyncio",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=drain_seconds,
            )
        )
        signal.signal(signal.SIGTERM, _end)  # uvicorn raises it again when all is answered
        server.run(sockets=[listener])


def listening(settings: Settings) -> socket.socket:
    """A socket that listens at the settings' address.

    Raises:
        WrongUse: that is not possible.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once (TCP_NODELAY), not 40 ms later.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError, TypeError, ValueError) as error:  # the last three of what is no address
        listener.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise WrongUse(
            f"it cannot listen on {settings.host}, port {settings.port} ({reason})",
            remedy="Give another --host or --port",
        ) from None
    return listener


def introduction(settings: Settings, port: int, model: str) -> list[str]:
    """What is said at the start: the address, who may ask, what is stored."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    if settings.on_loopback:
        reach = "Only this machine can reach it."
    elif settings.token is None:
        reach = "INSECURE: everyone who can reach this machine can use it."
    else:
        reach = "Other machines can reach it, with the token. Put it behind TLS."
    stored = f"Films and answers are stored in {settings.keep}." if settings.keep else "Nothing is stored."
    return [f"Serving {model} at http://{host}:{port}", f"{reach} {stored} {DISCLAIMER}"]


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
