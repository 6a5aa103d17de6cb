"""Intervals cover what they promise, and are what an independent reckoning gives."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonexage.model.calibration import (
    LEAST_FILMS,
    Calibration,
    Cell,
    calibration_from_json,
    fit_calibration,
)
from bonexage.model.spread import HeldOut
from bonexage.subject import Sex
from models import held_out

months = st.floats(0, 240, allow_nan=False)
coverages = st.sampled_from([0.5, 0.8, 0.9, 0.95]) | st.floats(0.01, 0.99)
films = st.lists(st.tuples(months, months, st.sampled_from([Sex.FEMALE, Sex.MALE])), max_size=300)


def _fit(many: list[tuple[float, float, Sex]]) -> Calibration:
    return fit_calibration(held_out([m[0] for m in many], [m[1] for m in many], [m[2] for m in many]))


@given(
    residuals=st.lists(st.floats(0, 60, allow_nan=False), min_size=1, max_size=60),
    coverage=coverages,
)
def test_of_exchangeable_films_at_least_the_promised_share_is_covered(
    residuals: list[float], coverage: float
) -> None:
    # Split-conformal's guarantee, exactly: let each of n + 1 films in turn be the new one.
    covered = 0
    for new, residual in enumerate(residuals):
        others = residuals[:new] + residuals[new + 1 :]
        fitted = _fit([(100.0, 100.0 + r, Sex.MALE) for r in others])
        interval = fitted.interval(100.0, Sex.MALE, coverage)
        covered += interval.low_months <= 100.0 + residual <= interval.high_months
    assert covered >= coverage * len(residuals) - 1e-6


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_drawn_films_are_covered_in_every_band_and_not_much_too_often(coverage: float) -> None:
    rng = np.random.default_rng(7)
    label = rng.uniform(30, 220, 8000)
    guess = np.clip(label + rng.normal(0, 1, 8000) * (4 + label / 20), 0, 240)
    sexes = [Sex.MALE if each else Sex.FEMALE for each in rng.integers(0, 2, 8000)]
    fitted = fit_calibration(held_out(guess[:4000], label[:4000], sexes[:4000]))
    inside = np.array(
        [
            (i := fitted.interval(float(g), sex, coverage)).low_months <= lab <= i.high_months
            for g, lab, sex in zip(guess[4000:], label[4000:], sexes[4000:], strict=True)
        ]
    )
    assert coverage - 0.02 < inside.mean() < coverage + 0.03
    for low in range(24, 216, 24):
        band = (guess[4000:] >= low) & (guess[4000:] < low + 24)
        assert inside[band].mean() > coverage - 0.07


@given(many=films, at=months, sex=st.sampled_from([Sex.FEMALE, Sex.MALE]), one=coverages, other=coverages)
def test_more_coverage_never_narrows_the_interval(
    many: list[tuple[float, float, Sex]], at: float, sex: Sex, one: float, other: float
) -> None:
    fitted = _fit(many)
    narrow, wide = (fitted.interval(at, sex, each) for each in sorted((one, other)))
    assert wide.low_months <= narrow.low_months <= at <= narrow.high_months <= wide.high_months


def _reference(
    many: list[tuple[float, float, Sex]], at: float, sex: Sex, coverage: float
) -> tuple[float, float]:
    """Written anew from the words of the promise: label ten bands, join labels until none is small."""
    mine = [(min(int(p / 24), 9), abs(p - t)) for p, t, s in many if s == sex]
    label = list(range(10))
    while len(set(label)) > 1:
        count = {one: sum(label[band] == one for band, _ in mine) for one in sorted(set(label))}
        order = list(count)
        small = min(order, key=lambda one: (count[one], one))
        if count[small] >= 40:
            break
        at_index = order.index(small)
        near = order[max(0, at_index - 1) : at_index] + order[at_index + 1 : at_index + 2]
        joined = min(near, key=lambda one: (count[one], one))
        label = [min(small, joined) if each in (small, joined) else each for each in label]
    here = label[min(int(at / 24), 9)]
    residuals = np.sort([residual for band, residual in mine if label[band] == here])
    rank = -((-(len(residuals) + 1) * Fraction(str(coverage))) // 1)
    if rank > len(residuals):
        return 0.0, 240.0
    reach = float(residuals[int(rank) - 1])
    seen = [p for p, _, s in many if s == sex]
    low = 0.0 if at < min(seen) else max(0.0, at - reach)
    high = 240.0 if at > max(seen) else min(240.0, at + reach)
    return low, high


@given(many=films, at=months, sex=st.sampled_from([Sex.FEMALE, Sex.MALE]), coverage=st.integers(1, 99))
def test_the_interval_is_what_an_independent_reckoning_gives(
    many: list[tuple[float, float, Sex]], at: float, sex: Sex, coverage: int
) -> None:
    interval = _fit(many).interval(at, sex, coverage / 100)
    assert (interval.low_months, interval.high_months) == _reference(many, at, sex, coverage / 100)


@given(many=films)
def test_no_cell_is_small_where_it_could_be_merged_and_none_loses_a_film(
    many: list[tuple[float, float, Sex]],
) -> None:
    fitted = _fit(many)
    for sex in (Sex.FEMALE, Sex.MALE):
        cells = [cell for cell in fitted.cells if cell.sex is sex]
        assert sum(len(cell.scores) for cell in cells) == sum(m[2] is sex for m in many)
        assert len(cells) <= 1 or all(len(cell.scores) >= LEAST_FILMS for cell in cells)
        assert sum(cell.bands for cell in cells) == (10 if cells else 0)


@given(many=films)
def test_a_calibration_comes_back_from_json_as_it_was(many: list[tuple[float, float, Sex]]) -> None:
    fitted = _fit(many)
    assert calibration_from_json(fitted.to_json()) == fitted
    otherwise = replace(fitted, out_of_fold=True)
    assert calibration_from_json(otherwise.to_json()) == otherwise != fitted


def test_without_films_of_a_sex_the_interval_is_everything() -> None:
    fitted = _fit([(100.0, 101.0, Sex.MALE)] * 50)
    interval = fitted.interval(100.0, Sex.FEMALE, 0.9)
    assert (interval.low_months, interval.high_months) == (0.0, 240.0)


@pytest.mark.parametrize(
    "change", [{"films": 3}, {"sex": "U"}, {"low_months": 24.0}, {"residuals_months": [2, 1]}]
)
def test_a_calibration_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    stored = _fit([(100.0, 101.0, Sex.FEMALE)] * 2).to_json()
    stored["cells"][0] |= change
    with pytest.raises(ValueError, match=r"calibration|cells"):
        calibration_from_json(stored)


def test_what_is_no_age_cannot_be_calibrated_on() -> None:
    with pytest.raises(ValueError, match="240"):
        HeldOut("1", Sex.FEMALE, 250.0, 100.0)
    with pytest.raises(ValueError, match="girl's or a boy's"):
        HeldOut("1", Sex.UNKNOWN, 100.0, 100.0)
    with pytest.raises(ValueError, match="cell"):
        Cell(Sex.FEMALE, 24.0, 24.0, ())
