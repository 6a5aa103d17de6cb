"""Sex, age, side, view, part and spacing are read as the standard writes them, and nonsense is nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from bonexage.radiograph import Stated
from bonexage.reading.dicom_header import spacing_of, stated_by
from bonexage.subject import DAYS_A_MONTH, Sex
from dicoms import dataset


def header(**elements: object) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def codes(cautions) -> list[str]:
    return [caution.code for caution in cautions]


@pytest.mark.parametrize(
    ("written", "sex"), [("F", Sex.FEMALE), ("M", Sex.MALE), ("O", Sex.UNKNOWN), ("", Sex.UNKNOWN)]
)
def test_a_sex_is_taken_as_recorded_and_never_guessed(written, sex):
    assert stated_by(header(PatientSex=written))[0].subject.sex is sex


@pytest.mark.parametrize(
    ("written", "months", "slack"),
    [
        ("010Y", 120, 12),
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
    from datetime import date, timedelta

    taken = date(2026, 1, 15)
    born = (taken - timedelta(days=days)).strftime("%Y%m%d")
    stated, _ = stated_by(header(PatientBirthDate=born, StudyDate="20260115"))
    assert stated.subject.age_months == pytest.approx(days / 30.4375)
    assert stated.age_slack_months == 0


def test_birth_date_and_age_that_agree_give_the_exact_age_and_others_a_caution():
    agree = header(PatientAge="010Y", PatientBirthDate="20150715", StudyDate="20260115")
    stated, cautions = stated_by(agree)
    assert stated.subject.age_months == pytest.approx(126, abs=0.1)
    assert not cautions
    agree.PatientBirthDate = "20000101"
    stated, cautions = stated_by(agree)
    assert (stated.subject.age_months, codes(cautions)) == (120, ["age-unclear"])


@pytest.mark.parametrize("written", ["ten", "10", "999Y", "Y", "-10Y"])
def test_an_age_that_is_none_is_left_out_with_a_caution(written):
    made = header()
    made.add_new("PatientAge", "LO", written)
    stated, cautions = stated_by(made)
    assert stated.subject.age_months is None
    assert codes(cautions) == ["age-unusable"]


def test_a_birth_after_the_study_is_no_age():
    stated, _ = stated_by(header(PatientBirthDate="20270101", StudyDate="20260115"))
    assert stated.subject.age_months is None


@pytest.mark.parametrize(
    ("elements", "laterality", "view", "part"),
    [
        ({"ImageLaterality": "L", "ViewPosition": "PA", "BodyPartExamined": "HAND"}, "L", "PA", "hand"),
        ({"Laterality": "R", "ViewPosition": "AP", "BodyPartExamined": "WRIST"}, "R", "AP", "hand"),
        ({"ImageLaterality": "B", "ViewPosition": "LLO", "BodyPartExamined": "CHEST"}, "B", "other", "other"),
        ({"ImageLaterality": "U"}, "", "", ""),
        ({}, "", "", ""),
    ],
)
def test_side_view_and_part_are_read(elements, laterality, view, part):
    stated, _ = stated_by(header(**elements))
    assert stated == Stated(laterality=laterality, view=view, body_part=part)


@pytest.mark.parametrize(
    ("elements", "spacing", "caution"),
    [
        ({"PixelSpacing": ["0.14", "0.15"], "ImagerPixelSpacing": ["0.2", "0.2"]}, (0.14, 0.15), []),
        ({"ImagerPixelSpacing": ["0.2", "0.2"]}, (0.2, 0.2), []),
        (
            {"ImagerPixelSpacing": ["0.2", "0.2"], "EstimatedRadiographicMagnificationFactor": "1.25"},
            (0.16, 0.16),
            [],
        ),
        ({"PixelSpacing": ["0", "0"], "ImagerPixelSpacing": ["0.2", "0.2"]}, (0.2, 0.2), []),
        ({"NominalScannedPixelSpacing": ["0.1", "0.1"]}, (0.1, 0.1), []),
        ({"PixelSpacing": ["0.2"]}, None, ["spacing-unusable"]),
        ({"PixelSpacing": ["-1", "900"]}, None, ["spacing-unusable"]),
        ({}, None, []),
    ],
)
def test_spacing_is_the_calibrated_one_first_and_missing_where_it_makes_no_sense(elements, spacing, caution):
    found, cautions = spacing_of(header(**elements))
    assert found == (None if spacing is None else pytest.approx(spacing))
    assert codes(cautions) == caution


@given(text=st.text(max_size=20))
def test_no_text_of_a_header_is_passed_on(text):
    canary = "CANARY" + text
    made = dataset()
    for keyword in ("PatientSex", "PatientAge", "ViewPosition", "BodyPartExamined", "ImageLaterality"):
        made.add_new(keyword, "LO", canary)
    stated, cautions = stated_by(made)
    assert "CANARY" not in repr((stated, cautions))
