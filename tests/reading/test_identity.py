"""An identity is taken over where it has the form that the standard gives, and left out where it has not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bonexage.errors import UnreadableFile
from bonexage.reading import dicom
from bonexage.reading.files import identity_of
from bonexage.reading.identity import checked_identity
from dicoms import ROOT, dataset, write_dicom
from films import write_film

UIDS = {
    "StudyInstanceUID": "1.2.3",
    "SeriesInstanceUID": "1.2.4",
    "SOPInstanceUID": "1.2.5",
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1",
}


@pytest.fixture(scope="module", autouse=True)
def _children_end() -> Iterator[None]:
    yield
    dicom._dismiss()


@pytest.mark.parametrize(
    ("keyword", "field", "good", "bad"),
    [
        ("PatientName", "patient_name", "Müller^Änne=山田^太郎", "a=b=c=d"),
        ("PatientID", "patient_id", "P 17", "x" * 65),
        ("PatientID", "patient_id", "P 17", "a\nb"),
        ("StudyID", "study_id", "S1", "x" * 17),
        ("StudyDate", "study_date", "20240229", "20230229"),
        ("StudyDate", "study_date", "20240229", "yesterday"),
        ("StudyTime", "study_time", "101112.5", "256060"),
        ("BurnedInAnnotation", "burnt_in", "NO", "no; drop"),
    ],
)
def test_an_element_of_another_form_is_left_out(keyword, field, good, bad):
    assert getattr(checked_identity({**UIDS, keyword: good}, "a"), field) == good
    assert getattr(checked_identity({**UIDS, keyword: bad}, "a"), field) == ""


@pytest.mark.parametrize("keyword", list(UIDS))
@pytest.mark.parametrize("value", ["", "1..2", "01.2", "1.2.x", "1." + "2" * 63])
def test_a_film_without_a_uid_that_can_be_referred_to_is_refused(keyword, value):
    with pytest.raises(UnreadableFile, match=r"film\.dcm: the header lacks the UIDs"):
        checked_identity({**UIDS, keyword: value}, "film.dcm")


def test_a_film_s_identity_is_read_from_its_file_and_a_picture_has_none(tmp_path):
    made = dataset(PatientBirthDate="20150101", StudyTime="101112", Laterality="R")
    made.SpecificCharacterSet, made.PatientName = "ISO_IR 100", "Händ^Drawn"
    found = identity_of(write_dicom(tmp_path / "film.dcm", made))
    assert (found.study_uid, found.series_uid) == (f"{ROOT}.1", f"{ROOT}.2")
    assert (found.patient_name, found.patient_birth_date) == ("Händ^Drawn", "20150101")
    assert (found.laterality, found.moment) == ("R", ("20260115", "101112"))
    assert identity_of(write_film(tmp_path / "film.png")) is None
