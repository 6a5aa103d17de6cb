"""What the caller says wins over a header, what is open the header says, and a disagreement is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonexage.model import assessor as assessor_module
from bonexage.model import examination
from bonexage.model.assessor import Assessor, assess_many
from bonexage.model.stated import hand_cautions, settle
from bonexage.radiograph import Stated
from bonexage.subject import Sex, Subject
from films import radiograph
from models import small_bundle

SEXES = st.sampled_from(list(Sex))
AGES = st.none() | st.floats(0, 240)
SUBJECTS = st.builds(Subject, SEXES, AGES)


def codes(cautions) -> list[str]:
    return [caution.code for caution in cautions]


@given(said=SUBJECTS, header=SUBJECTS, slack=st.sampled_from([0.0, 1.0, 12.0]))
def test_what_is_said_wins_and_what_is_left_open_is_filled(said, header, slack):
    subject, cautions = settle(said, Stated(header, slack))
    assert subject.sex is (header.sex if said.sex is Sex.UNKNOWN else said.sex)
    assert subject.age_months == (header.age_months if said.age_months is None else said.age_months)
    differ = Sex.UNKNOWN not in (said.sex, header.sex) and said.sex is not header.sex
    assert ("sex-disagrees" in codes(cautions)) == differ


@pytest.mark.parametrize(
    ("said", "header", "slack", "expected"),
    [
        (126, 120, 12, []),
        (132.9, 120, 12, []),
        (133.1, 120, 12, ["age-disagrees"]),
        (118.9, 120, 12, ["age-disagrees"]),
        (120.9, 120, 0, []),
        (121.1, 120, 0, ["age-disagrees"]),
        (None, 120, 12, ["age-in-years"]),
        (None, 120, 1, []),
        (120, None, 0, []),
    ],
)
def test_an_age_disagrees_where_the_header_s_unit_does_not_explain_it(said, header, slack, expected):
    _, cautions = settle(Subject(Sex.MALE, said), Stated(Subject(Sex.MALE, header), slack))
    assert codes(cautions) == expected


@pytest.mark.parametrize(
    ("stated", "mirrored", "expected"),
    [
        (Stated(), True, []),
        (Stated(laterality="L", view="PA", body_part="hand"), False, []),
        (Stated(laterality="L"), True, ["laterality-disagrees"]),
        (Stated(laterality="R"), True, []),
        (Stated(laterality="R"), False, ["right-hand", "laterality-disagrees"]),
        (Stated(laterality="R"), None, ["right-hand"]),
        (Stated(laterality="L", view="AP"), True, []),
        (Stated(laterality="B"), False, ["both-hands"]),
        (Stated(view="other", body_part="other"), None, ["other-body-part", "other-view"]),
    ],
)
def test_what_is_stated_of_the_hand_is_held_against_the_picture(stated, mirrored, expected):
    assert codes(hand_cautions(stated, mirrored=mirrored)) == expected


def test_a_film_is_assessed_as_its_header_says_one_by_one_and_in_a_stream(tmp_path: Path, monkeypatch):
    assessor = Assessor(small_bundle(tmp_path / "bundle"), threads=1)
    stated = Stated(Subject(Sex.FEMALE, 120.0), age_slack_months=12.0, laterality="R")
    film = replace(radiograph(), stated=stated)
    alone = assessor.assess(film)
    assert alone.subject == stated.subject
    assert alone.sds is not None
    assert {"right-hand", "age-in-years"} <= set(codes(alone.cautions))
    assert "sex-unknown" not in codes(alone.cautions)
    monkeypatch.setattr(assessor_module, "film_bytes", lambda _: b"")
    monkeypatch.setattr(examination, "decode_film_bytes", lambda *_, **__: film)
    (streamed,) = assess_many(assessor, ["drawn.png"], lambda _: Subject())
    assert streamed == alone
    boy = assessor.assess(film, "M", 118.0)
    assert boy.subject == Subject(Sex.MALE, 118.0)
    assert {"sex-disagrees", "age-disagrees"} <= set(codes(boy.cautions))
