"""What is committed of an experiment is what its run says, and the table is made of nothing else."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import write_table
from held_out import VIEWS, View, read_held_out, shown
from write_table import HEADINGS, QUESTIONS, Together, draw, measure, read_results, table

from bonexage.errors import UnusableData
from bonexage.learning.dataset import FilmSet
from bonexage.learning.records import processor
from bonexage.learning.train import train
from bonexage.reports.region import with_region
from learning.folders import data_folder_with
from learning.test_train import TINY

ROOT = Path(__file__).parents[2]
RECIPES = {path.stem for path in (ROOT / "experiments").glob("*.toml")}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_folder_with(tmp_path_factory.mktemp("data") / "drawn", 30)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    folder = tmp_path_factory.mktemp("experiments")
    baseline = replace(
        TINY, name="baseline", about="The first of all.", stages=(replace(TINY.stages[0], films=10),)
    )
    other = replace(baseline, name="baseline-again", seed=5, about="Changes seed:\nChance alone,\nno more.")
    for recipe in (baseline, other):
        train(recipe, [data], folder / recipe.name)
    return folder


@pytest.fixture(scope="module")
def results(runs: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    measure(runs, [data], out)
    return out


def result(results: Path, name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
    return read


def test_the_error_is_that_of_the_best_checkpoint(runs: Path, results: Path) -> None:
    for name in ("baseline", "baseline-again"):
        with (runs / name / "metrics.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        errors = [float(row["validation_mae_months"]) for row in rows]
        said = result(results, name)
        error = said["validation"]["mae_months"]
        assert error["value"] == pytest.approx(min(errors), abs=1e-3)
        assert error["low"] < error["value"] < error["high"]
        assert [point["validation_mae_months"] for point in said["curve"]] == pytest.approx(errors, abs=1e-3)
        assert [point["share"] for point in said["curve"]] == [0.5, 1.0]
        assert said["hours"] == pytest.approx(sum(float(row["seconds"]) for row in rows) / 3600, abs=1e-3)
        assert said["films_learned"] == 20


def test_a_result_says_what_was_run_and_on_what_but_names_no_machine_or_path(
    runs: Path, results: Path, data: Path
) -> None:
    said = result(results, "baseline-again")
    assert (said["changes"], said["why"]) == ("seed", "Chance alone, no more.")
    assert said["backbone"] == "test_convnext"
    assert said["size"] == "64 x 64"
    assert said["augmentation"] == {"rotation_degrees": 10, "flip": 0.5}
    assert said["machine"]["processor"] == processor()
    text = (results / "baseline-again.json").read_text(encoding="utf-8")
    assert str(runs.parent) not in text
    assert str(data.parent) not in text


def test_the_difference_from_the_baseline_is_paired(runs: Path, results: Path, data: Path) -> None:
    first, second = (read_held_out(runs / name, [data]) for name in ("baseline", "baseline-again"))
    gap = np.abs(second.months() - second.labelled).mean() - np.abs(first.months() - first.labelled).mean()
    assert result(results, "baseline")["difference_months"] is None
    said = result(results, "baseline-again")["difference_months"]
    assert said["value"] == pytest.approx(gap)
    assert said["low"] <= gap <= said["high"]


def test_runs_and_views_that_answer_together_are_the_mean_of_what_each_says(
    runs: Path, results: Path, data: Path
) -> None:
    first, second = (read_held_out(runs / name, [data]) for name in ("baseline", "baseline-again"))
    mean = (first.said[:, 0] + second.said[:, 0]) / 2
    error = result(results, "two-seeds")["validation"]["mae_months"]["value"]
    assert error == pytest.approx(np.abs(mean - first.labelled).mean())
    many = read_held_out(runs / "baseline", [data], views=10)
    error = result(results, "two-views")["validation"]["mae_months"]["value"]
    assert error == pytest.approx(np.abs(many.said[:, :2].mean(axis=1) - many.labelled).mean())
    assert not (results / "two-backbones.json").exists()


def test_what_networks_say_is_kept_and_worked_out_again_for_another_checkpoint(
    runs: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    import held_out

    kept = read_held_out(runs / "baseline-again", [data])
    worked_out: list[Path] = []

    def work_out(run: Path, *_: Any) -> Any:
        worked_out.append(run)
        return kept

    monkeypatch.setattr(held_out, "_work_out", work_out)
    again = read_held_out(runs / "baseline-again", [data])
    assert not worked_out
    assert (again.children, again.folders) == (kept.children, kept.folders)
    assert np.array_equal(again.said, kept.said)
    newest = (runs / "baseline-again" / "validation-1.csv").stat().st_mtime + 10
    os.utime(runs / "baseline-again" / "best.pt", (newest, newest))
    read_held_out(runs / "baseline-again", [data])
    assert worked_out == [runs / "baseline-again"]


def test_other_films_than_the_runs_are_refused(runs: Path, tmp_path: Path) -> None:
    other = data_folder_with(tmp_path / "drawn", 31)
    with pytest.raises(UnusableData, match="no longer those"):
        read_held_out(runs / "baseline", [other], views=3)


def test_a_run_that_is_not_finished_gives_no_result(runs: Path, data: Path, tmp_path: Path) -> None:
    cut = tmp_path / "runs" / "baseline"
    cut.mkdir(parents=True)
    for file in (runs / "baseline").iterdir():
        if file.is_file():
            (cut / file.name).write_bytes(file.read_bytes())
    lines = (cut / "metrics.csv").read_text(encoding="utf-8").splitlines()
    (cut / "metrics.csv").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    measure(tmp_path / "runs", [data], tmp_path / "results")
    assert not list((tmp_path / "results").glob("*"))


def test_the_table_has_a_row_a_result_the_best_first(results: Path) -> None:
    found = read_results(results)
    rows = [line for line in table(found).splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(found) == 5
    assert all(row.count("|") == len(HEADINGS) + 1 for row in rows)
    errors = [one["validation"]["mae_months"]["value"] for one in found]
    assert errors == sorted(errors)
    for row, one in zip(rows, found, strict=True):
        assert one["name"] in row
        assert f"{one['validation']['mae_months']['value']:.2f}" in row
    assert processor() in table(found)
    assert table([]) == "None has been run to its end yet."


def test_curves_are_drawn_of_what_there_is(results: Path) -> None:
    found = read_results(results)
    png = draw(found)
    assert png.startswith(b"\x89PNG")
    assert draw(found) == png
    bent = [
        one | {"curve": [dict(p, validation_mae_months=11) for p in one.get("curve", [])]} for one in found
    ]
    assert draw(bent) != png


def test_every_experiment_has_a_panel_and_every_panel_experiments() -> None:
    shown_somewhere = {name for names in QUESTIONS.values() for name in names}
    assert shown_somewhere | {"baseline", "baseline-again"} == RECIPES
    members = {name for how in write_table.TOGETHER.values() for name in how.runs}
    assert members <= RECIPES
    assert all(isinstance(how, Together) and how.views <= len(VIEWS) for how in write_table.TOGETHER.values())


def films(pixels: np.ndarray) -> FilmSet:
    number = len(pixels)
    return FilmSet(
        pixels, np.arange(number), *(np.zeros(number, np.float32) for _ in range(2)), np.zeros(number, int)
    )


def test_views_mirror_turn_and_enlarge_the_film() -> None:
    pixels = np.zeros((2, 64, 48), dtype=np.uint8)
    pixels[:, 10:30, 5:15] = 200
    given = films(pixels)
    assert shown(given, View()) is given
    mirrored = np.asarray(shown(given, View(mirrored=True)).pixels)
    assert np.array_equal(mirrored, pixels[:, :, ::-1])
    whole = np.full((1, 64, 48), 100, dtype=np.uint8)
    smaller = np.asarray(shown(films(whole), View(zoom=0.5)).pixels)
    assert (smaller > 50).mean() == pytest.approx(0.25, abs=0.03)
    turned = np.asarray(shown(films(pixels), View(degrees=90)).pixels)
    # A quarter turn about the middle: what was above is now beside it, as large as before.
    assert (turned > 100).sum() == pytest.approx((pixels > 100).sum(), rel=0.1)
    rows, columns = np.nonzero(turned[0] > 100)
    assert (np.ptp(rows), np.ptp(columns)) == (pytest.approx(9, abs=1), pytest.approx(19, abs=1))


def test_the_committed_table_is_that_of_the_committed_results() -> None:
    readme = (ROOT / "experiments" / "README.md").read_text(encoding="utf-8")
    found = read_results(ROOT / "experiments" / "results")
    assert with_region(readme, write_table.REGION, table(found)) == readme
    assert (ROOT / "experiments" / "curves.png").exists() == bool(found)
