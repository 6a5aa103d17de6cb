"""The workers, and the queue before them: bounded, fair, with one worker more than is used."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from bonexage.assessment import Failure
from bonexage.errors import UnreadableFile
from bonexage.reports.table import record
from bonexage.serving.logs import event
from bonexage.serving.looking import Asked, as_message, out_of_parts
from bonexage.serving.problems import Problem
from bonexage.serving.process import Worker, WorkerEnded
from bonexage.serving.settings import Settings
from bonexage.serving.turns import Party, Turns

TRIES: Final = 2
GRACE_SECONDS: Final = 1.0
_LONGEST_PAUSE: Final = 5.0


@dataclass(frozen=True)
class Answer:
    """What a worker said of one film.

    Attributes:
        row: as `predict --format json` gives it.
        failed: why there is no assessment; None where there is one.
        forms: the outcome in the forms that were asked for, as far as it has them.
    """

    row: Mapping[str, Any]
    failed: Problem | None = None
    forms: Mapping[str, bytes] = field(default_factory=dict)


class Pool:
    """Processes that assess films; it lives in one event loop, from `start` to `close`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turns = Turns(settings.workers, settings.limits.queue)
        self._idle: asyncio.Queue[Worker] = asyncio.Queue()
        self._alive: set[Worker] = set()
        self._at_work: dict[Worker, asyncio.Task[Any] | None] = {}
        self._seats: list[asyncio.Task[None]] = []
        self._looks: set[asyncio.Task[Answer]] = set()
        self.started = 0

    async def start(self) -> None:
        """Have the workers started; films that come before they are ready wait."""
        self._seats = [asyncio.create_task(self._keep_seat()) for _ in range(self._settings.workers + 1)]

    async def close(self) -> None:
        """End all workers."""
        ending = [*self._seats, *self._looks]
        for each in ending:
            each.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        self._seats = []

    @property
    def ready(self) -> bool:
        """Whether a film would find a worker."""
        return any(worker.alive for worker in self._alive)

    @property
    def waiting(self) -> int:
        """How many films wait for a worker."""
        return self._turns.waiting

    @property
    def pids(self) -> tuple[int, ...]:
        """The workers' processes, those at work and those that wait."""
        return tuple(worker.pid for worker in self._alive if worker.alive)

    @property
    def working(self) -> tuple[int, ...]:
        """The processes that look at a film now."""
        return tuple(worker.pid for worker in self._at_work)

    @contextmanager
    def places(self, films: int, peer: str = "") -> Iterator[Party]:
        """Places in the queue for the films of one request.

        Args:
            films: how many.
            peer: the address that they come from.

        Raises:
            Problem: there are none, or its first film would wait too long; it tells when to ask again.
        """
        turns, seconds = self._turns, self._turns.foreseen_seconds
        if not turns.has_room(films, peer) or seconds > self._settings.limits.wait_seconds:
            raise Problem(
                "busy",
                f"{turns.waiting} films wait to be assessed",
                "Ask again later; Retry-After says when",
                headers={"Retry-After": str(max(1, math.ceil(seconds)))},
            )
        with turns.inside(films, peer) as party:
            yield party

    async def assess(self, data: bytes, asked: Asked, party: Party) -> Answer:
        """Assess one film, which has a place.

        A film whose worker dies is given to another one; one that two workers die of is an unreadable film.
        Where nobody waits for the answer any more (this is cancelled), a film that is being read has
        `GRACE_SECONDS` to end, as most do in less; then its worker is killed.

        Raises:
            Problem: no worker is to be had, or a form that was asked for cannot be made.
        """
        look = asyncio.create_task(self._looked_at(data, asked, party))
        self._looks.add(look)
        look.add_done_callback(self._forget)
        try:
            return await asyncio.shield(look)
        except asyncio.CancelledError:
            grace = GRACE_SECONDS if look in self._at_work.values() else 0.0
            asyncio.get_running_loop().call_later(grace, look.cancel)
            raise

    def _forget(self, look: asyncio.Task[Answer]) -> None:
        self._looks.discard(look)
        if not look.cancelled():
            look.exception()  # of a film whose client has gone, nobody else takes notice of it

    async def _looked_at(self, data: bytes, asked: Asked, party: Party) -> Answer:
        """What workers make of a film when its turn has come."""
        async with self._turns.turn(party):
            for _ in range(TRIES):
                worker = await self._next_worker()
                began = time.monotonic()
                self._at_work[worker] = asyncio.current_task()
                try:
                    said, body = await worker.ask(as_message(asked), data, self._settings.limits.seconds)
                except WorkerEnded:
                    continue
                except TimeoutError:
                    return _unread(asked, worker, self._too_slow())
                finally:
                    del self._at_work[worker]
                self._turns.learn(party, time.monotonic() - began)
                if said.get("shaken") or worker.films >= self._settings.limits.worker_films:
                    worker.kill()
                else:
                    self._idle.put_nowait(worker)
                return _answer(said, body, asked, worker)
            return _unread(asked, worker, _fatal())

    async def _next_worker(self) -> Worker:
        """A worker that waits; those that died while they waited are passed over."""
        try:
            async with asyncio.timeout(self._settings.limits.seconds):
                while True:
                    worker = await self._idle.get()
                    if worker.alive:
                        return worker
        except TimeoutError:
            raise Problem(
                "no-worker",
                "no process that could assess the film has started",
                "Ask again later, and tell the service's keeper if it stays so",
                headers={"Retry-After": "5"},
            ) from None

    def _too_slow(self) -> Problem:
        seconds = self._settings.limits.seconds
        return Problem(
            "too-slow", f"assessing it took more than {seconds:g} seconds", "Give a smaller copy of it", 3
        )

    async def _keep_seat(self) -> None:
        """Keep one worker alive: where it ends, start another."""
        pause = 0.0
        while True:
            try:
                worker = await Worker.start(self._settings)
            except (WorkerEnded, OSError):
                pause = min(_LONGEST_PAUSE, 2 * pause + 0.1)
                event("worker-not-started", level=logging.WARNING, again_after_seconds=round(pause, 1))
                await asyncio.sleep(pause)
                continue
            pause = 0.0
            self.started += 1
            self._turns.expect(worker.seconds_a_film)
            self._alive.add(worker)
            self._idle.put_nowait(worker)
            try:
                await worker.ended()
            finally:
                self._alive.discard(worker)
                await worker.end()


def _fatal() -> Problem:
    """What is said of a film that workers die of."""
    return Problem(
        "unreadable",
        "its decoder failed on it and was ended",
        "Export the film again, or convert it to PNG",
        exit_code=3,
    )


def _unread(asked: Asked, worker: Worker, problem: Problem) -> Answer:
    """The answer about a film of which its worker gave no row."""
    error = UnreadableFile(problem.problem, remedy=problem.remedy)
    problem.row = record(Failure(asked.name, asked.subject, error, worker.model))
    return Answer(problem.row, problem)


def _answer(said: Mapping[str, Any], body: bytes, asked: Asked, worker: Worker) -> Answer:
    """A worker's message as an answer."""
    if "error" in said:
        problem = Problem(**said["error"])
        if problem.code == "unreadable":
            return _unread(asked, worker, problem)
        raise problem
    row = said["row"]
    failed = Problem(**said["failed"], row=row) if "failed" in said else None
    return Answer(row, failed, out_of_parts(said["parts"], body))
