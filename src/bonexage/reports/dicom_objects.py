"""A picture as a Secondary Capture, a PDF as an Encapsulated PDF: in the film's study, each a new series."""

from __future__ import annotations

from typing import Final

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from bonexage.reading.dicom_meta import OWN_DESCRIPTION
from bonexage.reports.dicom import common, conformant_uid, film_dataset, finished
from bonexage.reports.result import FilmResult

CAPTURE_SERIES: Final = 9002
DOCUMENT_SERIES: Final = 9003
_PATIENT_AND_STUDY: Final = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDescription",
)


def secondary_capture(result: FilmResult, picture: NDArray[np.uint8]) -> bytes:
    """A picture, uint8 `[height, width, 3]`, as a Secondary Capture Image, as a DICOM file."""
    made: Dataset = SCImage.from_ref_dataset(
        film_dataset(result),
        np.ascontiguousarray(picture),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # highdicom asks for one; a sheet has none
        laterality=result.film.laterality or None,
        **common(result, "secondary capture", CAPTURE_SERIES),
    )
    made.PatientOrientation = None
    made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture = result.moment
    made.Modality = "OT"
    made.ConversionType = "WSD"
    made.BurnedInAnnotation = "YES"
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.DerivationDescription = OWN_DESCRIPTION
    made.SourceImageSequence = [_reference(result)]
    return finished(made, result)


def encapsulated_pdf(result: FilmResult, pdf: bytes) -> bytes:
    """The bytes of a PDF as an Encapsulated PDF, as a DICOM file."""
    about, film = common(result, "document", DOCUMENT_SERIES), film_dataset(result)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = EncapsulatedPDFStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = about["sop_instance_uid"]
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword in _PATIENT_AND_STUDY:
        if keyword in film:
            made[keyword] = film[keyword]
    made.SeriesInstanceUID, made.SeriesNumber = about["series_instance_uid"], DOCUMENT_SERIES
    made.InstanceNumber = 1
    made.Modality, made.ConversionType = "DOC", "SYN"
    made.SeriesDescription = made.DocumentTitle = OWN_DESCRIPTION
    made.Manufacturer = about["manufacturer"]
    made.ManufacturerModelName = about["manufacturer_model_name"]
    made.DeviceSerialNumber = about["device_serial_number"]
    made.SoftwareVersions = about["software_versions"]
    made.ContentDate, made.ContentTime = result.moment
    made.AcquisitionDateTime = "".join(result.film.moment)
    made.BurnedInAnnotation = "NO" if result.deidentified else "YES"
    made.ConceptNameCodeSequence = [_title()]
    made.SourceInstanceSequence = [_reference(result)]
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    made.EncapsulatedDocumentLength = len(pdf)
    return finished(made, result)


def _title() -> Dataset:
    """Imaging Measurement Report, PS3.16 CID 7021."""
    title, item = codes.cid7021.ImagingMeasurementReport, Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = (
        title.value,
        title.scheme_designator,
        title.meaning,
    )
    return item


def _reference(result: FilmResult) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = result.film.sop_class
    item.ReferencedSOPInstanceUID = conformant_uid(result.film.sop_uid)
    return item
