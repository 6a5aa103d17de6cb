"""Shares of a list of films: each film in one, each written once, and nothing begun anew."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from bonexage.cli.app import app
from bonexage.cluster.films import AskedFilm
from bonexage.cluster.shards import Shard, parse_shard
from bonexage.errors import WrongUse
from bonexage.reports.journal import journal_path
from bonexage.subject import Sex, Subject
from films import write_film
from models import small_bundle

Run = Callable[..., Result]
FILMS = 6


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `predict` in a folder with a model and films/0.png to films/5.png, of which 2.png is no picture."""
    monkeypatch.chdir(tmp_path)
    small_bundle(tmp_path / "model.zip")
    (tmp_path / "films").mkdir()
    for seed in range(FILMS):
        write_film(tmp_path / "films" / f"{seed}.png", seed)
    (tmp_path / "films" / "2.png").write_bytes(b"no picture")

    def run(*arguments: str) -> Result:
        given = ["predict", *arguments, "--sex", "F", "--model", "model.zip", "--threads", "1"]
        return CliRunner().invoke(app, given)

    return run


def _rows(folder: Path) -> list[dict[str, str]]:
    rows = []
    for part in sorted(folder.glob("part-*")):
        with part.open(newline="", encoding="utf-8") as stream:
            rows += list(csv.DictReader(stream))
    return sorted(rows, key=lambda row: row["file"])


@given(st.lists(st.text(min_size=1), max_size=40), st.integers(1, 7))
def test_every_film_is_in_one_share_and_keeps_its_order(names: list[str], of: int) -> None:
    films = [AskedFilm(name, Subject()) for name in names]
    shares = [list(Shard(number, of).mine(films)) for number in range(1, of + 1)]
    assert sorted(film.file for share in shares for film in share) == sorted(names)
    for share in shares:
        assert [film for film in films if film in share] == share


@given(st.lists(st.text(min_size=1), max_size=20), st.text(min_size=1), st.integers(1, 7))
def test_a_film_that_comes_to_the_list_moves_no_other(names: list[str], new: str, of: int) -> None:
    before, after = ([AskedFilm(name, Subject()) for name in some] for some in (names, [new, *names]))
    for number in range(1, of + 1):
        shard = Shard(number, of)
        assert [film for film in shard.mine(after) if film.file != new] == [
            film for film in shard.mine(before) if film.file != new
        ]


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "a/b", "-1/4", "1/4/2"])
def test_what_names_no_share_is_refused(text: str) -> None:
    with pytest.raises(WrongUse, match="names no share"):
        parse_shard(text)


def test_the_shares_together_are_what_one_run_gives_a_bad_film_included(run: Run) -> None:
    assert run("films", "--out", "whole.csv").exit_code == 3
    codes = [run("films", "--shard", f"{number}/3", "--out", "parts.csv").exit_code for number in (1, 2, 3)]
    with Path("whole.csv").open(newline="", encoding="utf-8") as stream:
        assert _rows(Path("parts.csv")) == list(csv.DictReader(stream))
    assert sorted(codes) == [0, 0, 3]
    assert len(list(Path("parts.csv").glob("part-*-of-00003.csv"))) == 3


def test_a_share_without_a_film_is_a_table_without_a_row(run: Run) -> None:
    done = [run("films/0.png", "--shard", f"{number}/2", "--out", "parts.json") for number in (1, 2)]
    assert [each.exit_code for each in done] == [0, 0]
    parts = sorted(Path("parts.json").glob("part-*"))
    assert sorted(len(json.loads(part.read_text())) for part in parts) == [0, 1]


def test_a_share_that_is_finished_stays_as_it_is(run: Run) -> None:
    run("films", "--shard", "1/1", "--out", "parts.csv")
    (part,) = Path("parts.csv").glob("part-*")
    before = part.stat().st_mtime_ns
    again = run("films", "--shard", "1/1", "--out", "parts.csv")
    assert (again.exit_code, part.stat().st_mtime_ns) == (0, before)
    assert "This share is finished" in again.stderr


