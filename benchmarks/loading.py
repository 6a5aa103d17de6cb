"""How fast films reach the network in training: against torchvision's ImageFolder and against Pillow alone.

Usage: python benchmarks/loading.py [--films N] [--side PX] [--times N]

All ways read the same drawn films, squash them to the network's input and change them at random; ours reads
each film once into its cache, all cores at it, and from there on decodes no more. Writes
`benchmarks/results/loading.json`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from bonexage.learning.augment import augment
from bonexage.learning.cache import Cache, build_cache
from bonexage.learning.memory import keep_memory
from bonexage.learning.recipe import Augmentation
from bonexage.model.preprocess import Preprocessing
from bonexage.model.runtime import usable_cores
from yardstick import Row, in_turns, keep, machine, measured_limits, seconds_of

BATCH: Final = 32
GOAL: Final = 5.0
THEIRS: Final = "torchvision's ImageFolder, a worker a core"
AS_PUBLISHED: Final = Augmentation(rotation_degrees=20.0, flip=0.5, shift=0.05)


def drawn(folder: Path, number: int, side: int) -> list[Path]:
    """Soft grey pictures of more pixels than the network reads, by halves PNG and JPEG, in one class."""
    (folder / "films").mkdir(parents=True)
    draw = np.random.default_rng(0)
    paths = []
    for at in range(number):
        coarse = Image.fromarray(draw.integers(0, 255, (24, 20), dtype=np.uint8))
        film = coarse.resize((2 * side, side * 5 // 2), Image.Resampling.BICUBIC)
        grain = draw.normal(0, 4, (film.height, film.width))
        noisy = np.clip(np.asarray(film) + grain, 0, 255).astype(np.uint8)
        paths.append(folder / "films" / f"{at}.{'png' if at % 2 else 'jpg'}")
        Image.fromarray(noisy).save(paths[-1])
    return paths


def pillow_alone(paths: list[Path], side: int) -> None:
    """Each film opened, decoded and squashed, in one thread."""
    for path in paths:
        with Image.open(path) as film:
            np.asarray(film.convert("L").resize((side, side), Image.Resampling.BILINEAR))


def image_folder(folder: Path, side: int, workers: int) -> None:
    """An epoch by torchvision as its own pages show it, with the published augmentation."""
    changes = v2.Compose(
        [
            v2.Grayscale(),
            v2.RandomResizedCrop((side, side), scale=(0.85, 1.0), ratio=(0.9, 1.1)),
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(20, translate=(0.05, 0.05)),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5], [0.5]),
        ]
    )
    for _ in DataLoader(ImageFolder(str(folder), changes), batch_size=BATCH, num_workers=workers):
        pass


def ours(cache: Cache, how: Augmentation | None) -> None:
    """An epoch from the cache, changed batch by batch where that is asked for."""
    generator = torch.Generator().manual_seed(0)
    for start in range(0, len(cache.pixels), BATCH):
        films = torch.from_numpy(np.array(cache.pixels[start : start + BATCH]))[:, None].float().div_(255)
        if how:
            augment(films, how, generator)


def rows(number: int, side: int, times: int) -> Iterator[Row]:
    """Building the cache once, then epochs."""
    cores = usable_cores()
    limits = measured_limits(cores)
    how = Preprocessing(height=side, width=side)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "data"
        paths = drawn(folder, number, side)
        built = seconds_of(lambda: build_cache(paths, how, Path(made) / "cache"))
        cache = build_cache(paths, how, Path(made) / "cache")
        taken = in_turns(
            {
                "Pillow alone, decoded and squashed, one thread": lambda: pillow_alone(paths, side),
                THEIRS: lambda: image_folder(folder, side, cores),
                "ours, warm, changed at random": lambda: ours(cache, AS_PUBLISHED),
                "ours, warm, as they are": lambda: ours(cache, None),
            },
            times,
        )
        pillow, theirs, changed, plain = taken
        yield Row(
            "cache built, every film decoded once",
            number / built,
            "films a second",
            pillow,
            taken[pillow] / built,
        )
        yield Row(pillow, number / taken[pillow], "films a second")
        yield Row(theirs, number / taken[theirs], "films a second", pillow, taken[pillow] / taken[theirs])
        yield Row(
            changed, number / taken[changed], "films a second", theirs, taken[theirs] / taken[changed], GOAL
        )
        moved = number * side * side * (1 + 4 + 4)  # a byte read; a float written, read and written again
        yield Row(
            plain,
            number / taken[plain],
            "films a second",
            pillow,
            taken[pillow] / taken[plain],
            GOAL,
            moved / limits.memory_bytes / taken[plain],
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--films", type=int, default=256)
    parser.add_argument("--side", type=int, default=512, help="rows and columns of the network's input")
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(usable_cores())
    keep_memory()
    about = machine() | {"films": f"{given.films} drawn, {2 * given.side} x {given.side * 5 // 2} pixels"}
    keep("loading", "Data", rows(given.films, given.side, given.times), about)


if __name__ == "__main__":
    main()
