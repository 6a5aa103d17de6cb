"""How much of the error is the label: heaping at atlas ages, rounding, and pictures that are there twice.

    BONEXAGE_DATA=folder python experiments/label_noise.py

Reads the training labels and films of `rsna-299px`, writes `label-noise.json` and its part of README.md.
The test films are not looked at.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bonexage.disk import write_atomically
from bonexage.evaluation.duplicates import ALIKE, near_duplicates, shrink
from bonexage.evaluation.metrics import CONFIDENCE, mean_over_children
from bonexage.evaluation.strata import BAND_MONTHS
from bonexage.model.bundle import load_bundle
from bonexage.model.runtime import usable_cores
from bonexage.numbers import two_decimals, with_interval
from bonexage.reading.files import read_radiograph
from bonexage.reading.folder import LabelledFilm, read_split
from bonexage.reports.region import write_region
from bonexage.subject import Sex

HERE = Path(__file__).parent
OUT = HERE / "label-noise.json"
README = HERE / "README.md"
FOLDER: Final = "rsna-299px"
REGION: Final = "label noise"

# The ages of the atlas's plates in months (Greulich and Pyle, Radiographic Atlas of Skeletal Development of
# the Hand and Wrist, 2nd edition, 1959).
PLATES: Final[dict[Sex, tuple[int, ...]]] = {
    Sex.FEMALE: (
        *(0, 3, 6, 9, 12, 15, 18, 24, 30, 36, 42, 50, 60, 69, 82, 94, 106),
        *(120, 132, 144, 156, 162, 168, 180, 192, 204, 216),
    ),
    Sex.MALE: (
        *(0, 3, 6, 9, 12, 15, 18, 24, 32, 36, 42, 48, 54, 60, 72, 84, 96, 108, 120, 132, 138),
        *(150, 156, 162, 168, 180, 186, 192, 204, 216, 228),
    ),
}
# An age is one that readers round to where it has at least so many labels ...
LEAST_LABELS: Final = 10
# ... and so many times those of the months about it, on the mean over so many months either way.
STANDS_OUT: Final = 3.0
BESIDE_MONTHS: Final = 5

# Published errors, months: on held-out films of the training set, whose labels are single readings (6 to 7,
# and the middle); and the best on the test set, whose labels are means of six (Halabi et al. 2019).
ONE_READER_MONTHS: Final = (6.0, 6.5, 7.0)
SIX_READERS_MONTHS: Final = 4.2
READERS: Final = 6


@dataclass(frozen=True)
class Label:
    """A child's label: sex and bone age in months."""

    child: str
    sex: Sex
    months: float


@dataclass(frozen=True)
class Cell:
    """The ages that are read as one: from so many months below a label to so many above."""

    below: float
    above: float

    @property
    def mean_error(self) -> float:
        """Mean distance from the label of ages that lie evenly in the cell, months."""
        return (self.below**2 + self.above**2) / (2 * (self.below + self.above))

    @property
    def mean_square(self) -> float:
        """Mean of its square."""
        return (self.below**3 + self.above**3) / (3 * (self.below + self.above))


BY_THE_MONTH: Final = Cell(0.5, 0.5)


def heaps(months: Iterable[float]) -> tuple[int, ...]:
    """The ages, whole months, at which labels heap: they stand out from the months about them."""
    counts = Counter(round(age) for age in months)

    def beside(age: int) -> float:
        reach = range(-BESIDE_MONTHS, BESIDE_MONTHS + 1)
        return sum(counts[age + step] for step in reach if step) / (2 * BESIDE_MONTHS)

    return tuple(
        age
        for age in sorted(counts)
        if counts[age] >= LEAST_LABELS and counts[age] >= STANDS_OUT * beside(age)
    )


def cell(months: float, grid: Sequence[int]) -> Cell:
    """The ages that are rounded to a label: halfway to the grid's neighbours; off the grid, to the month."""
    if months not in grid:
        return BY_THE_MONTH
    place = grid.index(int(months))
    below = (months - grid[place - 1]) / 2 if place else math.nan
    above = (grid[place + 1] - months) / 2 if place + 1 < len(grid) else math.nan
    known = [side for side in (below, above) if not math.isnan(side)] or [0.5]
    return Cell(*(known[0] if math.isnan(side) else side for side in (below, above)))


