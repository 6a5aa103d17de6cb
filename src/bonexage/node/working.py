"""The two kinds of work on the queue: judging the next film, and sending what waits for a destination."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from bonexage.node.config import Delivery as Limits
from bonexage.node.judging import Judged, NoFilm
from bonexage.node.logs import Log, error_facts
from bonexage.node.metrics import Counters
from bonexage.node.queue import (
    ASIDE,
    DEAD,
    DONE,
    WAITING,
    Delivery,
    Film,
    Queue,
    Result,
)
from bonexage.node.sending import Away, Send
from bonexage.node.spool import Spool
from bonexage.node.taking import Door

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
        door: the queue, the spool, and what tells that something arrived.
        limits: how often and how long is tried.
        counters: what is counted.
        log: where it is told.
        stop: set when work is to end.
        judged: set whenever there may be something to send.
    """

    door: Door
    limits: Limits
    counters: Counters
    log: Log
    stop: threading.Event
    judged: threading.Event

    @property
    def queue(self) -> Queue:
        """The queue."""
        return self.door.queue

    @property
    def spool(self) -> Spool:
        """The state folder."""
        return self.door.spool


def judge_films(work: Work, judging: Judging, destinations: Callable[[Result], Iterable[str]]) -> None:
    """Judge films one after the other until told to stop.

    Args:
        work: the queue and what belongs to it.
        judging: what makes results of a film's bytes.
        destinations: where a result goes, by name.
    """
    while not work.stop.is_set():
        work.door.arrived.clear()
        try:
            film = work.queue.begin_next()
            if film:
                _judge(work, film, judging, destinations)
                work.judged.set()
        except (OSError, sqlite3.Error) as error:
            work.log("disk-refused", **error_facts(error))
            work.stop.wait(work.limits.first_wait_seconds)
            continue
        if film is None:
            _wait(work, work.door.arrived, POLL_SECONDS)


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
        reason = film.reason or "the node ended each time it was at work on it"
        _lay(work, film, DEAD, reason)
        return
    try:
        judged = judging(work.spool.film(film).read_bytes(), film)
    except NoFilm as error:
        work.counters.judged.labels("aside").inc()
        _lay(work, film, ASIDE, f"{error.problem}. {error.remedy}.")
        work.spool.release(film)
        return
    except Exception as error:  # a fault of ours must not lose a film, nor keep others waiting
        work.log("unforeseen", film=film.number, **error_facts(error))
        at = time.time() + work.limits.wait_seconds(film.attempts)
        work.queue.put_film(film, WAITING, f"judging it failed ({type(error).__name__})", next_at=at)
        return
    work.spool.put_results(film, judged.files)
    deliveries = [(name, result) for result in judged.results for name in destinations(result)]
    work.queue.assessed(film, judged.status, deliveries)
    seconds = time.monotonic() - began
    work.counters.judged.labels(judged.status).inc()
    work.counters.seconds.observe(seconds)
    work.log("judged", film=film.number, status=judged.status, seconds=round(seconds, 3))


def _lay(work: Work, film: Film, state: str, reason: str) -> None:
    work.spool.lay(film, state, reason)
    work.queue.put_film(film, state, reason)
    work.log("put-aside" if state == ASIDE else "dead", film=film.number, reason=reason)


def _send_due(work: Work, destination: str, send: Send) -> int:
    """Send what is due; returns how much that was."""
    due = work.queue.due(destination, WAITING, most=BATCH)
    seen: set[int] = set()
    try:
        for delivery, answer in send(due):
            seen.add(delivery.film)
            if answer.state:
                work.counters.sent.labels(destination, "stored").inc()
                work.queue.put([delivery], answer.state, reason="", attempts=0)
            else:
                _refused(work, delivery, answer.reason)
        return len(due)
    finally:
        _finish(work, {each.film for each in due} | seen)


def _refused(work: Work, delivery: Delivery, reason: str) -> None:
    """A result that was refused is tried again, later each time, or goes to the dead letters."""
    attempts = delivery.attempts + 1
    work.counters.sent.labels(delivery.destination, "refused").inc()
    work.log(
        "refused", film=delivery.film, destination=delivery.destination, reason=reason, attempts=attempts
    )
    if attempts >= work.limits.refusals:
        _bury(work, [delivery], reason)
    else:
        at = time.time() + work.limits.wait_seconds(attempts)
        work.queue.put([delivery], WAITING, attempts=attempts, next_at=at, reason=reason)


def _give_up(work: Work, destination: str, reason: str) -> None:
    """Put to the dead letters what waits for a destination for too long."""
    before = time.time() - work.limits.give_up_hours * _HOUR
    _bury(work, work.queue.waiting_since(destination, before), reason)


def _bury(work: Work, deliveries: list[Delivery], reason: str) -> None:
    for delivery in deliveries:
        why = f"{delivery.destination}: {reason}. Then: bonexage queue --retry {delivery.film}"
        work.spool.lay(work.queue.film(delivery.film), DEAD, why)
        work.queue.put([delivery], DEAD, reason=reason)
        work.log("dead", film=delivery.film, destination=delivery.destination, reason=reason)


def _finish(work: Work, films: Iterable[int]) -> None:
    """Forget the files of those of some films that are done."""
    for number in films:
        film = work.queue.film(number)
        if film.state == DONE:
            work.spool.release(film)
            work.log("done", film=number)


def _wait(work: Work, event: threading.Event, seconds: float) -> None:
    """Wait for an event, but no longer than until work is to end."""
    until = time.monotonic() + seconds
    while not work.stop.is_set() and not event.is_set() and time.monotonic() < until:
        event.wait(min(0.1, max(0.0, until - time.monotonic())))
