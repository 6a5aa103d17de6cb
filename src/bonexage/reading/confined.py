"""What decoding one film may take of the machine, and how a process of untrusted bytes is kept to it."""

from __future__ import annotations

import os
import select
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from bonexage.errors import TooManyPixels

MAX_PIXELS: Final = 100_000_000


@dataclass(frozen=True)
class Limits:
    """What one film may take.

    Attributes:
        seconds: of computing.
        waiting_seconds: until the answer; far more, for a machine that has much else to do.
        memory_bytes: of address space.
        pixels: of its picture.
    """

    seconds: int = 60
    waiting_seconds: float = 600.0
    memory_bytes: int = 4 << 30
    pixels: int = MAX_PIXELS


DEFAULT_LIMITS: Final = Limits()


def too_large(most_pixels: int) -> TooManyPixels:
    """The error of a picture that has more pixels than it may."""
    return TooManyPixels(
        f"the picture has more than {most_pixels / 1e6:g} million pixels", remedy="Give a smaller copy of it"
    )


def limit_memory(most_bytes: int) -> None:
    """Where the system can: no more address space, and no core file of a child's film on disk."""
    with suppress(ImportError):
        import resource

        for what, most in ((resource.RLIMIT_AS, most_bytes), (resource.RLIMIT_CORE, 0)):
            with suppress(OSError, ValueError):
                _, hard = resource.getrlimit(what)
                resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))


def limit_time(seconds: int) -> None:
    """Where the system can: so many seconds of computing from now on; then it ends this process."""
    with suppress(ImportError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        with suppress(OSError, ValueError):
            _, hard = resource.getrlimit(resource.RLIMIT_CPU)
            resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds + 1, hard))


def end_with_reader(pipe: int) -> None:
    """Where the system can: end this process, also amid its work, once a pipe has no other end."""
    if not hasattr(select, "poll"):
        return

    def wait() -> None:
        poll = select.poll()
        poll.register(pipe, 0)  # no event but that the other end has gone
        poll.poll()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
