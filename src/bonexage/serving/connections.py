"""Connections on which no request comes are ended, which uvicorn does only after a first one."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


def impatient(seconds: float) -> type[H11Protocol]:
    """A protocol for uvicorn, its own but that it ends a connection that waits so long for a request's head.

    Uploads have a limit of their own, for there a problem can be answered. uvicorn takes a class and has no
    setting for this, so it is a class derived from its own.
    """

    class Impatient(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._look_later()

        def _look_later(self) -> None:
            seen = self.cycle if _is_idle(self) else self
            self.loop.call_later(seconds, self._look, seen)

        def _look(self, seen: object) -> None:
            if self.transport.is_closing():
                return
            if _is_idle(self) and self.cycle is seen:
                self.transport.close()
            else:
                self._look_later()

    return Impatient


def _is_idle(protocol: H11Protocol) -> bool:
    """Whether no request is being answered on it."""
    cycle: RequestResponseCycle | None = protocol.cycle
    return cycle is None or cycle.response_complete
