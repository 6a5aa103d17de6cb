"""The rate is that of the line through the bone ages, its interval holds, and a fall is a caution."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bonexage.assessment import Assessment, Interval
from bonexage.clinic.growth import score
from bonexage.clinic.series import READER_SD_MONTHS, Visit, follow, given_visit, visit
from bonexage.subject import Sex, Subject


def with_error(age: float, bone_age: float, sd: float, coverage: float = 0.9) -> Visit:
    reach = sd * NormalDist().inv_cdf((1 + coverage) / 2)
    return Visit(age, bone_age, Interval(bone_age - reach, bone_age + reach, coverage))


visits = st.lists(
    st.tuples(st.floats(12, 200), st.floats(60, 180), st.floats(1, 20)),
    min_size=2,
    max_size=8,
    unique_by=lambda one: round(one[0]),
)


@given(visits)
def test_the_rate_is_the_slope_of_the_weighted_line(points):
    ages, bone_ages, errors = (np.array(column) for column in zip(*points, strict=True))
    assume(np.ptp(ages) > 1)
    found = follow([with_error(*point) for point in points], Sex.MALE, 0.9).rate
    slope, covariance = (
        np.polyfit(ages / 12, bone_ages, 1, w=1 / errors, cov="unscaled")
        if len(points) > 2
        else (np.polyfit(ages / 12, bone_ages, 1), None)
    )
    assert found.months_a_year == pytest.approx(slope[0], rel=1e-6, abs=1e-6)
    if covariance is not None:
        reach = NormalDist().inv_cdf(0.95) * math.sqrt(covariance[0, 0])
        assert found.high - found.months_a_year == pytest.approx(reach, rel=1e-6)
    assert found.months_a_year - found.low == pytest.approx(found.high - found.months_a_year)


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_the_interval_of_the_rate_covers_what_it_says(coverage):
    rng = np.random.default_rng(0)
    ages, errors, true = np.array([60.0, 75.0, 90.0, 111.0]), np.array([4.0, 9.0, 6.0, 5.0]), 10.5
    inside = 0
    for _ in range(1000):
        read = 80 + true * ages / 12 + rng.normal(0, errors)
        points = [with_error(*point) for point in zip(ages, read, errors, strict=True)]
        rate = follow(points, Sex.MALE, coverage).rate
        inside += rate.low <= true <= rate.high
    spread = math.sqrt(coverage * (1 - coverage) / 1000)
    assert abs(inside / 1000 - coverage) < 4 * spread


def test_the_order_of_the_visits_does_not_matter_and_each_step_has_its_rate():
    three = [given_visit(72, 60, Sex.MALE), given_visit(84, 75, Sex.MALE), given_visit(90, 79, Sex.MALE)]
    found = follow(three[::-1], Sex.MALE, 0.9)
    assert found == follow(three, Sex.MALE, 0.9)
    assert [step.months_a_year for step in found.steps] == pytest.approx([15.0, 8.0])
    assert found.steps[1].high - found.steps[1].low > found.steps[0].high - found.steps[0].low


def test_a_bone_age_without_an_interval_errs_as_a_reader_does_and_it_is_said():
    rng = np.random.default_rng(1)
    two_gains = rng.normal(0, READER_SD_MONTHS * math.sqrt(2), (2, 200_000))
    assert np.abs(two_gains[0] - two_gains[1]).mean() / 12 == pytest.approx(0.68, abs=0.01)
    found = follow([given_visit(60, 60, Sex.MALE), given_visit(72, 72, Sex.MALE)], Sex.MALE, 0.9)
    (caution,) = found.cautions
    assert caution.code == "reader-error-assumed"
    assert f"{READER_SD_MONTHS:.1f} months" in caution.sentence
    reach = READER_SD_MONTHS * math.sqrt(2) * NormalDist().inv_cdf(0.95)
    assert found.rate.high == pytest.approx(12 + reach)


def test_an_interval_cut_off_at_the_scale_s_end_does_not_make_a_reading_surer():
    assert Visit(200, 236, Interval(220, 240, 0.9)).error_sd_months == pytest.approx(
        16 / NormalDist().inv_cdf(0.95)
    )
    assert Visit(200, 236, Interval(236, 236, 0.9)).error_sd_months > 0


@given(st.lists(st.floats(0, 240), min_size=1, max_size=6))
def test_every_fall_is_a_caution_and_nothing_else_is(bone_ages):
    falls = sum(round(b, 1) < round(a, 1) for a, b in pairwise(bone_ages))
    found = follow(
        [Visit(60.0 + 6 * n, age, Interval(0, 240, 0.9)) for n, age in enumerate(bone_ages)], Sex.MALE, 0.9
    )
    assert [caution.code for caution in found.cautions] == ["bone-age-drop"] * falls


def test_a_fall_says_from_what_to_what_and_whether_two_readings_err_that_much():
    small = follow([with_error(60, 60, 5), with_error(72, 55, 5)], Sex.MALE, 0.9).cautions[0].sentence
    assert "from 60.0 months at the age of 5 years 0 months to 55.0 at 6 years 0 months" in small
    assert "can make that difference" in small
    large = follow([with_error(60, 60, 5), with_error(72, 40, 5)], Sex.MALE, 0.9).cautions[0].sentence
    assert "check the films" in large


def test_visits_of_one_age_have_no_rate_and_no_fall():
    found = follow([given_visit(60, 60, Sex.MALE), given_visit(60, 50, Sex.MALE)], Sex.MALE, 0.9)
    assert (found.rate, found.steps) == (None, (None,))
    assert "bone-age-drop" not in [caution.code for caution in found.cautions]
    assert follow([given_visit(60, 60, Sex.MALE)], Sex.MALE, 0.9).rate is None


def test_an_unknown_sex_has_no_reference_and_it_is_said():
    found = follow([given_visit(60, 60, Sex.UNKNOWN)], Sex.UNKNOWN, 0.9)
    assert found.visits[0].sds is None
    assert "sex-unknown" in [caution.code for caution in found.cautions]


def test_a_given_bone_age_is_scored_as_an_assessed_one():
    interval = Interval(80, 120, 0.9)
    assert given_visit(90, 100, Sex.FEMALE, interval).sds == score(100, Subject(Sex.FEMALE, 90), interval)
    said = Assessment("f.png", Subject(Sex.FEMALE, 90.0), 100.0, interval, "m@0")
    assert visit(said) == Visit(90.0, 100.0, interval, None, "f.png")
    assert visit(Assessment("f.png", Subject(), 100.0, interval, "m@0")) is None
