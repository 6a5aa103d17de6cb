"""`predict --subjects`: no film is read as another child's, and what did not meet is named."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from bonexage.cli.app import app
from bonexage.cli.subjects import subjects_of
from bonexage.reading.subjects import Roll, SubjectRow
from bonexage.reports.journal import journal_path
from bonexage.subject import Sex, Subject
from dicoms import dataset, write_dicom
from films import write_film
from models import small_bundle

Run = Callable[..., Result]
BOTH_BOYS = "id,sex\n00123,M\n1377,M\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run predict in a folder with a model and films/00123.png and films/1377.png."""
    monkeypatch.chdir(tmp_path)
    small_bundle(tmp_path / "model.zip")
    (tmp_path / "films").mkdir()
    for seed, name in enumerate(("00123", "1377")):
        write_film(tmp_path / "films" / f"{name}.png", seed)

    def run(table: str, *arguments: str, films: tuple[str, ...] = ("films",)) -> Result:
        (tmp_path / "s.csv").write_text(table, encoding="utf-8", newline="")
        asked = ["predict", *films, "--subjects", "s.csv", "--model", "model.zip", "--threads", "1"]
        return CliRunner().invoke(app, [*asked, *arguments])

    return run


def sexes(done: Result) -> list[str]:
    return [row["sex"] for row in json.loads(done.stdout)]


@pytest.mark.parametrize("more", [(), ("--sex", "F"), ("--sex", "F", "--age-months", "90")])
@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (BOTH_BOYS, ["M", "M"]),
        ('id,sex\n="00123",M\n="1377",M\n', ["M", "M"]),
        ("id,sex\n123,M\n1377,M\n", ["U", "M"]),
        ("id,sex\n123.0,M\n1377.0,M\n", ["U", "U"]),
        ("file,sex\nC:\\films\\00123.png,M\nC:\\films\\1377.png,M\n", ["U", "U"]),
        ("file,sex\n/mnt/pacs/00123.png,M\n1377.png,M\n", ["U", "M"]),
        ("file,sex\n00123.PNG,M\n1377.jpg,M\n", ["U", "U"]),
        ("id,sex\n1.23E+02,M\n1377,M\n", ["U", "M"]),
    ],
)
def test_a_film_is_read_as_its_own_row_says_or_as_both_sexes_and_all_else_is_named(
    run: Run, table: str, expected: list[str], more: tuple[str, ...]
) -> None:
    done = run(table, "--format", "json", *more)
    assert sexes(done) == expected
    absent = [name for name, sex in zip(("00123", "1377"), expected, strict=True) if sex == "U"]
    assert done.exit_code == (3 if absent else 0)
    assert [row["age_months"] for row in json.loads(done.stdout)] == [None, None]
    told = done.stderr.splitlines()
    assert [name for name in ("00123", "1377") if f"  films/{name}.png" in told] == absent
    rows = [line for line in told if "no film is called" in line]
    assert len(rows) == len(absent)
    if more and absent:
        assert "--sex-for-the-rest" in done.stderr


def test_a_row_that_was_nearly_a_films_says_which_film_is_meant(run: Run) -> None:
    done = run("id,sex\n123,M\n00123.0,F\n9999,F\n1377,M\n")
    assert "row 2: no film is called '123'; is films/00123.png meant?" in done.stderr
    assert "row 3: no film is called '00123.0'; is films/00123.png meant?" in done.stderr
    assert "row 4: no film is called '9999'\n" in done.stderr


def test_rows_without_a_film_count_only_where_that_is_asked_for(run: Run) -> None:
    master = BOTH_BOYS + "".join(f"{number},F\n" for number in range(50_000, 50_030))
    done = run(master)
    assert done.exit_code == 0
    assert "30 of 32 rows of s.csv are of no film" in done.stderr
    assert done.stderr.count("no film is called") == 20
    assert "and 10 more" in done.stderr
    strict = run(master, "--strict-subjects")
    assert strict.exit_code == 3
    assert strict.stderr.count("no film is called") == 30
    assert run(BOTH_BOYS, "--strict-subjects").exit_code == 0


