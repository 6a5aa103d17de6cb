"""Several runs in one bundle answer with their mean, and its intervals are from films they never saw."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bonexage
from bonexage.errors import WrongUse
from bonexage.learning.cache import Cache
from bonexage.learning.checkpoint import load_checkpoint
from bonexage.learning.dataset import Part, gather_films, split_children
from bonexage.learning.export import SHARE_FOR_SPREAD, _dealt_again, _out_of_fold, export_run
from bonexage.learning.folds import train_folds
from bonexage.learning.members import read_members
from bonexage.learning.recipe import Parts
from bonexage.learning.start import empty_network, read_state
from bonexage.learning.train import train
from bonexage.model.bundle import Bundle, load_bundle
from bonexage.model.calibration import Calibration, fit_calibration
from bonexage.model.heaping import fit_heaping
from bonexage.model.preprocess import normalise, place
from bonexage.model.rounding import rounding_of
from bonexage.model.spread import HeldOut, Spread, fit_spread
from bonexage.reading.files import read_radiograph
from bonexage.subject import Sex
from learning.folders import data_folder_with
from learning.test_train import TINY

SHORT = replace(TINY, stages=(replace(TINY.stages[0], epochs=1),))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_folder_with(tmp_path_factory.mktemp("data") / "drawn", 24)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory, data: Path) -> list[Path]:
    home = tmp_path_factory.mktemp("runs")
    return [train(replace(SHORT, seed=seed), [data], home / f"seed-{seed}") for seed in (1, 2)]


@pytest.fixture(scope="module")
def folds(seeds: list[Path], data: Path) -> Path:
    out = seeds[0].parent / "folds"
    train_folds(SHORT, [data], out, folds=2)
    return out


@pytest.fixture(scope="module")
def of_seeds(seeds: list[Path]) -> Bundle:
    export_run(seeds, seeds[0].parent / "of-seeds")
    return load_bundle(seeds[0].parent / "of-seeds")


@pytest.fixture(scope="module")
def of_folds(folds: Path) -> Bundle:
    export_run(folds, folds.parent / "of-folds.zip", mirror=True)
    return load_bundle(folds.parent / "of-folds.zip")


def months_of(run: Path, film: Path, sex: str, bundle: Bundle, *, mirror: bool = False) -> float:
    """What PyTorch says of a film with a run's best weights."""
    network = empty_network(SHORT.network)
    network.load_state_dict(load_checkpoint(run / "best.pt")["average"])
    how = bundle.description.preprocessing
    shown = torch.from_numpy(normalise(place(read_radiograph(film).pixels, how)[np.newaxis], how))
    male = torch.tensor([[float(sex == "M")]])
    with torch.no_grad():
        views = [shown, shown.flip(-1)] if mirror else [shown]
        return float(np.mean([float(network.eval()(view, male)) for view in views]))


def films_of(run: Path, data: Path) -> list[dict[str, Any]]:
    with (run / "films.csv").open(encoding="utf-8") as file:
        return [row | {"path": next(data.rglob(f"{row['id']}.png"))} for row in csv.DictReader(file)]


def read_by(runs: list[Path], row: dict[str, Any], bundle: Bundle, *, mirror: bool = False) -> HeldOut:
    """A film as PyTorch reads it with some runs' weights, and how far these lie apart."""
    months = [months_of(run, row["path"], row["sex"], bundle, mirror=mirror) for run in runs]
    apart = float(np.ptp(months)) if len(runs) > 1 else None
    label = float(row["bone_age_months"])
    return HeldOut(row["id"], Sex(row["sex"]), float(np.mean(months)), label, apart)


def calibration_of(bundle: Bundle) -> tuple[Calibration, Spread, list[float]]:
    """A bundle's calibration, the spread in it, and the scores of all its cells."""
    calibration = bundle.description.calibration
    assert calibration is not None
    assert calibration.spread is not None
    return calibration, calibration.spread, scores_of(calibration)


def scores_of(calibration: Calibration) -> list[float]:
    return sorted(score for cell in calibration.cells for score in cell.scores)


def test_seeds_answer_with_the_mean_of_their_months(seeds: list[Path], data: Path, of_seeds: Bundle) -> None:
    assessor = bonexage.load(seeds[0].parent / "of-seeds")
    for row in films_of(seeds[0], data)[::6]:
        apart = [months_of(run, row["path"], row["sex"], of_seeds) for run in seeds]
        assert abs(apart[0] - apart[1]) > 0.01
        assessed = assessor.assess(str(row["path"]), sex=row["sex"])
        assert assessed.bone_age_months == pytest.approx(np.mean(apart), abs=2e-3)
    assert of_seeds.description.onnx_difference_months is not None
    assert of_seeds.description.onnx_difference_months < 2e-3


