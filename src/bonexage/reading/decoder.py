"""The process in which films are decoded, as its user holds it: started, asked, kept for more, and ended.

No byte of a film from outside is parsed in the process that asks.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from bonexage.errors import BonexageError, RefusedRadiograph, TooManyPixels, UnreadableFile
from bonexage.reading.confined import DEFAULT_LIMITS, MAX_PIXELS, Limits
from bonexage.reading.messages import read_message, write_message

# A child is ended after so many films, whatever its decoders may have kept.
FILMS_A_CHILD: Final = 1000

_AGAIN: Final = "Export the film again, or convert it to PNG"
_KINDS: Final[Mapping[str, type[BonexageError]]] = {
    each.__name__: each for each in (RefusedRadiograph, TooManyPixels)
}
# Seconds in which a child that has broken off has ended.
_PATIENCE: Final = 1.0
_idle: Final[list[_Child]] = []
_all: Final[set[_Child]] = set()


class _Child:
    """One decoding process."""

    def __init__(self, memory_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        self.films = 0
        # -P: what lies in the working folder is not imported. One thread: arenas count as address space.
        ways = os.pathsep.join(path for path in sys.path if path)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bonexage.reading.decoder_child", str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **threads, "PYTHONPATH": ways},
            start_new_session=True,
        )
        _all.add(self)

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, head: Mapping[str, Any], body: bytes, waiting_seconds: float) -> tuple[Any, bytes] | None:
        """Its answer; None where it ended or was ended first."""
        assert self._process.stdin
        assert self._process.stdout
        self.films += 1
        timer = threading.Timer(waiting_seconds, self.kill)
        timer.daemon = True
        timer.start()
        try:
            write_message(self._process.stdin, head, body)  # type: ignore[arg-type]
            return read_message(self._process.stdout, most_body=4 * MAX_PIXELS)  # type: ignore[arg-type]
        except OSError:
            return None
        finally:
            timer.cancel()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def end(self, *, patience: float = 0.0) -> int:
        """End it, and say how it ended: a negative number is the signal that ended it.

        Args:
            patience: seconds it has to end by itself.
        """
        _all.discard(self)
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if stream:
                    stream.close()
        if patience:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        self._process.kill()
        return self._process.wait()

    def let_go(self) -> None:
        """Forget it in a process that was forked: it and what its pipes carry are the other process's."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (self._process.stdin, self._process.stdout):
            if stream and not stream.closed:
                os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        self._process.returncode = 0


def asked(head: Mapping[str, Any], body: bytes, name: str, limits: Limits) -> tuple[dict[str, Any], bytes]:
    """What a child answers to a request, as `reading.decoder_child` knows them.

    Raises:
        UnreadableFile, RefusedRadiograph: the answer is a failure, or there is none within the limits.
    """
    child = _taken(limits.memory_bytes)
    try:
        answer = child.ask({**head, "seconds": limits.seconds}, body, _patience(limits))
    except BaseException:
        child.end()
        raise
    if answer is None:
        raise _ended(child.end(patience=_PATIENCE), name)
    if child.films < FILMS_A_CHILD and not answer[0].get("shaken"):
        _idle.append(child)
    else:
        child.end()
    facts, content = answer
    if "error" in facts:
        kind = _KINDS.get(str(facts["error"]), UnreadableFile)
        raise kind(str(facts["problem"]), remedy=str(facts["remedy"]), subject=name)
    return facts, content


def start_early() -> None:
    """Start a child for the first film, so that it is ready once the model is."""
    if not _idle:
        _idle.append(_started(DEFAULT_LIMITS.memory_bytes))


def end_all() -> None:
    """End all children of this process, also those at work: who waits for one of them gets an error."""
    _idle.clear()
    for child in list(_all):
        child.kill()


def unforeseen(name: str) -> UnreadableFile:
    """The error of a film that made its decoder fail."""
    return UnreadableFile("its decoder failed on it and was ended", remedy=_AGAIN, subject=name)


def _taken(memory_bytes: int) -> _Child:
    """A child that waits for work, or a new one."""
    while _idle:
        with suppress(IndexError):
            child = _idle.pop()
            if child.alive and child.memory_bytes == memory_bytes:
                return child
            child.end()
    return _started(memory_bytes)


def _started(memory_bytes: int) -> _Child:
    atexit.unregister(dismiss)
    atexit.register(dismiss)
    return _Child(memory_bytes)


def dismiss() -> None:
    """End the children that wait for work."""
    while _idle:
        with suppress(IndexError):
            _idle.pop().end()


def _let_go() -> None:
    _idle.clear()
    while _all:
        _all.pop().let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _patience(limits: Limits) -> float:
    """Seconds until an answer: by the clock alone where the system cannot limit computing."""
    return (
        limits.waiting_seconds if hasattr(signal, "SIGXCPU") else min(limits.seconds, limits.waiting_seconds)
    )


def _ended(status: int, name: str) -> BonexageError:
    """Why there is no answer, by how the child ended."""
    if status in (-getattr(signal, "SIGXCPU", 0), -getattr(signal, "SIGKILL", 9)):
        return UnreadableFile(
            "decoding it took more time or memory than one film may",
            remedy="Give a smaller copy of it",
            subject=name,
        )
    return unforeseen(name)
