"""Where `predict` puts results for the archive and the record: DICOM beside the film, a FHIR transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bonexage.assessment import Assessment
from bonexage.cli.outcomes import note
from bonexage.errors import BonexageError, UnreadableFile
from bonexage.reports.item import ReportItem
from bonexage.terminal import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bonexage.cli.outcomes import Tally
    from bonexage.model.assessor import Assessor
    from bonexage.model.bundle import Bundle
    from bonexage.model.examination import Examination
    from bonexage.reports.archive import Beside
    from bonexage.reports.item import Picture
    from bonexage.reports.result import FilmResult

    Seen = tuple[Picture | None, NDArray[np.float32] | None]


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


def presented(
    examined: Iterator[Examination],
    archive: Archive,
    assessor: Assessor,
    tally: Tally,
    *,
    reports: bool = False,
) -> Iterator[ReportItem]:
    """Each film as it may be shown, written to the archive as it passes.

    Whatever is made of a film is made of the bytes that were examined; its name is for showing alone, and is
    a number where identities are left out.

    Args:
        examined: the films with their sources, which reports and the archive need.
        archive: what is to be written.
        assessor: the model.
        tally: counts the DICOM films to which no result can refer.
        reports: whether pictures of assessed films are wanted too, for reports.
    """
    results: list[FilmResult] = []
    beside = _beside(assessor.bundle) if archive.dicom else None
    for number, examination in enumerate(examined, start=1):
        shown = _without_name(examination, number) if archive.deidentify else examination
        result = _result(shown, archive, tally) if archive.dicom or archive.fhir else None
        assessed = isinstance(shown.outcome, Assessment)
        wanted = (reports and assessed) or (archive.dicom and result)
        picture, months = _seen(shown, archive, assessor) if wanted else (None, None)
        if result:
            results.append(result)
            if archive.dicom and beside:
                _write_dicom(result, (picture, months), archive.dicom, beside)
        yield ReportItem(shown.outcome, picture if assessed else None, months=months)
    if archive.fhir:
        from bonexage.reports.fhir import transaction
        from bonexage.reports.writing import write_whole

        write_whole(archive.fhir, transaction(results))
        note(f"FHIR transaction: {archive.fhir}")
    if archive.dicom:
        note(f"DICOM results of {len(results)} films: {archive.dicom}")


def _without_name(examination: Examination, number: int) -> Examination:
    """The examination under a number instead of its file name, which may name someone.

    The source stays: what a film is called where it is shown says nothing of where it lies.
    """
    name, outcome = f"film {number}", examination.outcome
    if isinstance(outcome, Assessment):
        return replace(examination, outcome=replace(outcome, file=name))
    error = outcome.error.about(name)
    if outcome.file in error.sentence:
        error = UnreadableFile("it cannot be read", remedy="Read it without --deidentify to see why").about(
            name
        )
    return replace(examination, outcome=replace(outcome, file=name, error=error))


def _result(examination: Examination, archive: Archive, tally: Tally) -> FilmResult | None:
    from bonexage.reading.dicom_meta import OWN_MODEL
    from bonexage.reports.result import FilmResult, without_identity

    try:
        film = examination.source.identity() if examination.source else None
    except BonexageError as error:
        note(f"{printable(examination.outcome.file)}: no result is written: {error.problem}.")
        tally.unreferable += isinstance(examination.outcome, Assessment)
        return None
    if film and film.model == OWN_MODEL:
        return None
    if film is None:
        note(
            f"{printable(examination.outcome.file)}: no result is written, for it is no DICOM film that one "
            "could refer to."
        )
        return None
    return FilmResult(
        examination.outcome,
        without_identity(film) if archive.deidentify else film,
        deidentified=archive.deidentify,
        page=archive.page,
    )


def _seen(examination: Examination, archive: Archive, assessor: Assessor) -> Seen:
    """The film, where it can be read and may be shown, and what in it moved the answer."""
    if archive.deidentify and not _rules_out_letters(examination):
        note(f"{examination.outcome.file}: its header does not rule out burnt-in text: no picture goes out.")
        return None, None
    return _seen_again(examination, assessor)


def _rules_out_letters(examination: Examination) -> bool:
    """Whether a header says that no letters are burnt into the film; a picture without a header is let pass.

    What is known of a picture file is the picture alone, which the user chose to show.
    """
    try:
        film = examination.source.identity() if examination.source else None
    except BonexageError:
        return False
    return film is None or film.burnt_in == "NO"


def _seen_again(examination: Examination, assessor: Assessor) -> Seen:
    """The film as it was read, and the map of what moved its answer, where the model gives one."""
    picture = months = None
    with suppress(BonexageError):
        radiograph = examination.source.radiograph() if examination.source else None
        picture = radiograph.pixels if radiograph else None
        if radiograph and isinstance(examination.outcome, Assessment) and assessor.explains:
            subject = examination.outcome.subject
            months = assessor.explain(radiograph, subject.sex, subject.age_months).months
    return picture, months


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
