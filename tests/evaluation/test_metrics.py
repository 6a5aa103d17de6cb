"""Figures agree with hand computation, with SciPy, and with what must hold of them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bonexage.evaluation.metrics import Agreement, agreement, mean_over_children

MONTHS = st.floats(0, 240, width=32)
PAIRS = st.lists(st.tuples(MONTHS, MONTHS), min_size=1, max_size=12)
FEW = 200


def _columns(pairs):
    return np.array(pairs, dtype=float).T


@pytest.fixture(scope="module")
def films():
    rng = np.random.default_rng(7)
    labelled = rng.uniform(12, 216, 150)
    return labelled + rng.normal(2, 10, 150), labelled


def test_figures_of_four_films_are_those_computed_by_hand():
    found = agreement([10, 34, 58, 90], [12, 30, 60, 70], intervals=[[5, 15], [31, 40], [50, 60], [60, 100]])
    # Differences -2, 4, -2, 20: sum 20, squares 424; labels about 43: 961 + 169 + 289 + 729 = 2148.
    assert found.films == 4
    assert found.mae_months.value == pytest.approx(7)
    assert found.median_months.value == pytest.approx(3)
    assert found.bias_months.value == pytest.approx(5)
    assert found.rmse_months.value == pytest.approx(math.sqrt(106))
    assert found.r2.value == pytest.approx(1 - 424 / 2148)
    sd = math.sqrt((49 + 1 + 49 + 225) / 3)
    assert found.limit_low_months.value == pytest.approx(5 - 1.96 * sd)
    assert found.limit_high_months.value == pytest.approx(5 + 1.96 * sd)
    assert found.within_6_months.value == 0.75
    assert found.within_12_months.value == 0.75
    assert found.within_24_months.value == 1
    assert found.covered is not None
    assert found.covered.value == 0.75
    assert found.interval_width_months is not None
    assert found.interval_width_months.value == pytest.approx((10 + 9 + 10 + 40) / 4)


@pytest.mark.parametrize("children", [2, 16, 50])
def test_a_share_of_all_or_none_has_the_exact_interval(children):
    labelled = np.linspace(24, 200, children)
    found = agreement(labelled + 9, labelled)
    for share, counted in ((found.within_6_months, 0), (found.within_12_months, children)):
        exact = stats.binomtest(counted, children).proportion_ci(0.95, method="exact")
        assert (share.low, share.high) == pytest.approx((exact.low, exact.high))


def test_a_mean_over_films_draws_children_with_all_their_films():
    values = np.random.default_rng(0).normal(size=40)
    once = mean_over_children(values)
    twice = mean_over_children(np.repeat(values, 2), [str(n // 2) for n in range(80)])
    assert (twice.value, twice.low, twice.high) == pytest.approx((once.value, once.low, once.high), abs=0.02)
    apart = mean_over_children(np.repeat(values, 2))
    assert apart.high - apart.low < 0.8 * (twice.high - twice.low)


def _r2(predicted, labelled, axis=-1):
    unexplained = ((predicted - labelled) ** 2).sum(axis=axis)
    return 1 - unexplained / ((labelled - labelled.mean(axis=axis, keepdims=True)) ** 2).sum(axis=axis)


@pytest.mark.parametrize(
    ("name", "statistic"),
    [
        ("mae_months", lambda p, y, axis=-1: np.abs(p - y).mean(axis=axis)),
        ("median_months", lambda p, y, axis=-1: np.median(np.abs(p - y), axis=axis)),
        ("rmse_months", lambda p, y, axis=-1: np.sqrt(((p - y) ** 2).mean(axis=axis))),
        ("bias_months", lambda p, y, axis=-1: (p - y).mean(axis=axis)),
        ("r2", _r2),
        (
            "limit_high_months",
            lambda p, y, axis=-1: (p - y).mean(axis=axis) + 1.96 * (p - y).std(axis=axis, ddof=1),
        ),
        ("within_12_months", lambda p, y, axis=-1: (np.abs(p - y) <= 12).mean(axis=axis)),
    ],
)
def test_values_and_intervals_agree_with_scipys_bootstrap(films, name, statistic):
    found = dict(agreement(*films, resamples=4000).figures())[name]
    reference = stats.bootstrap(
        films, statistic, paired=True, vectorized=True, n_resamples=4000, method="percentile", rng=11
    )
    assert found.value == pytest.approx(float(statistic(*films)), rel=1e-9)
    wide = reference.confidence_interval.high - reference.confidence_interval.low
    assert found.low == pytest.approx(reference.confidence_interval.low, abs=0.12 * wide)
    assert found.high == pytest.approx(reference.confidence_interval.high, abs=0.12 * wide)


@settings(max_examples=40, deadline=None)
@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_the_films_changes_nothing(pairs, random):
    shuffled = list(pairs)
    random.shuffle(shuffled)
    first, second = (agreement(*_columns(some), resamples=FEW) for some in (pairs, shuffled))
    for (name, one), (_, other) in zip(first.figures(), second.figures(), strict=True):
        for part in ("value", "low", "high"):
            assert getattr(one, part) == pytest.approx(getattr(other, part), abs=1e-6, nan_ok=True), name


@settings(max_examples=40, deadline=None)
@given(PAIRS)
def test_changing_sides_turns_bias_and_limits_round_and_keeps_the_distances(pairs):
    predicted, labelled = _columns(pairs)
    there, back = (
        agreement(predicted, labelled, resamples=5),
        agreement(labelled, predicted, resamples=5),
    )
    assert there.bias_months.value == pytest.approx(-back.bias_months.value, abs=1e-9)
    assert there.limit_low_months.value == pytest.approx(-back.limit_high_months.value, abs=1e-6, nan_ok=True)
    for name in ("mae_months", "median_months", "rmse_months", "within_6_months"):
        assert getattr(there, name).value == pytest.approx(getattr(back, name).value, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_what_must_hold_of_any_films_holds(pairs):
    found = agreement(*_columns(pairs), resamples=FEW)
    assert abs(found.bias_months.value) <= found.mae_months.value + 1e-9
    assert found.mae_months.value <= found.rmse_months.value + 1e-9
    assert found.median_months.value == pytest.approx(np.median([abs(p - y) for p, y in pairs]))
    assert math.isnan(found.r2.value) or found.r2.value <= 1 + 1e-9
    assert found.within_6_months.value <= found.within_12_months.value <= found.within_24_months.value
    for name, figure in found.figures():
        assert math.isnan(figure.low) or figure.low <= figure.high, name


@settings(max_examples=20, deadline=None)
@given(PAIRS, st.floats(0, 60, width=32))
def test_moving_all_ages_by_the_same_months_changes_no_figure(pairs, months):
    predicted, labelled = _columns(pairs)
    moved = agreement(predicted + months, labelled + months, resamples=5)
    plain = agreement(predicted, labelled, resamples=5)
    for name in ("mae_months", "median_months", "rmse_months", "bias_months"):
        assert getattr(moved, name).value == pytest.approx(getattr(plain, name).value, abs=1e-6)


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others(films):
    assert agreement(*films, seed=3, resamples=FEW) == agreement(*films, seed=3, resamples=FEW)
    assert agreement(*films, seed=3, resamples=FEW) != agreement(*films, seed=4, resamples=FEW)


def test_children_are_drawn_with_all_their_films(films):
    predicted, labelled = (np.repeat(column, 4) for column in films)
    children = [f"child {number}" for number in range(150) for _ in range(4)]
    by_child = agreement(predicted, labelled, children=children)
    by_film = agreement(predicted, labelled)
    once = agreement(*films)
    assert (by_child.films, by_child.children, by_film.children) == (600, 150, 600)

    def width(found: Agreement) -> float:
        return found.mae_months.high - found.mae_months.low

    # Four copies of a film teach nothing new: the interval is that of 150 films, not half as wide.
    assert width(by_child) == pytest.approx(width(once), rel=0.1)
    assert width(by_film) == pytest.approx(width(once) / 2, rel=0.1)


def test_resampling_in_parts_gives_what_one_part_gives(films, monkeypatch):
    whole = agreement(*films, resamples=101)
    monkeypatch.setattr("bonexage.evaluation.metrics._CELLS_AT_ONCE", 150 * 7)
    parts = agreement(*films, resamples=101)
    assert parts.mae_months.low == pytest.approx(whole.mae_months.low)
    assert parts.r2.high == pytest.approx(whole.r2.high)


def test_one_film_has_a_value_and_no_interval():
    found = agreement([100], [97])
    assert found.mae_months.value == 3
    assert math.isnan(found.mae_months.low)
    assert math.isnan(found.r2.value)
    assert math.isnan(found.limit_low_months.value)
    assert found.as_dict()["r2"] == {"value": None, "low": None, "high": None}


def test_labels_all_alike_leave_r2_undefined_and_the_rest_in_place():
    found = agreement([100, 101, 99], [100, 100, 100], resamples=FEW)
    assert math.isnan(found.r2.value)
    assert found.mae_months.value == pytest.approx(2 / 3)
    assert found.covered is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"predicted": [], "labelled": []},
        {"predicted": [1, 2], "labelled": [1]},
        {"predicted": [math.nan], "labelled": [1]},
        {"predicted": [1], "labelled": [1], "resamples": 0},
        {"predicted": [1], "labelled": [1], "children": ["a", "b"]},
        {"predicted": [1], "labelled": [1], "intervals": [[0, 1], [0, 1]]},
    ],
)
def test_what_cannot_be_compared_is_refused(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        agreement(**wrong)


def test_the_mean_over_children_has_the_interval_that_agreement_gives():
    rng = np.random.default_rng(0)
    away = np.sort(rng.uniform(0, 30, 60))
    found = mean_over_children(away, seed=3, resamples=500)
    same = agreement(100 + away, np.full(60, 100.0), seed=3, resamples=500).mae_months
    assert (found.value, found.low, found.high) == pytest.approx((same.value, same.low, same.high))
