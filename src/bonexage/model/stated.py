"""What a film's header states of child and hand, held against what the caller says and the picture shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bonexage.assessment import Caution
from bonexage.radiograph import Stated
from bonexage.subject import Sex, Subject

# Months that the caller's age may differ from the header's beyond what the header's unit explains.
AGE_TOLERANCE_MONTHS: Final = 1.0
WHOLE_YEARS_MONTHS: Final = 12.0

AGE_IN_YEARS: Final = Caution(
    "age-in-years",
    "The film's header gives the age in whole years: the child may be up to a year older than was taken.",
)


def settle(given: Subject, stated: Stated) -> tuple[Subject, tuple[Caution, ...]]:
    """Who the film is assessed as: what the caller says wins, what the caller leaves open the header says.

    Returns:
        The subject, and a caution for each thing in which the two disagree.
    """
    sex = stated.subject.sex if given.sex is Sex.UNKNOWN else given.sex
    age = stated.subject.age_months if given.age_months is None else given.age_months
    return Subject(sex, age), tuple(_disagreements(given, stated))


def _disagreements(given: Subject, stated: Stated) -> Iterator[Caution]:
    said, header = given.sex, stated.subject.sex
    if Sex.UNKNOWN not in (said, header) and said is not header:
        yield Caution(
            "sex-disagrees",
            f"The film's header says {header.word}; it was assessed as a {said.word}, as asked.",
        )
    age = stated.subject.age_months
    if age is None:
        return
    if given.age_months is None:
        if stated.age_slack_months >= WHOLE_YEARS_MONTHS:
            yield AGE_IN_YEARS
        return
    latest = age + stated.age_slack_months + AGE_TOLERANCE_MONTHS
    if not age - AGE_TOLERANCE_MONTHS <= given.age_months <= latest:
        yield Caution(
            "age-disagrees",
            f"The film's header says an age of {age:.1f} months; {given.age_months:.1f} months were taken, "
            "as asked.",
        )


def hand_cautions(stated: Stated, *, mirrored: bool | None) -> Iterator[Caution]:
    """What to be wary of in what a header states of the hand.

    Args:
        stated: what it states.
        mirrored: whether the picture looks like a right hand; None where the model does not look.
    """
    if stated.body_part == "other":
        yield Caution("other-body-part", "The film's header names another part of the body than the hand.")
    if stated.view == "other":
        yield Caution(
            "other-view", "The film's header names another view than PA, which the model learned from."
        )
    if stated.laterality == "B":
        yield Caution("both-hands", "The film's header says that it shows both sides; one hand was read.")
    elif stated.laterality == "R" and not mirrored:  # else that it was turned round says it
        yield Caution("right-hand", "The film's header says right hand; the model learned from left hands.")
    # Seen from the palm (AP) a left hand looks like a right one seen from the back.
    if mirrored is None or stated.view not in ("PA", "") or stated.laterality not in ("L", "R"):
        return
    if mirrored != (stated.laterality == "R"):
        side, looks = ("left", "right") if stated.laterality == "L" else ("right", "left")
        yield Caution(
            "laterality-disagrees",
            f"The film's header says {side} hand and the picture looks like a {looks} one, or is mirrored.",
        )
