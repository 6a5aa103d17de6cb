"""The state of a training run on disk: two checkpoints, each whole and hashed, read without unpickling."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch

from bonexage.disk import opened_atomically
from bonexage.errors import WrongUse

LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
_FOOTER_BYTES = len(b"sha256:") + 64 + len(b"\n")
_BYTES_AT_ONCE = 1 << 20


@dataclass
class Sums:
    """What an epoch that goes on has added up over its films, for its row of metrics.

    Attributes:
        films: how many were learned from.
        loss: sum of their losses.
        error_months: sum of their absolute errors.
        seconds: time spent on them.
        waited: seconds of it that this process spent waiting for films.
    """

    films: int = 0
    loss: float = 0.0
    error_months: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0


@dataclass
class Progress:
    """How far a run has come; with the seed it says what comes next, so no state of chance is kept.

    Attributes:
        stage: the stage that goes on, counted from 0.
        epoch: finished epochs of that stage.
        batch: finished batches of the epoch that goes on.
        step: optimiser steps since the run began.
        best_months: the stage's lowest validation error so far, in months.
        best_epoch: the epoch of the stage that gave it, counted from 1; 0 before the first.
        rows: what `metrics.csv` holds, a row an epoch.
        sums: of the epoch that goes on.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    best_months: float = math.inf
    best_epoch: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    sums: Sums = field(default_factory=Sums)


def progress_from(saved: Mapping[str, Any]) -> Progress:
    """The progress that a checkpoint holds as plain values."""
    return Progress(**{**saved, "sums": Sums(**saved["sums"])})


def has_run(out: Path) -> bool:
    """Whether a run has kept a checkpoint in the folder `out`."""
    return (out / LAST).exists() or (out / PREVIOUS).exists()


def keep_checkpoint(out: Path, content: Mapping[str, Any]) -> None:
    """Make `content` the last checkpoint of a run, and the one that was the last the previous one.

    At any moment one of the two is whole. Raises OSError where the disk refuses; nothing is lost then.
    """
    with opened_atomically(out / LAST) as file:
        _write(file, content)
        if (out / LAST).exists():
            (out / LAST).replace(out / PREVIOUS)


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint in one step, with its hash at its end."""
    with opened_atomically(path) as file:
        _write(file, content)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        WrongUse: there is none, or its hash shows that it is damaged.
    """
    try:
        whole = _is_whole(path)
    except FileNotFoundError:
        raise WrongUse(
            "there is no checkpoint", remedy="Name a run folder that train has written", subject=str(path)
        ) from None
    if not whole:
        raise WrongUse(
            "the checkpoint is damaged", remedy="Go on from another, or start anew", subject=str(path)
        )
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def newest_checkpoint(out: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The last checkpoint of a run, or the previous one, with a sentence, where the last is damaged.

    The one that is read is the last from then on, so that the next one kept does not push it out.

    Raises:
        WrongUse: there is none, or both are damaged.
    """
    last, previous = out / LAST, out / PREVIOUS
    if last.exists():
        try:
            return load_checkpoint(last)
        except WrongUse:
            if not previous.exists():
                raise
    content = _previous(last, previous)
    if last.exists():
        say(f"{LAST} is damaged: its hash does not fit. The run goes on from the checkpoint before it.")
    if previous.exists():
        previous.replace(last)
    return content


def _previous(last: Path, previous: Path) -> dict[str, Any]:
    if not previous.exists():
        return load_checkpoint(last)  # there is none, and this says so
    try:
        return load_checkpoint(previous)
    except WrongUse as problem:
        raise WrongUse(
            "both checkpoints of the run are damaged",
            remedy=f"Start anew in another folder, or from the weights of {BEST} with --init",
            subject=str(last.parent),
        ) from problem


class _Hashed:
    """A file that hashes what is written to it. torch does not bear errors from below, so they are held."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.problem: OSError | None = None

    def write(self, content: bytes) -> int:
        if self.problem is None:
            try:
                self._file.write(content)
            except OSError as problem:
                self.problem = problem
        self._hash.update(content)
        return len(content)

    def flush(self) -> None:
        """Nothing to do: the file below is flushed at its end."""

    def footer(self) -> bytes:
        return f"sha256:{self._hash.hexdigest()}\n".encode()


def _write(file: BinaryIO, content: Mapping[str, Any]) -> None:
    hashed = _Hashed(file)
    torch.save(dict(content), hashed)  # type: ignore[arg-type]
    if hashed.problem is not None:
        raise hashed.problem
    file.write(hashed.footer())
    file.flush()
    os.fsync(file.fileno())


def _is_whole(path: Path) -> bool:
    left = path.stat().st_size - _FOOTER_BYTES
    found = hashlib.sha256()
    with path.open("rb") as file:
        while left > 0 and (some := file.read(min(left, _BYTES_AT_ONCE))):
            found.update(some)
            left -= len(some)
        return left == 0 and file.read() == f"sha256:{found.hexdigest()}\n".encode()
