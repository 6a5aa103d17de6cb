"""Rows have the same fields everywhere, and an interrupted table goes on where it was."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bonexage.assessment import Assessment, Caution, Failure, Interval, Reading, StandardDeviationScore
from bonexage.errors import MissingExtra, RefusedRadiograph, UnreadableFile, WrongUse
from bonexage.reports import table
from bonexage.reports.journal import Journal, journal_path
from bonexage.reports.table import FIELDS, Record, record, row_writer, write_table
from bonexage.subject import Sex, Subject

SETTINGS = {"model": "m@0", "coverage": 0.9}
BOY = Subject(Sex.MALE, 120.0)
ASSESSED = Assessment(
    'a,b "c".png',
    BOY,
    126.4999,
    Interval(100.04, 150.06, 0.9),
    "m@0",
    (Caution("inverted", "It was inverted."), Caution("edge", "At the edge.")),
    StandardDeviationScore(-0.001, "norm"),
    (Reading("M", 126.4999, None),),
)
BOTH = Assessment(
    "both.png",
    Subject(),
    100.0,
    Interval(80.0, 120.0, 0.9),
    "m@0",
    (Caution("sex-unknown", "Not known."),),
    None,
    (Reading("F", 95.04, Interval(80, 110, 0.9)), Reading("M", 104.96, Interval(90, 120, 0.9))),
)
UNREADABLE = Failure(
    "bad.png", BOY, UnreadableFile("empty", remedy="Fetch it again", subject="bad.png"), "m@0"
)
REFUSED = Failure("knee.png", BOY, RefusedRadiograph("no hand", remedy="Give a hand"), "m@0")
OUTCOMES = [ASSESSED, UNREADABLE, BOTH, REFUSED]


def test_a_row_has_the_promised_fields_in_order_and_months_with_one_decimal() -> None:
    assert record(ASSESSED) == {
        "file": 'a,b "c".png',
        "status": "assessed",
        "sex": "M",
        "age_months": 120.0,
        "bone_age_months": 126.5,
        "interval_low_months": 100.0,
        "interval_high_months": 150.1,
        "coverage": 0.9,
        "sds": 0.0,
        "cautions": "inverted;edge",
        "message": None,
        "model": "m@0",
        "caution_sentences": ["It was inverted.", "At the edge."],
    }
    assert tuple(record(ASSESSED))[: len(FIELDS)] == FIELDS
    assert str(record(ASSESSED)["sds"]) == "0.0"


def test_a_film_without_a_bone_age_says_why() -> None:
    row = record(UNREADABLE)
    assert (row["status"], row["message"]) == ("unreadable", "empty. Fetch it again.")
    assert record(REFUSED)["status"] == "refused"
    assert row["bone_age_months"] is None


def test_json_gives_both_readings_of_unknown_sex() -> None:
    readings = record(BOTH)["readings"]
    assert [reading["sex"] for reading in readings] == ["F", "M"]
    assert readings[0]["bone_age_months"] == 95.0
    assert readings[1]["interval_high_months"] == 120.0


def _written(tmp_path: Path, suffix: str, rows: Iterable[Record]) -> Path:
    out = tmp_path / f"deep/out{suffix}"
    write_table(rows, out)
    assert [each.name for each in out.parent.iterdir()] == [out.name]
    return out


def _rows() -> list[Record]:
    return [record(outcome) for outcome in OUTCOMES]


def test_json_gives_the_interval_of_the_score_where_there_is_one() -> None:
    row = record(replace(ASSESSED, sds=StandardDeviationScore(0.65, "norm", -0.004, 1.296)))
    assert (row["sds"], row["sds_low"], row["sds_high"]) == (0.65, 0.0, 1.3)
    assert tuple(row)[: len(FIELDS)] == FIELDS


def test_csv_reads_back(tmp_path: Path) -> None:
    with _written(tmp_path, ".csv", _rows()).open(newline="", encoding="utf-8") as stream:
        read = list(csv.DictReader(stream))
    expected = [{k: "" if r[k] is None else str(r[k]) for k in FIELDS} for r in _rows()]
    assert read == expected


@pytest.mark.parametrize("some", [0, 1, 4])
def test_json_reads_back(tmp_path: Path, some: int) -> None:
    assert json.loads(_written(tmp_path, ".json", _rows()[:some]).read_text()) == _rows()[:some]


def test_json_lines_read_back(tmp_path: Path) -> None:
    lines = _written(tmp_path, ".JSONL", _rows()).read_text().splitlines()
    assert [json.loads(line) for line in lines] == _rows()


def test_parquet_reads_back_with_its_types_and_the_disclaimer(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    read = parquet.read_table(_written(tmp_path, ".parquet", _rows() * 700))
    assert read.to_pylist() == [{k: r[k] for k in FIELDS} for r in _rows()] * 700
    assert str(read.schema.field("sds").type) == "double"
    assert b"diagnosis" in read.schema.metadata[b"disclaimer"]


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_a_file_name_need_not_be_text(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    _written(tmp_path, suffix, [record(ASSESSED) | {"file": "\udcff.png"}])


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.txt"])
def test_another_suffix_is_refused_with_those_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongUse, match=r"\.csv, \.json, \.jsonl or \.parquet"):
        write_table([], tmp_path / name)


def test_parquet_without_its_package_names_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install .*\[parquet\]"):
        write_table([], tmp_path / "out.parquet")


def test_a_table_that_fails_leaves_the_older_one(tmp_path: Path) -> None:
    out = _written(tmp_path, ".csv", _rows())
    before = out.read_bytes()

    def breaks() -> Iterable[Record]:
        yield record(ASSESSED)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(breaks(), out)
    assert out.read_bytes() == before
    assert [each.name for each in out.parent.iterdir()] == [out.name]


def test_json_on_a_stream_is_whole_even_when_it_is_interrupted() -> None:
    stream = io.StringIO()
    with contextlib.suppress(KeyboardInterrupt), row_writer(stream, "json") as write:
        write(record(ASSESSED))
        raise KeyboardInterrupt
    assert json.loads(stream.getvalue()) == [record(ASSESSED)]


def _begun(out: Path, rows: int) -> Path:
    with Journal(out, SETTINGS) as journal:
        for row in _rows()[:rows]:
            journal.add(row)
    return journal_path(out)


FILMS = [outcome.file for outcome in OUTCOMES]


@pytest.mark.parametrize("done", range(5))
@pytest.mark.parametrize("torn", [b"", b'{"file": "to', b'{"file": "torn.png", "status": "assessed"}'])
def test_a_run_goes_on_where_it_was_and_a_torn_line_is_done_again(
    tmp_path: Path, done: int, torn: bytes
) -> None:
    out = tmp_path / "out.jsonl"
    with _begun(out, done).open("ab") as stream:
        stream.write(torn)
    assert not out.exists()
    with Journal(out, SETTINGS, resume=True) as journal:
        assert journal.kept == done
        assert journal.unusable == sum(isinstance(outcome, Failure) for outcome in OUTCOMES[:done])
        remaining = list(journal.remaining(FILMS))
        assert remaining == FILMS[done:]
        for row in _rows()[done:]:
            journal.add(row)
        assert journal.unusable == 2
        journal.finish()
    assert [json.loads(line) for line in out.read_text().splitlines()] == _rows()
    assert [each.name for each in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("header", [b"", b'{"journal": 1, "sett'])
def test_a_journal_killed_at_its_first_line_begins_again(tmp_path: Path, header: bytes) -> None:
    out = tmp_path / "out.csv"
    journal_path(out).write_bytes(header)
    with Journal(out, SETTINGS, resume=True) as journal:
        assert list(journal.remaining(FILMS)) == FILMS
        journal.add(_rows()[0])
        assert list(journal.records()) == _rows()[:1]


@pytest.mark.parametrize("change", [{"model": "other@1"}, {"coverage": 0.8}, {"subjects": "x"}])
def test_going_on_with_other_settings_is_refused_and_names_them(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    _begun(tmp_path / "out.csv", 2)
    with pytest.raises(WrongUse, match=f"other {next(iter(change))}"):
        Journal(tmp_path / "out.csv", SETTINGS | change, resume=True)


@pytest.mark.parametrize("films", [[*FILMS[::-1]], FILMS[:1], []])
def test_going_on_with_other_films_is_refused(tmp_path: Path, films: list[str]) -> None:
    _begun(tmp_path / "out.csv", 2)
    with (
        Journal(tmp_path / "out.csv", SETTINGS, resume=True) as journal,
        pytest.raises(WrongUse, match="not those of the unfinished run"),
    ):
        list(journal.remaining(films))


def test_a_journal_that_another_run_is_writing_is_left_alone(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    out = tmp_path / "out.csv"
    with Journal(out, SETTINGS) as journal:
        journal.add(record(ASSESSED))
        with pytest.raises(WrongUse, match="another run is at work"):
            Journal(out, SETTINGS, resume=True)
    with Journal(out, SETTINGS, resume=True) as journal:
        assert journal.kept == 1
        with pytest.raises(WrongUse, match="another run is at work"):
            Journal(out, SETTINGS | {"page": 2}, resume=True)
    for _ in range(2):  # one that was refused keeps no lock
        with pytest.raises(WrongUse, match="with other page"):
            Journal(out, SETTINGS | {"page": 2}, resume=True)


def test_an_unfinished_run_is_not_overwritten_unasked(tmp_path: Path) -> None:
    kept = _begun(tmp_path / "out.csv", 2)
    before = kept.read_bytes()
    with pytest.raises(WrongUse, match="--resume"):
        Journal(tmp_path / "out.csv", SETTINGS)
    assert kept.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"what\n", b"[]\n", b'{"journal": 9}\n', b'{"journal": 1, "settings": 3}\n']
)
def test_a_journal_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    journal_path(tmp_path / "out.csv").write_bytes(content)
    with pytest.raises(WrongUse, match="cannot be read"):
        Journal(tmp_path / "out.csv", SETTINGS, resume=True)


def test_a_journal_damaged_in_the_middle_is_refused(tmp_path: Path) -> None:
    kept = _begun(tmp_path / "out.csv", 2)
    kept.write_bytes(kept.read_bytes() + b'not json\n{"file": "x", "status": "assessed"}\n')
    with pytest.raises(WrongUse, match="cannot be read"):
        Journal(tmp_path / "out.csv", SETTINGS, resume=True)
