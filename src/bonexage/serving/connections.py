"""Connections that take more than their share are ended: idle, unread, abandoned, in crumbs, or too many."""

from __future__ import annotations

import asyncio
import select
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

WATCH_SECONDS: Final = 1.0
_FILES_FOR_OURSELVES: Final = 256  # of the service: pipes to workers, its model, films that are stored
_MOST_FILES: Final = 4096
_LEAST_CHUNK_BYTES: Final = 16
_SMALL_CHUNKS: Final = 1000


def most_connections() -> int:
    """How many connections may be open, as the system limits open files; its limit is raised if it can be."""
    try:
        import resource
    except ImportError:
        return _MOST_FILES - _FILES_FOR_OURSELVES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wished = _MOST_FILES if hard == resource.RLIM_INFINITY else min(_MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wished:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wished, hard))
            soft = wished
    files = _MOST_FILES if soft == resource.RLIM_INFINITY else min(soft, _MOST_FILES)
    return max(files // 2, files - _FILES_FOR_OURSELVES)


def impatient(seconds: float, most: int) -> type[H11Protocol]:
    """A protocol for uvicorn, its own but that it ends connections that take more than their share.

    - where nothing moves for `seconds`: one that waits for a request's head, or whose client takes nothing of
      its answer; uploads have a limit of their own, for there a problem can be answered;
    - whose client has gone and left requests behind that nobody has read, so that uvicorn does not see it;
    - that send their body in chunks of a few bytes, each of which costs as much as a large one;
    - one of the peer that has most of them, where more than `most` are open.

    uvicorn takes a class and has no settings for this, so it is a class derived from its own.
    """
    open_ones: dict[Impatient, str] = {}  # the oldest first, each with its peer

    class Impatient(H11Protocol):
        def __init__(self, *settings: Any, **more: Any) -> None:
            super().__init__(*settings, **more)
            self.conn = _WithoutCrumbs(h11.SERVER)
            self._watching = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            open_ones[self] = self.client[0] if self.client else ""
            if len(open_ones) > most:
                ended = _one_too_many(open_ones)
                del open_ones[ended]
                ended.transport.abort()
            self._look_later()

        def connection_lost(self, exc: Exception | None) -> None:
            open_ones.pop(self, None)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self._watching and not self.transport.is_reading():
                self._watching = True
                self.loop.call_later(WATCH_SECONDS, self._watch)

        def _watch(self) -> None:
            """See whether the client of a connection that is not read from has gone."""
            self._watching = not self.transport.is_closing() and not self.transport.is_reading()
            if self._watching and _has_gone(self.transport.get_extra_info("socket").fileno()):
                self.transport.abort()
            elif self._watching:
                self.loop.call_later(WATCH_SECONDS, self._watch)

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


class _WithoutCrumbs(h11.Connection):
    """A connection on which a body in very many very small chunks is an error of the protocol."""

    _chunks = 0
    _bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._chunks += 1
            self._bytes += len(event.data)
            if self._chunks > _SMALL_CHUNKS + self._bytes // _LEAST_CHUNK_BYTES:
                raise h11.RemoteProtocolError("the body comes in very many very small chunks")
        return event


def _one_too_many(open_ones: dict[Any, str]) -> Any:
    """The connection that has to go: of the peer with most of them, the oldest idle one.

    Where that peer is busy on all of them, it is the newest if that is the peer's own, else its oldest.
    """
    peer, _ = Counter(open_ones.values()).most_common(1)[0]
    theirs = [each for each, own in open_ones.items() if own == peer]
    newest = next(reversed(open_ones))
    idle = _first_idle(each for each in theirs if each is not newest)
    return idle or (newest if newest in theirs else theirs[0])


def _first_idle(protocols: Iterable[Any]) -> Any:
    return next((each for each in protocols if _is_idle(each)), None)


def _is_idle(protocol: H11Protocol) -> bool:
    """Whether no request is being answered on it."""
    cycle: RequestResponseCycle | None = protocol.cycle
    return cycle is None or cycle.response_complete


def _has_gone(line: int) -> bool:
    """Whether the other side has closed a socket, also where it sent more before that has not been read."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(line, getattr(select, "POLLRDHUP", 0))
    return bool(poll.poll(0))
