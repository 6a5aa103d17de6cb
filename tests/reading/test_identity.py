"""An identity is taken over where it has the form that the standard gives, and left out where it has not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bonexage.errors import UnreadableFile
from bonexage.reading import decoder
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
    decoder.dismiss()


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
@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("", "is missing"),
        *((value, "is not made of digits and points") for value in ("1..2", "1.2.x", "12", "1.2.", "1.²")),
        ("1." + "2" * 255, "is not made of digits and points"),
    ],
)
def test_a_film_without_a_uid_that_can_be_referred_to_is_refused_by_the_name_of_the_uid(
    keyword, value, fault
):
    named = keyword.replace("InstanceUID", " Instance UID").replace("ClassUID", " Class UID")
    with pytest.raises(UnreadableFile, match=rf"film\.dcm: the header lacks the UIDs .* {named} {fault}"):
        checked_identity({**UIDS, keyword: value}, "film.dcm")


@pytest.mark.parametrize("value", ["01.2", "1.2.0123.45", "1.00", "1." + "2" * 63, "1." + "2" * 200])
def test_a_uid_that_devices_write_against_the_standard_is_carried_as_it_is(value):
    fields = {"StudyInstanceUID": "study_uid", "SeriesInstanceUID": "series_uid", "SOPInstanceUID": "sop_uid"}
    for keyword, field in fields.items():
        assert getattr(checked_identity({**UIDS, keyword: value}, "a"), field) == value


def test_a_film_s_identity_is_read_from_its_file_and_a_picture_has_none(tmp_path):
    made = dataset(PatientBirthDate="20150101", StudyTime="101112", Laterality="R")
    made.SpecificCharacterSet, made.PatientName = "ISO_IR 100", "Händ^Drawn"
    found = identity_of(write_dicom(tmp_path / "film.dcm", made))
    assert (found.study_uid, found.series_uid) == (f"{ROOT}.1", f"{ROOT}.2")
    assert (found.patient_name, found.patient_birth_date) == ("Händ^Drawn", "20150101")
    assert (found.laterality, found.moment) == ("R", ("20260115", "101112"))
    assert identity_of(write_film(tmp_path / "film.png")) is None


@pytest.mark.parametrize(
    ("written", "carried"),
    [
        ("2015-01-31", "20150131"),
        ("2015.01.31", "20150131"),
        ("20150131101112", "20150131"),
        ("31/01/2015", ""),
    ],
)
def test_a_date_in_another_form_is_carried_as_the_standard_writes_it(written, carried):
    assert checked_identity({**UIDS, "PatientBirthDate": written}, "a").patient_birth_date == carried
