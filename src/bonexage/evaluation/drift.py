"""What has moved: a month's answers against the model's calibration films and against an earlier month's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final, Literal

import numpy as np

from bonexage import __version__
from bonexage.assessment import DISCLAIMER
from bonexage.evaluation.coverage import holm
from bonexage.evaluation.month import Month
from bonexage.evaluation.shift import Tested, two_counts, two_samples
from bonexage.model.bundle import Bundle
from bonexage.subject import Sex

SCHEMA: Final = 1
LEAST_FILMS: Final = 20
LEVEL: Final = 0.05
CALIBRATION: Final = "calibration films"
EARLIER: Final = "earlier films"

Against = Literal["calibration films", "earlier films"]


@dataclass(frozen=True)
class Amounts:
    """Something measured on each film, now and then."""

    now: tuple[float, ...]
    then: tuple[float, ...]
    unit: str = ""
    decimals: int = 1

    @property
    def sizes(self) -> tuple[int, int]:
        """How many films, now and then."""
        return len(self.now), len(self.then)

    def test(self) -> Tested:
        """Whether the two differ."""
        return two_samples(self.now, self.then)

    def words(self) -> str:
        """The two medians."""
        now, then = (f"{median(each):.{self.decimals}f}".replace("-", "−") for each in (self.now, self.then))
        return f"median {now} against {then}{self.unit}"


@dataclass(frozen=True)
class Counts:
    """Films by kind, now and then, in the order of `names`; '' is the kind that the whole is about."""

    names: tuple[str, ...]
    now: tuple[int, ...]
    then: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, int]:
        """How many films, now and then."""
        return sum(self.now), sum(self.then)

    @property
    def shares(self) -> list[tuple[float, float]]:
        """The share of each kind, now and then."""
        now, then = (max(1, each) for each in self.sizes)
        return [(one / now, other / then) for one, other in zip(self.now, self.then, strict=True)]

    def test(self) -> Tested:
        """Whether the two differ."""
        return two_counts(self.now, self.then)

    def words(self) -> str:
        """The shares of the kind that differs most; of two kinds, of the first."""
        at = 0
        if len(self.names) > 2:
            at = int(np.argmax([abs(now - then) for now, then in self.shares]))
        now, then = self.shares[at]
        return f"{self.names[at]} {now:.1%} against {then:.1%}".lstrip()


@dataclass(frozen=True)
class Shift:
    """One thing that may have moved.

    Attributes:
        key: for programs.
        about: what it is, such as 'Bone ages of girls'.
        against: what the month is held against.
        seen: what was counted or measured.
        tested: what the test says; None where there are too few films.
        p: its probability corrected for the number of tests; None where there are too few films.
    """

    key: str
    about: str
    against: Against
    seen: Amounts | Counts
    tested: Tested | None = None
    p: float | None = None

    @property
    def moved(self) -> bool:
        """Whether it has moved by more than chance."""
        return self.p is not None and self.p < LEVEL

    def __str__(self) -> str:
        """One plain sentence."""
        now, then = self.seen.sizes
        of = f"{now:,} against {then:,} {self.against}"
        if self.tested is None or self.p is None:
            return f"{self.about}: too few to tell, {of}."
        said = "moved" if self.moved else "no shift is shown"
        chance = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}"
        return f"{self.about}: {said}, {self.seen.words()} ({of}; {chance})."

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        now, then = self.seen.sizes
        return {
            "key": self.key,
            "about": self.about,
            "against": self.against,
            "moved": self.moved,
            "said": str(self),
            "films": now,
            "films_then": then,
            "test": self.tested.test if self.tested else None,
            "statistic": _finite(self.tested.statistic) if self.tested else None,
            "p_alone": self.tested.p if self.tested else None,
            "p": self.p,
        }


@dataclass(frozen=True)
class Drift:
    """A month held against what was known before.

    Attributes:
        month: the films and answers.
        earlier: the earlier month, or None.
        shifts: everything that could be held against something.
        unknown: what was measured and has nothing to be held against, in words.
    """

    month: Month
    earlier: Month | None
    shifts: tuple[Shift, ...]
    unknown: tuple[str, ...]

    @property
    def moved(self) -> tuple[Shift, ...]:
        """What has moved."""
        return tuple(shift for shift in self.shifts if shift.moved)

    def __str__(self) -> str:
        """One sentence on the whole."""
        tested = sum(shift.tested is not None for shift in self.shifts)
        if not tested:
            return f"Nothing can be told of {self.month.films:,} films: there are too few."
        about = "; ".join(f"{one.about.lower()} (against {one.against})" for one in self.moved)
        found = f"moved: {about}" if about else "no shift is shown"
        return f"{self.month.films:,} films, {tested} comparisons: {found}."

    def as_dict(self) -> dict[str, Any]:
        """For `drift.json`."""
        return {
            "schema": SCHEMA,
            "bonexage": __version__,
            "disclaimer": DISCLAIMER,
            "model": self.month.model,
            "said": str(self),
            "moved": bool(self.moved),
            "level": LEVEL,
            "correction": "Holm",
            "shifts": [shift.as_dict() for shift in self.shifts],
            "not_compared": list(self.unknown),
            "month": self.month.as_dict(),
            "earlier": self.earlier.as_dict() if self.earlier else None,
        }


def drift(month: Month, bundle: Bundle, earlier: Month | None = None) -> Drift:
    """Hold a month against the model's calibration films, and against an earlier month's where one is given.

    All tests together are corrected by Holm, so that a month in which nothing moved raises an alarm once in
    twenty times at most.
    """
    asked = [*_against_calibration(month, bundle), *(_against_earlier(month, earlier) if earlier else ())]
    tested = [
        replace(one, tested=one.seen.test()) if min(one.seen.sizes) >= LEAST_FILMS else one for one in asked
    ]
    chances = iter(holm([one.tested.p for one in tested if one.tested]))
    shifts = tuple(replace(one, p=next(chances)) if one.tested else one for one in tested)
    return Drift(month, earlier, shifts, tuple(_unknown(month, earlier)))


def _against_calibration(month: Month, bundle: Bundle) -> Iterator[Shift]:
    """Bone ages by sex, sex, and errors where there are labels, against the calibration films."""
    calibration = bundle.description.calibration
    if calibration is None:
        return
    known: dict[str, int] = {}
    for sex in (Sex.FEMALE, Sex.MALE):
        cells = [cell for cell in calibration.cells if cell.sex is sex]
        if not cells:
            continue
        then = tuple(len(cell.scores) for cell in cells)
        known[sex.value] = sum(then)
        edges = [cell.low_months for cell in cells[1:]]
        place = np.searchsorted(edges, month.ages_months.get(sex.value, ()), side="right")
        now = np.bincount(place, minlength=len(cells)).tolist()
        names = tuple(f"{cell.low_months:g} to {cell.high_months:g} months" for cell in cells)
        yield Shift(f"ages-{sex.word}", _ages(sex), CALIBRATION, Counts(names, tuple(now), then))
    if len(known) == 2:
        yield Shift("sex", "Sex", CALIBRATION, _sexes(month.sexes, known))
    if month.errors:
        unit = " spreads" if calibration.heaping is None else " of the likely labels nearer"
        then_errors = tuple(sorted(score for cell in calibration.cells for score in cell.scores))
        yield Shift("errors", "Errors", CALIBRATION, Amounts(month.errors, then_errors, unit, 2))


def _against_earlier(month: Month, earlier: Month) -> Iterator[Shift]:
    """All that two months have in common."""
    for sex in Sex:
        now, then = (each.ages_months.get(sex.value, ()) for each in (month, earlier))
        if now or then:
            yield Shift(f"ages-{sex.word}", _ages(sex), EARLIER, Amounts(now, then, " months"))
    yield Shift("sex", "Sex", EARLIER, _sexes(month.sexes, earlier.sexes))
    for status in ("refused", "unreadable"):
        yield Shift(
            status,
            f"Films {status}",
            EARLIER,
            _shares(
                month.statuses.get(status, 0),
                month.films,
                earlier.statuses.get(status, 0),
                earlier.films,
            ),
        )
    for code in sorted(month.cautions.keys() | earlier.cautions.keys()):
        seen = _shares(
            month.cautions.get(code, 0), month.assessed, earlier.cautions.get(code, 0), earlier.assessed
        )
        yield Shift(f"caution-{code}", f"Caution {code}", EARLIER, seen)
    for key, about, decimals in _MEASURED:
        now, then = getattr(month, key), getattr(earlier, key)
        if now and then:
            yield Shift(key.replace("_", "-"), about, EARLIER, Amounts(now, then, "", decimals))


_MEASURED: Final = (
    ("sds", "SDS", 2),
    ("hand_scores", "Certainty of the hand", 3),
    ("likenesses", "Likeness to a hand", 3),
    ("errors", "Errors", 2),
)


def _unknown(month: Month, earlier: Month | None) -> Iterator[str]:
    """What a month holds that nothing was there to be held against."""
    if earlier is None:
        for status in ("refused", "unreadable"):
            yield f"Films {status}: {month.statuses.get(status, 0):,} of {month.films:,}."
        for code, films in sorted(month.cautions.items()):
            yield f"Caution {code}: {films:,} of {month.assessed:,} films."
    for key, about, decimals in _MEASURED[:3]:
        values: tuple[float, ...] = getattr(month, key)
        if values and not (earlier and getattr(earlier, key)):
            low, middle, high = np.percentile(values, (5, 50, 95))
            yield (
                f"{about}: median {middle:.{decimals}f}, 5% to 95% {low:.{decimals}f} to {high:.{decimals}f} "
                f"({len(values):,} films).".replace("-", "−")
            )


def _ages(sex: Sex) -> str:
    return {Sex.FEMALE: "Bone ages of girls", Sex.MALE: "Bone ages of boys"}.get(
        sex, "Bone ages of children of unknown sex"
    )


def _sexes(now: Mapping[str, int], then: Mapping[str, int]) -> Counts:
    order = (Sex.FEMALE.value, Sex.MALE.value)
    return Counts(
        ("girls", "boys"),
        tuple(now.get(each, 0) for each in order),
        tuple(then.get(each, 0) for each in order),
    )


def _shares(now: int, films_now: int, then: int, films_then: int) -> Counts:
    return Counts(("", "the rest"), (now, films_now - now), (then, films_then - then))


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
