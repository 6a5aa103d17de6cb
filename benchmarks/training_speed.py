"""How fast training is: films a second, and the share of the time spent waiting for films.

One process is set against several, and against the other ways that this machine has, on the same drawn films
with the same batch and as many threads in all. The ways take turns, and the best of each way's trainings
counts, for what else the machine does can only slow one down; of each training it is the last epoch.

Usage: python benchmarks/training_speed.py [--films N] [--size PX] [--batch N] [--rounds N] [--compile]
                                           [--backbone NAME] [--write]

With --write the table in docs/training.md is replaced by what is found; `benchmarks/results/training.json` is
written in any case.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bonexage.learning.recipe import NetworkRecipe, Optimiser, Recipe, Stage
from bonexage.learning.show import silent_screen
from bonexage.learning.train import train
from bonexage.reports.region import write_region
from yardstick import Row, keep
from yardstick import machine as measured_on

PAGE = Path(__file__).parents[1] / "docs" / "training.md"
REGION = "speed"
EPOCHS = 2
LEAST_BUSY = 0.97


@dataclass(frozen=True)
class Way:
    """One way to run the same training."""

    name: str
    recipe: Recipe
    processes: int = 1


@dataclass(frozen=True)
class Speed:
    """Films a second, and the share of the time that went by waiting for them."""

    films_a_second: float
    waiting: float


def ways(backbone: str, size: int, batch: int, compiled: bool) -> list[Way]:
    """The ways that this machine has; the first is what the others are set against."""
    plain = Recipe(
        name="speed",
        network=NetworkRecipe(backbone=backbone, start="random"),
        stages=(Stage(height=size, width=size, epochs=EPOCHS, batch=batch, learning_rate=1e-4),),
    )
    parts = replace(plain, stages=(replace(plain.stages[0], accumulate=2),))
    faster = replace(plain, optimiser=Optimiser(compile=True))
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = [Way("one GPU" if gpus else "one process", plain)]
    if gpus != 1:
        found.append(Way(f"{gpus} GPUs" if gpus else "two processes", plain, gpus or 2))
    found.append(Way("each batch in two parts", parts))
    if gpus:
        found.append(Way("float32 throughout", replace(plain, optimiser=Optimiser(precision="float32"))))
    if compiled or gpus:
        found.append(Way("compiled", faster))
    return found


def drawn_films(folder: Path, number: int, size: int) -> Path:
    """A data folder of soft grey pictures, larger than the network's input, as films are."""
    draw = np.random.default_rng(0)
    films = folder / "boneage-training-dataset"
    films.mkdir(parents=True)
    with (folder / f"{films.name}.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "boneage", "male"])
        for name in range(number):
            coarse = Image.fromarray(draw.integers(0, 255, (12, 10), dtype=np.uint8))
            coarse.resize((size, size * 5 // 4), Image.Resampling.BICUBIC).save(films / f"{name}.png")
            table.writerow([name, int(draw.integers(12, 228)), bool(name % 2)])
    return folder


def measured(way: Way, data: Path, folder: Path) -> Speed:
    """Train once; what the last epoch says of itself."""
    with tempfile.TemporaryDirectory() as made:
        out = Path(made) / "run"
        train(
            way.recipe,
            [data],
            out,
            cache_folder=folder / "cache",
            screen=silent_screen(),
            processes=way.processes,
        )
        with (out / "metrics.csv").open(encoding="utf-8") as file:
            last = list(csv.DictReader(file))[-1]
    return Speed(float(last["films_per_second"]), float(last["waiting_share"]))


def rows(found: Sequence[tuple[str, Speed]]) -> Iterator[Row]:
    """The speeds for `make bench`, each against the first, and the time of the first not spent waiting."""
    first, plain = found[0]
    for name, speed in found:
        ratio = speed.films_a_second / plain.films_a_second
        against = "" if name == first else first
        yield Row(name, speed.films_a_second, "films a second", against, ratio if against else None)
    busy = 1 - plain.waiting
    yield Row("of that time, not waiting for films", busy, "share", "the whole time", busy, LEAST_BUSY)


def table(found: Sequence[tuple[str, Speed]]) -> str:
    """The speeds in Markdown, each beside its ratio to the first."""
    first = found[0][1].films_a_second
    rows = [
        f"| {name} | {speed.films_a_second:.1f} | {speed.films_a_second / first:.2f} | {speed.waiting:.1%} |"
        for name, speed in found
    ]
    head = f"| way | films a second | against {found[0][0]} | time spent waiting for films |"
    return "\n".join([head, "|---|---:|---:|---:|", *rows])


def machine() -> str:
    """What it is measured on, and how busy that is before, in a line."""
    load = f", load average {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else ""
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    where = f"{len(gpus)} x {gpus[0]}" if gpus else f"{os.cpu_count()} cores, {platform.machine()}"
    return f"{where}, PyTorch {torch.__version__.split('+')[0]}{load}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--films", type=int, default=160, help="films; eight tenths are learned from")
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=128, help="rows and columns of the network's input")
    parser.add_argument("--batch", type=int, default=32, help="films of a step, of all processes together")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is run")
    parser.add_argument(
        "--compile", action="store_true", help="try torch.compile without a GPU too; takes minutes"
    )
    parser.add_argument("--write", action="store_true", help="replace the table in docs/training.md")
    given = parser.parse_args()
    cores = os.cpu_count() or 1
    os.environ["OMP_NUM_THREADS"] = str(cores)  # for the processes that are started
    torch.set_num_threads(cores)
    where = machine()
    tried = ways(given.backbone, given.size, given.batch, given.compile)
    speeds: dict[str, list[Speed]] = {way.name: [] for way in tried}
    with tempfile.TemporaryDirectory() as made:
        data = drawn_films(Path(made) / "data", given.films, 2 * given.size)
        for _ in range(given.rounds):
            for way in tried:
                speeds[way.name].append(measured(way, data, Path(made)))
    found = [(name, max(several, key=lambda one: one.films_a_second)) for name, several in speeds.items()]
    how = (
        f"{given.backbone}, {given.size} x {given.size} pixels, batches of {given.batch}, "
        f"{given.films} drawn films, best of {given.rounds}; {where}."
    )
    keep("training", "Training from films to weights", rows(found), measured_on() | {"how": how})
    text = f"{table(found)}\n\n{how}"
    print(text)
    if given.write:
        write_region(PAGE, REGION, text)


if __name__ == "__main__":
    main()
