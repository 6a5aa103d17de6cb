"""Shares of a list of films for any scheduler: which films are whose, and where each share's table goes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bonexage.cluster.films import AskedFilm
from bonexage.errors import WrongUse


@dataclass(frozen=True)
class Shard:
    """One of `of` shares, counted from 1."""

    number: int
    of: int

    def mine(self, films: Iterable[AskedFilm]) -> Iterator[AskedFilm]:
        """The films of this share, in the order given.

        A film's name alone decides whose it is, so that a film that comes to the list, or goes, while other
        shares are read moves none of the rest.
        """
        for film in films:
            name = film.file.encode(errors="surrogateescape")
            if int.from_bytes(hashlib.sha256(name).digest()[:8]) % self.of == self.number - 1:
                yield film

    def path(self, out: Path) -> Path:
        """The table of this share, in the folder `out`, in the form that the folder's suffix names."""
        return out / f"part-{self.number:05}-of-{self.of:05}{out.suffix.lower()}"


def parse_shard(text: str) -> Shard:
    """The share that `3/16` means.

    Raises:
        WrongUse: it is no such text, or names none of the shares.
    """
    found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text.strip())
    shard = Shard(int(found[1]), int(found[2])) if found else None
    if shard is None or not 1 <= shard.number <= shard.of:
        raise WrongUse(f"{text!r} names no share", remedy="Give --shard 3/16 for the third of sixteen")
    return shard
