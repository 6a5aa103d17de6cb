"""The commands that set models and runs beside one another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bonexage.cli.app import app
from bonexage.model.calibration import fit_calibration
from bonexage.model.spread import fit_spread
from evaluation.test_runs import write_run
from films import write_film
from models import held_out, small_bundle, small_network


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A test split of eight films, and two models: b reads every film 40 months older than a."""
    monkeypatch.chdir(tmp_path)
    films = tmp_path / "data/boneage-test-dataset"
    films.mkdir(parents=True)
    for number in range(8):
        write_film(films / f"{number}.png", number)
    rows = [f"{number},{70 + number},{number % 2 == 0}" for number in range(8)]
    (tmp_path / "data/boneage-test-dataset.csv").write_text("\n".join(["id,boneage,male", *rows]) + "\n")
    small_bundle(tmp_path / "a.zip", name="a")
    small_bundle(tmp_path / "b.zip", name="b", onnx=small_network(offset=140.0))
    return tmp_path


def test_two_bundles_are_compared_on_a_data_folder(data: Path) -> None:
    done = run("compare", "a.zip", "b.zip", "--data", "data", "--out", "out", "--threads", "1")
    assert done.exit_code == 0, done.output
    assert "On 8 films of 8 children the two differ: a@" in done.stdout
    assert (data / "out/comparison.html").is_file()
    told = json.loads((data / "out/comparison.json").read_text(encoding="utf-8"))
    assert told["said"] in done.stdout


def test_evaluations_are_compared_without_films_and_what_one_lacks_is_told(data: Path) -> None:
    for model in "ab":
        run("evaluate", f"{model}.zip", "--data", "data", "--out", model, "--threads", "1")
    table = data / "b/predictions.csv"
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    table.write_text("".join(lines[:-1]), encoding="utf-8")
    done = run("compare", "a", "b/predictions.csv", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["films"], told["verdict"], told["only_in_first"]) == (7, "first", ["7"])
    assert "Not compared, in a@" in done.stderr
    assert "alone: 7" in done.stderr


def test_a_bundle_without_films_and_a_place_that_is_neither_are_wrong_use(data: Path) -> None:
    assert "--data" in run("compare", "a.zip", "b.zip").stderr
    done = run("compare", "data", "data")
    assert done.exit_code == 2
    assert "predictions.csv" in done.stderr


def test_labels_of_no_film_of_a_month_are_named(data: Path) -> None:
    films = held_out(range(30, 230), range(32, 232), "FM" * 100)
    small_bundle(data / "a.zip", calibration=fit_calibration(films, spread=fit_spread(films)))
    films_given = ("data/boneage-test-dataset", "--sex", "F", "--threads", "1", "--model", "a.zip")
    assert run("predict", *films_given, "--out", "month.csv").exit_code == 0
    (data / "labels.csv").write_text("id,boneage,male\n0,70,True\n1.0,71,False\n0002,72,True\n")
    done = run("drift", "month.csv", "--labels", "labels.csv", "--model", "a.zip")
    assert done.exit_code == 0, done.output
    assert "2 of 3 labels of labels.csv are of no film of the month: 1.0, 0002\n" in done.stderr
    (data / "labels.csv").write_text("id,boneage,male\n0,70,True\n")
    assert "of no film" not in run("drift", "month.csv", "--labels", "labels.csv", "--model", "a.zip").stderr


def test_runs_are_listed_with_their_state_and_as_json(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/one", [[9, 8, 7], [6, 5, 4]])
    write_run(tmp_path / "runs/two", [[9]], rate=0.5)
    done = run("runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    for said in ("one", "finished", "two", "unfinished", "learning_rate"):
        assert said in done.stdout
    assert (tmp_path / "out/runs.png").is_file()
    told = json.loads(run("runs", str(tmp_path / "runs"), "--json").stdout)
    assert [each["state"] for each in told["runs"]] == ["finished", "unfinished"]
    assert run("runs", str(tmp_path / "nowhere")).exit_code == 2
