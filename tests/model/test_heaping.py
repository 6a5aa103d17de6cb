"""Intervals that end where labels heap are nested, hold what they promise, and are narrower for it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonexage.model.calibration import Calibration, calibration_from_json, fit_calibration
from bonexage.model.heaping import AGES, Heaping, fit_heaping, heaping_from_json, nested
from bonexage.model.spread import HeldOut, fit_spread
from bonexage.subject import Sex
from models import held_out

FLAT = Heaping({sex.value: (1.0,) * len(AGES) for sex in (Sex.FEMALE, Sex.MALE)})
HEAPS = np.arange(12, 229, 12)


def heaped(count: int, seed: int) -> list[HeldOut]:
    """Films whose readers answer with the nearest whole year, but for one in seven."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(24, 204, count)
    rounded = HEAPS[np.abs(true[:, np.newaxis] - HEAPS).argmin(axis=1)]
    label = np.where(rng.random(count) < 6 / 7, rounded, np.rint(true))
    reading = np.clip(true + rng.laplace(0, 6, count), 0, 240)
    return held_out(reading, label, ["F" if each else "M" for each in rng.integers(0, 2, count)])


def labels_of(films: list[HeldOut]) -> list[tuple[Sex, float]]:
    return [(film.sex, film.label_months) for film in films]


@pytest.fixture(scope="module")
def calibrations() -> tuple[Calibration, Calibration]:
    """Without and with knowledge of where labels heap."""
    spread, known = fit_spread(heaped(800, 1)), heaped(1500, 2)
    heaping = fit_heaping(labels_of(heaped(4000, 3)))
    return fit_calibration(known, spread=spread), fit_calibration(known, spread=spread, heaping=heaping)


def intervals(calibration: Calibration, films: list[HeldOut], coverage: float) -> np.ndarray:
    given = [calibration.interval(film.reading_months, film.sex, coverage) for film in films]
    return np.array([(each.low_months, each.high_months) for each in given])


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_they_hold_what_they_promise_and_are_narrower(
    calibrations: tuple[Calibration, Calibration], coverage: float
) -> None:
    new = heaped(1200, 4)
    labels = np.array([film.label_months for film in new])
    anywhere, at_heaps = (intervals(each, new, coverage) for each in calibrations)
    for ends in (anywhere, at_heaps):
        held = (ends[:, 0] <= labels) & (labels <= ends[:, 1])
        assert coverage - 0.03 < held.mean() < coverage + 0.04
    assert np.ptp(at_heaps, axis=1).mean() < 0.93 * np.ptp(anywhere, axis=1).mean()


def test_their_ends_are_mostly_heaps(calibrations: tuple[Calibration, Calibration]) -> None:
    ends = intervals(calibrations[1], heaped(300, 5), 0.9)
    assert np.mean(np.isin(ends, HEAPS)) > 0.6


def test_of_exchangeable_films_at_least_the_promised_share_is_held() -> None:
    # Split-conformal's guarantee, exactly: let each film in turn be the new one.
    films = [film for film in heaped(200, 6) if film.sex is Sex.MALE and 96 <= film.reading_months < 120]
    spread, heaping = fit_spread(heaped(300, 7)), fit_heaping(labels_of(heaped(300, 8)))
    assert len(films) > 5
    for coverage in (0.5, 0.8):
        held = 0
        for at, film in enumerate(films):
            others = films[:at] + films[at + 1 :]
            calibration = fit_calibration(others, spread=spread, heaping=heaping)
            reach = calibration.interval(min(o.reading_months for o in others), film.sex, coverage)
            assert reach.low_months <= reach.high_months
            scores = sorted(calibration.score(other) for other in others)
            rank = int(np.ceil((len(others) + 1) * coverage))
            limit = scores[rank - 1] if rank <= len(scores) else np.inf
            interval = calibration.interval(film.reading_months, film.sex, coverage)
            inside = interval.low_months <= film.label_months <= interval.high_months
            assert inside or calibration.score(film) > limit
            held += inside
        assert held >= coverage * len(films) - 1


@given(
    reading=st.floats(0, 240, allow_nan=False),
    spread=st.floats(1, 40),
    heaps=st.lists(st.integers(0, 240), max_size=60),
    sex=st.sampled_from([Sex.FEMALE, Sex.MALE]),
)
@settings(max_examples=60)
def test_each_interval_lies_within_the_next_and_the_last_is_the_scale(
    reading: float, spread: float, heaps: list[int], sex: Sex
) -> None:
    heaping = fit_heaping((sex, float(month)) for month in heaps)
    likely = heaping.likely(reading, np.full(len(AGES), spread), sex)
    assert likely.sum() == pytest.approx(1)
    found = nested(reading, likely)
    assert (np.diff(found.low) <= 0).all()
    assert (np.diff(found.high) >= 0).all()
    assert (np.diff(found.mass) >= 0).all()
    assert (found.low[0], found.high[0], found.mass[0]) == (reading, reading, 0.0)
    assert (found.low[-1], found.high[-1]) == (min(0, reading), max(240, reading))
    for low, high, mass in zip(found.low, found.high, found.mass, strict=True):
        assert likely[(low <= AGES) & (high >= AGES)].sum() >= mass - 1e-9
    for label in (0.0, reading, 63.4, 240.0):
        score = found.score(label)
        low, high = found.within(score)
        assert low <= label <= high


def test_where_labels_do_not_heap_the_interval_is_the_narrowest_of_its_mass() -> None:
    likely = FLAT.likely(100.0, np.full(len(AGES), 12.0), Sex.FEMALE)
    found = nested(100.0, likely)
    for low, high, mass in list(zip(found.low, found.high, found.mass, strict=True))[1:40]:
        width = int(high - low)
        others = [likely[start : start + width].sum() for start in range(len(AGES) - width)]
        assert max(others) <= mass + 1e-9


def test_labels_that_heap_are_told_from_those_that_do_not() -> None:
    even = fit_heaping((Sex.FEMALE, float(month)) for month in range(241) for _ in range(3))
    assert even.by_sex["F"] == pytest.approx([1.0] * len(AGES))
    assert even.by_sex["M"] == pytest.approx([1.0] * len(AGES))
    years = fit_heaping((Sex.MALE, float(month)) for month in HEAPS for _ in range(30))
    assert min(years.by_sex["M"][month] for month in HEAPS) > 4 > max(years.by_sex["M"][1:12])


def test_a_calibration_with_heaps_comes_back_from_json_as_it_was(
    calibrations: tuple[Calibration, Calibration],
) -> None:
    for calibration in calibrations:
        assert calibration_from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


@pytest.mark.parametrize("change", [{}, {"F": [1.0]}, {"F": [0.0] * 241}, {"F": ["x"] * 241}, {"F": None}])
def test_what_is_no_heaping_is_refused(change: dict[str, object]) -> None:
    stored = FLAT.to_json() | change if change else {"F": FLAT.to_json()["F"]}
    with pytest.raises(ValueError, match=r"heaping|float"):
        heaping_from_json(stored)
    with pytest.raises(ValueError, match="needs a spread"):
        fit_calibration([], heaping=FLAT)
