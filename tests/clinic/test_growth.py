"""The standard deviation score comes from the table, and from nothing beyond it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonexage.assessment import Interval, StandardDeviationScore
from bonexage.clinic.growth import (
    NORM,
    age_range_months,
    also_possible,
    describe,
    score,
    standard_deviation_months,
)
from bonexage.subject import Sex, Subject

RANGES = {Sex.MALE: (12.0, 204.0), Sex.FEMALE: (12.0, 180.0)}


@pytest.mark.parametrize(
    ("sex", "age", "spread"),
    [
        (Sex.MALE, 12, 2.1),
        (Sex.MALE, 72, 9.3),
        (Sex.MALE, 132, 10.5),
        (Sex.MALE, 204, 15.4),
        (Sex.FEMALE, 12, 2.7),
        (Sex.FEMALE, 84, 8.3),
        (Sex.FEMALE, 156, 14.6),
        (Sex.FEMALE, 180, 11.2),
        (Sex.MALE, 78, 9.7),
        (Sex.FEMALE, 15, 3.05),
    ],
)
def test_the_spread_is_the_tables_and_in_between_on_the_line(sex: Sex, age: float, spread: float) -> None:
    assert standard_deviation_months(age, sex) == pytest.approx(spread)


@given(sex=st.sampled_from(list(Sex)), age=st.floats(0, 300), bone_age=st.floats(0, 240))
def test_there_is_a_score_inside_the_table_and_none_outside(sex: Sex, age: float, bone_age: float) -> None:
    given_score = score(bone_age, Subject(sex, age))
    low, high = RANGES.get(sex, (1.0, 0.0))
    assert (given_score is not None) == (low <= age <= high)
    if given_score:
        spread = standard_deviation_months(age, sex)
        assert spread is not None
        assert 2.1 <= spread <= 15.4
        assert given_score.value * spread == pytest.approx(bone_age - age)
        assert given_score.norm == NORM


@given(
    sex=st.sampled_from([Sex.MALE, Sex.FEMALE]),
    age=st.floats(12, 180),
    ends=st.lists(st.floats(0, 240), min_size=3, max_size=3).map(sorted),
    coverage=st.floats(0.5, 0.99),
)
def test_the_interval_is_carried_through_to_the_score(
    sex: Sex, age: float, ends: list[float], coverage: float
) -> None:
    low, bone_age, high = ends
    carried = score(bone_age, Subject(sex, age), Interval(low, high, coverage))
    assert carried is not None
    assert carried.low is not None
    assert carried.high is not None
    assert carried.low <= carried.value <= carried.high
    for end, months in ((carried.low, low), (carried.high, high)):
        alone = score(months, Subject(sex, age))
        assert alone is not None
        assert end == pytest.approx(alone.value)


@given(value=st.floats(-6, 6), reach=st.tuples(st.floats(0, 4), st.floats(0, 4)), share=st.floats(0, 1))
def test_what_else_is_possible_is_what_a_score_inside_the_interval_could_be_called(
    value: float, reach: tuple[float, float], share: float
) -> None:
    low, high = value - reach[0], value + reach[1]
    given_score = StandardDeviationScore(value, NORM, low, high)
    words = {describe(given_score), *also_possible(given_score)}
    assert describe(StandardDeviationScore(low + share * (high - low), NORM)) in words
    ends = {describe(StandardDeviationScore(end, NORM)) for end in (low, high)}
    assert words - ends <= {"within 2 SD", describe(given_score)}
    assert also_possible(StandardDeviationScore(value, NORM)) == ()


def test_without_a_chronological_age_there_is_no_score() -> None:
    assert score(100.0, Subject(Sex.MALE)) is None


def test_the_tables_reach_is_told() -> None:
    assert {sex: age_range_months(sex) for sex in RANGES} == RANGES
    assert age_range_months(Sex.UNKNOWN) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [(2.0, "within 2 SD"), (-2.0, "within 2 SD"), (2.01, "advanced"), (-2.01, "delayed"), (0, "within 2 SD")],
)
def test_more_than_two_either_way_is_advanced_or_delayed(value: float, words: str) -> None:
    assert describe(StandardDeviationScore(value, NORM)) == words


def test_the_norm_names_its_source() -> None:
    assert "Greulich" in NORM
    assert "1959" in NORM
