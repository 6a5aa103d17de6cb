"""Intervals of labels that were rounded hold the bone ages behind them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonexage.model.calibration import Calibration, calibration_from_json, fit_calibration
from bonexage.model.heaping import fit_heaping
from bonexage.model.rounding import PARTS, Rounding, rounding_from_json, rounding_of
from bonexage.model.spread import HeldOut, fit_spread
from bonexage.subject import Sex
from models import held_out

PLATES = tuple(float(age) for age in range(12, 229, 12))
YEARS = Rounding({"F": PLATES, "M": PLATES})


def children(count: int, seed: int) -> tuple[list[HeldOut], np.ndarray]:
    """Films whose readers answer with one of the two plates nearest, and the true bone ages."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(24, 204, count)
    before = np.floor(true / 12) * 12
    label = before + 12 * (rng.random(count) < (true - before) / 12)
    reading = np.clip(true + rng.laplace(0, 5, count), 0, 240)
    return held_out(reading, label, ["F" if each else "M" for each in rng.integers(0, 2, count)]), true


def share_held(calibration: Calibration, films: list[HeldOut], ages: np.ndarray) -> float:
    ends = [calibration.interval(film.reading_months, film.sex, 0.9) for film in films]
    return float(
        np.mean([each.low_months <= age <= each.high_months for each, age in zip(ends, ages, strict=True)])
    )


def test_they_hold_at_least_the_promised_share_of_the_true_bone_ages() -> None:
    spread = fit_spread(children(800, 1)[0])
    known, _ = children(2000, 2)
    new, true = children(1500, 3)
    labels = np.array([film.label_months for film in new])
    plain = fit_calibration(known, spread=spread)
    wider = fit_calibration(known, spread=spread, rounding=YEARS)
    assert 0.9 - 0.02 < share_held(plain, new, labels) < 0.93
    assert share_held(wider, new, labels) >= share_held(plain, new, labels)
    assert share_held(wider, new, true) >= 0.9


@given(label=st.integers(0, 240), sex=st.sampled_from([Sex.FEMALE, Sex.MALE]))
def test_a_label_stands_for_bone_ages_between_the_plates_beside_it(label: int, sex: Sex) -> None:
    ages = YEARS.bone_ages(float(label), sex)
    assert len(ages) == PARTS
    assert (np.diff(ages) >= 0).all()
    if float(label) in PLATES:
        assert label - 12 < ages[0] < label < ages[-1] < label + 12 or label + 12 > 240
        assert np.isclose(np.median(ages), label, atol=0.1)
    else:
        assert (ages == label).all()


@given(
    below=st.integers(1, 11),
    above=st.integers(1, 11),
)
def test_the_density_of_bone_ages_is_triangular(below: int, above: int) -> None:
    ages = (100.0 - below, 100.0, 100.0 + above)
    found = Rounding({"F": ages, "M": ()}).bone_ages(100.0, Sex.FEMALE)
    # an independent reference: SciPy's quantiles
    triangle = pytest.importorskip("scipy.stats").triang(below / (below + above), 100 - below, below + above)
    assert found == pytest.approx(triangle.ppf((np.arange(PARTS) + 0.5) / PARTS), abs=1e-6)


def test_labels_are_rounded_to_the_ages_where_they_heap() -> None:
    labels = [(Sex.FEMALE, age) for age in PLATES for _ in range(30)]
    labels += [(Sex.FEMALE, float(age)) for age in range(12, 229)]
    found = rounding_of(fit_heaping(labels))
    assert found.ages_months["F"] == PLATES
    assert rounding_from_json(found.to_json()) == found


def test_a_calibration_is_read_back_as_it_was_and_keeps_a_score_a_film() -> None:
    films, _ = children(500, 4)
    made = fit_calibration(films, spread=fit_spread(films), rounding=YEARS)
    assert made.count == len(films)
    assert calibration_from_json(made.to_json()) == made


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_without_plates_nothing_was_rounded(seed: int) -> None:
    films, _ = children(120, seed)
    spread = fit_spread(films)
    none = Rounding({"F": (), "M": ()})
    plain, same = (fit_calibration(films, spread=spread, rounding=each) for each in (None, none))
    assert [cell.scores for cell in same.cells] == [cell.scores for cell in plain.cells]


@pytest.mark.parametrize(
    "ages", [{"F": [12.0]}, {"F": [24.0, 12.0], "M": []}, {"F": [-1.0], "M": []}, {"F": None, "M": []}]
)
def test_what_is_no_rounding_is_refused(ages: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="round"):
        rounding_from_json(ages)


def test_rounding_needs_a_spread_and_excludes_intervals_that_end_at_heaps() -> None:
    films, _ = children(60, 5)
    with pytest.raises(ValueError, match="needs a spread"):
        fit_calibration(films, rounding=YEARS)
    heaping = fit_heaping((film.sex, film.label_months) for film in films)
    with pytest.raises(ValueError, match="not both"):
        fit_calibration(films, spread=fit_spread(films), rounding=YEARS, heaping=heaping)
