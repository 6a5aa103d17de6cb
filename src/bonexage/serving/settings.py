"""What a service is told when it starts: where it listens, whom it lets in, what one request may take."""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from bonexage.errors import WrongUse
from bonexage.hosts import is_loopback
from bonexage.model.runtime import usable_cores

MEGABYTE: Final = 1_000_000
_HELD_BYTES: Final = 512 * MEGABYTE
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")


@dataclass(frozen=True)
class Limits:
    """What requests may take.

    Attributes:
        bytes: of one request's body.
        pixels: of one film.
        files: of one request.
        seconds: one film may be worked on, by the clock.
        decoding_seconds: of computing, to decode a film; a sound one takes one or two.
        stall_seconds: an upload may send nothing.
        upload_seconds: an upload may last.
        queue: films may wait; more are answered 429.
        wait_seconds: a film may have before it in the queue, as far as that can be foreseen.
        held_bytes: of all bodies held at once.
        worker_bytes: of address space, a worker.
        worker_films: a worker assesses before another takes its place, whatever its decoders may have kept.
    """

    bytes: int = 32 * MEGABYTE
    pixels: int = 40_000_000
    files: int = 16
    seconds: float = 60.0
    decoding_seconds: int = 5
    stall_seconds: float = 10.0
    upload_seconds: float = 120.0
    queue: int = 64
    wait_seconds: float = 3.0
    held_bytes: int = _HELD_BYTES
    worker_bytes: int = 6 << 30
    worker_films: int = 1000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise WrongUse(
                    f"a limit of {value:g} {name} cannot be kept", remedy="Give a finite number above 0"
                )
        if self.bytes > self.held_bytes // 2:
            raise WrongUse(
                f"requests of {self.bytes} bytes do not fit into a memory of {self.held_bytes} for uploads",
                remedy="Allow smaller requests, or twice the memory",
            )
        if self.files > self.queue:
            raise WrongUse(
                f"{self.files} films of one request do not fit into a queue of {self.queue}",
                remedy="Allow fewer films a request, or more in the queue",
            )


@dataclass(frozen=True)
class Settings:
    """How a service is run.

    Attributes:
        host: the address it listens on.
        port: its port; 0 for any that is free.
        model: the bundle; None for the carried one.
        token: what a client has to show; None where everyone may ask.
        names: host names, besides its address, under which it may be asked; where it is empty and it listens
            on loopback, only loopback's.
        keep: the folder where films and answers are stored; None where nothing is.
        workers: processes that assess at the same time; one more waits to take the place of one that dies.
        threads: CPU threads of the network in each.
        limits: what requests may take.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    model: Path | None = None
    token: str | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()
    keep: Path | None = None
    workers: int = field(default_factory=usable_cores)
    threads: int = 1
    limits: Limits = field(default_factory=Limits)

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def __post_init__(self) -> None:
        if not self.host.strip():
            raise WrongUse(
                "an empty address is that of all interfaces",
                remedy="Give 127.0.0.1 for this machine alone, or 0.0.0.0 for all interfaces",
                subject="--host",
            )
        object.__setattr__(self, "names", tuple(host_name(name) for name in self.names))

    @cached_property
    def own_names(self) -> frozenset[str] | None:
        """The host names it answers to, in lower case; None for any."""
        if not self.on_loopback and not self.names:
            return None
        return frozenset({"localhost", "127.0.0.1", "::1", self.host.lower(), *self.names})


def host_name(text: str) -> str:
    """A host name as browsers send it: in lower case, without a final dot, in ASCII (IDNA).

    Raises:
        WrongUse: it is none, or a URL or a port is with it.
    """
    bare = text.strip().lower().removesuffix(".")
    try:
        return str(ipaddress.ip_address(bare.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass
    try:
        name = bare.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _NAME.fullmatch(name):
        raise WrongUse(
            f"{text!r} is not a host name",
            remedy="Give the name alone, such as bones.example.org, without https:// and without a port",
            subject="--name",
        )
    return name


def check_reach(settings: Settings, *, insecure: bool) -> None:
    """Refuse to serve other machines to everyone, unless that is wished for.

    Raises:
        WrongUse: it would listen beyond this machine without a token.
    """
    if not settings.on_loopback and settings.token is None and not insecure:
        raise WrongUse(
            f"everyone who reaches {settings.host} could use the service",
            remedy="Give --token-file, listen on 127.0.0.1, or say --insecure",
        )
