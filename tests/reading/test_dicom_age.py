"""A header's age is read as exporters write it, and what cannot be used is a caution with its reason."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from bonexage.reading import dicom_age
from bonexage.reading.dates import day_in
from bonexage.reading.dicom_age import age_of
from bonexage.reading.dicom_header import stated_by
from bonexage.subject import DAYS_A_MONTH

TODAY = date(2026, 6, 1)
TAKEN = date(2026, 1, 15)


def header(**elements: str) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        made.add_new(keyword, "LO", value)
    return made


def codes(cautions) -> list[str]:
    return [caution.code for caution in cautions]


@pytest.mark.parametrize(
    ("written", "months", "slack"),
    [
        ("010Y", 120, 12),
        ("10Y", 120, 12),
        ("010y", 120, 12),
        ("126M", 126, 1),
        ("030W", 30 * 7 / DAYS_A_MONTH, 7 / DAYS_A_MONTH),
        ("045D", 45 / DAYS_A_MONTH, 0),
        ("000Y", 0, 12),
    ],
)
def test_a_stated_age_is_read_in_its_unit(written, months, slack):
    stated, cautions = stated_by(header(PatientAge=written))
    assert stated.subject.age_months == pytest.approx(months)
    assert stated.age_slack_months == pytest.approx(slack)
    assert not cautions


@given(days=st.integers(0, 20 * 365))
def test_an_age_is_worked_out_from_birth_and_study_to_the_day(days):
    born = (TAKEN - timedelta(days=days)).strftime("%Y%m%d")
    stated, _ = stated_by(header(PatientBirthDate=born, StudyDate="20260115"))
    assert stated.subject.age_months == pytest.approx(days / 30.4375)
    assert stated.age_slack_months == 0


@given(
    day=st.dates(date(1950, 1, 1), date(2025, 12, 31)),
    form=st.sampled_from(["%Y%m%d", "%Y-%m-%d", "%Y.%m.%d", "%Y/%m/%d", " %Y%m%d "]),
    time=st.sampled_from(["", "120000", "120000.123456+0100", "T12:00:00", "T12:00:00Z", " 12:00"]),
)
def test_a_day_is_the_same_in_every_form_that_puts_the_year_first(day, form, time):
    written = day.strftime(form).rstrip() + time if time else day.strftime(form)
    assert day_in(written) == day
    for keyword, other in (("PatientBirthDate", "StudyDate"), ("StudyDate", "PatientBirthDate")):
        dates = {keyword: written, other: day.strftime("%Y%m%d")}
        age, cautions = age_of(header(**dates), today=TODAY)
        assert (age.months, cautions) == (0, ())


@pytest.mark.parametrize(
    "written",
    [
        "00/00/0000",
        "00000000",
        "01/02/2010",
        "01.02.2010",
        "2010",
        "201001",
        "20101301",
        "20100230",
        "20100101x",
        "0000-00-00",
        "unknown",
        "2010-1",
        "201001011",
        "99999999",
        "20100101-20110101",
    ],
)
def test_a_text_that_names_no_day_for_certain_is_none(written):
    assert day_in(written) is None
    age, cautions = age_of(header(PatientBirthDate=written, StudyDate="20260115"), today=TODAY)
    assert (age, cautions) == (None, (dicom_age.BIRTH_UNREADABLE,))


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"PatientBirthDate": "20260116", "StudyDate": "20260115"}, dicom_age.BORN_AFTER_STUDY),
        ({"PatientBirthDate": "2026-01-16", "StudyDate": "20260115"}, dicom_age.BORN_AFTER_STUDY),
        ({"PatientBirthDate": "20150101"}, dicom_age.STUDY_MISSING),
        ({"PatientBirthDate": "20150101", "StudyDate": "00/00/0000"}, dicom_age.STUDY_UNREADABLE),
        ({"PatientBirthDate": "20150101", "StudyDate": "20260603"}, dicom_age.STUDY_TO_COME),
        ({"PatientBirthDate": "19000101", "StudyDate": "20260115"}, dicom_age.TOO_OLD),
        ({"PatientBirthDate": "00010101", "StudyDate": "20260115"}, dicom_age.TOO_OLD),
        ({"PatientAge": "999Y"}, dicom_age.TOO_OLD),
        ({"PatientAge": "ten"}, dicom_age.NOT_WRITTEN_AS_AGE),
        ({"PatientAge": "ten", "PatientBirthDate": "unknown"}, dicom_age.BIRTH_UNREADABLE),
    ],
)
def test_an_age_that_cannot_be_used_is_left_out_with_its_reason(elements, reason):
    age, cautions = age_of(header(**elements), today=TODAY)
    assert (age, cautions, reason.code) == (None, (reason,), "age-unusable")


@pytest.mark.parametrize("written", ["ten", "10", "999Y", "Y", "-10Y"])
def test_an_age_that_is_none_is_left_out_with_a_caution(written):
    stated, cautions = stated_by(header(PatientAge=written))
    assert stated.subject.age_months is None
    assert codes(cautions) == ["age-unusable"]


def test_the_next_date_of_the_film_is_taken_where_the_study_date_cannot_be_read():
    dates = {
        "PatientBirthDate": "20160115",
        "StudyDate": "00/00/0000",
        "AcquisitionDateTime": "20260115101112",
    }
    age, cautions = age_of(header(**dates), today=TODAY)
    assert age.months == pytest.approx(120, abs=0.1)
    assert not cautions


def test_birth_date_and_age_that_agree_give_the_exact_age_and_others_a_caution():
    dates = {"PatientAge": "010Y", "StudyDate": "20260115"}
    stated, cautions = stated_by(header(PatientBirthDate="20150715", **dates))
    assert stated.subject.age_months == pytest.approx(126, abs=0.1)
    assert not cautions
    for born in ("20000101", "20270101", "19000101"):
        stated, cautions = stated_by(header(PatientBirthDate=born, **dates))
        assert (stated.subject.age_months, codes(cautions)) == (120, ["age-unclear"])


@pytest.mark.parametrize("born", ["00/00/0000", "unknown", ""])
def test_an_age_stands_by_itself_where_the_birth_date_says_nothing(born):
    stated, cautions = stated_by(header(PatientAge="010Y", PatientBirthDate=born, StudyDate="20260115"))
    assert (stated.subject.age_months, cautions) == (120, ())


def test_a_header_without_birth_date_and_age_states_nothing_and_gives_no_caution():
    assert age_of(header(StudyDate="20260115")) == (None, ())


def test_an_adult_s_age_is_an_age():
    age, cautions = age_of(header(PatientAge="045Y"))
    assert (age.months, cautions) == (540, ())