def test_a_row_of_several_films_is_named_with_them(run: Run, tmp_path: Path) -> None:
    for child in ("a", "b"):
        (tmp_path / child).mkdir()
        write_film(tmp_path / child / "hand.png", 2)
    films = ("films", "a", "b", "./films/1377.png")  # a film that is listed twice is one film
    table = BOTH_BOYS + "hand,M\n"
    done = run(table, films=films)
    assert done.exit_code == 0
    assert "1 of 3 rows of s.csv are of several films, read as one child's:" in done.stderr
    assert "  row 4: a/hand.png, b/hand.png\n" in done.stderr
    assert run(table, "--strict-subjects", films=films).exit_code == 3
    hidden = run(table, "--deidentify", films=films)
    assert "  row 4: film 3, film 4\n" in hidden.stderr
    assert "hand" not in hidden.output
    by_path = run("file,sex\na/hand.png,M\nb/hand.png,F\n", "--format", "json", films=("a", "b"))
    assert sexes(by_path) == ["M", "F"]
    assert "several films" not in by_path.stderr


def test_the_sex_given_is_of_the_rest_only_where_that_is_asked_for(run: Run) -> None:
    table = "id,sex,age_months\n1377,M,\n"
    done = run(table, "--sex", "F", "--age-months", "90", "--sex-for-the-rest", "--format", "json")
    rows = json.loads(done.stdout)
    assert [(row["sex"], row["age_months"]) for row in rows] == [("F", 90.0), ("M", None)]
    assert done.exit_code == 0
    assert "1 of 2 films have no row in s.csv, and were read as --sex F" in done.stderr


