"""An outcome as a Comprehensive 3D Structured Report after TID 1500 (PS3.16), a refusal as much as an age."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from highdicom.sr.value_types import ContentItem, ContentSequence

from bonexage import __version__
from bonexage.assessment import DISCLAIMER, Assessment, Failure, Interval
from bonexage.clinic.sentence import plain_sentence
from bonexage.numbers import percent
from bonexage.reports import codes
from bonexage.reports.codes import Concept
from bonexage.reports.dicom import MANUFACTURER, common, conformant_uid, film_dataset, finished
from bonexage.reports.result import MAKER, METHOD, FilmResult, derived_uid
from bonexage.subject import Subject

SERIES_NUMBER: Final = 9001


def structured_report(result: FilmResult) -> bytes:
    """The report as a DICOM file: in the film's study, a series of its own, unverified and preliminary.

    It holds the bone age in months with the ends of its interval as measurement uncertainties, the SDS with
    its reference, age and sex as used, method, algorithm with version and hash, cautions, and a reference to
    the film; for a film without a bone age, that it is undetermined and why.
    """
    content = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                coded(codes.DEVICE),
                DeviceObserverIdentifyingAttributes(
                    uid=derived_uid("device", result.outcome.model, __version__),
                    name=MAKER,
                    manufacturer_name=MANUFACTURER,
                    model_name=result.model_name,
                    serial_number=result.model_hash,
                ),
            )
        ),
        procedure_reported=coded(codes.PROCEDURE),
        imaging_measurements=[_group(result)],
    )
    context = _subject_context(result.outcome.subject)
    at = next(i for i, item in enumerate(content[0].ContentSequence) if item.name == _PROCEDURE_REPORTED)
    for item in reversed(list(context)):
        content[0].ContentSequence.insert(at, item)
    made = Comprehensive3DSR(
        evidence=[film_dataset(result)],
        content=content,
        is_complete=True,
        is_final=False,
        is_verified=False,
        **common(result, "structured report", SERIES_NUMBER),
    )
    return finished(made, result)


def coded(concept: Concept) -> CodedConcept:
    """A concept as highdicom has it."""
    return CodedConcept(concept.code, concept.designator, concept.meaning)


_PROCEDURE_REPORTED: Final = CodedConcept("121058", "DCM", "Procedure reported")


def _group(result: FilmResult) -> MeasurementsAndQualitativeEvaluations:
    outcome, film = result.outcome, result.film
    assessed = isinstance(outcome, Assessment)
    side = codes.SIDES.get(film.laterality)
    made = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=result.uid("tracking"), identifier="Bone age"),
        algorithm_id=AlgorithmIdentification(
            name=MAKER,
            version=__version__,
            parameters=[f"model {result.model_name}", f"model hash {result.model_hash}"],
            manufacturer=MANUFACTURER,
        ),
        finding_sites=[FindingSite(coded(codes.HAND), laterality=coded(side) if side else None)],
        measurements=list(_measurements(outcome)) if isinstance(outcome, Assessment) else None,
        qualitative_evaluations=None if assessed else [_undetermined()],
        source_images=[SourceImageForMeasurementGroup(film.sop_class, conformant_uid(film.sop_uid))],
    )
    for item in _texts(outcome):
        made[0].ContentSequence.append(item)
    return made


def _measurements(said: Assessment) -> Iterator[Measurement]:
    bone_age = Measurement(coded(codes.BONE_AGE), round(said.bone_age_months, 1), coded(codes.MONTH))
    if said.interval:
        _add(bone_age, *_ends(round(said.bone_age_months, 1), said.interval))
    yield bone_age
    if said.sds:
        sds = Measurement(coded(codes.Z_SCORE), round(said.sds.value, 2), coded(codes.ONE))
        _add(sds, _text(codes.AUTHORITY, said.sds.norm, RelationshipTypeValues.HAS_PROPERTIES))
        yield sds


def _ends(months: float, interval: Interval) -> Iterator[ContentItem]:
    """The ends of an interval as their distances from the value: TID 310."""
    for concept, distance in (
        (codes.ABOVE, round(interval.high_months, 1) - months),
        (codes.BELOW, months - round(interval.low_months, 1)),
    ):
        yield NumContentItem(
            coded(concept),
            round(distance, 1),
            coded(codes.MONTH),
            relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
        )


def _add(measurement: Measurement, *items: ContentItem) -> None:
    """Put items below a measurement that has none yet."""
    below = ContentSequence()
    below.extend(items)
    measurement[0].ContentSequence = below


def _undetermined() -> QualitativeEvaluation:
    return QualitativeEvaluation(coded(codes.BONE_AGE), coded(codes.UNDETERMINED))


def _texts(outcome: Assessment | Failure) -> Iterator[TextContentItem]:
    """The method, and what a person is told, each as a comment."""
    contains = RelationshipTypeValues.CONTAINS
    yield _text(codes.METHOD, METHOD, contains)
    for comment in comments(outcome):
        yield _text(codes.COMMENT, comment, contains)


def comments(outcome: Assessment | Failure) -> Iterator[str]:
    """What a person is told beside the numbers, a sentence each: finding or refusal, interval, cautions."""
    if isinstance(outcome, Failure):
        yield f"No bone age is given: {outcome.error.sentence}"
    else:
        yield plain_sentence(outcome)
        if outcome.interval:
            low, high = outcome.interval.low_months, outcome.interval.high_months
            share = percent(outcome.interval.coverage)
            yield f"Interval built to hold {share} of children: {low:.1f} to {high:.1f} months."
        yield from (f"Caution: {caution.sentence}" for caution in outcome.cautions)
    yield DISCLAIMER


def _text(concept: Concept, value: str, relation: RelationshipTypeValues) -> TextContentItem:
    return TextContentItem(coded(concept), value, relationship_type=relation)


def _subject_context(subject: Subject) -> Iterator[ContentItem]:
    """Sex and age as they were used: TID 1007."""
    relation = RelationshipTypeValues.HAS_OBS_CONTEXT
    yield CodeContentItem(
        coded(codes.SUBJECT_SEX), coded(codes.SEXES[subject.sex]), relationship_type=relation
    )
    if subject.age_months is not None:
        yield NumContentItem(
            coded(codes.SUBJECT_AGE),
            round(subject.age_months, 1),
            coded(codes.MONTH),
            relationship_type=relation,
        )
