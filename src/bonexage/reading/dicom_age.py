"""The age that a DICOM header states, by Patient's Age and by its dates, and why an age cannot be used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from pydicom.dataset import Dataset

from bonexage.assessment import Caution
from bonexage.reading.dates import day_in
from bonexage.reading.dicom_values import text
from bonexage.subject import DAYS_A_MONTH

# Months that Patient's Age and the age by Birth Date may differ beyond what the unit explains.
AGE_TOLERANCE_MONTHS: Final = 1.0
# An age above 100 years comes far more often from a date that stands for none, such as 19000101.
OLDEST_MONTHS: Final = 1200.0

AGE_UNCLEAR: Final = Caution(
    "age-unclear", "The header's age and its birth date do not agree; its age was taken."
)
NOT_WRITTEN_AS_AGE: Final = Caution(
    "age-unusable", "The header's age cannot be used: it is not written as an age, such as 010Y or 126M."
)
BIRTH_UNREADABLE: Final = Caution(
    "age-unusable", "The header's age cannot be used: the birth date is no date that can be read."
)
STUDY_UNREADABLE: Final = Caution(
    "age-unusable", "The header's age cannot be used: the study date is no date that can be read."
)
STUDY_MISSING: Final = Caution(
    "age-unusable", "The header's age cannot be used: there is a birth date, but no study date."
)
STUDY_TO_COME: Final = Caution(
    "age-unusable", "The header's age cannot be used: the study date lies in the future."
)
BORN_AFTER_STUDY: Final = Caution(
    "age-unusable",
    "The header's age cannot be used: the birth date lies after the study date. The header may be of another "
    "patient.",
)
TOO_OLD: Final = Caution("age-unusable", "The header's age cannot be used: it would be more than 100 years.")

_UNIT_MONTHS: Final = {"D": 1 / DAYS_A_MONTH, "W": 7 / DAYS_A_MONTH, "M": 1.0, "Y": 12.0}
_DATES: Final = ("StudyDate", "AcquisitionDate", "ContentDate", "SeriesDate", "AcquisitionDateTime")
# Faults of the dates that contradict a usable Patient's Age; the others only leave the dates without a word.
_CONTRADICTIONS: Final = (BORN_AFTER_STUDY, TOO_OLD)


@dataclass(frozen=True)
class StatedAge:
    """An age, and how many months older the child may be."""

    months: float
    slack_months: float


def age_of(dataset: Dataset, *, today: date | None = None) -> tuple[StatedAge | None, tuple[Caution, ...]]:
    """The age that a header states, and what to be wary of; None where it states none that can be used.

    Args:
        dataset: the header.
        today: the last day on which a film can have been taken; None for this day.
    """
    stated = _by_age(dataset)
    dated = _by_dates(dataset, today or date.today())
    if isinstance(stated, StatedAge):
        if isinstance(dated, StatedAge):
            return (dated, ()) if _agree(stated, dated) else (stated, (AGE_UNCLEAR,))
        return stated, (AGE_UNCLEAR,) if dated in _CONTRADICTIONS else ()
    if isinstance(dated, StatedAge):
        return dated, ()
    fault = dated or stated
    return None, (fault,) if fault else ()


def _agree(stated: StatedAge, dated: StatedAge) -> bool:
    low = stated.months - AGE_TOLERANCE_MONTHS
    return low <= dated.months <= stated.months + stated.slack_months + AGE_TOLERANCE_MONTHS


def _by_age(dataset: Dataset) -> StatedAge | Caution | None:
    """Patient's Age, such as 010Y; an age in days is exact."""
    written = text(dataset, "PatientAge").upper()
    if not written:
        return None
    match = re.fullmatch(r"(\d{1,4}) ?([DWMY])", written)
    if not match:
        return NOT_WRITTEN_AS_AGE
    unit = _UNIT_MONTHS[match[2]]
    return _possible(int(match[1]) * unit, 0.0 if match[2] == "D" else unit)


def _by_dates(dataset: Dataset, today: date) -> StatedAge | Caution | None:
    """The time from Birth Date to the first date of the film that can be read."""
    birth = text(dataset, "PatientBirthDate")
    if not birth:
        return None
    born = day_in(birth)
    if born is None:
        return BIRTH_UNREADABLE
    dates = [written for keyword in _DATES if (written := text(dataset, keyword))]
    taken = next((day for written in dates if (day := day_in(written))), None)
    if taken is None:
        return STUDY_UNREADABLE if dates else STUDY_MISSING
    if taken > today + timedelta(days=1):  # it may be tomorrow already where the film was taken
        return STUDY_TO_COME
    if born > taken:
        return BORN_AFTER_STUDY
    return _possible((taken - born).days / DAYS_A_MONTH, 0.0)


def _possible(months: float, slack_months: float) -> StatedAge | Caution:
    return StatedAge(months, slack_months) if months <= OLDEST_MONTHS else TOO_OLD
