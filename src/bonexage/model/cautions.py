"""What is to be said of a reading beside the bone age: reasons to look twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bonexage.assessment import Caution, Reading
from bonexage.clinic.growth import age_range_months
from bonexage.model.calibration import Calibration
from bonexage.model.locate import Finding
from bonexage.model.preprocess import Preprocessing
from bonexage.subject import Sex, Subject

EDGE_MONTHS: Final = 12.0
TURNED_DEGREES: Final = 25.0

_SEX_UNKNOWN: Final = Caution(
    "sex-unknown",
    "The sex is not known: the film was assessed as a girl's and as a boy's; the bone age is the midpoint of "
    "the two readings and the interval holds both of theirs.",
)
_NO_INTERVAL: Final = Caution("no-interval", "This model carries no calibration, so there is no interval.")


def reading_cautions(subject: Subject, calibration: Calibration | None) -> Iterator[Caution]:
    """What was not known of the child, or is not known of the model."""
    if subject.sex is Sex.UNKNOWN:
        yield _SEX_UNKNOWN
    if calibration is None:
        yield _NO_INTERVAL


def size_cautions(used: Preprocessing, described: Preprocessing) -> Iterator[Caution]:
    """Whether the film was read at another size than the model was made for."""
    if used != described:
        yield Caution(
            "other-input-size",
            f"The film was read at {used.height} x {used.width} pixels; the model was made, and its interval "
            f"calibrated, at {described.height} x {described.width}.",
        )


def found_cautions(finding: Finding) -> Iterator[Caution]:
    """How the hand lay that was set upright."""
    if finding.frame.mirrored:
        yield Caution(
            "mirrored",
            "The film shows a right hand or is mirrored (the two look alike): it was turned round.",
        )
    if abs(finding.frame.turned_degrees) > TURNED_DEGREES:
        yield Caution(
            "rotated",
            f"The hand lay turned by {abs(finding.frame.turned_degrees):.0f} degrees: it was set upright.",
        )


def age_cautions(
    months: float,
    readings: Sequence[Reading],
    learned_months: tuple[float, float] | None,
    calibration: Calibration | None,
) -> Iterator[Caution]:
    """Near the youngest and oldest films a network has seen, it has few to go by; beyond, none."""
    for reading in readings:
        seen = calibration.seen_months(Sex(reading.sex)) if calibration else None
        for ages in (learned_months, seen):
            if ages and not ages[0] <= reading.bone_age_months <= ages[1]:
                yield _outside_known_ages(ages)
                return
    yield from _edge_cautions(months, learned_months)


def _outside_known_ages(ages_months: tuple[float, float]) -> Caution:
    return Caution(
        "outside-known-ages",
        f"The film is read outside the {ages_months[0]:.0f} to {ages_months[1]:.0f} months that the model "
        "was made with, where it cannot tell ages apart: the interval reaches to the end of the scale.",
    )


def _edge_cautions(months: float, ages_months: tuple[float, float] | None) -> Iterator[Caution]:
    if ages_months is None:
        return
    youngest, oldest = ages_months
    if not youngest + EDGE_MONTHS <= months <= oldest - EDGE_MONTHS:
        yield Caution(
            "edge-of-training-ages",
            f"The model learned from bone ages of {youngest:g} to {oldest:g} months and has seen few films "
            "of about this age: it may read them towards the middle.",
        )


def norm_cautions(subject: Subject) -> Iterator[Caution]:
    """Whether the child's age lies outside the norm."""
    reach = age_range_months(subject.sex)
    if subject.age_months is None or reach is None or reach[0] <= subject.age_months <= reach[1]:
        return
    yield Caution(
        "outside-norm",
        f"The norm for a {subject.sex.word} reaches from {reach[0]:g} to {reach[1]:g} months of "
        "chronological age, so there is no SDS.",
    )
