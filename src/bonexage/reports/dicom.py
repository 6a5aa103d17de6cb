"""The film a result refers to as highdicom wants it, and what every DICOM result has in common."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, Final

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID

from bonexage import __version__
from bonexage.reading.dicom_meta import OWN_DESCRIPTION, OWN_MODEL
from bonexage.reports.result import FilmResult, derived_uid

MANUFACTURER: Final = "The bonexage developers"
DEIDENTIFIED: Final = "Identifying text and dates removed, UIDs replaced"
UNICODE: Final = "ISO_IR 192"


def film_dataset(result: FilmResult) -> Dataset:
    """The film's identity as a data set: what a result of the same study takes over from it."""
    film, made = result.film, Dataset()
    made.SpecificCharacterSet = UNICODE
    # Where highdicom or pydicom would find a name or a UID odd, `finished` puts it in afterwards.
    made.SOPClassUID, made.SOPInstanceUID = film.sop_class, conformant_uid(film.sop_uid)
    made.StudyInstanceUID = conformant_uid(film.study_uid)
    made.SeriesInstanceUID = conformant_uid(film.series_uid)
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


def conformant_uid(film_uid: str) -> str:
    """A film's UID; where it is not as PS3.5 section 9.1 asks, one that stands for it until `finished`."""
    return film_uid if _is_conformant(film_uid) else derived_uid("stands for", film_uid)


def _is_conformant(film_uid: str) -> bool:
    return UID(film_uid, validation_mode=config.IGNORE).is_valid


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
    _put_in_uids(made, (result.film.study_uid, result.film.series_uid, result.film.sop_uid))
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _put_in_uids(made: Dataset, film_uids: Iterable[str]) -> None:
    """Refer to the film by its UIDs as they are, wherever one that stands for them was written."""
    stand_ins = {conformant_uid(each): each for each in film_uids if not _is_conformant(each)}

    def put_in(dataset: Dataset, element: DataElement) -> None:
        film_uid = stand_ins.get(str(element.value)) if element.VR == "UI" else None
        if film_uid:
            ignoring = config.IGNORE
            dataset[element.tag] = DataElement(element.tag, "UI", film_uid, validation_mode=ignoring)

    if stand_ins:
        made.walk(put_in)