def test_a_header_fills_in_where_the_table_has_no_row_or_an_empty_cell(run: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_dicom(tmp_path / f"{name}.dcm", dataset(PatientSex="M", PatientAge="126M"))
    done = run("id,sex\nb,\n", "--sex", "F", "--format", "json", films=("a.dcm", "b.dcm"))
    assert sexes(done) == ["M", "M"]
    assert [row["age_months"] for row in json.loads(done.stdout)] == [126.0, 126.0]
    assert done.exit_code == 3
    assert "  a.dcm" in done.stderr.splitlines()
    assert "  b.dcm" not in done.stderr.splitlines()


def test_it_is_the_whole_list_that_counts_and_not_what_a_resumed_run_still_reads(
    run: Run, tmp_path: Path
) -> None:
    table = "id,sex\n123,M\n1377,M\n"
    assert run(table, "--out", "o.csv").exit_code == 3
    first = run(table, "--out", "o.jsonl")
    row = (tmp_path / "o.jsonl").read_text().splitlines()[0]
    (tmp_path / "o.jsonl").unlink()
    assert run(table, "--out", "o.jsonl", films=("films", "nowhere.txt")).exit_code == 3
    (tmp_path / "o.jsonl").unlink()
    settings = {
        "model": json.loads(row)["model"],
        "coverage": 0.9,
        "subjects": _hash(tmp_path / "s.csv"),
        "sex": "U",
        "age_months": None,
        "page": None,
    }
    header = json.dumps({"journal": 1, "settings": settings})
    journal_path(tmp_path / "o.jsonl").write_text(f"{header}\n{row}\n")
    resumed = run(table, "--out", "o.jsonl", "--resume")
    assert resumed.exit_code == 3
    assert _told(resumed) == _told(first)


def test_a_run_begun_when_the_sex_given_filled_in_is_not_gone_on_with_otherwise(
    run: Run, tmp_path: Path
) -> None:
    settings = {"subjects": None, "sex": "F", "model": "m", "coverage": 0.9, "age_months": None, "page": None}
    header = json.dumps({"journal": 1, "settings": settings})
    journal_path(tmp_path / "o.csv").write_text(f"{header}\n")
    done = run(BOTH_BOYS, "--sex", "F", "--out", "o.csv", "--resume")
    assert done.exit_code == 2
    assert "sex" in done.stderr


def test_each_shard_speaks_of_the_whole_list_also_when_it_is_finished(run: Run) -> None:
    table = "id,sex\n123,M\n1377,M\n"
    whole = _told(run(table, "--out", "whole.csv"))
    assert "films/00123.png" in whole
    for _ in range(2):
        for number in (1, 2, 3):
            done = run(table, "--shard", f"{number}/3", "--out", "parts.csv")
            assert done.exit_code == 3
            assert _told(done) == whole
    assert run(BOTH_BOYS, "--shard", "1/1", "--out", "whole").exit_code == 2  # no suffix
    assert run(BOTH_BOYS, "--shard", "1/1", "--out", "sound.csv").exit_code == 0


def test_ray_speaks_of_the_whole_list_also_when_its_parts_are_there(run: Run) -> None:
    pytest.importorskip("ray")
    table = "id,sex\n123,M\n1377,M\n"
    whole = _told(run(table, "--out", "whole.csv"))
    for _ in range(2):
        done = run(table, "--ray", "local", "--part", "1", "--out", "parts.parquet")
        assert done.exit_code == 3, done.output
        assert _told(done) == whole


def test_a_deidentified_run_names_films_and_rows_by_their_numbers(run: Run) -> None:
    done = run("id,sex\n123,M\n1377,M\n", "--deidentify")
    assert done.exit_code == 3
    assert "  film 1\n" in done.stderr
    assert "  row 2\n" in done.stderr
    assert "123" not in done.output


def test_a_table_may_come_through_a_pipe_which_gives_its_bytes_once(tmp_path: Path) -> None:
    pipe = tmp_path / "s.csv"
    os.mkfifo(pipe)
    content = BOTH_BOYS.encode()
    writer = threading.Thread(target=pipe.write_bytes, args=(content,), daemon=True)
    writer.start()
    children = subjects_of(pipe, Subject(), for_the_rest=False, strict=False, deidentify=False)
    assert children.sha256 == hashlib.sha256(content).hexdigest()
    assert children.of("films/00123.png") == Subject(Sex.MALE)


@pytest.mark.parametrize("option", ["--strict-subjects", "--sex-for-the-rest"])
def test_what_is_of_a_table_needs_one(run: Run, option: str) -> None:
    done = CliRunner().invoke(app, ["predict", "films", "--model", "model.zip", option])
    assert done.exit_code == 2
    assert "--subjects" in done.stderr


def test_names_that_begin_as_formulas_are_found_in_a_table_that_predict_wrote(
    run: Run, tmp_path: Path
) -> None:
    for seed, name in enumerate(("=1+1.png", "-5.png", "@a.png", "'=x.png", " blank .png", "\ttab.png")):
        write_film(tmp_path / "other.png", seed).rename(tmp_path / "films" / name)
    first = CliRunner().invoke(
        app, ["predict", "films", "--sex", "M", "--model", "model.zip", "--out", "o.csv"]
    )
    assert first.exit_code == 0
    with (tmp_path / "o.csv").open(newline="", encoding="utf-8") as stream:
        assert not [row for row in csv.DictReader(stream) if row["file"].startswith(("=", "-", "@", "\t"))]
    done = run((tmp_path / "o.csv").read_text(encoding="utf-8"), "--strict-subjects", "--format", "json")
    assert done.exit_code == 0, done.stderr
    assert sexes(done) == ["M"] * 8


def test_an_accent_is_the_same_however_a_system_writes_it() -> None:
    roll = Roll((SubjectRow(unicodedata.normalize("NFD", "Zoë.png"), Subject(Sex.FEMALE), 2),))
    assert roll.row_of(unicodedata.normalize("NFC", "films/Zoë.png"))


def test_a_name_that_is_a_uid_is_not_cut_at_its_last_point() -> None:
    roll = Roll((SubjectRow("1.2.3", Subject(Sex.FEMALE), 2),))
    assert roll.row_of("study/1.2.3.4") is None
    assert roll.row_of("study/1.2.3") is not None
    assert roll.row_of("study/1.2.3.dcm") is not None


@given(
    st.lists(st.text("ab01./", min_size=1, max_size=6), max_size=8),
    st.lists(st.text("ab01./", min_size=1, max_size=6), max_size=8, unique=True),
)
def test_every_film_and_every_row_has_met_or_is_named(films: list[str], names: list[str]) -> None:
    rows = tuple(SubjectRow(name, Subject(), number) for number, name in enumerate(names, start=2))
    roll = Roll(rows)
    assert list(roll.passing(films)) == films
    met = {row.number for film in films if (row := roll.row_of(film))}
    assert [row.number for row in roll.unmet] == [row.number for row in rows if row.number not in met]
    assert [film for _, film in roll.absent] == [film for film in films if roll.row_of(film) is None]
    together = [row.number for row in rows if len({PurePath(f) for f in films if roll.row_of(f) == row}) > 1]
    assert [row.number for row, _ in roll.shared] == together
    assert set(roll.nearly()) <= {row.number for row in roll.unmet}


def _told(done: Result) -> str:
    """What is said of the table, without what is said of the run."""
    lines = done.stderr.splitlines()
    return "\n".join(line for line in lines if " s.csv" in line or line.startswith("  "))


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
