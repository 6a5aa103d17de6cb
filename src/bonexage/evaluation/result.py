"""What an evaluation found: every film with its outcome, and the figures of every group of films."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Final

from bonexage import __version__
from bonexage.assessment import DISCLAIMER, Assessment, Failure
from bonexage.evaluation.coverage import CoverageTest
from bonexage.evaluation.metrics import CONFIDENCE, Agreement
from bonexage.model.assessor import Outcome
from bonexage.numbers import with_interval
from bonexage.reading.folder import LabelledFilm
from bonexage.subject import Sex

JSON_SCHEMA: Final = 1
NOT_OFFICIAL: Final = (
    "The films are the data folder's own. Unless it holds exactly those 200, they are not the official "
    "test set of the RSNA Pediatric Bone Age Challenge, and these figures must not be ranked against "
    "results on that set."
)


@dataclass(frozen=True)
class Measured:
    """A labelled film and what the model said of it."""

    film: LabelledFilm
    outcome: Outcome


@dataclass(frozen=True)
class Group:
    """The figures of some of the films: of one sex, one band of labelled ages, or both.

    Attributes:
        sex: whose films; None for all.
        low_months: labelled ages from here; None for all ages.
        high_months: to here, not included, but for the last band, which holds 240.
        agreement: the figures.
    """

    sex: Sex | None
    low_months: float | None
    high_months: float | None
    agreement: Agreement

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        place: dict[str, object] = {}
        if self.sex is not None:
            place["sex"] = self.sex.value
        if self.low_months is not None:
            place |= {"low_months": self.low_months, "high_months": self.high_months}
        return place | self.agreement.as_dict()


@dataclass(frozen=True)
class Evaluation:
    """A model measured on films.

    Attributes:
        model: name and hash.
        model_facts: what the bundle says of the model, name to value, for the page.
        data: name of the data folder, or several joined by ' + '.
        split: which split of it.
        coverage: share of children that the intervals are built to hold.
        made: the day.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        measured: every film that was there, in order, with what was said of it.
        missing: a sentence for every label whose film is not there.
        note: what else is to be said of the model, a sentence; or nothing.
        intervals: the test of the model's intervals, or None where it gives none.
        standing: what the films are beside the challenge's official sets, a sentence or more.
        groups: all films; each sex; each band; each sex in each band. A group without films is left out.
    """

    model: str
    data: str
    split: str
    coverage: float
    made: date
    seed: int
    resamples: int
    measured: tuple[Measured, ...]
    missing: tuple[str, ...]
    groups: tuple[Group, ...]
    model_facts: tuple[tuple[str, str], ...] = ()
    note: str = ""
    standing: str = NOT_OFFICIAL
    intervals: CoverageTest | None = None

    @property
    def overall(self) -> Agreement:
        """The figures over all films."""
        return self.groups[0].agreement

    @property
    def assessed(self) -> tuple[tuple[LabelledFilm, Assessment], ...]:
        """The films that have a bone age."""
        return tuple((m.film, m.outcome) for m in self.measured if isinstance(m.outcome, Assessment))

    @property
    def failures(self) -> tuple[tuple[LabelledFilm, Failure], ...]:
        """The films that have none."""
        return tuple((m.film, m.outcome) for m in self.measured if isinstance(m.outcome, Failure))

    def select(self, *, by_sex: bool, by_age: bool) -> tuple[Group, ...]:
        """The groups that are split by sex, by age, by both or by neither."""
        return tuple(
            group
            for group in self.groups
            if (group.sex is not None) == by_sex and (group.low_months is not None) == by_age
        )

    def as_dict(self) -> dict[str, object]:
        """For `evaluation.json`."""
        status = Counter(failure.status for _, failure in self.failures)
        return {
            "schema": JSON_SCHEMA,
            "bonexage": __version__,
            "model": self.model,
            "data": self.data,
            "split": self.split,
            "date": self.made.isoformat(),
            "films": {
                "labelled": len(self.measured) + len(self.missing),
                "assessed": len(self.assessed),
                "refused": status["refused"],
                "unreadable": status["unreadable"],
                "missing": len(self.missing),
            },
            "coverage": self.coverage if self.overall.covered else None,
            "intervals": self.intervals.as_dict() if self.intervals else None,
            "bootstrap": {
                "method": "percentile, children drawn with replacement",
                "confidence": CONFIDENCE,
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "note": self.standing,
            "disclaimer": DISCLAIMER,
            "all": self.overall.as_dict(),
            "by_sex": [group.as_dict() for group in self.select(by_sex=True, by_age=False)],
            "by_age": [group.as_dict() for group in self.select(by_sex=False, by_age=True)],
            "by_sex_and_age": [group.as_dict() for group in self.select(by_sex=True, by_age=True)],
            "not_assessed": [
                {
                    "id": film.id,
                    "file": film.path.name,
                    "status": failure.status,
                    "message": failure.error.sentence,
                }
                for film, failure in self.failures
            ],
            "missing": list(self.missing),
        }

    def __str__(self) -> str:
        mae, held = self.overall.mae_months, self.overall.within_12_months
        return (
            f"{self.data}, {self.split}: mean absolute difference "
            f"{with_interval(mae.as_dict(), unit=' months')} over {self.overall.films} films, "
            f"{held.value:.0%} within 12 months; {len(self.failures) + len(self.missing)} films not "
            "assessed"
        )
