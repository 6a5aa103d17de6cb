"""The two kinds of work on the queue: judging the next film, and sending what waits for a destination."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from bonexage.logline import error_facts
from bonexage.node.books import Books
from bonexage.node.config import Delivery as Limits
from bonexage.node.judging import Judged, NoFilm
from bonexage.node.logs import Log
from bonexage.node.metrics import Counters
from bonexage.node.queue import (
    ASIDE,
    DEAD,
    WAITING,
    Delivery,
    Film,
    Result,
)
from bonexage.node.sending import Away, Send, is_of_the_machine
from bonexage.node.taking import content_hash

# So often assessing a film is begun, be it that it fails or that the process is killed on it.
MOST_ATTEMPTS: Final = 10
POLL_SECONDS: Final = 0.5
BATCH: Final = 50
_HOUR: Final = 3600.0

Judging = Callable[[bytes, Film], Judged]


@dataclass(frozen=True)
class Work:
    """What both kinds of work need.

    Attributes:
        books: the queue and the state folder.
        arrived: set whenever a film was taken.
        has_room: whether there is room for results; without it what is judged already is sent first.
        limits: how often and how long is tried.
        counters: what is counted.
        stop: set when work is to end.
        judged: set whenever there may be something to send.
    """

    books: Books
    arrived: threading.Event
    has_room: Callable[[], bool]
    limits: Limits
    counters: Counters
    stop: threading.Event
    judged: threading.Event

    @property
    def log(self) -> Log:
        """Where it is told."""
        return self.books.log


def judge_films(work: Work, judging: Judging, destinations: Callable[[Result], Iterable[str]]) -> None:
    """Judge films one after the other until told to stop.

    Args:
        work: the queue and what belongs to it.
        judging: what makes results of a film's bytes.
        destinations: where a result goes, by name.
    """
    failures = 0
    while not work.stop.is_set():
        work.arrived.clear()
        film = None
        try:
            film = work.books.queue.begin_next() if work.has_room() else None
            if film:
                _judge(work, film, judging, destinations)
                work.judged.set()
            failures = 0
        except (OSError, sqlite3.Error) as error:
            failures += 1
            work.log("disk-refused", **error_facts(error))
            with suppress(sqlite3.Error):
                if film:
                    work.books.queue.forgive(film)
            work.stop.wait(work.limits.wait_seconds(failures))
            continue
        if film is None:
            _wait(work, work.arrived, POLL_SECONDS)


def send_results(work: Work, destination: str, send: Send) -> None:
    """Send what waits for a destination until told to stop; wait ever longer while it is away."""
    failures = 0
    while not work.stop.is_set():
        try:
            sent = _send_due(work, destination, send)
            failures = 0
        except Away as away:
            failures += 1
            work.counters.sent.labels(destination, "away").inc()
            work.log("away", destination=destination, reason=str(away), failures=failures)
            _give_up(work, destination, str(away))
            # Spread, so that many do not come back at the same moment.
            _wait(work, work.stop, work.limits.wait_seconds(failures) * random.uniform(0.8, 1.2))
            continue
        except (OSError, sqlite3.Error) as error:
            work.log("disk-refused", **error_facts(error))
            work.stop.wait(work.limits.first_wait_seconds)
            continue
        except Exception as error:  # one destination's fault must not end the sending to it for good
            failures += 1
            work.log("unforeseen", destination=destination, **error_facts(error))
            work.stop.wait(work.limits.wait_seconds(failures))
            continue
        if not sent:
            _wait(work, work.judged, POLL_SECONDS)
            work.judged.clear()


def _judge(work: Work, film: Film, judging: Judging, destinations: Callable[[Result], Iterable[str]]) -> None:
    began = time.monotonic()
    if film.attempts > MOST_ATTEMPTS:
        work.books.lay_film(film, DEAD, film.reason or "the node ended each time it was at work on it")
        return
    if film.gave_up_its_uid:
        work.books.lay_film(film, ASIDE, "it cannot be read, and another file came under its UID")
        return
    try:
        data = work.books.spool.film(film).read_bytes()
    except FileNotFoundError:
        work.books.lay_film(film, DEAD, "its file is gone from the state folder")
        return
    except OSError as error:
        if is_of_the_machine(error) or not work.books.spool.films.is_dir():
            raise
        # One file that cannot be read must not keep others waiting.
        _postpone(work, film, error, "its file in the state folder cannot be read")
        return
    try:
        judged = judging(data, film)
    except NoFilm as error:
        work.counters.judged.labels("aside").inc()
        work.books.lay_film(film, ASIDE, error.sentence)
        return
    except Exception as error:  # a fault of ours must not lose a film, nor keep others waiting
        _postpone(work, film, error, "judging it failed")
        return
    deliveries = [
        (name, replace(result, sha256=content_hash(judged.files[result.file])))
        for result in judged.results
        for name in destinations(result)
    ]
    files = {result.file: judged.files[result.file] for _, result in deliveries}
    work.books.spool.put_results(film, files)
    work.books.queue.assessed(film, judged.status, deliveries, content=judged.content)
    work.books.finish([film.number])
    seconds = time.monotonic() - began
    work.counters.judged.labels(judged.status).inc()
    work.counters.seconds.observe(seconds)
    work.log("judged", film=film.number, status=judged.status, seconds=round(seconds, 3))


def _postpone(work: Work, film: Film, error: Exception, why: str) -> None:
    """Let a film be tried again, later each time, while others have their turn."""
    work.log("unforeseen", film=film.number, **error_facts(error))
    at = time.time() + work.limits.wait_seconds(film.attempts)
    work.books.queue.put_film(film, WAITING, f"{why} ({type(error).__name__})", next_at=at)


def _send_due(work: Work, destination: str, send: Send) -> int:
    """Send what is due; returns how much that was."""
    due = work.books.queue.due(destination, WAITING, most=BATCH)
    try:
        for delivery, answer in send(due):
            if answer.state == DEAD:
                work.counters.sent.labels(destination, "unusable").inc()
                work.books.bury([delivery], answer.reason)
            elif answer.state:
                work.counters.sent.labels(destination, "stored").inc()
                work.books.queue.put([delivery], answer.state, reason="")
            else:
                _refused(work, delivery, answer.reason)
        return len(due)
    finally:
        work.books.finish({each.film for each in due})


def _refused(work: Work, delivery: Delivery, reason: str) -> None:
    """A result that was refused is tried again, later each time, or goes to the dead letters."""
    attempts = delivery.attempts + 1
    work.counters.sent.labels(delivery.destination, "refused").inc()
    work.log(
        "refused", film=delivery.film, destination=delivery.destination, reason=reason, attempts=attempts
    )
    if attempts >= work.limits.refusals:
        work.books.bury([delivery], reason)
    else:
        at = time.time() + work.limits.wait_seconds(attempts)
        work.books.queue.put([delivery], WAITING, attempts=attempts, next_at=at, reason=reason)


def _give_up(work: Work, destination: str, reason: str) -> None:
    """Put to the dead letters what waits for a destination for too long."""
    before = time.time() - work.limits.give_up_hours * _HOUR
    work.books.bury(work.books.queue.waiting_since(destination, before), reason)


def _wait(work: Work, event: threading.Event, seconds: float) -> None:
    """Wait for an event, but no longer than until work is to end."""
    until = time.monotonic() + seconds
    while not work.stop.is_set() and not event.is_set() and time.monotonic() < until:
        event.wait(min(0.1, max(0.0, until - time.monotonic())))
