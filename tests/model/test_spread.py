"""The width of an interval follows the film, and its coverage stays what it promises."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest

from bonexage.model.calibration import Calibration, calibration_from_json, fit_calibration
from bonexage.model.spread import KNOTS_MONTHS, Disagreement, HeldOut, Spread, fit_spread, spread_from_json
from bonexage.subject import Sex
from models import held_out

FLAT = (0.0,) * len(KNOTS_MONTHS)


def drawn(
    count: int, seed: int, *, noise: str = "grows", apart_tells: bool = True, drawn_in: float = 0.0
) -> list[HeldOut]:
    """Films whose readings miss by more the older the girl is, and the more the views lie apart."""
    rng = np.random.default_rng(seed)
    label = rng.uniform(20, 220, count)
    boy = rng.integers(0, 2, count).astype(bool)
    apart = rng.gamma(2.0, 2.0, count)
    scale = np.where(boy, 6.0, 2 + label / 15) if noise == "grows" else np.full(count, 8.0)
    scale = scale * (0.25 + apart / 5 if apart_tells else 1.0)
    reading = np.clip(label + drawn_in * (130 - label) + rng.laplace(0, 1, count) * scale, 0, 240)
    return held_out(reading, label, ["M" if each else "F" for each in boy], apart)


def ends(calibration: Calibration, films: list[HeldOut], coverage: float) -> NDArray[np.float64]:
    intervals = [
        calibration.interval(
            film.reading_months, film.sex, coverage, disagreement_months=film.disagreement_months
        )
        for film in films
    ]
    return np.array([(interval.low_months, interval.high_months) for interval in intervals])


def held(ends: NDArray[np.float64], films: list[HeldOut]) -> NDArray[np.bool_]:
    labels = np.array([film.label_months for film in films])
    return (ends[:, 0] <= labels) & (labels <= ends[:, 1])


@pytest.fixture(scope="module")
def adaptive() -> Calibration:
    return fit_calibration(drawn(1500, 2), spread=fit_spread(drawn(1500, 1)))


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_films_of_every_sex_age_and_disagreement_are_covered_as_promised(
    adaptive: Calibration, coverage: float
) -> None:
    films = drawn(3000, 3)
    inside = held(ends(adaptive, films, coverage), films)
    girls = np.array([film.sex is Sex.FEMALE for film in films])
    label = np.array([film.label_months for film in films])
    apart = np.array([film.disagreement_months for film in films])
    for some in (girls, ~girls, girls & (label < 90), girls & (label > 150), apart < 2, apart > 6):
        assert abs(inside[some].mean() - coverage) < 0.06


def test_where_differences_vary_the_mean_width_is_well_below_that_of_one_width_for_all(
    adaptive: Calibration,
) -> None:
    films = drawn(3000, 3)
    widths = np.ptp(ends(adaptive, films, 0.9), axis=1)
    missed = [abs(film.reading_months - film.label_months) for film in drawn(1500, 2)]
    assert widths.mean() < 0.85 * 2 * np.quantile(missed, 0.9)


def test_where_readings_are_drawn_to_the_middle_the_ends_are_covered_better_by_narrower_intervals() -> None:
    learned, known, films = (
        drawn(2000, seed, noise="even", apart_tells=False, drawn_in=0.5) for seed in (1, 2, 3)
    )
    at_the_ends = np.array([not 45 < film.label_months < 195 for film in films])
    found = []
    for spread in (None, fit_spread(learned)):
        reach = ends(fit_calibration(known, spread=spread), films, 0.9)
        inside = held(reach, films)
        assert abs(inside.mean() - 0.9) < 0.03
        found.append((inside[at_the_ends].mean(), np.ptp(reach, axis=1).mean()))
    (share, width), (share_following, width_following) = found
    assert share_following > share + 0.03
    assert width_following < 0.9 * width


def test_disagreement_is_used_only_where_it_foretells_differences() -> None:
    assert fit_spread(drawn(800, 1)).disagreement is not None
    assert fit_spread(drawn(800, 1)).disagreement.weight > 0.1
    silent = [fit_spread(drawn(400, seed, apart_tells=False)).disagreement for seed in range(6)]
    assert sum(each is None for each in silent) >= 3
    assert fit_spread([*drawn(100, 1), HeldOut("x", Sex.MALE, 100.0, 110.0)]).disagreement is None


def test_a_spread_is_the_mode_of_its_likelihood() -> None:
    films = drawn(300, 4, apart_tells=False)
    fitted = fit_spread(films)

    def loss(spread: Spread) -> float:
        logs = [
            float(np.log(spread.months(film.reading_months, [film.label_months], film.sex)[0]))
            for film in films
        ]
        missed = np.array([abs(film.reading_months - film.label_months) for film in films])
        weights = [w for by in (spread.by_reading, spread.by_label) for each in by.values() for w in each]
        return float((missed * np.exp(-np.array(logs)) + logs).mean() + 0.025 * np.square(weights).sum())

    fitted = Spread(fitted.level, fitted.by_reading, fitted.by_label)
    best = loss(fit_spread([HeldOut(f.child, f.sex, f.reading_months, f.label_months) for f in films]))
    rng = np.random.default_rng(0)
    for _ in range(20):
        nudged = {
            sex: tuple(np.array(by) + rng.normal(0, 0.05, len(by))) for sex, by in fitted.by_label.items()
        }
        assert loss(Spread(fitted.level, fitted.by_reading, nudged)) > best


@settings(max_examples=40)
@given(
    reading=st.floats(0, 240),
    label=st.floats(0, 240),
    sex=st.sampled_from([Sex.FEMALE, Sex.MALE]),
    coverage=st.floats(0.3, 0.97),
    apart=st.floats(0, 40),
)
def test_an_interval_holds_every_label_whose_score_is_small_enough(
    adaptive: Calibration, reading: float, label: float, sex: Sex, coverage: float, apart: float
) -> None:
    assert adaptive.spread is not None
    score = adaptive.spread.score(HeldOut("1", sex, reading, label, apart))
    cell = next(
        c for c in adaptive.cells if c.sex is sex and (reading < c.high_months or c.high_months == 240)
    )
    rank = int(np.ceil(round((len(cell.scores) + 1) * coverage, 9)))
    interval = adaptive.interval(reading, sex, coverage, disagreement_months=apart)
    assert interval.low_months <= reading <= interval.high_months
    if rank > len(cell.scores) or score < cell.scores[rank - 1] * (1 - 1e-3):
        assert interval.low_months - 0.02 <= label <= interval.high_months + 0.02


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_intervals_are_those_of_crepes(coverage: float) -> None:
    from crepes import ConformalRegressor

    spread = Spread(
        np.log(5.0),
        {"F": tuple(np.linspace(-0.5, 0.5, len(KNOTS_MONTHS))), "M": tuple(np.linspace(0.4, -0.4, 9))},
        {"F": FLAT, "M": FLAT},
        Disagreement(1.0, 0.5, 0.2),
    )
    known, new = drawn(1500, 5), drawn(300, 6)
    fitted = fit_calibration(known, spread=spread)

    def bins(films: list[HeldOut]) -> NDArray[np.int64]:
        places = [(cell.sex, cell.low_months, cell.high_months) for cell in fitted.cells]
        return np.array(
            [
                next(
                    i
                    for i, (sex, low, high) in enumerate(places)
                    if film.sex is sex
                    and low <= film.reading_months
                    and (film.reading_months < high or high == 240)
                )
                for film in films
            ]
        )

    def sigmas(films: list[HeldOut]) -> NDArray[np.float64]:
        return np.array(
            [spread.months(f.reading_months, [0.0], f.sex, f.disagreement_months)[0] for f in films]
        )

    def readings(films: list[HeldOut]) -> NDArray[np.float64]:
        return np.array([film.reading_months for film in films])

    oracle = ConformalRegressor()
    missed = np.array([film.label_months - film.reading_months for film in known])
    oracle.fit(missed, sigmas=sigmas(known), bins=bins(known))
    expected = oracle.predict_int(
        readings(new),
        sigmas=sigmas(new),
        bins=bins(new),
        confidence=coverage - 1e-9,  # its rank is floored in floating point, which may come out one too far
        y_min=0,
        y_max=240,
    )
    seen = {sex: fitted.seen_months(sex) for sex in (Sex.FEMALE, Sex.MALE)}
    within = [s[0] <= f.reading_months <= s[1] for f in new if (s := seen[f.sex])]
    assert sum(within) > 280
    assert np.allclose(ends(fitted, new, coverage)[within], expected[within], atol=0.01)


def test_a_reading_beyond_those_calibrated_on_opens_the_interval_to_the_end_of_the_scale() -> None:
    films = held_out(np.linspace(60, 180, 200), np.linspace(62, 182, 200), "F" * 200)
    fitted = fit_calibration(films)
    assert fitted.seen_months(Sex.FEMALE) == (60.0, 180.0)
    young, known, old = (fitted.interval(months, Sex.FEMALE, 0.9) for months in (40.0, 100.0, 200.0))
    assert (young.low_months, young.high_months) == (0.0, pytest.approx(42.0))
    assert (known.low_months, known.high_months) == (pytest.approx(98.0), pytest.approx(102.0))
    assert (old.low_months, old.high_months) == (pytest.approx(198.0), 240.0)


def test_a_spread_comes_back_from_json_with_its_calibration(adaptive: Calibration) -> None:
    stored = json.loads(json.dumps(adaptive.to_json()))
    assert calibration_from_json(stored) == adaptive
    assert stored["spread"]["disagreement"] is not None


@pytest.mark.parametrize(
    "change",
    [
        {"knots_months": [1.0, 2.0]},
        {"by_label": {"F": [0.0] * 9}},
        {"by_reading": {"F": [0.0] * 9, "M": [0.0] * 8}},
        {"level": float("nan")},
        {"disagreement": {"mean": 1.0}},
        {"disagreement": 3},
    ],
)
def test_a_spread_that_is_incomplete_is_refused(change: dict[str, object]) -> None:
    stored = Spread(1.0, {"F": FLAT, "M": FLAT}, {"F": FLAT, "M": FLAT}).to_json()
    with pytest.raises(ValueError, match="spread"):
        spread_from_json(stored | change)


def test_labels_shifted_in_the_calibration_films_are_seen_in_the_coverage_of_others() -> None:
    spread, films = fit_spread(drawn(800, 1)), drawn(600, 3)
    shifted = [
        HeldOut(f.child, f.sex, f.reading_months, min(240.0, f.label_months + 15), f.disagreement_months)
        for f in drawn(800, 2)
    ]
    for known, fine in ((drawn(800, 2), True), (shifted, False)):
        inside = held(ends(fit_calibration(known, spread=spread), films, 0.9), films)
        assert bool(binomtest(int(inside.sum()), len(films), 0.9).pvalue > 0.01) is fine
