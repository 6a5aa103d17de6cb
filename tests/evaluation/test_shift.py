"""Two-sample tests give what scipy gives, and a correction for many of them keeps its promise."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from bonexage.evaluation.coverage import holm
from bonexage.evaluation.shift import CHI_SQUARE, FISHER, chi_square_tail, two_counts, two_samples

NUMBERS = st.lists(st.integers(0, 12), min_size=1, max_size=30)


@settings(max_examples=60)
@given(NUMBERS, NUMBERS)
@example([1, 1, 2, 3, 4], [1, 2, 3, 4, 4])
def test_numbers_are_compared_as_scipy_does_ties_and_all(one: list[int], other: list[int]) -> None:
    with warnings.catch_warnings(record=True) as gave_up:
        warnings.simplefilter("always")
        oracle = stats.ks_2samp(one, other, method="exact")
    found = two_samples(one, other)
    assert found.statistic == pytest.approx(oracle.statistic)
    # Where its own sum comes out a little above 1, scipy says so and gives the limit in place of it.
    assert found.p == pytest.approx(1.0 if gave_up else oracle.pvalue, abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.3])
def test_many_numbers_are_compared_exactly_too(shift: float) -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(0, 1, 900), rng.normal(shift, 1, 1400)
    oracle = stats.ks_2samp(one, other, method="exact")
    assert two_samples(one, other).p == pytest.approx(oracle.pvalue, abs=1e-9)


def test_beyond_what_is_counted_exactly_the_limit_is_near() -> None:
    rng = np.random.default_rng(4)
    one, other = rng.normal(0, 1, 12_000), rng.normal(0.02, 1, 11_000)
    oracle = stats.ks_2samp(one, other, method="asymp")
    assert two_samples(one, other).p == pytest.approx(oracle.pvalue, rel=0.03)


@settings(max_examples=60)
@given(*[st.integers(0, 40)] * 4)
def test_two_kinds_are_compared_by_fishers_test_as_scipy_does(a: int, b: int, c: int, d: int) -> None:
    found = two_counts([a, b], [c, d])
    assert found.test == FISHER
    assert found.p == pytest.approx(stats.fisher_exact([[a, b], [c, d]]).pvalue, abs=1e-9)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(10, 300), st.integers(10, 300)), min_size=3, max_size=11))
def test_many_kinds_are_compared_by_chi_square_as_scipy_does(kinds: list[tuple[int, int]]) -> None:
    one, other = ([each[at] for each in kinds] for at in (0, 1))
    expected = stats.contingency.expected_freq([one, other])
    found = two_counts(one, other)
    if expected.min() >= 5:
        oracle = stats.chi2_contingency([one, other], correction=False)
        assert (found.test, found.statistic) == (CHI_SQUARE, pytest.approx(oracle.statistic))
        assert found.p == pytest.approx(oracle.pvalue, abs=1e-12)


@given(st.floats(0.001, 200), st.integers(1, 30))
def test_the_tail_of_chi_square_is_scipys(statistic: float, degrees: int) -> None:
    assert chi_square_tail(statistic, degrees) == pytest.approx(
        stats.chi2.sf(statistic, degrees), rel=1e-9, abs=1e-300
    )


def test_rare_kinds_are_joined_with_a_neighbour_and_empty_ones_left_out() -> None:
    joined = two_counts([40, 50, 30], [30, 60, 35])
    assert two_counts([40, 50, 0, 29, 1], [30, 60, 0, 34, 1]) == joined
    assert two_counts([40, 0], [30, 0]).p == 1.0
    assert two_counts([0, 0], [30, 4]).p == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_correction_is_holms(chances: list[float]) -> None:
    found = holm(chances)
    order = sorted(range(len(chances)), key=lambda at: chances[at])
    raised = [(len(chances) - rank) * chances[at] for rank, at in enumerate(order)]
    assert [found[at] for at in order] == pytest.approx(
        [min(1.0, max(raised[: k + 1])) for k in range(len(raised))]
    )


def test_false_alarms_stay_as_rare_as_promised() -> None:
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(200):
        chances = [two_samples(rng.normal(size=40), rng.normal(size=60)).p for _ in range(5)]
        alarms += min(holm(chances)) < 0.05
    assert alarms <= stats.binom.ppf(0.999, 200, 0.05)
