"""What is said of one radiograph: a bone age with its interval and cautions, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from bonexage.errors import BonexageError, RefusedRadiograph, WrongUse
from bonexage.subject import Sex, Subject
from bonexage.terminal import printable

MAX_BONE_AGE_MONTHS: Final = 240.0
DISCLAIMER: Final = "For research, not for diagnosis."


def coverage_share(percent: float) -> float:
    """The share of children (0 to 1) that an interval is to hold, from a percentage; below 1 it is a share.

    Raises:
        WrongUse: no interval can hold so many.
    """
    if 0 < percent < 1:
        return percent
    if not 1 < percent < 100:
        raise WrongUse(
            f"an interval cannot cover {percent:g}%", remedy="Write 80, 90, 95 or another percentage"
        )
    return percent / 100


@dataclass(frozen=True)
class Caution:
    """A reason to look twice: a short code for programs, a sentence for people."""

    code: str
    sentence: str


@dataclass(frozen=True)
class Interval:
    """An interval in months, with the share of children it is built to cover (0 to 1)."""

    low_months: float
    high_months: float
    coverage: float

    def __post_init__(self) -> None:
        if not 0 <= self.low_months <= self.high_months <= MAX_BONE_AGE_MONTHS:
            raise ValueError(f"not an interval within 0 to {MAX_BONE_AGE_MONTHS:g} months: {self}")
        if not 0 < self.coverage < 1:
            raise ValueError(f"coverage must lie between 0 and 1: {self.coverage}")


@dataclass(frozen=True)
class StandardDeviationScore:
    """(bone age - chronological age) / SD of the norm, and the norm's name.

    Attributes:
        value: the score.
        norm: where the SD comes from.
        low: score of the lower end of the bone age's interval, of that coverage; None without an interval.
        high: of the upper end.
    """

    value: float
    norm: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Reading:
    """The network's answer for one sex, in months, before anything is rounded.

    Attributes:
        sex: whom the film was read as.
        bone_age_months: in [0, 240].
        interval: None where the bundle carries no calibration.
        disagreement_months: how far the readings of all views (of the hand, and mirrored) lie apart; None
            where there is but one.
    """

    sex: str
    bone_age_months: float
    interval: Interval | None
    disagreement_months: float | None = None


@dataclass(frozen=True)
class NearestPlate:
    """A plate of the atlas: the hash of its file, 64 hex digits; its sex; the mean bone age of its films."""

    sha256: str
    sex: Sex
    months: float


@dataclass(frozen=True)
class Assessment:
    """One radiograph assessed.

    Attributes:
        file: the path or name as given.
        subject: sex and chronological age as used.
        bone_age_months: in [0, 240].
        interval: None where the bundle carries no calibration.
        model: name and hash of the bundle, `name@hash`.
        cautions: each a code and a sentence.
        sds: None without a chronological age or outside the norm's table.
        readings: one for each sex assessed; two where the sex is unknown.
        nearest: the plate of the child's sex that the film looks most like to the network, where that is
            neither the plate of its bone age nor next to it; else None.
    """

    file: str
    subject: Subject
    bone_age_months: float
    interval: Interval | None
    model: str
    cautions: tuple[Caution, ...] = ()
    sds: StandardDeviationScore | None = None
    readings: tuple[Reading, ...] = ()
    nearest: NearestPlate | None = None

    @property
    def age_in_words(self) -> str:
        """The bone age as people read it, such as '10 years 6 months (126.5 months)'."""
        return months_in_words(self.bone_age_months)

    def __str__(self) -> str:
        return f"{printable(self.file)}: {self.age_in_words}"


def months_in_words(months: float) -> str:
    """'10 years 6 months (126.5 months)', rounded to whole months first so that they never reach 12."""
    years, rest = divmod(round(months), 12)
    return f"{years} years {rest} months ({months:.1f} months)"


def years_and_months(months: float) -> str:
    """'1 year 5 months', rounded to whole months first so that they never reach 12."""
    years, rest = divmod(round(months), 12)
    return f"{years} year{'' if years == 1 else 's'} {rest} month{'' if rest == 1 else 's'}"


@dataclass(frozen=True)
class Failure:
    """One input for which there is no bone age.

    Attributes:
        file: the path or name as given.
        subject: sex and chronological age as known.
        error: why, and what to do.
        model: name and hash of the bundle that would have assessed it.
    """

    file: str
    subject: Subject
    error: BonexageError
    model: str

    @property
    def status(self) -> Literal["refused", "unreadable"]:
        """'refused' for a readable picture that must not be assessed, 'unreadable' otherwise."""
        return "refused" if isinstance(self.error, RefusedRadiograph) else "unreadable"