def test_intervals_of_seeds_are_from_the_parts_that_they_have_in_common(
    seeds: list[Path], data: Path, of_seeds: Bundle
) -> None:
    calibration, spread, scores = calibration_of(of_seeds)
    assert not calibration.out_of_fold
    by_part = {
        part: [read_by(seeds, row, of_seeds) for row in films_of(seeds[0], data) if row["part"] == part]
        for part in ("validation", "calibration")
    }
    expected = fit_spread(by_part["validation"])
    assert spread.level == pytest.approx(expected.level, abs=1e-3)
    others = [row for row in films_of(seeds[0], data) if row["part"] != "calibration"]
    labels = [(Sex(row["sex"]), float(row["bone_age_months"])) for row in others]
    rounding = rounding_of(fit_heaping(labels))
    assert calibration.rounding == rounding
    again = fit_calibration(by_part["calibration"], spread=expected, rounding=rounding)
    assert scores == pytest.approx(scores_of(again), rel=1e-2, abs=1e-3)
    measured = of_seeds.description.figures["validation"]["all"]["films"]
    assert measured == len(by_part["validation"])


def test_folds_answer_with_the_mean_of_their_months(folds: Path, data: Path, of_folds: Bundle) -> None:
    assessor = bonexage.load(folds.parent / "of-folds.zip")
    runs = [folds / "fold-1", folds / "fold-2"]
    for row in films_of(runs[0], data)[::6]:
        apart = [months_of(run, row["path"], row["sex"], of_folds, mirror=True) for run in runs]
        assessed = assessor.assess(str(row["path"]), sex=row["sex"])
        assert assessed.bone_age_months == pytest.approx(np.mean(apart), abs=2e-3)


@pytest.fixture(scope="module")
def unseen(folds: Path, data: Path, of_folds: Bundle) -> list[HeldOut]:
    """Every film as the member reads it that never saw its child."""
    return [
        read_by([run], row, of_folds, mirror=True)
        for run in (folds / "fold-1", folds / "fold-2")
        for row in films_of(run, data)
        if row["part"] == "calibration"
    ]


def test_figures_of_folds_are_of_the_members_that_never_saw_the_child(
    unseen: list[HeldOut], of_folds: Bundle
) -> None:
    assert len({film.child for film in unseen}) == len(unseen) == 24
    figures = of_folds.description.figures["out-of-fold"]["all"]
    away = [abs(film.reading_months - film.label_months) for film in unseen]
    assert figures["films"] == 24
    assert figures["mae_months"]["value"] == pytest.approx(np.mean(away), abs=2e-3)
    assert figures["mae_months"]["low"] < figures["mae_months"]["value"] < figures["mae_months"]["high"]


def test_intervals_of_folds_are_from_some_of_these_films_in_the_spread_of_the_others(
    unseen: list[HeldOut], data: Path, of_folds: Bundle
) -> None:
    calibration, spread, scores = calibration_of(of_folds)
    assert calibration.out_of_fold
    shares = Parts(validation=SHARE_FOR_SPREAD, calibration=1 - SHARE_FOR_SPREAD, seed=SHORT.parts.seed)
    films, _ = gather_films([data], SHORT.parts)
    part_of = split_children([each.film for each in films], shares)
    others = [film for film in unseen if part_of[film.child] is Part.VALIDATION]
    scored = [film for film in unseen if part_of[film.child] is Part.CALIBRATION]
    assert 3 <= len(others) <= 9
    assert spread.level == pytest.approx(fit_spread(others).level, abs=1e-3)
    assert spread.disagreement is None
    rounding = rounding_of(fit_heaping((film.sex, film.label_months) for film in others))
    assert calibration.rounding == rounding
    again = fit_calibration(scored, spread=spread, rounding=rounding)
    assert scores == pytest.approx(scores_of(again), rel=1e-3, abs=1e-4)


def test_films_of_a_child_are_dealt_out_to_one_use(tmp_path: Path) -> None:
    folders = [data_folder_with(tmp_path / "a", 60), data_folder_with(tmp_path / "b", 60)]
    films, _ = gather_films(folders, Parts())
    read = [(film, HeldOut(film.film.id, film.film.sex, 100.0, 90.0)) for film in films]
    part_of: dict[str, set[Part]] = {}
    for film, _ in _dealt_again(read, seed=3):
        part_of.setdefault(film.film.id, set()).add(film.part)
    assert all(len(parts) == 1 for parts in part_of.values())
    fitted = sum(parts == {Part.VALIDATION} for parts in part_of.values())
    assert fitted == pytest.approx(15, abs=3)
    assert sum(parts == {Part.CALIBRATION} for parts in part_of.values()) == 60 - fitted


def test_out_of_fold_figures_of_a_bundle_are_those_of_the_training(folds: Path) -> None:
    bundle = export_run(folds, folds.parent / "plain.zip")
    ours = bundle.description.figures["out-of-fold"]["all"]
    theirs = json.loads((folds / "evaluation.json").read_text(encoding="utf-8"))["all"]
    assert ours["films"] == theirs["films"]
    for end in ("value", "low", "high"):
        assert ours["mae_months"][end] == pytest.approx(theirs["mae_months"][end], abs=2e-3)


