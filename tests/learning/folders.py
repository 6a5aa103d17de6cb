"""Data folders in the RSNA layout, drawn in the test."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bonexage.learning.cache import hash_films
from bonexage.learning.dataset import fingerprint, gather_films
from bonexage.learning.recipe import Parts
from films import write_film


def data_folder_with(
    folder: Path,
    films: int,
    *,
    split: str = "training",
    deeper: bool = False,
    size: tuple[int, int] = (48, 40),
) -> Path:
    """Draw a labelled split of so many films, boys and girls of 12 to 227 months."""
    pictures = folder / f"boneage-{split}-dataset"
    pictures = pictures / pictures.name if deeper else pictures
    pictures.mkdir(parents=True)
    for number in range(films):
        write_film(pictures / f"{1000 + number}.png", number, *size)
    rows = [(1000 + number, 12 + number * 37 % 216, number % 2 == 0) for number in range(films)]
    write_labels(folder / f"boneage-{split}-dataset.csv", rows)
    return folder


def write_labels(path: Path, rows: Sequence[tuple[int, float, bool]]) -> None:
    """Write labels under the training set's headers."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "boneage", "male"])
        table.writerows(rows)


def recorded(folder: Path, parts: Parts) -> dict[str, Any]:
    """What a bundle records as its `data` that was trained on the films of a folder in these parts."""
    films, _ = gather_films([folder], parts)
    hashes, _ = hash_films([film.film.path for film in films])
    return {
        "folders": [{"name": folder.name, "films": len(films)}],
        "ages_months": [1.0, 228.0],
        "fingerprint": fingerprint(films, hashes),
    }
