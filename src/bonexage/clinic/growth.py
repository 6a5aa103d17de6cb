"""The standard deviation score of a bone age, from the Greulich-Pyle table.

Source: Greulich WW, Pyle SI. Radiographic Atlas of Skeletal Development of the Hand and Wrist, 2nd ed.,
Stanford University Press, 1959, tables V and VI. The numbers were taken from one secondary copy, not from the
book itself.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from bonexage.assessment import Interval, StandardDeviationScore
from bonexage.subject import Sex, Subject

NORM: Final = "Greulich and Pyle 1959, tables V and VI"
AUTHORS: Final = "Greulich and Pyle"
MARKED: Final = 2.0
ADVANCED: Final = "advanced"
DELAYED: Final = "delayed"
WITHIN: Final = "within 2 SD"

# chronological age in months: standard deviation of the skeletal age in months
_SD_MONTHS: Final[dict[Sex, dict[float, float]]] = {
    Sex.MALE: {
        12: 2.1, 18: 2.7, 24: 4.0, 30: 5.4, 36: 6.0, 42: 6.6, 48: 7.0, 54: 7.8, 60: 8.4, 66: 9.1, 72: 9.3,
        84: 10.1, 96: 10.8, 108: 11.0, 120: 11.4, 132: 10.5, 144: 10.4, 156: 11.1, 168: 12.0, 180: 14.2,
        192: 15.1, 204: 15.4,
    },
    Sex.FEMALE: {
        12: 2.7, 18: 3.4, 24: 4.0, 30: 4.8, 36: 5.6, 42: 6.5, 48: 7.2, 54: 8.0, 60: 8.6, 66: 8.9, 72: 9.0,
        84: 8.3, 96: 8.8, 108: 9.3, 120: 10.8, 132: 12.3, 144: 14.0, 156: 14.6, 168: 12.6, 180: 11.2,
    },
}  # fmt: skip


def score(
    bone_age_months: float, subject: Subject, interval: Interval | None = None
) -> StandardDeviationScore | None:
    """(bone age - chronological age) / SD, the SD interpolated in the table by chronological age.

    The ends of the bone age's interval are scored in the same way. None without a sex or a chronological age,
    and outside the table: boys 12 to 204 months, girls 12 to 180.
    """
    age = subject.age_months
    if age is None:
        return None
    spread = standard_deviation_months(age, subject.sex)
    if spread is None:
        return None
    value = (bone_age_months - age) / spread
    if interval is None:
        return StandardDeviationScore(value, NORM)
    low, high = ((end - age) / spread for end in (interval.low_months, interval.high_months))
    return StandardDeviationScore(value, NORM, low, high)


def standard_deviation_months(age_months: float, sex: Sex) -> float | None:
    """The table's standard deviation of skeletal age at a chronological age; None outside the table."""
    for (age, spread), (next_age, next_spread) in pairwise(_SD_MONTHS.get(sex, {}).items()):
        if age <= age_months <= next_age:
            return spread + (next_spread - spread) * (age_months - age) / (next_age - age)
    return None


def age_range_months(sex: Sex) -> tuple[float, float] | None:
    """The chronological ages the table reaches from and to; None for unknown sex."""
    ages = _SD_MONTHS.get(sex)
    return (min(ages), max(ages)) if ages else None


def describe(score: StandardDeviationScore) -> str:
    """'advanced' or 'delayed' beyond two standard deviations, 'within 2 SD' otherwise."""
    if abs(score.value) <= MARKED:
        return WITHIN
    return ADVANCED if score.value > 0 else DELAYED


def also_possible(score: StandardDeviationScore) -> tuple[str, ...]:
    """What else `describe` would say of scores inside the interval, often nothing."""
    if score.low is None or score.high is None:
        return ()
    inside = [DELAYED] * (score.low < -MARKED)
    inside += [WITHIN] * (score.low <= MARKED and score.high >= -MARKED)
    inside += [ADVANCED] * (score.high > MARKED)
    return tuple(word for word in inside if word != describe(score))
