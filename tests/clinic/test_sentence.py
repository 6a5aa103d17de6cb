"""The plain sentence says what was found with the assessment's own numbers, and never what it means."""

from __future__ import annotations

import itertools
import re

import pytest

from bonexage.assessment import Assessment, Interval, Reading
from bonexage.clinic.growth import score
from bonexage.clinic.sentence import plain_sentence, series_sentence
from bonexage.clinic.series import Series, follow, given_visit
from bonexage.subject import Sex, Subject

FORBIDDEN = re.compile(
    r"diagnos|disease|disorder|syndrome|patholog|normal|healthy|ill\b|sick|deficien|precocious|pubert|tumour"
    r"|treat|therap|prescri|recommend|refer(?!ence)|should|must|suggest|indicat|consistent with|caused?\b"
    r"|because|due to|concern|worr|fine\b|reassur",
    re.IGNORECASE,
)
BONE_AGES = (0.0, 3.04, 11.6, 12.5, 47.96, 96.0, 126.5, 180.49, 203.0, 240.0)
AGES = (None, 0.0, 11.9, 12.0, 13.4, 47.96, 96.0, 126.5, 180.0, 180.1, 204.0, 204.5, 480.0)
WIDTHS = (None, 0.0, 6.3, 30.0)
GRID = list(itertools.product(BONE_AGES, AGES, Sex, WIDTHS))


def _assessed(bone_age: float, age: float | None, sex: Sex, width: float | None) -> Assessment:
    interval = (
        None if width is None else Interval(max(0.0, bone_age - width), min(240.0, bone_age + width), 0.9)
    )
    subject = Subject(sex, age)
    readings = tuple(
        Reading(one, min(240.0, max(0.0, bone_age + more)), None)
        for one, more in (("F", -7.2), ("M", 7.2))
        if sex in (Sex.UNKNOWN, one)
    )
    return Assessment(
        "hand.png", subject, bone_age, interval, "m@0", (), score(bone_age, subject, interval), readings
    )


def _said_in_years(sentence: str) -> list[int]:
    """Every age of the form '1 year 5 months', in whole months."""
    found = re.findall(r"(\d+) years? (\d+) months?", sentence)
    assert all(int(months) < 12 for _, months in found), sentence
    return [12 * int(years) + int(months) for years, months in found]


def _other_numbers(sentence: str) -> list[float]:
    """The numbers left when ages, '90% interval' and the mark of '2 SD' are taken out."""
    rest = re.sub(r"\d+ years? \d+ months?|\d+% interval|2 SD", "", sentence)
    return [float(number.replace("−", "-")) for number in re.findall(r"[+−]?\d+(?:\.\d+)?", rest)]


def test_over_a_grid_nothing_is_diagnosed_and_every_number_is_the_assessment_s_own() -> None:
    for bone_age, age, sex, width in GRID:
        said = _assessed(bone_age, age, sex, width)
        sentence = plain_sentence(said)
        assert not FORBIDDEN.search(sentence), sentence
        ages = [bone_age]
        ages += [said.interval.low_months, said.interval.high_months] if said.interval else []
        if sex is Sex.UNKNOWN:
            ages += [reading.bone_age_months for reading in said.readings]
        elif age is not None:
            ages.append(age)
        assert _said_in_years(sentence) == [round(months) for months in ages], sentence
        others = []
        if sex is not Sex.UNKNOWN and age is not None and round(bone_age - age, 1):
            others.append(round(abs(bone_age - age), 1))
        if said.sds:
            others.append(round(said.sds.value, 1))
            if said.sds.low is not None and said.sds.high is not None:
                others += [round(said.sds.low, 1), round(said.sds.high, 1)]
        assert _other_numbers(sentence) == pytest.approx(others), sentence


def test_over_a_grid_the_words_fit_the_numbers() -> None:
    for bone_age, age, sex, width in GRID:
        said = _assessed(bone_age, age, sex, width)
        sentence = plain_sentence(said)
        first = sentence.partition(" The interval leaves room")[0]
        compared = sex is not Sex.UNKNOWN and age is not None
        assert ("ahead of" in first) == bool(compared and age is not None and round(bone_age - age, 1) > 0)
        assert ("behind" in first) == bool(compared and age is not None and round(bone_age - age, 1) < 0)
        value = said.sds.value if said.sds else 0.0
        assert ("advanced" in first) == (value > 2)
        assert ("delayed" in first) == (value < -2)
        assert ("within 2 SD" in first) == bool(said.sds and abs(value) <= 2)
        assert ("no reference" in first) == (compared and said.sds is None)
        assert ("cannot be compared" in first) == (not compared)
        assert ("girl" in first, "boy" in first) == (sex is not Sex.MALE, sex is not Sex.FEMALE)


