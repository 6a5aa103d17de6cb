"""The film a result refers to as highdicom wants it, and what every DICOM result has in common."""

from __future__ import annotations

import io
from typing import Any, Final

from pydicom.dataset import Dataset

from bonexage import __version__
from bonexage.reading.dicom_meta import OWN_DESCRIPTION, OWN_MODEL
from bonexage.reports.result import FilmResult

MANUFACTURER: Final = "The bonexage developers"
DEIDENTIFIED: Final = "Identifying text and dates removed, UIDs replaced"
UNICODE: Final = "ISO_IR 192"


def film_dataset(result: FilmResult) -> Dataset:
    """The film's identity as a data set: what a result of the same study takes over from it."""
    film, made = result.film, Dataset()
    made.SpecificCharacterSet = UNICODE
    made.SOPClassUID, made.SOPInstanceUID = film.sop_class, film.sop_uid
    made.StudyInstanceUID, made.SeriesInstanceUID = film.study_uid, film.series_uid
    # highdicom prints names that it finds odd, so it is given none; `finished` puts them in.
    made.PatientName, made.PatientID = "", film.patient_id
    made.PatientBirthDate = film.patient_birth_date
    made.PatientSex = film.patient_sex if film.patient_sex in ("F", "M", "O") else ""
    made.StudyDate, made.StudyTime = film.study_date, film.study_time
    made.StudyID, made.AccessionNumber = film.study_id, film.accession_number
    made.ReferringPhysicianName = ""
    if film.study_description:
        made.StudyDescription = film.study_description
    if result.deidentified:
        made.PatientIdentityRemoved = "YES"
        made.DeidentificationMethod = DEIDENTIFIED
    return made


def common(result: FilmResult, kind: str, number: int) -> dict[str, Any]:
    """What highdicom is told of every result: the new series, its own UID, the device and the film's time."""
    date, time = result.moment
    return {
        "series_instance_uid": result.uid(f"{kind} series"),
        "series_number": number,
        "sop_instance_uid": result.uid(kind),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": OWN_MODEL,
        "device_serial_number": result.model_hash[:64],
        "software_versions": [__version__, result.outcome.model[:64]],
        "series_description": OWN_DESCRIPTION,
        "content_date": date,
        "content_time": time,
    }


def finished(made: Dataset, result: FilmResult) -> bytes:
    """The file of a result, byte for byte the same whenever it is made."""
    made.PatientName = result.film.patient_name
    made.ReferringPhysicianName = result.film.referring_physician
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        if keyword in made:
            del made[keyword]
    if result.deidentified:
        made.PatientIdentityRemoved = "YES"
        made.DeidentificationMethod = DEIDENTIFIED
    for equipment in made.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in equipment:
            del equipment.ContributionDateTime
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()
