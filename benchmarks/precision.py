"""How well readings of one child repeat, and how accurate they are, by the number of views of the hand.

    BONEXAGE_DATA=folder python benchmarks/precision.py [bundle]

Of each child whom the network did not learn from and who has a film in rsna-640px, the film there is read,
the same film in rsna-299px, its mirror image, and the film turned and moved. The precision is that of two
readings of a child:

    precision = SD(difference) / sqrt(2)

The error is that on the validation films. No test film is read, so the number of views may be chosen by this.
Writes `evaluation/precision/precision.json`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from at_hand import films_folder
from bonexage.disk import write_atomically
from bonexage.errors import RefusedRadiograph
from bonexage.learning.dataset import Part, TrainingFilm
from bonexage.learning.dealt import held_out_films
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.model.preprocess import normalise
from bonexage.model.runtime import Runtime
from bonexage.radiograph import Radiograph
from bonexage.reading.files import read_radiograph
from bonexage.subject import Sex

OUT: Final = Path(__file__).parents[1] / "evaluation" / "precision"
LARGE, SMALL = "rsna-640px", "rsna-299px"
VIEWS: Final = (1, 2, 3, 4, 6, 8)
DEGREES, MARGIN = 4.0, 0.08
RESAMPLES: Final = 2000

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reader:
    """A bundle's network, which reads a film in each of many views.

    Attributes:
        assessor: finds the hand and cuts the views, as many as are ever read.
        runtime: the network.
    """

    assessor: Assessor
    runtime: Runtime

    def months(self, radiograph: Radiograph, sex: Sex) -> Floats | None:
        """The bone age in each view `[views]`; None where the film is refused."""
        try:
            placed = self.assessor.place(radiograph)
        except RefusedRadiograph:
            return None
        male = np.full((len(placed.pixels), 1), sex is Sex.MALE, dtype=np.float32)
        given = self.runtime.run(normalise(placed.pixels, self.assessor.preprocessing), male)
        return given.months.astype(np.float64)


def mirrored(film: Radiograph) -> Radiograph:
    """The mirror image."""
    return replace(film, pixels=np.ascontiguousarray(film.pixels[:, ::-1]))


def moved(film: Radiograph) -> Radiograph:
    """The film turned a little on a larger ground, its hand no longer in the middle."""
    picture = Image.fromarray(film.pixels)
    margin = round(MARGIN * max(picture.size))
    ground = Image.new("F", (picture.width + margin, picture.height + margin))
    ground.paste(picture.rotate(DEGREES, Image.Resampling.BICUBIC), (margin, margin))
    return replace(film, pixels=np.clip(np.asarray(ground), 0.0, 1.0))


CHANGES: Final[dict[str, Callable[[Radiograph], Radiograph]]] = {
    "mirror image": mirrored,
    f"turned by {DEGREES:g} degrees and moved": moved,
}


def pairs(films: Sequence[TrainingFilm]) -> Iterator[tuple[TrainingFilm, TrainingFilm]]:
    """The large and the small film of each child who has both."""
    small = {film.film.id: film for film in films if film.folder.name == SMALL}
    for film in films:
        if film.folder.name == LARGE and film.film.id in small:
            yield film, small[film.film.id]


def repeated(
    reader: Reader, films: Sequence[TrainingFilm]
) -> tuple[dict[str, list[tuple[Floats, Floats]]], list[Path]]:
    """What is read in each view of two films of a child, by how the second came about.

    And the large films that are read, for some are refused.
    """
    found: dict[str, list[tuple[Floats, Floats]]] = {}
    read = []
    for number, (large, small) in enumerate(both := list(pairs(films)), start=1):
        film, sex = read_radiograph(large.film.path), large.film.sex
        first = reader.months(film, sex)
        if first is not None:
            read.append(large.film.path)
        others = {f"the same film in {SMALL}": read_radiograph(small.film.path)}
        others |= {name: change(film) for name, change in CHANGES.items()}
        for name, other in others.items():
            second = reader.months(other, sex)
            if first is not None and second is not None:
                found.setdefault(name, []).append((first, second))
        tell(f"{number} of {len(both)} children read in all their pictures", number, len(both))
    return found, read


def precision(both: Sequence[tuple[Floats, Floats]], views: int) -> dict[str, float]:
    """SD of the difference over the root of 2, with its 95% bootstrap interval over children, in months."""
    differences = np.array([second[:views].mean() - first[:views].mean() for first, second in both])
    drawn = np.random.default_rng(0).integers(0, len(differences), (RESAMPLES, len(differences)))
    deviations = differences[drawn].std(axis=1, ddof=1) / np.sqrt(2)
    low, high = np.percentile(deviations, [2.5, 97.5])
    value = float(differences.std(ddof=1) / np.sqrt(2))
    return {"value": value, "low": float(low), "high": float(high)}


def errors(reader: Reader, films: Sequence[TrainingFilm]) -> list[Floats]:
    """How far the mean of the first views lies from the label, by their number, for each film `[views]`."""
    found = []
    for number, film in enumerate(films, start=1):
        months = reader.months(read_radiograph(film.film.path), film.film.sex)
        if months is not None:
            means = np.cumsum(months) / np.arange(1, len(months) + 1)
            found.append(np.abs(means - film.film.bone_age_months))
        tell(f"{number} of {len(films)} validation films read", number, len(films))
    return found


def times(bundle: str | None, paths: Sequence[Path]) -> dict[int, float]:
    """Seconds a film on one thread with everything, by views."""
    seconds = {}
    for views in VIEWS:
        assessor = Assessor(load_bundle(bundle), threads=1, views=views)
        assessor.assess(paths[0], "F")
        began = time.perf_counter()
        for path in paths:
            assessor.assess(path, "F")
        seconds[views] = (time.perf_counter() - began) / len(paths)
    return seconds


def tell(text: str, number: int, total: int) -> None:
    if number % 100 == 0 or number == total:
        print(text, flush=True)


def main() -> None:
    data = films_folder("the data folders")
    if data is None:
        return
    named = sys.argv[1] if sys.argv[1:] else None
    bundle = load_bundle(named)
    reader = Reader(Assessor(bundle, views=max(VIEWS)), Runtime(bundle.onnx))
    films = held_out_films(bundle, data)
    both, read = repeated(reader, films)
    validation = [film for film in films if film.part is Part.VALIDATION]
    away = np.array(errors(reader, validation))
    seconds = times(named, read[:20])
    by_views: dict[str, dict[str, Any]] = {
        str(views): {
            "precision_months": {name: precision(each, views) for name, each in both.items()},
            "validation_mae_months": float(away[:, views - 1].mean()),
            "time": seconds[views] / seconds[1],
        }
        for views in VIEWS
    }
    for views, measured in by_views.items():
        apart = ", ".join(f"{name} {one['value']:.2f}" for name, one in measured["precision_months"].items())
        print(
            f"{views} views: validation error {measured['validation_mae_months']:.2f} months, {apart}, "
            f"{measured['time']:.1f} times the time, {seconds[int(views)]:.3f} s a film"
        )
    stored = {
        "model": bundle.model,
        "default_views": bundle.description.default_views,
        "children": max(map(len, both.values())),
        "validation_films": len(away),
        "views": by_views,
    }
    write_atomically(OUT / "precision.json", (json.dumps(stored, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
