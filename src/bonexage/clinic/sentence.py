"""What is found, as a paediatrician would write it down: plain sentences that never say what it means."""

from __future__ import annotations

from bonexage.assessment import Assessment, Interval, Reading, StandardDeviationScore, years_and_months
from bonexage.clinic.growth import ADVANCED, AUTHORS, DELAYED, WITHIN, also_possible, describe
from bonexage.clinic.series import Rate, Series, Visit
from bonexage.numbers import interval_name, percent, score, unsigned
from bonexage.subject import Sex, Subject

_OWN = {Sex.FEMALE: "her", Sex.MALE: "his"}
_VERDICTS = {
    ADVANCED: f"advanced, more than 2 SD above the mean of {AUTHORS}",
    DELAYED: f"delayed, more than 2 SD below the mean of {AUTHORS}",
    WITHIN: f"within 2 SD of the mean of {AUTHORS}",
}
_ALSO = {ADVANCED: "an advanced bone age", DELAYED: "a delayed one", WITHIN: "one within 2 SD"}


def plain_sentence(said: Assessment) -> str:
    """The bone age, how it stands to the chronological age, and how sure that is, in one or two sentences.

    It describes and compares; it names no cause and makes no diagnosis. Ages are in years and months, the
    difference in months and the score both with one decimal.
    """
    subject = said.subject
    stated = f"The bone age is {years_and_months(said.bone_age_months)}{_interval(said.interval)}"
    if subject.sex is Sex.UNKNOWN:
        return f"{stated}{_both(said.readings)}; without the sex it cannot be compared with a reference."
    if subject.age_months is None:
        return (
            f"{stated} in a {subject.sex.word}; without {_OWN[subject.sex]} chronological age it cannot be "
            "compared with a reference."
        )
    stated += (
        f" in a {subject.sex.word} aged {years_and_months(subject.age_months)}, "
        f"{_difference(said.bone_age_months - subject.age_months, subject)}"
    )
    if said.sds is None:
        return f"{stated}; {AUTHORS} give no reference for a {subject.sex.word} of this age."
    return f"{stated}; the SDS is {score(said.sds)}, {_VERDICTS[describe(said.sds)]}.{_also(said.sds)}"


def nearest_sentence(said: Assessment) -> str:
    """Which plate the film looks most like to the network, where that disagrees; else nothing."""
    if said.nearest is None:
        return ""
    plate = f"the {said.nearest.sex.word}s' plate of {years_and_months(said.nearest.months)}"
    return f"To the network the film looks most like {plate}, not like those next to its bone age: compare."


def series_sentence(series: Series) -> str:
    """How fast one child's bone age rises and how the last one stands, in up to three sentences."""
    last = series.visits[-1]
    if series.rate is None:
        return f"There are no two ages to tell a rate from. {_last_sentence(last, series.sex)}"
    first, rate = series.visits[0], series.rate
    return (
        f"From {years_and_months(first.age_months)} to {years_and_months(last.age_months)} of age, in "
        f"{len(series.visits)} readings, the bone age went from {years_and_months(first.bone_age_months)} to "
        f"{years_and_months(last.bone_age_months)}: {unsigned(rate.months_a_year)} months a year "
        f"({percent(series.coverage)} interval {unsigned(rate.low)} to {unsigned(rate.high)}), "
        f"{_pace(rate)}. {_last_sentence(last, series.sex)}"
    )


def _pace(rate: Rate) -> str:
    if rate.low > 12:
        return "faster than the years went by"
    if rate.high < 12:
        return "slower than the years went by"
    return "which leaves room for the 12 months of a year"


def _last_sentence(last: Visit, sex: Sex) -> str:
    if last.sds:
        return f"At the last one the SDS is {score(last.sds)}, {_VERDICTS[describe(last.sds)]}."
    if sex is Sex.UNKNOWN:
        return "Without the sex it cannot be compared with a reference."
    return f"{AUTHORS} give no reference for a {sex.word} of {years_and_months(last.age_months)}."


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return ""
    low, high = years_and_months(interval.low_months), years_and_months(interval.high_months)
    return f" ({interval_name(interval)} {low} to {high})"


def _difference(months: float, subject: Subject) -> str:
    own = f"{_OWN[subject.sex]} chronological age"
    if round(months, 1) == 0:
        return f"level with {own}"
    return f"{abs(months):.1f} months {'ahead of' if months > 0 else 'behind'} {own}"


def _also(sds: StandardDeviationScore) -> str:
    others = [_ALSO[word] for word in also_possible(sds)]
    return f" The interval leaves room for {' or '.join(others)}." if others else ""


def _both(readings: tuple[Reading, ...]) -> str:
    if len(readings) < 2:
        return ""
    ages = [f"{years_and_months(each.bone_age_months)} as a {Sex(each.sex).word}'s" for each in readings]
    return f", midway between {' and '.join(ages)}"
