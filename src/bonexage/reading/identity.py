"""Whose film it is and where it belongs: what a result takes over from a DICOM film's header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final

from bonexage.errors import UnreadableFile
from bonexage.reading.dates import day_in

# Lengths by the value representations of PS3.5 section 6.2.
_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f\\]{0,64}")
_NAME: Final = re.compile(r"(?!(?:[^=]*=){3})[^\x00-\x1f\x7f\\]{0,194}")
_SHORT: Final = re.compile(r"[^\x00-\x1f\x7f\\]{0,16}")
# PS3.5 section 9.1 allows no leading zero in a component and no more than 64 characters. Devices write both,
# and archives compare UIDs as texts, so a result refers to such a film by its UID as it is.
_UID: Final = re.compile(r"(?=.{1,256}$)[0-9]+(\.[0-9]+)+")
_DATE: Final = re.compile(r"(\d{8})?")
_TIME: Final = re.compile(r"(([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?)?")
_CODE: Final = re.compile(r"[A-Z0-9 _]{0,16}")


def _element(keyword: str, form: re.Pattern[str]) -> str:
    """A field that is filled from the element of this keyword, if the element has this form."""
    made: str = field(default="", metadata={"keyword": keyword, "form": form})
    return made


@dataclass(frozen=True)
class FilmIdentity:
    """Patient, study and film as a DICOM header names them, each checked for its form; '' where missing.

    Dates are YYYYMMDD, times HHMMSS, both perhaps with less or more; `burnt_in` is YES, NO or ''; `model` is
    the machine's.
    """

    study_uid: str = _element("StudyInstanceUID", _UID)
    series_uid: str = _element("SeriesInstanceUID", _UID)
    sop_uid: str = _element("SOPInstanceUID", _UID)
    sop_class: str = _element("SOPClassUID", _UID)
    patient_name: str = _element("PatientName", _NAME)
    patient_id: str = _element("PatientID", _TEXT)
    patient_birth_date: str = _element("PatientBirthDate", _DATE)
    patient_sex: str = _element("PatientSex", _CODE)
    study_date: str = _element("StudyDate", _DATE)
    study_time: str = _element("StudyTime", _TIME)
    study_id: str = _element("StudyID", _SHORT)
    accession_number: str = _element("AccessionNumber", _SHORT)
    referring_physician: str = _element("ReferringPhysicianName", _NAME)
    study_description: str = _element("StudyDescription", _TEXT)
    series_date: str = _element("SeriesDate", _DATE)
    acquisition_date: str = _element("AcquisitionDate", _DATE)
    acquisition_time: str = _element("AcquisitionTime", _TIME)
    content_date: str = _element("ContentDate", _DATE)
    content_time: str = _element("ContentTime", _TIME)
    image_laterality: str = _element("ImageLaterality", _CODE)
    series_laterality: str = _element("Laterality", _CODE)
    modality: str = _element("Modality", _CODE)
    model: str = _element("ManufacturerModelName", _TEXT)
    burnt_in: str = _element("BurnedInAnnotation", _CODE)

    @property
    def laterality(self) -> str:
        """'L', 'R', or '' where the header names no single side."""
        side = self.image_laterality or self.series_laterality
        return side if side in ("L", "R") else ""

    @property
    def moment(self) -> tuple[str, str]:
        """When the film was taken, as far as its header says: a date and a time, each perhaps ''."""
        pairs = (
            (self.content_date, self.content_time),
            (self.acquisition_date, self.acquisition_time),
            (self.series_date, ""),
            (self.study_date, self.study_time),
        )
        return next((pair for pair in pairs if pair[0]), ("", ""))


def _as_written_in_dicom(text: str) -> str:
    """A day as YYYYMMDD, also where the header writes it in another form; '' for what names no day."""
    day = day_in(text)
    return f"{day.year:04}{day.month:02}{day.day:02}" if day else ""


def is_uid(text: str) -> bool:
    """Whether a text can be referred to as a UID, also with a leading zero in a component or overlong."""
    return bool(_UID.fullmatch(text))


KEYWORDS: Final[Mapping[str, str]] = {each.metadata["keyword"]: each.name for each in fields(FilmIdentity)}

_REQUIRED: Final[Mapping[str, str]] = {
    "StudyInstanceUID": "Study Instance UID",
    "SeriesInstanceUID": "Series Instance UID",
    "SOPInstanceUID": "SOP Instance UID",
    "SOPClassUID": "SOP Class UID",
}


def checked_identity(texts: Mapping[str, str], name: str) -> FilmIdentity:
    """The identity of these texts by keyword; what has not the form that the standard gives it is left out.

    Raises:
        UnreadableFile: it lacks one of the UIDs by which a result refers to a film.
    """
    found = {}
    for each in fields(FilmIdentity):
        text = str(texts.get(each.metadata["keyword"], "")).strip()
        form = each.metadata["form"]
        text = _as_written_in_dicom(text) if form is _DATE else text
        found[each.name] = text if form.fullmatch(text) else ""
    identity = FilmIdentity(**found)
    for keyword, uid_name in _REQUIRED.items():
        if getattr(identity, KEYWORDS[keyword]):
            continue
        fault = "is not made of digits and points" if str(texts.get(keyword, "")).strip() else "is missing"
        raise UnreadableFile(
            f"the header lacks the UIDs by which a result refers to a film: the {uid_name} {fault}",
            remedy="Export the film again from the archive",
            subject=name,
        )
    return identity
