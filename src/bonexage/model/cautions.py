"""What is to be said of a reading beside the bone age: reasons to look twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bonexage.assessment import Caution, Reading
from bonexage.clinic.growth import age_range_months
from bonexage.model.calibration import Calibration
from bonexage.model.hand import SeenHand
from bonexage.model.preprocess import Preprocessing
from bonexage.model.quality import LEAST_DETAIL, LEAST_ROWS, MOST_EDGES, MOST_SEAMS, Quality
from bonexage.subject import Sex, Subject

EDGE_MONTHS: Final = 12.0
TURNED_DEGREES: Final = 25.0
USUAL_LIKENESS: Final = 1.0
"""Of 100 held-out films two are less like a composite hand (`benchmarks/cautions.py`)."""

# The last plates of the atlas, to which growth goes on (Greulich and Pyle 1959).
GROWN_MONTHS: Final = {Sex.FEMALE: 216.0, Sex.MALE: 228.0}
ADULT_MONTHS: Final = 228.0
# Many a model reads no hand as old as that: its calibration says which readings below may be of such hands.
# A model whose readings may be so from further below tells ages apart too poorly to say anything of growth.
NEAR_GROWN_MONTHS: Final = 24.0

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
            f"The film was read at {used.height} x {used.width} pixels; the model, with any interval it "
            f"gives, was made at {described.height} x {described.width}.",
        )


def view_cautions(used: int, default: int) -> Iterator[Caution]:
    """Whether another number of views was read than the model's intervals were made for."""
    if used != default:
        yield Caution(
            "other-views",
            f"The answer is the mean of {used} views of the hand; the model, with any interval it gives, was "
            f"made for {default}.",
        )


def seen_cautions(hand: SeenHand) -> Iterator[Caution]:
    """How the hand lay that was set upright, and how good its picture is."""
    frame, likeness = hand.finding.frame, hand.likeness
    if frame.mirrored:
        yield Caution(
            "mirrored",
            "The film shows a right hand or is mirrored (the two look alike): it was turned round.",
        )
    if abs(frame.turned_degrees) > TURNED_DEGREES:
        yield Caution(
            "rotated", f"The hand lay turned by {abs(frame.turned_degrees):.0f} degrees: it was set upright."
        )
    yield from _quality_cautions(hand.quality)
    if likeness is not None and likeness < USUAL_LIKENESS:
        yield Caution(
            "likely-to-disagree",
            "The hand looks less like the atlas than nearly all hands do: on such films the model and a "
            "reader are far apart more often.",
        )


def _quality_cautions(quality: Quality) -> Iterator[Caution]:
    if quality.rows < LEAST_ROWS:
        yield Caution(
            "low-resolution",
            f"The hand is only {quality.rows:.0f} pixels long: what tells the bone age may be lost.",
        )
    if quality.detail < LEAST_DETAIL:
        yield Caution(
            "blurred",
            "The film is blurred, or was enlarged from a smaller one: what tells the bone age may be lost.",
        )
    if quality.seams > MOST_SEAMS:
        yield Caution(
            "compressed",
            "The film was compressed so much that it shows blocks: what tells the bone age may be lost.",
        )
    if quality.edges is not None and quality.edges > MOST_EDGES:
        yield Caution(
            "letters-over-hand",
            "Letters, a ring or other white things with sharp edges lie over the hand: they may have been "
            "taken for bone.",
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
        "was made with, where it cannot tell ages apart: any interval reaches to the end of the scale.",
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


def mature_cautions(
    subject: Subject, readings: Sequence[Reading], calibration: Calibration | None
) -> Iterator[Caution]:
    """Whether it is, or may be, an adult's hand, of which a bone age says no more than that."""
    adult = subject.age_months is not None and subject.age_months >= ADULT_MONTHS
    if adult or any(_reads_as_grown(reading, calibration) for reading in readings):
        yield Caution(
            "mature",
            "The hand is an adult's or looks fully grown: from there on the bone age tells no ages apart.",
        )


def _reads_as_grown(reading: Reading, calibration: Calibration | None) -> bool:
    """Whether a reading is at the age where a sex's growth ends, or near it and ordinary for such a hand."""
    sex = Sex(reading.sex)
    grown, months = GROWN_MONTHS[sex], reading.bone_age_months
    if months >= grown or calibration is None or grown - months > NEAR_GROWN_MONTHS:
        return months >= grown
    return calibration.may_be(grown, months, sex, disagreement_months=reading.disagreement_months)


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
