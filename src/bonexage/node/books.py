"""What becomes of films in the end: the queue notes it, and the state folder has what belongs to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bonexage.node.logs import Log
from bonexage.node.queue import ASIDE, DEAD, DONE, Delivery, Film, Queue
from bonexage.node.spool import Spool

UNLISTED: Final = "unlisted-put-aside"
"""The event of files in the state folder that the queue does not know."""


@dataclass(frozen=True)
class Books:
    """What is kept of films.

    Attributes:
        queue: the queue.
        spool: the state folder.
        log: where what becomes of films is told.
    """

    queue: Queue
    spool: Spool
    log: Log

    def finish(self, films: Iterable[int]) -> None:
        """Forget the files of those of some films, by their numbers, that are done."""
        for number in films:
            film = self.queue.film(number)
            if film.state == DONE and self.spool.holds(film):
                self.release(film)
                self.log("done", film=number)

    def release(self, film: Film) -> None:
        """Forget the files of a film that nothing is left to be done for."""
        if self.spool.release(film, self.results_of(film.number)):
            self.log(UNLISTED, film=film.number, place="results")

    def results_of(self, number: int) -> set[str]:
        """The names of a film's results."""
        return {delivery.file for delivery in self.queue.deliveries(number)}

    def lay_film(self, film: Film, state: str, reason: str) -> None:
        """Put a film to the dead letters, or aside, and note it: `DEAD` or `ASIDE`."""
        self.spool.lay(film, state, reason)
        self.queue.put_film(film, state, reason)
        if state == ASIDE:
            self.release(film)
        self.log("put-aside" if state == ASIDE else "dead", film=film.number, reason=reason)

    def bury(self, deliveries: Sequence[Delivery], reason: str) -> None:
        """Put results that cannot be delivered to the dead letters, with their films."""
        for delivery in deliveries:
            self.spool.lay(self.queue.film(delivery.film), DEAD, f"{delivery.destination}: {reason}.")
            self.queue.put([delivery], DEAD, reason=reason, asked="")
            self.log("dead", film=delivery.film, destination=delivery.destination, reason=reason)
