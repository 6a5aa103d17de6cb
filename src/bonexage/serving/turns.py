"""Whose film is read next: free workers go to the peers and requests that have the fewest at work."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

PATIENCE_SECONDS: Final = 1.0
_REQUESTS_REMEMBERED: Final = 31


@dataclass(eq=False)
class Party:
    """The films of one request.

    Attributes:
        peer: the address that they come from.
        since: by the monotonic clock, when it came, or when a turn of it last began or ended.
        at_work: how many of its films are being read.
        waiting: a future for each film that waits, done when its turn has come.
        learnt: whether a film of it has been counted as an example of how long films take.
    """

    peer: str
    since: float
    at_work: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    learnt: bool = False


class Turns:
    """The films inside the service, and their turns; it lives in one event loop.

    A free worker goes to the peer with the fewest films at work, then to the request with the fewest, then to
    the request that waited longest. So a request of many films has all workers while it is alone, and its
    share of them while others wait. Slow films may hold all workers all the same: a request that has none at
    work and waited for `PATIENCE_SECONDS` is then given one turn more, for the worker in reserve.
    """

    def __init__(self, workers: int, most_waiting: int) -> None:
        """Begin with nobody inside.

        Args:
            workers: how many films are read at the same time.
            most_waiting: how many films may wait. The last quarter is for peers that have no film inside.
        """
        self._workers = workers
        self._most_waiting = most_waiting
        self._inside: Counter[str] = Counter()
        self._at_work: Counter[str] = Counter()
        self._waiting: set[Party] = set()
        self._seconds: deque[float] = deque(maxlen=_REQUESTS_REMEMBERED)

    @property
    def waiting(self) -> int:
        """How many films wait for a worker."""
        return max(0, self._inside.total() - self._workers)

    @property
    def foreseen_seconds(self) -> float:
        """How long a new request waits for its first turn, as far as that can be foreseen."""
        before = sum(party.at_work == 0 for party in self._waiting)
        typical = statistics.median(self._seconds) if self._seconds else 0.0
        return before * typical / self._workers

    def has_room(self, films: int, peer: str) -> bool:
        """Whether so many more films of a peer may come inside."""
        room = self._workers + self._most_waiting
        if self._inside[peer]:
            room -= self._most_waiting // 4
        return self._inside.total() + films <= room

    @contextmanager
    def inside(self, films: int, peer: str) -> Iterator[Party]:
        """The films of one request, inside as long as the block."""
        self._inside[peer] += films
        try:
            yield Party(peer, time.monotonic())
        finally:
            _subtract(self._inside, peer, films)

    @asynccontextmanager
    async def turn(self, party: Party) -> AsyncIterator[None]:
        """A turn for one film of a party, as long as the block."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        party.waiting.append(mine)
        self._waiting.add(party)
        self._deal()
        look_again = asyncio.get_running_loop().call_later(1.01 * PATIENCE_SECONDS, self._deal)
        try:
            await mine
            yield
        finally:
            look_again.cancel()
            if mine.done() and not mine.cancelled():
                party.since = time.monotonic()
                party.at_work -= 1
                _subtract(self._at_work, party.peer, 1)
            else:
                self._withdraw(party, mine)
            self._deal()

    def expect(self, seconds: float) -> None:
        """Take so long for a film's usual time until there was a film."""
        if not self._seconds:
            self._seconds.append(seconds)

    def learn(self, party: Party, seconds: float) -> None:
        """Note how long a film took: one film of a request, or a single request could decide all."""
        if not party.learnt:
            party.learnt = True
            self._seconds.append(seconds)

    def _deal(self) -> None:
        """Give the turns that are free to those that wait."""
        while self._waiting and (free := self._workers - self._at_work.total()) >= 0:
            patient = time.monotonic() - PATIENCE_SECONDS
            ready = [
                party for party in self._waiting if free or (party.at_work == 0 and party.since <= patient)
            ]
            if not ready:
                return
            self._serve(min(ready, key=lambda party: (self._at_work[party.peer], party.at_work, party.since)))

    def _serve(self, party: Party) -> None:
        turn = party.waiting[0]
        self._withdraw(party, turn)
        if turn.cancelled():
            return
        party.since = time.monotonic()
        party.at_work += 1
        self._at_work[party.peer] += 1
        turn.set_result(None)

    def _withdraw(self, party: Party, turn: asyncio.Future[None]) -> None:
        with suppress(ValueError):
            party.waiting.remove(turn)
        if not party.waiting:
            self._waiting.discard(party)


def _subtract(counts: Counter[str], peer: str, number: int) -> None:
    """Count less; a peer with nothing left is forgotten."""
    counts[peer] -= number
    if not counts[peer]:
        del counts[peer]
