"""Where `predict` puts results for the archive and the record: DICOM beside the film, a FHIR transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bonexage.assessment import Assessment
from bonexage.cli.outcomes import note, seen_again
from bonexage.errors import BonexageError

if TYPE_CHECKING:
    from bonexage.cli.outcomes import Seen
    from bonexage.model.assessor import Assessor, Outcome
    from bonexage.model.bundle import Bundle
    from bonexage.reading.identity import FilmIdentity
    from bonexage.reports.archive import Beside
    from bonexage.reports.result import FilmResult


@dataclass(frozen=True)
class Archive:
    """What is to be written beside the rows.

    Attributes:
        dicom: folder for a structured report, a picture and a PDF a film; or None.
        fhir: file for one FHIR transaction of all films; or None.
        deidentify: leave the patient's identity out of everything, file names included.
        page: the page of files with several pages, counted from 1.
    """

    dicom: Path | None = None
    fhir: Path | None = None
    deidentify: bool = False
    page: int | None = None


def check_archive(archive: Archive) -> None:
    """Say before any work whether all of it can be written.

    Raises:
        MissingExtra: what writes it is not installed.
    """
    if archive.dicom:
        from bonexage.reports.archive import check_dicom_installed

        check_dicom_installed()
    if archive.fhir:
        from bonexage.reports.fhir import check_fhir_installed

        check_fhir_installed()


def archived(outcomes: Iterator[Outcome], archive: Archive, assessor: Assessor) -> Iterator[Outcome]:
    """The same outcomes, each written to the archive as it passes; without identity where that is wished."""
    results: list[FilmResult] = []
    beside = _beside(assessor.bundle) if archive.dicom else None
    for number, outcome in enumerate(outcomes, start=1):
        shown = _without_name(outcome, number) if archive.deidentify else outcome
        result = _result(outcome, shown, archive) if archive.dicom or archive.fhir else None
        if result:
            results.append(result)
            if archive.dicom and beside:
                _write_dicom(result, _seen(outcome, result, archive.page, assessor), archive.dicom, beside)
        yield shown
    if archive.fhir:
        from bonexage.reports.fhir import transaction
        from bonexage.reports.writing import write_whole

        write_whole(archive.fhir, transaction(results))
        note(f"FHIR transaction: {archive.fhir}")
    if archive.dicom:
        note(f"DICOM results of {len(results)} films: {archive.dicom}")


def _without_name(outcome: Outcome, number: int) -> Outcome:
    """The outcome under a number instead of its file name, which may name someone."""
    name = f"film {number}"
    if isinstance(outcome, Assessment):
        return replace(outcome, file=name)
    return replace(outcome, file=name, error=outcome.error.about(name))


def _result(outcome: Outcome, shown: Outcome, archive: Archive) -> FilmResult | None:
    from bonexage.reading.dicom_meta import OWN_MODEL
    from bonexage.reports.result import FilmResult, without_identity

    film = _identity(outcome.file)
    if film and film.model == OWN_MODEL:
        return None
    if film is None:
        note(f"{shown.file}: no result is written, for it is no DICOM film that one could refer to.")
        return None
    return FilmResult(
        shown,
        without_identity(film) if archive.deidentify else film,
        deidentified=archive.deidentify,
        page=archive.page,
    )


def _identity(file: str) -> FilmIdentity | None:
    from bonexage.reading.files import identity_of

    with suppress(BonexageError):
        return identity_of(file)
    return None


def _seen(outcome: Outcome, result: FilmResult, page: int | None, assessor: Assessor) -> Seen:
    """The film, where it can be read and may be shown, and what in it moved the answer."""
    if not result.may_show_picture:
        note(f"{result.outcome.file}: its header does not rule out burnt-in text: no picture goes out.")
        return None, None
    return seen_again(outcome, assessor, page)


def _beside(bundle: Bundle) -> Beside:
    from bonexage.atlas.plates import read_plates
    from bonexage.reports.archive import Beside

    return Beside(tuple(read_plates()), bundle.description.figures)


def _write_dicom(result: FilmResult, seen: Seen, folder: Path, beside: Beside) -> None:
    from bonexage.reports.archive import dicom_files
    from bonexage.reports.writing import write_whole

    picture, months = seen
    for name, content in dicom_files(result, picture, beside, months).items():
        write_whole(folder / name, content)
