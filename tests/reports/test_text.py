"""What people read in a terminal says everything that was found, and nothing twice."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bonexage.assessment import (
    DISCLAIMER,
    Assessment,
    Caution,
    Failure,
    Interval,
    Reading,
    StandardDeviationScore,
)
from bonexage.clinic.sentence import plain_sentence
from bonexage.errors import UnreadableFile
from bonexage.reports.text import footer, line, model_facts, paragraph, table
from bonexage.subject import Sex, Subject
from models import small_bundle

GIRL = Assessment(
    "[bold]x.png",
    Subject(Sex.FEMALE, 100.0),
    126.5,
    Interval(110.0, 140.04, 0.9),
    "m@0",
    (Caution("inverted", "The film was inverted and turned round."),),
    StandardDeviationScore(2.84, "Some Norm"),
    (Reading("F", 126.5, None),),
)
PLAIN = Assessment("plain.png", Subject(Sex.MALE), 60.0, None, "m@0", readings=(Reading("M", 60.0, None),))
BOTH = Assessment(
    "both.png", Subject(), 100.0, None, "m@0", readings=(Reading("F", 95.0, None), Reading("M", 105.0, None))
)
BAD = Failure("bad.png", Subject(), UnreadableFile("it is empty", remedy="Fetch it again"), "m@0")


def _shown(*outcomes: Assessment | Failure) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(table(outcomes))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_a_line_says_bone_age_interval_sds_and_cautions() -> None:
    assert line(GIRL) == (
        "[bold]x.png: 10 years 6 months (126.5 months), 90% interval 110.0 to 140.0 months, SDS +2.8 "
        "[inverted]"
    )
    assert line(PLAIN) == "plain.png: 5 years 0 months (60.0 months)"
    assert line(BAD) == "bad.png: unreadable: it is empty. Fetch it again."


def test_a_single_film_gets_each_caution_as_its_sentence() -> None:
    said = paragraph(GIRL)
    assert "The film was inverted and turned round." in said
    assert "+2.8, advanced (Some Norm)" in said
    assert "Assessed as   girl" in said
    assert "8 years 4 months (100.0 months)" in said
    assert paragraph(BAD) == line(BAD)


def test_a_single_film_gets_its_plain_sentence_and_the_interval_of_its_score() -> None:
    said = " ".join(paragraph(GIRL).split())
    assert plain_sentence(GIRL) in said
    with_ends = replace(GIRL, sds=StandardDeviationScore(2.84, "Some Norm", 1.07, 4.29))
    assert "+2.8, advanced (Some Norm); 90% interval +1.1 to +4.3" in " ".join(paragraph(with_ends).split())
    beyond = replace(GIRL, subject=Subject(Sex.FEMALE, 200.0), sds=None)
    assert "SDS no reference" in " ".join(paragraph(beyond).split())


def test_unknown_sex_shows_both_readings() -> None:
    assert "as a girl   7 years 11 months (95.0 months)" in paragraph(BOTH)
    assert "as a boy    8 years 9 months (105.0 months)" in paragraph(BOTH)


def test_the_table_shows_names_as_they_are_and_only_columns_with_something_in() -> None:
    everything = _shown(GIRL, PLAIN, BAD)
    for part in (
        "[bold]x.png",
        "10 years 6 months (126.5 months)",
        "90% interval",
        "+2.8",
        "inverted",
        "unreadable",
    ):
        assert part in everything
    bare = _shown(PLAIN, PLAIN)
    assert not any(part in bare for part in ("interval", "SDS", "Cautions"))


def test_the_footer_names_the_model_and_the_disclaimer() -> None:
    assert footer("m@0") == f"Model m@0. {DISCLAIMER}"


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_model_s_facts_name_hash_input_data_and_figures(tmp_path: Path, calibrated: bool) -> None:
    bundle = (
        small_bundle(tmp_path / "b")
        if calibrated
        else small_bundle(tmp_path / "b", calibration=None, data={})
    )
    facts = model_facts(bundle)
    assert bundle.model in facts
    assert bundle.hash in facts
    assert "64 x 64 pixels, keep-aspect, mean 0.5, std 0.5" in facts
    assert "9.5 months (95% interval 9.0 to 10.0), 80 validation films, all" in facts
    assert ("800 films" if calibrated else "no calibration") in facts
    assert DISCLAIMER in facts
