"""Whether a hand is called mature follows from what a model's own calibration says of its readings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bonexage.assessment import Reading
from bonexage.model.assessor import Assessor
from bonexage.model.calibration import Calibration, fit_calibration
from bonexage.model.cautions import mature_cautions
from bonexage.model.heaping import fit_heaping
from bonexage.model.spread import HeldOut, fit_spread
from bonexage.subject import Subject
from films import radiograph
from models import held_out, small_bundle, small_network


@pytest.mark.parametrize(("off_months", "mature"), [(14.0, True), (6.0, False)])
def test_where_a_model_reads_none_as_old_as_the_atlas_ends_its_calibration_says_what_is_mature(
    tmp_path: Path, off_months: float, mature: bool
) -> None:
    """The reading is 205 months: grown where this model reads grown girls as much too young."""
    plain = Assessor(small_bundle(tmp_path / "plain", calibration=None), threads=1)
    network = small_network(offset=305.0 - plain.assess(radiograph(), "F").bone_age_months)
    readings = [205.0 - at / 10 for at in range(80)]
    films = held_out(readings, [months + off_months for months in readings], "F" * 80)
    calibration = fit_calibration(films)
    short = Assessor(small_bundle(tmp_path / "short", onnx=network, calibration=calibration), threads=1)
    codes = [caution.code for caution in short.assess(radiograph(), "F").cautions]
    assert ("mature" in codes) == mature


def _children(count: int, slope: float, noise: float, seed: int) -> list[HeldOut]:
    """Children of all ages, as a model reads them that tells their ages apart so well; some are grown."""
    rng = np.random.default_rng(seed)
    sexes = rng.choice(["F", "M"], count)
    labels = np.clip(rng.normal(np.where(sexes == "F", 118, 135), 40), 4, 228)
    labels[rng.random(count) < 0.03] = 228
    readings = np.clip(127 + slope * (labels - 127) + rng.normal(0, noise, count), 0, 240)
    return held_out(readings.tolist(), (6 * np.round(labels / 6)).tolist(), sexes.tolist())


def _calibrations(films: list[HeldOut]) -> Iterator[Calibration]:
    """Every kind there is."""
    first, rest = films[: len(films) // 3], films[len(films) // 3 :]
    spread, heaping = fit_spread(first), fit_heaping((film.sex, film.label_months) for film in first)
    yield fit_calibration(rest)
    yield fit_calibration(rest, spread=spread)
    yield fit_calibration(rest, spread=spread, heaping=heaping)


def _mature(films: list[HeldOut], calibration: Calibration) -> list[bool]:
    return [
        any(mature_cautions(Subject(film.sex), [Reading(film.sex, film.reading_months, None)], calibration))
        for film in films
    ]


@pytest.mark.parametrize("noise", [0.5, 3.0, 12.0])
@pytest.mark.parametrize("slope", [0.0, 0.03, 0.1, 0.4, 0.8, 1.0])
def test_no_model_however_narrow_its_readings_calls_children_mature(slope: float, noise: float) -> None:
    told = _children(600, slope, noise, 1)
    children = [film for film in _children(300, slope, noise, 2) if film.label_months <= 180]
    for calibration in _calibrations(told):
        assert sum(_mature(children, calibration)) <= len(children) // 100


@pytest.mark.parametrize("noise", [3.0, 8.0])
def test_a_model_that_tells_ages_apart_calls_grown_hands_mature(noise: float) -> None:
    grown = [film for film in _children(3000, 1.0, noise, 2) if film.label_months == 228]
    for calibration in _calibrations(_children(900, 1.0, noise, 1)):
        assert sum(_mature(grown, calibration)) > 0.7 * len(grown)


def test_a_calibration_of_films_of_one_age_does_not_make_them_mature() -> None:
    """A clinic that calibrates on children of 140 to 150 months."""
    films = held_out(np.linspace(140, 150, 120).tolist(), np.linspace(138, 152, 120).tolist(), "FM" * 60)
    assert not any(_mature(films, fit_calibration(films)))
