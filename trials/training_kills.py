"""Fifty trainings killed by `kill -9` and gone on with: do they end with the weights of one never killed?"""

from __future__ import annotations

import csv
import platform
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from bonexage.atlas.plates import read_plates
from bonexage.learning.checkpoint import has_run
from bonexage.learning.train import LOG
from bonexage.subject import Sex
from trials.killing import differences, run_apart
from trials.reliability import Found

AT_RANDOM_TIMES: Final = 26
SEED: Final = 3
# What a process is about to do when it kills itself, and how often it does that in a run at least.
MOMENTS: Final = {
    "at the end of a step": ("follow", 12),
    "with a checkpoint nearly written": ("footer", 17),
    "between a checkpoint and the one before it": ("last.pt", 17),
    "during validation": ("predict_films", 4),
    "before the best checkpoint": ("best.pt", 2),
    "before the metrics": ("metrics.csv", 4),
}
TIMES_EACH: Final = 4


@dataclass(frozen=True)
class Draw:
    """What random times are drawn from: chance, and how many seconds a training takes."""

    chance: random.Random
    seconds: float


def run() -> Found:
    """Kill small trainings at random times and at planted moments; go on with each until it is finished."""
    done: Counter[str] = Counter()
    equal: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        data, out = plates_as_data(folder / "data"), folder / "killed" / "run"
        whole, draw = _never_killed(data, folder)
        moments = [None] * AT_RANDOM_TIMES + [*MOMENTS] * TIMES_EACH
        for number, moment in enumerate(moments, start=1):
            when = _kill(data, out, moment, draw)
            began = (out / LOG).exists()  # one that had not said a word yet is not resumed, but run again
            if run_apart(data, out, resume=began):
                raise SystemExit(f"A run that was killed {when} cannot be gone on with")
            apart = differences(whole, out)
            done[when] += 1
            equal[when] += not apart
            print(f"{number} of {len(moments)}, {when}: {', '.join(apart) or 'equal'}", flush=True)
            shutil.rmtree(out.parent)
    return Found(_told(done, equal), held=done.total() == equal.total())


def plates_as_data(folder: Path) -> Path:
    """The plates of the carried atlas as a data folder in the RSNA layout, each labelled with its own age."""
    films = folder / "boneage-training-dataset"
    films.mkdir(parents=True)
    with (folder / f"{films.name}.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "boneage", "male"])
        for number, plate in enumerate(read_plates(), start=1):
            shutil.copy(plate.path, films / f"{number}.png")
            table.writerow([number, round(plate.mean_months), plate.sex is Sex.MALE])
    return folder


def _never_killed(data: Path, folder: Path) -> tuple[Path, Draw]:
    """The run to compare with, and how long one takes where the libraries are loaded already."""
    first, second = folder / "first" / "run", folder / "second" / "run"
    codes = [run_apart(data, first)]
    began = time.monotonic()
    codes.append(run_apart(data, second))
    draw = Draw(random.Random(SEED), time.monotonic() - began)
    if any(codes) or differences(first, second):
        raise SystemExit("Trainings that are not killed fail, or differ from one another")
    return first, draw


def _kill(data: Path, out: Path, moment: str | None, draw: Draw) -> str:
    """Start trainings until one is killed, for at a random time it may be finished; says when it was hit."""
    while True:
        if moment is None:
            code = run_apart(data, out, die_after=draw.chance.uniform(0.0, draw.seconds))
            when = f"at a random time, {'after' if has_run(out) else 'before'} the first checkpoint"
        else:
            where, most = MOMENTS[moment]
            code, when = run_apart(data, out, die_at=(where, draw.chance.randint(1, most))), moment
        if code == -signal.SIGKILL:
            return when
        if code:
            raise SystemExit(f"A run failed before it was killed, with exit code {code}")
        shutil.rmtree(out.parent)


def _told(done: Counter[str], equal: Counter[str]) -> str:
    rows = "\n".join(f"| {when} | {done[when]} | {equal[when]} |" for when in sorted(done))
    machine = f"{platform.system()}, {platform.machine()}"
    return f"""\
{done.total()} small trainings were ended by `kill -9` and gone on with by `--resume`, each on one CPU thread
with a checkpoint after each step. **{equal.total()} of {done.total()}** ended with the weights, running
average, optimiser and metrics of the training that was never killed, bit for bit.

| killed | trainings | equal bit for bit |
|---|---:|---:|
{rows}

With PyTorch {torch.__version__.split("+")[0]} and Python {platform.python_version()} on {machine}.
"""
