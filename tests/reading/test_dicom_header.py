"""Sex, age, side, view, part and spacing are read as the standard writes them, and nonsense is nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from bonexage.radiograph import Stated
from bonexage.reading.dicom_header import spacing_of, stated_by
from bonexage.subject import Sex
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
