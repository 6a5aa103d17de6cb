"""Runs are listed as they stand: finished, unfinished or broken, with what they differ in."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bonexage.errors import WrongUse
from bonexage.evaluation.runs import State, are_comparable, differences, read_run, read_runs
from bonexage.evaluation.runs_page import as_dict, remarks, tables, write_overview


def write_run(
    folder: Path,
    errors: list[list[float]],
    *,
    epochs: int = 3,
    patience: int = 0,
    fingerprint: str = "f",
    rate: float = 1e-3,
) -> Path:
    """A run folder with two stages of so many epochs, of which those with an error are done."""
    folder.mkdir(parents=True)
    stage = {"height": 64, "width": 96, "epochs": epochs, "patience": patience, "learning_rate": rate}
    recipe: dict[str, Any] = {
        "name": folder.name,
        "about": f"about {folder.name}",
        "network": {"backbone": "tiny"},
        "stages": [{**stage, "height": 32}, stage],
    }
    for name, content in {
        "recipe.json": recipe,
        "environment.json": {"gpus": [], "cores": 2},
        "data.json": {"fingerprint": fingerprint, "folders": [{"name": "a", "films": 20}]},
    }.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    with (folder / "metrics.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["stage", "epoch", "validation_mae_months", "seconds", "memory_mb"])
        for number, of_stage in enumerate(errors, start=1):
            for epoch, error in enumerate(of_stage, start=1):
                table.writerow([number, epoch, error, 1800, "nan"])
    return folder


def test_a_run_tells_epochs_hours_and_the_best_error_of_its_last_stage(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", [[9, 5, 8], [7, 6, 6.5]]))
    assert run.state is State.FINISHED
    assert (run.epochs, run.planned_epochs, run.hours, run.best_months) == (6, 6, 3.0, 6.0)
    assert (run.size, run.films, run.machine) == ("64 x 96", 20, "2 cores")


@pytest.mark.parametrize(
    ("errors", "patience", "state"),
    [
        ([], 0, State.UNFINISHED),
        ([[9, 8, 7]], 0, State.UNFINISHED),
        ([[9, 8, 7], [6, 5]], 0, State.UNFINISHED),
        ([[9, 8, 7], [6, 5, 4]], 0, State.FINISHED),
        ([[9, 8], [6, 7]], 1, State.FINISHED),
        ([[9, 8], [6, 5]], 1, State.UNFINISHED),
    ],
)
def test_a_run_is_finished_when_its_last_stage_is(
    tmp_path: Path, errors: list[list[float]], patience: int, state: State
) -> None:
    assert read_run(write_run(tmp_path / "run", errors, patience=patience)).state is state


@pytest.mark.parametrize("damaged", ["recipe.json", "data.json", "environment.json", "metrics.csv"])
def test_a_damaged_run_is_listed_as_broken_and_says_why(tmp_path: Path, damaged: str) -> None:
    write_run(tmp_path / "sound", [[9, 8, 7], [6, 5, 4]])
    path = write_run(tmp_path / "torn", [[9, 8]]) / damaged
    path.write_text(path.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    runs = {run.folder.name: run for run in read_runs(tmp_path)}
    assert runs["sound"].state is State.FINISHED
    assert runs["torn"].state is State.BROKEN
    assert damaged in runs["torn"].problem
    assert any("torn is broken" in line for line in remarks(list(runs.values())))


def test_a_run_without_records_is_broken_and_one_without_an_epoch_unfinished(tmp_path: Path) -> None:
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "log.txt").write_text("", encoding="utf-8")
    (write_run(tmp_path / "fresh", []) / "metrics.csv").unlink()
    begun, fresh = read_runs(tmp_path)
    assert (begun.state, begun.problem) == (State.BROKEN, "it has no recipe.json")
    assert fresh.state is State.UNFINISHED
    assert math.isnan(fresh.best_months)


def test_runs_are_found_in_folders_of_folders_and_a_folder_without_is_said(tmp_path: Path) -> None:
    write_run(tmp_path / "all" / "folds" / "fold-1", [[9]])
    write_run(tmp_path / "all" / "alone", [[9]])
    assert [run.folder.name for run in read_runs(tmp_path / "all")] == ["alone", "fold-1"]
    assert [run.folder.name for run in read_runs(tmp_path / "all" / "alone")] == ["alone"]
    (tmp_path / "none").mkdir()
    for folder in ("none", "nowhere"):
        with pytest.raises(WrongUse, match="no run in it"):
            read_runs(tmp_path / folder)


def test_differences_are_those_of_the_recipes_and_no_names(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [[9]])
    write_run(tmp_path / "b", [[9]], rate=0.5)
    runs = read_runs(tmp_path)
    assert differences(runs) == {
        "stages.1.learning_rate": [1e-3, 0.5],
        "stages.2.learning_rate": [1e-3, 0.5],
    }
    (tmp_path / "b" / "recipe.json").write_text("{", encoding="utf-8")
    assert differences(read_runs(tmp_path)) == {}


def test_runs_on_other_films_are_not_called_comparable(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [[9]])
    write_run(tmp_path / "b", [[9]])
    assert are_comparable(read_runs(tmp_path))
    write_run(tmp_path / "c", [[9]], fingerprint="g")
    runs = read_runs(tmp_path)
    assert not are_comparable(runs)
    assert any("not of the same films" in line for line in remarks(runs))


def test_tables_page_and_picture_show_every_run(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "[bold]a", [[9, 8, 7], [6, 5, 4.25]])
    write_run(tmp_path / "runs" / "<b>", [[9]], rate=0.5)
    (tmp_path / "runs" / "c").mkdir()
    (tmp_path / "runs" / "c" / "recipe.json").write_text("torn", encoding="utf-8")
    folder = tmp_path / "runs"
    runs = read_runs(folder)
    screen = Console(width=200, record=True)
    for table in tables(runs, folder):
        screen.print(table)
    text = screen.export_text()
    for said in ("[bold]a", "<b>", "finished", "unfinished", "broken", "4.25", "6 of 6", "learning_rate"):
        assert said in text
    write_overview(runs, folder, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"runs.html", "runs.json", "runs.png"}
    assert json.loads((tmp_path / "out" / "runs.json").read_text(encoding="utf-8")) == as_dict(runs)
    page = (tmp_path / "out" / "runs.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;" in page
    assert "its recipe.json is damaged" in page
