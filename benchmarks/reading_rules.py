"""How often the rules of reading are right on real films: inverted films and plain borders.

    BONEXAGE_DATA=folder python benchmarks/reading_rules.py [every]

With `every` (a number) only each so-many-th film of rsna-299px is taken.
"""

from __future__ import annotations

import io
import sys

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from at_hand import films_folder
from bonexage.reading.framing import is_inverted, without_borders

FOLDERS = (
    "rsna-299px/boneage-training-dataset",
    "rsna-299px/boneage-test-dataset",
    "rsna-640px/boneage-training-dataset",
    "rsna-640px/boneage-test-dataset",
    "rsna-original/boneage-training-dataset",
    "rsna-original/boneage-test-dataset",
    "other-scanner/films",
)
# How near the frame of a film is found, in lines on two sides together: JPEG blurs a block of 8 on each.
NEAR = {"PNG": 2, "JPEG": 16}
Levels = NDArray[np.uint8]


def main() -> None:
    data = films_folder("the data folders")
    if data is None:
        return
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    for folder in FOLDERS:
        paths = sorted(path for path in (data / folder).iterdir() if path.suffix in (".png", ".jpg"))
        paths = paths[:: every if "299px" in folder else 1]
        films = [np.asarray(Image.open(path).convert("L")) for path in paths]
        blurred = paths[0].suffix == ".jpg"
        print(f"{folder}: {len(films)} films")
        wrong = sum(is_inverted(cropped(film, blurred)) for film in films)
        found = sum(is_inverted(cropped(255 - film, blurred)) for film in films)
        print(f"  taken for inverted: {wrong}; turned round and recognised: {found / len(films):.2%}")
        kept = np.array([cropped(film, blurred).size / film.size for film in films])
        print(f"  lose more than 5% of their area as plain margin: {np.mean(kept < 0.95):.2%}", end="; ")
        print(f"least part kept: {kept.min():.0%}")
        for kind, near in NEAR.items():
            undone = [
                is_undone(film, grey, kind, np.random.default_rng(number))
                for number, film in enumerate(films[:: 10 if len(films) > 1000 else 1])
                for grey in (0, 128, 255)
            ]
            print(f"  bars added and undone within {near} lines, {kind}: {np.mean(undone):.2%}")


def cropped(levels: Levels, blurred: bool) -> NDArray[np.float32]:
    return without_borders(levels.astype(np.float32) / np.float32(255), blurred_seam=blurred)


def is_undone(film: Levels, grey: int, kind: str, rng: np.random.Generator) -> bool:
    """Whether bars of up to a quarter of the film, saved in this kind of file, are left out again."""
    top, bottom, left, right = rng.integers(8, max(9, min(film.shape) // 4), 4)
    framed = np.pad(film, ((top, bottom), (left, right)), constant_values=grey)
    saved = io.BytesIO()
    Image.fromarray(framed).save(saved, kind, quality=85)
    found = cropped(np.asarray(Image.open(saved)), kind == "JPEG").shape
    alone = cropped(film, kind == "JPEG").shape
    return all(abs(a - b) <= NEAR[kind] for a, b in zip(found, alone, strict=True))


if __name__ == "__main__":
    main()
