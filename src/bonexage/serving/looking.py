"""What a worker does with one upload: its bytes become an outcome, and the forms in which it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bonexage.assessment import Failure
from bonexage.errors import BonexageError, BundleError, UnreadableFile
from bonexage.model.assessor import DEFAULT_COVERAGE, Assessor, Outcome
from bonexage.model.stated import settle
from bonexage.radiograph import NOBODY, Radiograph
from bonexage.reading.confined import Limits
from bonexage.reading.files import decode_film_bytes
from bonexage.serving.problems import for_client
from bonexage.subject import Subject


@dataclass(frozen=True)
class Asked:
    """What is asked about one film.

    Attributes:
        name: what the film is called; it is never opened.
        subject: sex and age as far as the caller knows them.
        coverage: share of children the interval is to hold.
        page: the page of a file with several, counted from 1; None for its only one.
        forms: in which forms the outcome is wanted besides its row: names of `forms.FORMS`.
    """

    name: str
    subject: Subject = NOBODY
    coverage: float = DEFAULT_COVERAGE
    page: int | None = None
    forms: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Look:
    """One film looked at, from which any form of its outcome can be made.

    Attributes:
        asked: what was asked.
        data: the file's bytes.
        outcome: the assessment, or why there is none.
        radiograph: the film; None where it could not be read.
        assessor: the model.
    """

    asked: Asked
    data: bytes = field(repr=False)
    outcome: Outcome
    radiograph: Radiograph | None
    assessor: Assessor

    @cached_property
    def moved_months(self) -> NDArray[np.float32] | None:
        """What each place of the film moved the answer by, in months; None where the model cannot tell."""
        if self.radiograph is None or isinstance(self.outcome, Failure):
            return None
        subject = self.outcome.subject
        try:
            return self.assessor.explain(self.radiograph, subject.sex, subject.age_months).months
        except BundleError:
            return None


_UNFORESEEN: Final = "Save it anew as PNG, and please report what kind of file it is"


def look_at(data: bytes, asked: Asked, assessor: Assessor, limits: Limits) -> Look:
    """Assess one film; whatever keeps it from being assessed is its outcome."""
    subject, radiograph = asked.subject, None
    try:
        radiograph = decode_film_bytes(data, asked.name, page=asked.page, limits=limits)
        subject, _ = settle(asked.subject, radiograph.stated)
        given = asked.subject
        said: Outcome = assessor.assess(radiograph, given.sex, given.age_months, coverage=asked.coverage)
    except (BundleError, MemoryError):
        raise
    except BonexageError as error:
        said = Failure(asked.name, subject, for_client(error), assessor.model)
    except Exception as error:  # as in `assess_many`; what it says may name someone
        unforeseen = UnreadableFile(
            f"reading it failed in an unforeseen way ({type(error).__name__})",
            remedy=_UNFORESEEN,
            subject=asked.name,
        )
        said = Failure(asked.name, subject, unforeseen, assessor.model)
    return Look(asked, data, said, radiograph, assessor)


def as_message(asked: Asked) -> Mapping[str, object]:
    """What is asked, as the head of a message."""
    return {
        "name": asked.name,
        "sex": asked.subject.sex.value,
        "age_months": asked.subject.age_months,
        "coverage": asked.coverage,
        "page": asked.page,
        "forms": list(asked.forms),
    }


def in_parts(forms: Sequence[tuple[str, bytes]]) -> tuple[list[tuple[str, int]], bytes]:
    """Names and lengths of several forms, and all of them one after another."""
    return [(name, len(content)) for name, content in forms], b"".join(content for _, content in forms)


def out_of_parts(lengths: Sequence[tuple[str, int]], body: bytes) -> dict[str, bytes]:
    """What `in_parts` put together."""
    found, at = {}, 0
    for name, length in lengths:
        found[name] = body[at : at + length]
        at += length
    return found
