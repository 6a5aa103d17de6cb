"""What a name is in a CSV table: no formula for a spreadsheet, and the same name when it is read back."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bonexage.assessment import Assessment, Failure, Interval, Reading, StandardDeviationScore
from bonexage.errors import UnreadableFile
from bonexage.evaluation.checks import clean_csv
from bonexage.evaluation.compare import read_predictions
from bonexage.evaluation.evaluate import Measured, predictions_csv
from bonexage.evaluation.month import month_of, read_rows
from bonexage.model.assessor import Outcome
from bonexage.reading.folder import LabelledFilm
from bonexage.reading.labels import Label, read_labels
from bonexage.reading.series import read_series
from bonexage.reading.subjects import read_subjects
from bonexage.reports.table import record, write_table
from bonexage.spreadsheet import TableWriter, cell_of, text_of
from bonexage.subject import Sex, Subject

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "－", "＠", "＋")
# What a system may call a file: all but NUL and the slash, bytes that are no UTF-8 as lone surrogates.
CHARS = st.characters(exclude_characters="\x00/", exclude_categories=["Cs"])
FILE_NAMES = st.lists(
    CHARS | st.sampled_from([*FORMULAS, "'", '"', " ", ";", ",", "\udc80", "\udcff"]), min_size=1, max_size=12
).map("".join)
CHILD = Subject(Sex.FEMALE, 120.0)


def _assessed(name: str, sds: float = -1.5) -> Assessment:
    return Assessment(
        name,
        CHILD,
        100.0,
        Interval(90.0, 110.0, 0.9),
        "small@0123456789ab",
        sds=StandardDeviationScore(sds, "norm"),
        readings=(Reading("F", 100.0, None),),
    )


def _table(folder: Path, *outcomes: Outcome) -> Path:
    out = folder / "answers.csv"
    write_table(map(record, outcomes), out)
    return out


@given(FILE_NAMES)
@example("=1+1")
@example("'=1+1")
@example("''")
@example('="00123"')
@example(" a.png ")
@example("\x1c")
def test_a_text_is_read_back_as_it_was_and_begins_no_formula(name: str) -> None:
    cell = cell_of(name)
    assert text_of(cell) == name
    assert not cell.startswith(FORMULAS)
    assert not cell.lstrip().startswith(FORMULAS)


@given(FILE_NAMES)
@settings(max_examples=200, deadline=None)
def test_a_file_name_survives_the_table_that_predict_writes(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    table = _table(folder, _assessed(name))
    assert [row["file"] for row in read_rows(table)] == [name]
    assert [row.name for row in read_subjects(table)] == [name]
    sex, (row,) = read_series(table)
    assert (sex, row.age_months, row.bone_age_months) == (Sex.FEMALE, 120.0, 100.0)
    assert row.file in (name, str(folder / name))
    assert month_of(read_rows(table), "table").sds == (-1.5,)


@given(st.text(CHARS, min_size=1, max_size=8).filter(lambda name: "\ufeff" not in name))
@settings(max_examples=100, deadline=None)
def test_an_id_survives_the_tables_of_evaluate_and_check_data(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    film = LabelledFilm(name, folder / f"{name}.png", 96.0, Sex.FEMALE)
    predictions = folder / "predictions.csv"
    predictions.write_bytes(predictions_csv([Measured(film, _assessed(str(film.path)))]).encode())
    assert [(one.id, one.file) for one in read_predictions(predictions).films] == [(name, film.path.name)]
    labels = folder / "labels.csv"
    labels.write_bytes(clean_csv([Label(name, 96.0, Sex.FEMALE)]).encode())
    assert read_labels(labels) == (Label(name, 96.0, Sex.FEMALE),)


@pytest.mark.parametrize("start", FORMULAS)
def test_text_is_neutralised_and_numbers_stay_numbers(tmp_path: Path, start: str) -> None:
    error = UnreadableFile(f"{start}cmd|' /C calc'!A0", remedy="Fetch it again")
    name = f"{start}1+1.png"
    table = _table(tmp_path, _assessed(name), Failure(name, CHILD, error, "@model"))
    with table.open(encoding="utf-8", newline="") as stream:
        first, second = csv.DictReader(stream)
    assert first["file"] == second["file"] == f"'{name}"
    assert second["message"] == f"'{error.sentence}"
    assert second["model"] == "'@model"
    assert (first["sds"], first["bone_age_months"], first["sex"]) == ("-1.5", "100.0", "F")
    write_table([record(_assessed(name))], tmp_path / "answers.json")
    assert json.loads((tmp_path / "answers.json").read_text())[0]["file"] == name


def test_a_name_that_holds_another_spreadsheets_separator_stays_one_cell() -> None:
    text = io.StringIO(newline="")
    TableWriter(text, ["file", "message"]).write({"file": "a;=1+1.png", "message": None})
    (row,) = list(csv.reader(io.StringIO(text.getvalue(), newline=""), delimiter=";"))[1:]
    assert row[0].startswith("a;=1+1.png")


@pytest.mark.parametrize(
    ("cell", "text"), [('="00123"', "00123"), ("  a.png ", "a.png"), ("'a.png", "'a.png"), ("''", "''")]
)
def test_what_others_wrote_is_read_as_they_meant_it(cell: str, text: str) -> None:
    assert text_of(cell) == text
