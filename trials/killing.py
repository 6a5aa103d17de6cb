"""A small run in a process of its own, ended by `kill -9` at a chosen moment, and how two runs differ."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from bonexage.learning import checkpoint
from bonexage.learning import epoch as passing
from bonexage.learning.checkpoint import load_checkpoint
from bonexage.learning.recipe import Augmentation, NetworkRecipe, Optimiser, Parts, Recipe, Stage
from bonexage.learning.show import silent_screen
from bonexage.learning.train import train

# Augmentation, dropout, a running average, two sizes: all that has a state or uses chance.
SMALL = Recipe(
    name="small",
    network=NetworkRecipe(backbone="test_convnext", start="random"),
    parts=Parts(validation=0.2, calibration=0.2),
    augmentation=Augmentation(rotation_degrees=10, flip=0.5),
    optimiser=Optimiser(ema=0.9),
    stages=(
        Stage(height=64, width=64, epochs=2, batch=8, learning_rate=1e-3),
        Stage(height=96, width=64, epochs=2, batch=8, learning_rate=1e-3),
    ),
)
WITHIN_SECONDS = 300
# What a run loads, some of it only when it is needed; loaded once for all processes.
LOADED = (
    "bonexage.learning.train",
    "matplotlib.backends.backend_agg",
    "tensorboard.compat.proto.event_pb2",
    "tensorboard.summary.writer.record_writer",
    "timm",
    "torch._dynamo",
)


def run_apart(
    data: Path,
    out: Path,
    *,
    recipe: Recipe = SMALL,
    resume: bool = False,
    die_at: tuple[str, int] | None = None,
    die_after: float | None = None,
) -> int:
    """Run a recipe with one thread and a checkpoint after each step; returns how the process ended.

    Args:
        data: the data folder.
        out: the run folder; films are kept in the folder `cache` beside it.
        recipe: what to do.
        resume: go on with the run that is there.
        die_at: a function's name, or that of a file about to take its place, and at which time of that the
            process kills itself.
        die_after: seconds after which the process is killed, if it has not ended.
    """
    server = get_context("forkserver")
    server.set_forkserver_preload(list(LOADED))
    process = server.Process(target=_run, args=(recipe, data, out, resume, die_at))
    process.start()
    process.join(WITHIN_SECONDS if die_after is None else die_after)
    if process.is_alive():
        process.kill()
        process.join()
        if die_after is None:
            raise AssertionError(f"the run did not end within {WITHIN_SECONDS} seconds")
    assert process.exitcode is not None
    return process.exitcode


def differences(one: Path, other: Path) -> list[str]:
    """What two finished runs differ in: parts of their checkpoints bit for bit, columns of their metrics."""
    apart = []
    for name in ("last.pt", "best.pt"):
        first, second = load_checkpoint(one / name), load_checkpoint(other / name)
        apart += [
            f"{part} of {name}"
            for part in ("network", "average", "optimiser")
            if not _equal(first[part], second[part])
        ]
    tables = [list(csv.DictReader((run / "metrics.csv").open(encoding="utf-8"))) for run in (one, other)]
    for column in ("stage", "epoch", "learning_rate", "loss", "train_mae_months", "validation_mae_months"):
        if [row[column] for row in tables[0]] != [row[column] for row in tables[1]]:
            apart.append(f"{column} of metrics.csv")
    return apart


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


def _run(recipe: Recipe, data: Path, out: Path, resume: bool, die_at: tuple[str, int] | None) -> None:
    torch.set_num_threads(1)
    if die_at is not None:
        _plant_death(*die_at)
    train(recipe, [data], out, resume=resume, keep_minutes=0.0, screen=silent_screen())


def _plant_death(where: str, time: int) -> None:
    places: dict[str, Any] = {
        "follow": passing,  # at the end of a step
        "predict_films": passing,
        "footer": checkpoint._Hashed,  # of a checkpoint, whose other bytes are written
    }
    seen = count(1)
    if where in places:
        original = getattr(places[where], where)
        setattr(places[where], where, partial(_dying, original, seen, time))
        if where == "footer":
            setattr(places[where], where, lambda hashed: _dying(original, seen, time, hashed))
        return
    replace = os.replace

    def replacing(src: Any, dst: Any, **rest: Any) -> None:
        if Path(dst).name == where:
            _dying(replace, seen, time, src, dst, **rest)
        else:
            replace(src, dst, **rest)

    os.replace = replacing


def _dying(original: Callable[..., Any], seen: Any, time: int, *arguments: Any, **rest: Any) -> Any:
    if next(seen) == time:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **rest)
