"""One object that came in becomes its results: read, assessed, and written as DICOM, FHIR and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from bonexage.assessment import Assessment, Failure
from bonexage.atlas.plates import read_plates
from bonexage.errors import RefusedRadiograph, UnreadableFile
from bonexage.model.assessor import Assessor, Outcome
from bonexage.model.bundle import load_bundle
from bonexage.model.stated import settle
from bonexage.node.config import Kind
from bonexage.node.queue import Result
from bonexage.node.sameness import content_of
from bonexage.radiograph import Radiograph
from bonexage.reading.dicom import decode_dicom, read_identity
from bonexage.reading.dicom_film import FILM_CLASSES, FILM_MODALITIES, modality_name
from bonexage.reading.dicom_meta import OWN_MODEL
from bonexage.reading.identity import FilmIdentity
from bonexage.reports.archive import Beside, dicom_files
from bonexage.reports.fhir import transaction
from bonexage.reports.result import FilmResult, without_identity
from bonexage.subject import Subject

SOP_CLASSES: Final[Mapping[Kind, str]] = {
    "report": Comprehensive3DSRStorage,
    "picture": SecondaryCaptureImageStorage,
    "document": EncapsulatedPDFStorage,
}
# What `reports.archive` makes, and what a configuration calls it.
_KINDS: Final[Mapping[str, Kind]] = {
    "structured report": "report",
    "secondary capture": "picture",
    "document": "document",
}
_ROUTE: Final = "Send films alone: CR, DX and Secondary Capture of the hand"


class NoFilm(UnreadableFile):
    """An object that is no film, or from which no film can be told: there is nothing to refer a result to."""


class Unreferable(NoFilm):
    """A film, perhaps, that lacks a UID by which a result could refer to it."""


@dataclass(frozen=True, eq=False)
class Judge:
    """What films are judged with.

    Attributes:
        assessor: the model.
        coverage: share of children the intervals are to hold.
        deidentify: leave the patient's identity out of all results.
        fhir: whether a FHIR transaction is made too.
        beside: what a report shows beside the film.
    """

    assessor: Assessor
    coverage: float
    deidentify: bool
    fhir: bool
    beside: Beside


@dataclass(frozen=True)
class Judged:
    """What came of a film.

    Attributes:
        status: 'assessed', 'refused' or 'unreadable'.
        files: the results by their names.
        results: the same as the queue has to know them.
        outcome: the assessment, or why there is none.
        content: hash of what a DICOM film decodes to; '' where it does not, and for other pictures.
    """

    status: str
    files: Mapping[str, bytes]
    results: tuple[Result, ...]
    outcome: Outcome
    content: str = ""


def make_judge(model: str, coverage: float, *, threads: int, deidentify: bool, fhir: bool) -> Judge:
    """A judge.

    Args:
        model: a bundle, folder or zip; empty for the carried one.
        coverage: percentage of children the intervals are to hold.
        threads: CPU threads of the network; 0: all there are.
        deidentify: leave the patient's identity out of all results.
        fhir: whether a FHIR transaction is made too.

    Raises:
        BundleError: the model cannot be loaded.
    """
    bundle = load_bundle(model or None)
    return Judge(
        Assessor(bundle, threads=threads or None),
        coverage / 100,
        deidentify,
        fhir,
        Beside(tuple(read_plates()), bundle.description.figures),
    )


def judge_film(judge: Judge, data: bytes, uid: str) -> Judged:
    """Judge one DICOM object; one that is a film gives results in any case, if only a refusal.

    Args:
        judge: what to judge it with.
        data: its file.
        uid: the SOP Instance UID under which it was sent.

    Raises:
        NoFilm: it is none, with the reason; `Unreferable` where the reason is a UID.
    """
    film = _film_of(data, uid)
    outcome, radiograph, months = _outcome(judge, data, f"film {uid}")
    shown = without_identity(film) if judge.deidentify else film
    result = FilmResult(outcome, shown, deidentified=judge.deidentify)
    picture = radiograph.pixels if radiograph and result.may_show_picture else None
    files = dicom_files(result, picture, judge.beside, months)
    results = [Result(name, _sop_class(result, name), name.removesuffix(".dcm")) for name in files]
    if judge.fhir:
        name = f"{result.uid('fhir report')}.json"
        files[name] = transaction([result]).encode()
        results.append(Result(name))
    content = content_of(film, radiograph) if radiograph else ""
    return Judged(status_of(outcome), files, tuple(results), outcome, content)


def _film_of(data: bytes, uid: str) -> FilmIdentity:
    try:
        film = read_identity(data, "")
    except UnreadableFile as error:
        raise Unreferable(error.problem, remedy=error.remedy) from None
    if film.model == OWN_MODEL:
        raise NoFilm("this is a result of bonexage, not a film", remedy=_ROUTE)
    if film.sop_class not in FILM_CLASSES:
        raise NoFilm("its kind is not that of a radiograph", remedy=_ROUTE)
    if film.modality not in FILM_MODALITIES:
        named = modality_name(film.modality)
        raise NoFilm(f"its modality ({named}) is not that of a radiograph", remedy=_ROUTE)
    if film.sop_uid != uid:
        raise NoFilm("its header names another SOP Instance UID than it was sent under", remedy=_ROUTE)
    return film


def _outcome(
    judge: Judge, data: bytes, name: str
) -> tuple[Outcome, Radiograph | None, NDArray[np.float32] | None]:
    """The assessment, or why there is none; the film where it can be read; what in it moved the answer."""
    radiograph = None
    try:
        radiograph = decode_dicom(data, name)
        if not judge.assessor.explains:
            return judge.assessor.assess(radiograph, coverage=judge.coverage), radiograph, None
        explained = judge.assessor.explain(radiograph, coverage=judge.coverage)
        return explained.assessment, radiograph, explained.months
    except (UnreadableFile, RefusedRadiograph) as error:
        subject = settle(Subject(), radiograph.stated)[0] if radiograph else Subject()
        return Failure(name, subject, error, judge.assessor.model), radiograph, None


def status_of(outcome: Outcome) -> str:
    """'assessed', 'refused' or 'unreadable'."""
    return "assessed" if isinstance(outcome, Assessment) else outcome.status


def _sop_class(result: FilmResult, name: str) -> str:
    return next(SOP_CLASSES[ours] for kind, ours in _KINDS.items() if name == f"{result.uid(kind)}.dcm")
