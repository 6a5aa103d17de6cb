"""One child's bone ages over the years: how fast they rise, with an interval, and whether they ever fall."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Final

from bonexage.assessment import Assessment, Caution, Interval, StandardDeviationScore, years_and_months
from bonexage.clinic.growth import score
from bonexage.subject import Sex, Subject

# How far one observer's reading by the atlas errs, as a standard deviation. "Some factors influencing the
# replicability of assessments of skeletal maturity (Greulich-Pyle)" (90 films, 4 observers; its abstract)
# found that the bone age a child gained between two films differs by 0.68 years between two observers in the
# mean. For normal errors the mean difference of two is 2 / sqrt(pi) of their SD, and a gain holds the errors
# of two readings.
READER_SD_MONTHS: Final = 0.68 * 12 * math.sqrt(math.pi) / 2 / math.sqrt(2)
LEAST_SD_MONTHS: Final = 0.1


@dataclass(frozen=True)
class Visit:
    """A bone age at a chronological age, both in months.

    Attributes:
        age_months: chronological age.
        bone_age_months: bone age.
        interval: of the bone age; None where none is known.
        sds: None where there is no reference.
        file: the film it was read from; '' where it was given.
        cautions: what reading that film gave cause for.
    """

    age_months: float
    bone_age_months: float
    interval: Interval | None = None
    sds: StandardDeviationScore | None = None
    file: str = ""
    cautions: tuple[Caution, ...] = ()

    @property
    def error_sd_months(self) -> float:
        """Standard deviation of the bone age's error, as its interval gives it; else that of a reader."""
        if self.interval is None:
            return READER_SD_MONTHS
        reach = max(
            self.interval.high_months - self.bone_age_months, self.bone_age_months - self.interval.low_months
        )
        return max(reach / _quantile(self.interval.coverage), LEAST_SD_MONTHS)


@dataclass(frozen=True)
class Rate:
    """Months of bone age a year of life, with the ends of its interval."""

    months_a_year: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """One child followed.

    Attributes:
        sex: of the child.
        visits: by age.
        coverage: of the rates' intervals.
        rate: over all visits; None where all are of one age.
        steps: from each visit to the next; None where both are of one age.
        cautions: about the series as a whole.
    """

    sex: Sex
    visits: tuple[Visit, ...]
    coverage: float
    rate: Rate | None
    steps: tuple[Rate | None, ...]
    cautions: tuple[Caution, ...]


def visit(said: Assessment) -> Visit | None:
    """An assessment as a visit; None without a chronological age."""
    if said.subject.age_months is None:
        return None
    return Visit(
        said.subject.age_months, said.bone_age_months, said.interval, said.sds, said.file, said.cautions
    )


def given_visit(
    age_months: float, bone_age_months: float, sex: Sex, interval: Interval | None = None, file: str = ""
) -> Visit:
    """A bone age that was read before, scored against the norm."""
    sds = score(bone_age_months, Subject(sex, age_months), interval)
    return Visit(age_months, bone_age_months, interval, sds, file)


def follow(visits: Sequence[Visit], sex: Sex, coverage: float) -> Series:
    """Put one child's visits together.

    The rate is the slope of the line through the bone ages, each weighted by its error. Its interval takes
    the errors to be normal and those of different visits to be independent; one reader's or model's errors
    on one child are partly the same each time, and then the interval is too wide rather than too narrow.

    Args:
        visits: at least one, in any order.
        sex: of the child.
        coverage: share of its intervals, above 0 and below 1.
    """
    ordered = tuple(sorted(visits, key=lambda one: one.age_months))
    steps = tuple(_rate(pair, coverage) for pair in pairwise(ordered))
    return Series(sex, ordered, coverage, _rate(ordered, coverage), steps, tuple(_cautions(ordered, sex)))


def _rate(visits: Sequence[Visit], coverage: float) -> Rate | None:
    """Slope of the weighted least-squares line, in months a year."""
    weights = [1 / each.error_sd_months**2 for each in visits]
    middle = sum(w * each.age_months for w, each in zip(weights, visits, strict=True)) / sum(weights)
    level = sum(w * each.bone_age_months for w, each in zip(weights, visits, strict=True)) / sum(weights)
    spread = sum(w * (each.age_months - middle) ** 2 for w, each in zip(weights, visits, strict=True))
    if visits[-1].age_months - visits[0].age_months < 0.01 or spread <= 0:
        return None
    together = sum(
        w * (each.age_months - middle) * (each.bone_age_months - level)
        for w, each in zip(weights, visits, strict=True)
    )
    slope, reach = 12 * together / spread, 12 * _quantile(coverage) / math.sqrt(spread)
    return Rate(slope, slope - reach, slope + reach)


def _cautions(visits: Sequence[Visit], sex: Sex) -> Iterator[Caution]:
    if sex is Sex.UNKNOWN:
        yield Caution("sex-unknown", "The sex is not known, so there is no reference to compare with.")
    if any(each.interval is None for each in visits):
        yield Caution(
            "reader-error-assumed",
            "A bone age given without an interval is taken to err as one reader's does, with a standard "
            f"deviation of {READER_SD_MONTHS:.1f} months.",
        )
    for before, after in pairwise(visits):
        if after.age_months > before.age_months and _falls(before, after):
            yield Caution("bone-age-drop", _drop_sentence(before, after))


def _falls(before: Visit, after: Visit) -> bool:
    return round(after.bone_age_months, 1) < round(before.bone_age_months, 1)


def _drop_sentence(before: Visit, after: Visit) -> str:
    apart = 2 * math.hypot(before.error_sd_months, after.error_sd_months)
    within = before.bone_age_months - after.bone_age_months <= apart
    why = (
        "the error of two readings can make that difference"
        if within
        else "the error of two readings hardly makes that difference, so check the films, their dates and "
        "whose they are"
    )
    return (
        f"The bone age falls from {before.bone_age_months:.1f} months at the age of "
        f"{years_and_months(before.age_months)} to {after.bone_age_months:.1f} at "
        f"{years_and_months(after.age_months)}. Maturity does not go back; {why}."
    )


def _quantile(coverage: float) -> float:
    """How many standard deviations either way hold that share of a normal distribution."""
    return NormalDist().inv_cdf((1 + coverage) / 2)
