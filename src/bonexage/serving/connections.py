"""Connections on which no request comes, or no answer is taken, are ended; uvicorn bears both for good."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


def impatient(seconds: float) -> type[H11Protocol]:
    """A protocol for uvicorn, its own but that it ends a connection on which nothing moves for so long.

    That is one that waits for a request's head, or whose client takes nothing of its answer.

    Uploads have a limit of their own, for there a problem can be answered. uvicorn takes a class and has no
    setting for this, so it is a class derived from its own.
    """

    class Impatient(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._look_later()

        def _look_later(self) -> None:
            seen = self.cycle if _is_idle(self) else self
            self.loop.call_later(seconds, self._look, seen, self.transport.get_write_buffer_size())

        def _look(self, seen: object, unsent: int) -> None:
            still = self.transport.get_write_buffer_size()
            if still and still == unsent:
                self.transport.abort()
                return
            if self.transport.is_closing() and not still:
                return
            if _is_idle(self) and self.cycle is seen:
                self.transport.close()  # what it has still to send is looked at again
            self._look_later()

    return Impatient


def _is_idle(protocol: H11Protocol) -> bool:
    """Whether no request is being answered on it."""
    cycle: RequestResponseCycle | None = protocol.cycle
    return cycle is None or cycle.response_complete