def test_an_ensemble_says_of_whom_it_is_made(
    seeds: list[Path], folds: Path, of_seeds: Bundle, of_folds: Bundle
) -> None:
    assert of_seeds.description.name == "tiny-ensemble-2"
    members = of_seeds.description.members
    assert [member["run"] for member in members] == ["seed-1", "seed-2"]
    assert [member["recipe_changes"] for member in members] == [{}, {"seed": 2}]
    assert [member["recipe_changes"] for member in of_folds.description.members] == [{}, {"parts.fold": 2}]
    for member in members:
        assert f"{member['run']}: weights {member['weights_sha256'][:12]}" in of_seeds.card
    assert "Intervals: split-conformal" in of_seeds.card
    assert "Intervals: out of fold" in of_folds.card
    assert "no bound is proved" in of_folds.card
    assert "split-conformal" not in of_folds.card
    assert "no bound is proved" not in of_seeds.card


def test_a_member_goes_by_the_hash_of_the_weights_that_its_own_bundle_has(
    seeds: list[Path], of_seeds: Bundle, tmp_path: Path
) -> None:
    alone = export_run(seeds[1], tmp_path / "alone", with_weights=True)
    assert alone.description.members == ()
    assert (
        alone.description.sha256["weights.safetensors"] == of_seeds.description.members[1]["weights_sha256"]
    )
    saved = load_checkpoint(seeds[1] / "best.pt")["average"]
    kept = read_state(tmp_path / "alone" / "weights.safetensors")
    assert all(torch.equal(saved[key], value) for key, value in kept.items())


def recipe_of(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    table = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    change(table)
    (run / "recipe.json").write_text(json.dumps(table), encoding="utf-8")


def grow(run: Path) -> None:
    recipe_of(run, lambda table: table["stages"][0].update(height=96))


def normalise_otherwise(run: Path) -> None:
    recipe_of(run, lambda table: table["input"].update(mean=0.4))


def take_finer_steps(run: Path) -> None:
    recipe_of(run, lambda table: table["network"].update(backbone_options={"output_stride": 16}))


def relabel(run: Path) -> None:
    text = (run / "films.csv").read_text(encoding="utf-8")
    (run / "films.csv").write_text(text.replace(",49.0,", ",50.0,"), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (grow, "height is 96, not 64"),
        (normalise_otherwise, r"mean is \(0.4,\), not \(0.5,\)"),
        (take_finer_steps, "activation map has another size"),
        (relabel, "other films or labels"),
    ],
)
def test_runs_that_cannot_answer_as_one_are_refused(
    seeds: list[Path], tmp_path: Path, change: Callable[[Path], None], said: str
) -> None:
    other = shutil.copytree(seeds[1], tmp_path / "other")
    assert len(read_members([seeds[0], other])) == 2
    change(other)
    with pytest.raises(WrongUse, match=said) as error:
        export_run([seeds[0], other], tmp_path / "bundle")
    assert error.value.subject == str(other)


def test_hands_found_by_different_locators_are_refused(seeds: list[Path], tmp_path: Path) -> None:
    runs = [shutil.copytree(run, tmp_path / run.name) for run in seeds]
    for run in runs:
        recipe_of(run, lambda table: table["input"].update(geometry="hand"))
        (run / "locator.onnx").write_bytes(b"a locator")
    assert len(read_members(runs)) == 2
    (runs[1] / "locator.onnx").write_bytes(b"another")
    with pytest.raises(WrongUse, match="another locator"):
        export_run(runs, tmp_path / "bundle")


def test_a_run_that_is_named_twice_is_refused(seeds: list[Path], folds: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="named twice"):
        export_run([*seeds, seeds[0]], tmp_path / "bundle")
    with pytest.raises(WrongUse, match="named twice"):
        export_run([folds, folds / "fold-2"], tmp_path / "bundle")


def test_folds_that_are_not_finished_are_refused(folds: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folds, tmp_path / "folds")
    (copy / "fold-2" / "metrics.csv").unlink()
    with pytest.raises(WrongUse, match="not finished: fold-2") as error:
        export_run(copy, tmp_path / "bundle")
    assert "--resume" in error.value.remedy


def test_an_ensemble_has_no_weights_to_start_from(seeds: list[Path], tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="no weights"):
        export_run(seeds, tmp_path / "bundle", with_weights=True)


def test_without_a_film_kept_out_there_is_nothing_to_calibrate_with(
    seeds: list[Path], data: Path, tmp_path: Path
) -> None:
    members = read_members(seeds)
    films = [gather_films([data], Parts(calibration=0.0, seed=seed))[0] for seed in (1, 2)]
    assert films[0] != films[1]
    assert all(film.part is not Part.CALIBRATION for own in films for film in own)
    nothing = Cache(np.zeros((0, 64, 64), dtype=np.uint8), {}, {}, ())
    with pytest.raises(WrongUse, match="nothing to calibrate"):
        _out_of_fold(members, films, nothing, False, lambda done, total: None)
