"""What an archive holds of a film's results, asked for as a viewer asks, and whether it is sound."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import highdicom.sr
import pydicom
from pydicom.dataset import Dataset

from bonexage.assessment import Assessment
from bonexage.reports import codes
from clinic_live.servers import Archive, run

KINDS = ("SR", "OT", "DOC")


@dataclass(frozen=True)
class Found:
    """The results of one film, as the archive gave them out."""

    report: Dataset
    capture: Dataset
    document: Dataset

    @property
    def all(self) -> tuple[Dataset, Dataset, Dataset]:
        return self.report, self.capture, self.document


def series_of(archive: Archive, study_uid: str) -> list[tuple[str, str]]:
    """Modality and UID of the series in a study that are results, by QIDO."""
    listed = archive.web.search_for_series(study_uid, fields=["Modality"])
    read = [Dataset.from_json(each) for each in listed]
    return sorted((each.Modality, str(each.SeriesInstanceUID)) for each in read if each.Modality in KINDS)


def found(archive: Archive, study_uid: str) -> Found | None:
    """The three results in a study, by QIDO and WADO; None where they are not all there yet."""
    by_kind = dict(series_of(archive, study_uid))
    if set(by_kind) != set(KINDS):
        return None
    got = []
    for kind in KINDS:
        (one,) = archive.web.retrieve_series(study_uid, by_kind[kind])
        got.append(one)
    return Found(*got)


def check_sound(results: Found, folder: Path) -> None:
    """Standard tools find no error in any of them, and print the report."""
    for one in results.all:
        file = folder / f"{one.SOPInstanceUID}.dcm"
        one.save_as(file, enforce_file_format=True)
        said = run("dciodvfy", file)
        assert not [line for line in said.splitlines() if line.startswith("Error")], said
    report = folder / f"{results.report.SOPInstanceUID}.dcm"
    for tool in ("dsrdump", "dsr2html"):
        printed = run(tool, report)
        assert codes.PROCEDURE.meaning in printed
        assert "research, not for diagnosis" in printed


def check_says(results: Found, expected: Assessment, film: Dataset, *, within: float = 0.0) -> None:
    """Bone age, interval, sex, age and references are those of the film that was read.

    Args:
        results: as the archive gave them out.
        expected: what this package says of the film's file.
        film: the film as it was sent.
        within: months that the bone age may differ by.
    """
    written = io.BytesIO()
    results.report.save_as(written, enforce_file_format=True)
    written.seek(0)
    (group,) = highdicom.sr.srread(written).content.get_image_measurement_groups()
    (bone_age,) = [one for one in group.get_measurements() if one.name.value == codes.BONE_AGE.code]
    assert abs(bone_age.value - round(expected.bone_age_months, 1)) <= within + 1e-9
    assert (bone_age.unit.value, bone_age.unit.scheme_designator) == ("mo", "UCUM")
    reach = {
        item.ConceptNameCodeSequence[0].CodeValue: float(item.MeasuredValueSequence[0].NumericValue)
        for item in bone_age[0].ContentSequence
    }
    assert expected.interval
    ends = (bone_age.value - reach[codes.BELOW.code], bone_age.value + reach[codes.ABOVE.code])
    for end, wanted in zip(ends, (expected.interval.low_months, expected.interval.high_months), strict=True):
        assert abs(end - wanted) <= 0.051 + 2 * within
    (source,) = group.source_images
    assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID
    assert source.ReferencedSOPSequence[0].ReferencedSOPClassUID == film.SOPClassUID
    (sex,) = _context(results.report, codes.SUBJECT_SEX)
    assert sex.ConceptCodeSequence[0].CodeValue == film.PatientSex == expected.subject.sex.value
    (age,) = _context(results.report, codes.SUBJECT_AGE)
    assert float(age.MeasuredValueSequence[0].NumericValue) == float(film.PatientAge[:3])
    for one in results.all:
        assert one.StudyInstanceUID == film.StudyInstanceUID
        assert one.SeriesInstanceUID != film.SeriesInstanceUID
        assert (one.PatientID, one.AccessionNumber) == (film.PatientID, film.AccessionNumber)
    assert results.capture.pixel_array.shape[2] == 3
    assert results.capture.pixel_array.std() > 20
    pdf = results.document.EncapsulatedDocument
    assert pdf.startswith(b"%PDF")
    assert re.search(rb"%%EOF\s*\0?$", pdf)


def _context(report: Dataset, concept: codes.Concept) -> list[Dataset]:
    return [
        item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == concept.code
    ]


def read_film(path: Path) -> Dataset:
    return pydicom.dcmread(path)
