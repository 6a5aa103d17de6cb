"""A worker as the service holds it: started, asked, and killed where it takes too long."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from bonexage.reading.messages import LENGTHS, before_body
from bonexage.serving.settings import Settings

START_SECONDS: Final = 120.0
_MOST_HEAD: Final = 1 << 20
_MOST_BODY: Final = 1 << 28
_AT_ONCE: Final = 1 << 20


class WorkerEnded(Exception):
    """The worker ended, or was ended, before it answered."""


class Worker:
    """One process that assesses films, one at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.films = 0
        self.model = ""
        self.seconds_a_film = 0.0

    @classmethod
    async def start(cls, settings: Settings) -> Worker:
        """Start one and wait until it has loaded the model.

        Raises:
            WorkerEnded: it could not, or took longer than `START_SECONDS`.
        """
        limits = settings.limits
        ways = os.pathsep.join(path for path in sys.path if path)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        numbers = (
            *(settings.threads, limits.worker_bytes),
            *(limits.decoding_seconds, max(1, round(limits.seconds)), limits.pixels),
        )
        worker = cls(
            await asyncio.create_subprocess_exec(
                # -P: what lies in the working folder is not imported.
                *(sys.executable, "-P", "-m", "bonexage.serving.worker", str(settings.model or "")),
                *map(str, numbers),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=_AT_ONCE,
                env={**os.environ, **threads, "PYTHONPATH": ways},
                start_new_session=True,
            )
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                said, _ = await worker._answer()
            worker.model, worker.seconds_a_film = str(said["model"]), float(said["seconds"])
        except (TimeoutError, KeyError):
            await worker.end()
            raise WorkerEnded from None
        except BaseException:
            await worker.end()
            raise
        return worker

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.returncode is None

    async def ask(self, head: Mapping[str, Any], body: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Its answer; where there is none, it is killed.

        Raises:
            WorkerEnded: it ended first.
            TimeoutError: it did not answer within so many seconds.
        """
        self.films += 1
        try:
            async with asyncio.timeout(seconds):
                assert self._process.stdin
                self._process.stdin.write(before_body(head, len(body)))
                self._process.stdin.write(body)
                await self._process.stdin.drain()
                return await self._answer()
        except OSError as error:
            self.kill()
            if isinstance(error, TimeoutError):
                raise
            raise WorkerEnded from None
        except BaseException:
            self.kill()
            raise

    async def _answer(self) -> tuple[dict[str, Any], bytes]:
        assert self._process.stdout
        read = self._process.stdout.readexactly
        try:
            head_length, body_length = LENGTHS.unpack(await read(LENGTHS.size))
            if head_length > _MOST_HEAD or body_length > _MOST_BODY:
                raise WorkerEnded
            return _parsed(await read(head_length)), await read(body_length)
        except asyncio.IncompleteReadError:
            raise WorkerEnded from None

    async def ended(self) -> None:
        """Wait until it has ended."""
        await self._process.wait()

    async def end(self) -> None:
        """End it at once, and wait until nothing of it is left."""
        self.kill()
        await self.ended()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()


def _parsed(head: bytes) -> dict[str, Any]:
    try:
        said = json.loads(head)
    except ValueError:
        raise WorkerEnded from None
    if not isinstance(said, dict):
        raise WorkerEnded
    return said
