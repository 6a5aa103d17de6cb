"""Connections to the listener: how long a peer may be silent, how slowly it may send, how many may wait."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Final

from pynetdicom import AE, evt
from pynetdicom.association import Association

from bonexage.node.logs import Log
from bonexage.node.metrics import Counters

# A peer asks for an association as soon as it is connected; one that has not by then is disconnected.
REQUEST_SECONDS: Final = 10.0
# Films come in parts of less than this, and no other message needs a part longer than that.
MOST_PDU_BYTES: Final = 1 << 20
# At least so many connections may wait for their request, of one peer and of all together.
FROM_A_PEER: Final = 8
FROM_ALL: Final = 24
_PART_BYTES: Final = 1 << 16


class Entity(AE):
    """An application entity to which only those count as associations that have asked to be one."""

    @property
    def active_associations(self) -> list[Association]:
        """Its associations at work, without connections on which nothing was asked for yet."""
        return [each for each in super().active_associations if each.is_requestor or has_asked(each)]


def has_asked(association: Association) -> bool:
    """Whether a peer has sent its A-ASSOCIATE-RQ."""
    return association.requestor.primitive is not None


class Connections:
    """The connections on which no association was asked for yet, and the time that each has."""

    def __init__(self, idle_seconds: float, associations: int, counters: Counters, log: Log) -> None:
        """Begin with none.

        Args:
            idle_seconds: that reading a part of what a peer sends may take.
            associations: that are served at one time.
            counters: where connections that are ended are counted.
            log: where they are noted.
        """
        self._idle, self._request = idle_seconds, request_seconds(idle_seconds)
        self._from_a_peer = max(FROM_A_PEER, associations)
        self._from_all = max(FROM_ALL, 2 * associations)
        self._counters, self._log = counters, log
        self._waiting: dict[Association, _Connection] = {}
        self._lock = threading.Lock()

    def opened(self, event: evt.Event) -> None:
        """Watch over a new connection; where too many wait, the one that has waited longest is ended."""
        peer = str(event.address[0])  # type: ignore[attr-defined]
        connection = _Connection(event.assoc, peer, self._idle, self._request)
        with self._lock:
            self._waiting[event.assoc] = connection
            waiting = [each for each in self._waiting.values() if not each.was_ended]
            of_peer = [each for each in waiting if each.peer == connection.peer]
            if len(of_peer) > self._from_a_peer:
                of_peer[0].end()
            elif len(waiting) > self._from_all:
                waiting[0].end()

    def asked(self, event: evt.Event) -> None:
        """A connection has become an association, or is about to be rejected as one."""
        with self._lock:
            self._waiting.pop(event.assoc, None)

    def closed(self, event: evt.Event) -> None:
        """A connection is closed; one on which nothing was asked for leaves no thread that waits."""
        with self._lock:
            connection = self._waiting.pop(event.assoc, None)
        if connection is None:
            return
        event.assoc.dul.to_user_queue.put(None)  # type: ignore[arg-type] # as after the time to ask
        if connection.was_ended or connection.left_seconds() <= 0:
            self._counters.received.labels("silent").inc()
            self._log("silent-connection-ended")


def request_seconds(idle_seconds: float) -> float:
    """How long a peer has to ask for an association."""
    return min(REQUEST_SECONDS, idle_seconds)


class _Connection:
    """One connection: what is read from it has to come within a time, however slowly its bytes drip."""

    def __init__(self, association: Association, peer: str, idle: float, request: float) -> None:
        self.peer, self.was_ended = peer, False
        self._association, self._idle = association, idle
        self._asked_by = time.monotonic() + request
        wrapped = association.dul.socket
        assert wrapped
        assert wrapped.socket
        self._socket = wrapped.socket
        self._socket.settimeout(idle)
        wrapped.recv = self.receive  # type: ignore[method-assign,assignment]

    def left_seconds(self) -> float:
        """The time that is left for what is read now: all of it has to be there then."""
        return self._idle if has_asked(self._association) else self._asked_by - time.monotonic()

    def receive(self, count: int) -> bytearray:
        """So many bytes, or fewer where the peer closes the connection.

        Raises:
            OSError: the peer takes too long for them, announces too many, or the connection breaks.
        """
        if count > MOST_PDU_BYTES:
            raise OSError(f"a PDU of {count} bytes is longer than any that is needed")
        end, received = time.monotonic() + self.left_seconds(), bytearray()
        try:
            while len(received) < count:
                if (left := end - time.monotonic()) <= 0:
                    raise TimeoutError("the peer sends too slowly")
                self._socket.settimeout(left)
                part = self._socket.recv(min(count - len(received), _PART_BYTES))
                if not part:
                    break
                received += part
            return received
        finally:
            with suppress(OSError):
                self._socket.settimeout(self._idle)

    def end(self) -> None:
        """End it from any thread; its own thread then learns that it is closed."""
        self.was_ended = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