def rounding(labels: Sequence[Label], grids: Mapping[Sex, Sequence[int]]) -> dict[str, Any]:
    """What rounding to a grid alone makes of the error, were everything else perfect."""
    cells = [cell(label.months, grids[label.sex]) for label in labels]
    errors = np.array([each.mean_error for each in cells])
    bands = np.array([label.months // BAND_MONTHS * BAND_MONTHS for label in labels])
    return {
        "mae_months": mean_over_children(errors).as_dict(),
        "rms_months": math.sqrt(float(np.mean([each.mean_square for each in cells]))),
        "bands": [
            {
                "low_months": float(band),
                "high_months": float(band + BAND_MONTHS),
                "labels": int((bands == band).sum()),
                "median_spacing_months": float(
                    np.median([c.below + c.above for c, one in zip(cells, bands, strict=True) if one == band])
                ),
                "mae_months": float(errors[bands == band].mean()),
            }
            for band in np.unique(bands)
        ],
    }


def heaping(labels: Sequence[Label], sex: Sex) -> dict[str, Any]:
    """Where the labels of one sex lie."""
    months = [label.months for label in labels if label.sex is sex]
    found = heaps(months)
    on_plate = np.array([age in PLATES[sex] for age in months], dtype=np.float64)
    on_heap = np.array([age in found for age in months], dtype=np.float64)
    counts = Counter(months)
    return {
        "labels": len(months),
        "different": len(counts),
        "on_plates": mean_over_children(on_plate).as_dict(),
        "on_heaps": mean_over_children(on_heap).as_dict(),
        "heaps": [
            {"months": age, "share": counts[age] / len(months), "plate": age in PLATES[sex]} for age in found
        ],
    }


def reader_noise(one_reader: float, six_readers: float) -> tuple[float, float]:
    """A single reading's error, and that of a perfect model of the mean of many, from two published errors.

    One network's error is m against the mean of many readers. Against one reading it is sqrt(m² + r²), and
    against the mean of six sqrt(m² + r²/6), where r is a reading's own error: independent, of one form.

    Returns:
        r and m in months.
    """
    reading = (one_reader**2 - six_readers**2) / (1 - 1 / READERS)
    return math.sqrt(reading), math.sqrt(max(0.0, one_reader**2 - reading))


def twice(films: Sequence[LabelledFilm]) -> dict[str, Any]:
    """Pictures that are nearly the same, and how far apart their labels lie."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        small = list(pool.map(lambda film: shrink(read_radiograph(film.path).pixels), films))
    pairs = near_duplicates(small)
    apart = [abs(films[one.first].bone_age_months - films[one.second].bone_age_months) for one in pairs]
    return {
        "films": len(films),
        "least_correlation": ALIKE,
        "pairs": len(pairs),
        "label_differences_months": apart,
        # Of none among n, at most 3 in n are to be expected (Hanley and Lippman-Hand, JAMA 1983).
        "share_at_most": (len(pairs) or 3) / len(films),
    }


def of_the_carried(noise: Mapping[str, Any]) -> dict[str, Any]:
    """How much of the carried model's squared error on films held out rounding and reading explain."""
    bundle = load_bundle()
    measured = next(iter(bundle.description.figures.values()))["all"]
    square = measured["rmse_months"]["value"] ** 2
    reading = noise["published"]["reader_months"][1] / math.sqrt(
        2 / math.pi
    )  # of normal errors: RMS from MAE
    return {
        "model": bundle.model,
        "rmse_months": measured["rmse_months"]["value"],
        "mae_months": measured["mae_months"],
        "share_rounding": noise["rounding"]["heaps"]["rms_months"] ** 2 / square,
        "share_reading": min(1.0, reading**2 / square),
    }


def work_out(labels: Sequence[Label], films: Sequence[LabelledFilm]) -> dict[str, Any]:
    """All of it, for `label-noise.json`."""
    by_sex = {sex: heaping(labels, sex) for sex in PLATES}
    grids = {sex: tuple(heap["months"] for heap in found["heaps"]) for sex, found in by_sex.items()}
    readings = [reader_noise(error, SIX_READERS_MONTHS) for error in ONE_READER_MONTHS]
    return {
        "data": FOLDER,
        "confidence": CONFIDENCE,
        "heaping": {sex.value: found for sex, found in by_sex.items()},
        "rounding": {
            "heaps": rounding(labels, grids),
            "plates": rounding(labels, PLATES),
        },
        "published": {
            "one_reader_months": list(ONE_READER_MONTHS),
            "six_readers_months": SIX_READERS_MONTHS,
            "reader_months": [reading for reading, _ in readings],
            "model_months": [model for _, model in readings],
        },
        "twice": twice(films),
    }


def section(noise: Mapping[str, Any]) -> str:
    """What README.md says of it."""
    return "\n".join(
        [_heaping_said(noise), "", *_steps(noise["rounding"]["heaps"]["bands"]), "", *_floors(noise)]
    )


def _heaping_said(noise: Mapping[str, Any]) -> str:
    girls, boys = (noise["heaping"][sex.value] for sex in (Sex.FEMALE, Sex.MALE))
    return (
        f"Of {girls['labels'] + boys['labels']:,} training labels, {_percent(girls['on_plates'])} of the "
        f"girls' and {_percent(boys['on_plates'])} of the boys' are the age of an atlas plate, and "
        f"{_percent(girls['on_heaps'])} and {_percent(boys['on_heaps'])} one of the {len(girls['heaps'])} "
        f"and {len(boys['heaps'])} ages at which labels heap. There are {girls['different']} and "
        f"{boys['different']} different labels in all."
    )


def _steps(bands: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table of the steps that readers take, by labelled age."""
    return [
        "| labelled age, months | labels | median step, months | error by rounding alone, months |",
        "|---|---:|---:|---:|",
        *(
            f"| {band['low_months']:.0f} to {band['high_months']:.0f} | {band['labels']:,} "
            f"| {band['median_spacing_months']:.0f} | {band['mae_months']:.1f} |"
            for band in bands
        ),
    ]


def _floors(noise: Mapping[str, Any]) -> list[str]:
    """Each floor with what it assumes."""
    heaped, plates = (_months(noise["rounding"][grid]["mae_months"]) for grid in ("heaps", "plates"))
    published, carried = noise["published"], noise["carried"]
    least, most = published["one_reader_months"][0], published["one_reader_months"][-1]
    low, middle, high = published["reader_months"]
    halabi = "[Halabi et al. 2019](https://doi.org/10.1148/radiol.2018180736)"
    return [
        f"- **Rounding alone** costs from {heaped} months, if readers took the nearest of the ages at which "
        f"labels heap, to {plates}, if the plates alone were answers. Assumed: true ages lie evenly between "
        "neighbouring answers, the nearest is chosen, and labels between the heaps are exact to the month. A "
        "model that answers with the true age cannot do better; one that learns where readers round to can.",
        f"- **Pictures that are there twice**: {_copies(noise['twice'])}",
        f"- **One reader's error**, from what others published: {least:g} to {most:g} months on single "
        f"readings, and {published['six_readers_months']:g} at best on means of six ({halabi}), leave "
        f"{middle:.1f} months ({low:.1f} to {high:.1f}) for a single reading, rounding included. Assumed: "
        "the same network would reach both, readers err independently of it and of one another, and all "
        f"errors have one form. So **the floor on these labels is about {middle:.1f} months ({low:.1f} to "
        f"{high:.1f})**, whatever the model.",
        f"- Of the squared error of `{carried['model']}` on films held out (mean absolute error "
        f"{_months(carried['mae_months'])} months), rounding to the heaps is {carried['share_rounding']:.0%} "
        f"and a single reading, by that estimate and normally distributed, {carried['share_reading']:.0%}.",
    ]


def _copies(found: Mapping[str, Any]) -> str:
    among = f"{found['pairs']} pairs among {found['films']:,} films"
    counted = f"{among} correlate by {found['least_correlation']:g} or more"
    if found["pairs"]:
        return f"{counted}; their labels lie {np.mean(found['label_differences_months']):.1f} months apart."
    return (
        f"{counted} (95% sure: below {found['share_at_most']:.2%} of films). So no film was read twice among "
        "them, which would have shown a reader's error."
    )


def _months(figure: Mapping[str, float | None]) -> str:
    return with_interval(figure, two_decimals)


def _percent(figure: Mapping[str, float | None]) -> str:
    return with_interval(figure, lambda share: f"{100 * share:.0f}", unit="%", name="")


def main() -> None:
    """Work it out, write it and print it."""
    data = os.environ.get("BONEXAGE_DATA")
    if not data:
        sys.exit(f"Set BONEXAGE_DATA to the folder that holds {FOLDER}.")
    films, _ = read_split(Path(data) / FOLDER, "training")
    noise = work_out([Label(film.id, film.sex, film.bone_age_months) for film in films], films)
    noise["carried"] = of_the_carried(noise)
    write_atomically(OUT, (json.dumps(noise, indent=1, allow_nan=False) + "\n").encode())
    write_region(README, REGION, section(noise))
    print(section(noise))


if __name__ == "__main__":
    main()
