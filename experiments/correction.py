"""Would a monotonic correction of the bone age undo the pull to the middle, and at what cost?

    BONEXAGE_DATA=folder python experiments/correction.py [bundle]

A correction maps bone ages to bone ages, for each sex, through the medians of bands of 24 months:

    correction(median of readings in a band of labels) = median of labels in it, linear between

It is fitted to the calibration films of the bundle's training and measured on the validation films, whole and
in part: half of it may gain where the whole does not. It is worth taking only where the error falls in every
band. Writes `correction.json` and its part of README.md. No test film is read.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.disk import write_atomically
from bonexage.errors import RefusedRadiograph
from bonexage.evaluation.metrics import agreement
from bonexage.evaluation.strata import bands_of
from bonexage.learning.dataset import Part, TrainingFilm
from bonexage.learning.dealt import held_out_films
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.numbers import two_decimals, with_interval
from bonexage.reading.files import read_radiograph
from bonexage.reports.region import write_region
from bonexage.subject import Sex

README: Final = Path(__file__).with_name("README.md")
OUT: Final = Path(__file__).with_name("correction.json")
REGION: Final = "correction"
LEAST_IN_BAND: Final = 10
SHARES: Final = (0.25, 0.5, 0.75, 1.0)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Readings:
    """Films of one part: sex `[n]`, what was read and what is labelled `[n]`, months."""

    male: NDArray[np.bool_]
    read_months: Floats
    labelled_months: Floats

    def of(self, chosen: NDArray[np.bool_]) -> Readings:
        """Some of them."""
        return Readings(self.male[chosen], self.read_months[chosen], self.labelled_months[chosen])


def knots(films: Readings) -> tuple[Floats, Floats]:
    """The medians of readings and of labels of each band with films enough, both ascending."""
    bands = bands_of(films.labelled_months)
    counted = [band for band in np.unique(bands) if (bands == band).sum() >= LEAST_IN_BAND]
    of_band = [films.of(bands == band) for band in counted]
    read = np.array([np.median(band.read_months) for band in of_band])
    labelled = np.array([np.median(band.labelled_months) for band in of_band])
    ascending = np.concatenate([[True], np.diff(np.maximum.accumulate(read)) > 0])
    return read[ascending], labelled[ascending]


def corrected(films: Readings, by: Readings, share: float) -> Floats:
    """The readings of `films`, moved by a share of the correction that was fitted to `by`."""
    months = films.read_months.copy()
    for male in (False, True):
        own = films.male == male
        if own.any():
            read, labelled = knots(by.of(by.male == male))
            months[own] += share * np.interp(months[own], read, labelled - read)
    return np.clip(months, 0, MAX_BONE_AGE_MONTHS)


def errors_by_band(films: Readings, months: Floats) -> dict[str, float]:
    """The mean absolute error of each sex and band of labels with films enough."""
    errors = {}
    bands = bands_of(films.labelled_months)
    for male, letter in ((False, "F"), (True, "M")):
        for band in np.unique(bands):
            own = (films.male == male) & (bands == band)
            if own.sum() >= LEAST_IN_BAND:
                away = np.abs(months[own] - films.labelled_months[own])
                errors[f"{letter} from {band:.0f}"] = float(away.mean())
    return errors


def compare(calibration: Readings, validation: Readings) -> dict[str, Any]:
    """The validation error with each share of the correction, and where it rises."""
    plain = errors_by_band(validation, validation.read_months)
    measured: dict[str, Any] = {
        "films": len(validation.male),
        "fitted_to": len(calibration.male),
        "without": agreement(validation.read_months, validation.labelled_months).mae_months.as_dict(),
        "by_band": plain,
        "shares": {},
    }
    for share in SHARES:
        months = corrected(validation, calibration, share)
        bands = errors_by_band(validation, months)
        measured["shares"][str(share)] = {
            "mae_months": agreement(months, validation.labelled_months).mae_months.as_dict(),
            "by_band": bands,
            "worse": [name for name in bands if bands[name] > plain[name]],
        }
    measured["taken"] = any(not one["worse"] for one in measured["shares"].values())
    return measured


def section(measured: Mapping[str, Any]) -> str:
    """What README.md says of it."""
    bands = len(measured["by_band"])
    rows = [
        f"| {float(share):.0%} | {_months(one['mae_months'])} | {len(one['worse'])} of {bands} |"
        for share, one in measured["shares"].items()
    ]
    decision = (
        "A share that lowers the error in every band exists."
        if measured["taken"]
        else "No share lowers the error in every band, so the model is carried without a correction."
    )
    return "\n".join(
        [
            f"`{measured['model']}`, fitted to {measured['fitted_to']:,} calibration films and measured on "
            f"{measured['films']} validation films:",
            "",
            "| share of the correction | validation error, months | bands of sex and age that get worse |",
            "|---:|---:|---:|",
            f"| none | {_months(measured['without'])} | |",
            *rows,
            "",
            decision,
        ]
    )


def _months(figure: Mapping[str, float | None]) -> str:
    return with_interval(figure, two_decimals, name="")


def read_all(assessor: Assessor, films: Sequence[TrainingFilm]) -> Readings:
    """Read films; those that are refused are left out."""
    rows = []
    for number, film in enumerate(films, start=1):
        try:
            months = assessor.assess(read_radiograph(film.film.path), sex=film.film.sex).bone_age_months
        except RefusedRadiograph:
            continue
        rows.append((film.film.sex is Sex.MALE, months, film.film.bone_age_months))
        if number % 100 == 0:
            print(f"{number} of {len(films)} films read", flush=True)
    male, read, labelled = zip(*rows, strict=True)
    return Readings(np.array(male), np.array(read), np.array(labelled))


def main() -> None:
    """Work it out, write it and print it."""
    data = os.environ.get("BONEXAGE_DATA")
    if not data:
        sys.exit("Set BONEXAGE_DATA to the folder that holds the data folders.")
    bundle = load_bundle(*sys.argv[1:2])
    assessor = Assessor(bundle)
    films = held_out_films(bundle, Path(data))
    calibration, validation = (
        read_all(assessor, [film for film in films if film.part is part])
        for part in (Part.CALIBRATION, Part.VALIDATION)
    )
    measured = {"model": bundle.model} | compare(calibration, validation)
    write_atomically(OUT, (json.dumps(measured, indent=1) + "\n").encode())
    write_region(README, REGION, section(measured))
    print(section(measured))


if __name__ == "__main__":
    main()