def test_a_share_that_was_stopped_goes_on_where_it_was(run: Run) -> None:
    run("films", "--shard", "1/1", "--out", "parts.jsonl")
    (part,) = Path("parts.jsonl").glob("part-*")
    lines = part.read_text().splitlines(keepends=True)
    settings = json.loads(Path("parts.jsonl/_settings.json").read_text())["settings"]
    del settings["shards"]
    lines[0] = json.dumps({**json.loads(lines[0]), "message": "read before the stop"}) + "\n"
    torn = [json.dumps({"journal": 1, "settings": settings}) + "\n", lines[0], lines[1][:9]]
    journal_path(part).write_text("".join(torn))
    part.unlink()
    assert run("films", "--shard", "1/1", "--out", "parts.jsonl").exit_code == 3
    assert part.read_text().splitlines(keepends=True) == lines
    assert not journal_path(part).exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [(("--shard", "1/4"), "other shards"), (("--shard", "1/3", "--age-months", "90"), "other age_months")],
)
def test_a_folder_holds_shares_of_one_run_alone(run: Run, changed: tuple[str, ...], said: str) -> None:
    run("films", "--shard", "2/3", "--out", "parts.csv")
    done = run("films", *changed, "--out", "parts.csv")
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_folder_with_other_files_is_not_written_to(run: Run) -> None:
    done = run("films", "--shard", "1/2", "--out", "films.csv")
    assert done.exit_code in (0, 3)
    Path("films").rename("mine.csv")
    done = run("mine.csv", "--shard", "1/2", "--out", "mine.csv")
    assert done.exit_code == 2
    assert "holds other files already" in done.stderr
    assert len(list(Path("mine.csv").iterdir())) == FILMS


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--shard", "1/2"), "Give --out with a folder"),
        (("--shard", "1/2", "--out", "parts"), "no table can be written"),
        (("--shard", "1/2", "--out", "parts.csv", "--report", "r"), "--report does not go with --shard"),
        (("--shard", "1/2", "--ray", "local", "--out", "parts.csv"), "exclude one another"),
        (("--shard", "1/2", "--device", "cuda", "--out", "parts.csv"), "cannot run on cuda"),
    ],
)
def test_what_does_not_go_with_shares_is_said_before_any_work(
    run: Run, options: tuple[str, ...], said: str
) -> None:
    done = run("films", *options)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_parquet_of_paths_says_whom_its_films_show(run: Run) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = [f"films/{number}.png" for number in (0, 1, 3)]
    table = {"file": names, "sex": ["M", None, "girl"], "age_months": [90.0, None, 100.0]}
    parquet.write_table(pa.table(table), "asked.parquet")
    assert run("asked.parquet", "--shard", "1/1", "--out", "parts.csv").exit_code == 0
    rows = _rows(Path("parts.csv"))
    assert [row["file"] for row in rows] == names
    assert [row["sex"] for row in rows] == [Sex.MALE, Sex.FEMALE, Sex.FEMALE]
    assert [row["age_months"] for row in rows] == ["90.0", "", "100.0"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"name": ["a.png"]}, "has no column 'file' but name"),
        ({"file": ["a.png"], "sex": ["x"]}, "'x' is not a sex, in the row of a.png"),
        ({"file": ["a.png"], "age_months": ["old"]}, "'old' is no number of months, in the row of a.png"),
        ({"file": [None]}, "a row names no film"),
        ({"file": ["a.png", "a.png"], "sex": ["F", "M"]}, "stands twice for different children"),
    ],
)
def test_a_parquet_that_names_no_films_is_a_sentence(
    run: Run, columns: dict[str, list[str | None]], said: str
) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), "asked.parquet")
    done = run("asked.parquet", "--shard", "1/1", "--out", "parts.csv")
    assert done.exit_code == 2
    assert said in done.stderr
