"""What a service is told when it starts: where it listens, whom it lets in, what one request may take."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bonexage.errors import WrongUse
from bonexage.model.runtime import usable_cores

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What requests may take.

    Attributes:
        bytes: of one request's body.
        pixels: of one film.
        files: of one request.
        seconds: one film may be worked on, by the clock.
        decoding_seconds: of computing, to decode a DICOM film; a sound one takes one or two.
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
    held_bytes: int = 512 * MEGABYTE
    worker_bytes: int = 6 << 30
    worker_films: int = 1000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise WrongUse(f"a limit of {value:g} {name} lets nothing in", remedy="Give more than 0")
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

    @property
    def own_names(self) -> frozenset[str] | None:
        """The host names it answers to; None for any."""
        if not self.on_loopback and not self.names:
            return None
        return frozenset({"localhost", "127.0.0.1", "::1", self.host, *self.names})


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, seen from itself alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
