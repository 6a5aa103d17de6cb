"""The codes that DICOM and FHIR results use, each with the system it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bonexage.subject import Sex

LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
SNOMED: Final = "http://snomed.info/sct"
DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_DESIGNATORS: Final = {LOINC: "LN", UCUM: "UCUM", SNOMED: "SCT", DICOM: "DCM"}


@dataclass(frozen=True)
class Concept:
    """A code, what it means, and the address of its system."""

    code: str
    meaning: str
    system: str

    @property
    def designator(self) -> str:
        """What DICOM calls the system (PS3.16 table 8-1)."""
        return _DESIGNATORS[self.system]


# LOINC: the bone age by X-ray, the method by which it was found, the views for it.
BONE_AGE: Final = Concept("85151-9", "XR Bone age", LOINC)
METHOD: Final = Concept("85150-1", "Bone age method", LOINC)
PROCEDURE: Final = Concept("24724-7", "Views for bone age", LOINC)
# UCUM.
MONTH: Final = Concept("mo", "month", UCUM)
ONE: Final = Concept("1", "no units", UCUM)
# SNOMED CT, as DICOM's context groups use it.
HAND: Final = Concept("85562004", "Hand", SNOMED)
SIDES: Final = {
    "L": Concept("7771000", "Left", SNOMED),
    "R": Concept("24028007", "Right", SNOMED),
}
UNDETERMINED: Final = Concept("373068000", "Undetermined", SNOMED)
ABOVE: Final = Concept("371886008", "+, range of upper measurement uncertainty", SNOMED)
BELOW: Final = Concept("371885007", "-, range of lower measurement uncertainty", SNOMED)
# DICOM, PS3.16 annex D.
Z_SCORE: Final = Concept("113071", "Z-score", DICOM)
AUTHORITY: Final = Concept("121406", "Reference Authority", DICOM)
SUBJECT_AGE: Final = Concept("121033", "Subject Age", DICOM)
SUBJECT_SEX: Final = Concept("121032", "Subject Sex", DICOM)
COMMENT: Final = Concept("121106", "Comment", DICOM)
DEVICE: Final = Concept("121007", "Device", DICOM)
# DICOM, PS3.16 CID 7455.
SEXES: Final = {
    Sex.FEMALE: Concept("F", "Female", DICOM),
    Sex.MALE: Concept("M", "Male", DICOM),
    Sex.UNKNOWN: Concept("U", "Unknown sex", DICOM),
}
