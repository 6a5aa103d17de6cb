"""The child a radiograph belongs to, as far as reading a bone age needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bonexage.decimals import number_in
from bonexage.errors import WrongUse

MAX_CHRONOLOGICAL_AGE_MONTHS = 1440.0
DAYS_A_MONTH = 365.25 / 12


class Sex(StrEnum):
    """Sex as recorded; UNKNOWN is assessed as both, never guessed."""

    FEMALE = "F"
    MALE = "M"
    UNKNOWN = "U"

    @classmethod
    def parse(cls, text: str) -> Sex:
        """Read the ways sex is written in labels and on command lines.

        Raises:
            WrongUse: the text is none of them.
        """
        try:
            return SPELLINGS[text.strip().lower()]
        except KeyError:
            raise WrongUse(
                f"{text!r} is not a sex",
                remedy="Write F, M or U (also female, male, unknown)",
            ) from None

    @property
    def word(self) -> str:
        """The sex as a word for people: 'girl', 'boy' or 'unknown sex'."""
        return {"F": "girl", "M": "boy", "U": "unknown sex"}[self.value]


SPELLINGS: Final = {
    "f": Sex.FEMALE,
    "female": Sex.FEMALE,
    "girl": Sex.FEMALE,
    "m": Sex.MALE,
    "male": Sex.MALE,
    "boy": Sex.MALE,
    "u": Sex.UNKNOWN,
    "unknown": Sex.UNKNOWN,
    "": Sex.UNKNOWN,
}
"""How a sex may be written, in lower case."""


@dataclass(frozen=True)
class Subject:
    """Sex and, where known, chronological age in months (0 to 1440)."""

    sex: Sex = Sex.UNKNOWN
    age_months: float | None = None

    def __post_init__(self) -> None:
        if self.age_months is not None and not 0 <= self.age_months <= MAX_CHRONOLOGICAL_AGE_MONTHS:
            raise WrongUse(
                f"a chronological age of {self.age_months:g} months is out of range",
                remedy=f"Give the age in months, from 0 to {MAX_CHRONOLOGICAL_AGE_MONTHS:g}",
            )


def parse_age_months(text: str) -> float | None:
    """Read a chronological age in months (0 to 1440), as command lines and forms have it; None for a blank.

    Raises:
        WrongUse: the text is no number, or the age is out of range.
    """
    if not text.strip():
        return None
    try:
        months = number_in(text, MAX_CHRONOLOGICAL_AGE_MONTHS)
    except ValueError:
        raise WrongUse(
            f"{text!r} is not a number of months", remedy="Write digits, and a decimal point, such as 126.5"
        ) from None
    return Subject(age_months=months).age_months