@pytest.mark.parametrize(
    ("bone_age", "width", "rest"),
    [
        (120.0, 10.0, ""),
        (120.0, 23.0, "an advanced bone age or a delayed one"),
        (130.0, 20.0, "an advanced bone age"),
        (110.0, 20.0, "a delayed one"),
        (145.0, 20.0, "one within 2 SD"),
        (95.0, 60.0, "an advanced bone age or one within 2 SD"),
    ],
)
def test_an_interval_that_crosses_two_sd_is_said_to_leave_room(
    bone_age: float, width: float, rest: str
) -> None:
    said = plain_sentence(_assessed(bone_age, 120.0, Sex.FEMALE, width))
    beyond = said.partition(" The interval leaves room for ")[2].rstrip(".")
    assert sorted(beyond.split(" or ")) == sorted(rest.split(" or "))


def test_it_reads_as_a_paediatrician_would_write_it() -> None:
    assert plain_sentence(_assessed(126.5, 100.0, Sex.FEMALE, 12.0)) == (
        "The bone age is 10 years 6 months (90% interval 9 years 6 months to 11 years 6 months) in a girl "
        "aged 8 years 4 months, 26.5 months ahead of her chronological age; the SDS is +3.0 (+1.6 to +4.3), "
        "advanced, more than 2 SD above the mean of Greulich and Pyle. "
        "The interval leaves room for one within 2 SD."
    )
    assert plain_sentence(_assessed(47.96, 204.5, Sex.MALE, None)) == (
        "The bone age is 4 years 0 months in a boy aged 17 years 0 months, 156.5 months behind his "
        "chronological age; Greulich and Pyle give no reference for a boy of this age."
    )


SERIES_GRID = list(
    itertools.product(
        ((60.0,), (60.0, 60.0), (36.0, 60.0), (47.96, 60.3, 100.0, 203.0), (100.0, 190.0, 300.0)),
        (-20.0, 0.0, 12.0, 30.0),
        Sex,
        (None, 3.0, 25.0),
    )
)


def _followed(ages: tuple[float, ...], a_year: float, sex: Sex, width: float | None) -> Series:
    visits = []
    for age in ages:
        bone_age = min(240.0, max(0.0, 90.0 + a_year * (age - 60.0) / 12))
        interval = width and Interval(max(0.0, bone_age - width), min(240.0, bone_age + width), 0.8)
        visits.append(given_visit(age, bone_age, sex, interval or None))
    return follow(visits, sex, 0.95)


def test_over_a_grid_a_series_is_told_in_its_own_numbers_and_nothing_is_diagnosed() -> None:
    for ages, a_year, sex, width in SERIES_GRID:
        series = _followed(ages, a_year, sex, width)
        sentence = series_sentence(series)
        first, last, rate = series.visits[0], series.visits[-1], series.rate
        assert not FORBIDDEN.search(sentence), sentence
        assert not any(FORBIDDEN.search(caution.sentence) for caution in series.cautions)
        told: list[float] = []
        others: list[float] = []
        if rate:
            told += [first.age_months, last.age_months, first.bone_age_months, last.bone_age_months]
            others += [len(ages), *(round(each, 1) for each in (rate.months_a_year, rate.low, rate.high))]
        if last.sds and last.sds.low is not None and last.sds.high is not None:
            others += [round(each, 1) for each in (last.sds.value, last.sds.low, last.sds.high)]
        elif last.sds:
            others.append(round(last.sds.value, 1))
        elif sex is not Sex.UNKNOWN:
            told.append(last.age_months)
        assert _said_in_years(sentence) == [round(months) for months in told], sentence
        without = sentence.replace("the 12 months of a year", "")
        assert _other_numbers(without) == pytest.approx(others), sentence
        assert ("faster than" in sentence) == bool(rate and rate.low > 12)
        assert ("slower than" in sentence) == bool(rate and rate.high < 12)
        assert ("no two ages" in sentence) == (rate is None)
        assert ("no reference" in sentence) == (sex is not Sex.UNKNOWN and last.sds is None)
