"""Every child is read by the one network that never saw it, and a stopped run of folds goes on."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bonexage.errors import UnusableData, WrongUse
from bonexage.learning import epoch as passing
from bonexage.learning import folds as folding
from bonexage.learning.checkpoint import load_checkpoint
from bonexage.learning.folds import train_folds
from bonexage.learning.start import empty_network
from bonexage.learning.train import train
from bonexage.model.preprocess import Preprocessing, normalise, place
from bonexage.reading.files import read_radiograph
from films import write_film
from learning.folders import data_folder_with
from learning.test_train import TINY

FOLDS = 3
SHORT = replace(TINY, stages=(replace(TINY.stages[0], epochs=1),))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two data folders: some children have a film in both."""
    home = tmp_path_factory.mktemp("data")
    return [data_folder_with(home / "many", 24), data_folder_with(home / "few", 9, deeper=True)]


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory, data: list[Path]) -> Path:
    out = tmp_path_factory.mktemp("runs") / "folded"
    train_folds(SHORT, data, out, folds=FOLDS)
    return out


@pytest.fixture
def copy(folded: Path, tmp_path: Path) -> Path:
    shutil.copytree(folded.parent / "cache", tmp_path / "cache")
    return shutil.copytree(folded, tmp_path / "folded")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def parts_in(run: Path) -> dict[str, str]:
    return {row["id"]: row["part"] for row in table(run / "films.csv")}


def fold_of(row: dict[str, str]) -> int:
    named = re.fullmatch(r"tiny-fold-(\d)@[0-9a-f]{12}", row["model"])
    assert named is not None
    return int(named[1])


def test_every_film_is_read_once_by_the_network_that_neither_learned_from_its_child_nor_was_chosen_by_it(
    folded: Path, data: list[Path]
) -> None:
    rows = table(folded / "predictions.csv")
    films = sorted(path.name for folder in data for path in folder.rglob("*.png"))
    assert sorted(row["file"] for row in rows) == films
    parts = {number: parts_in(folded / f"fold-{number}") for number in range(1, FOLDS + 1)}
    for row in rows:
        own = fold_of(row)
        assert parts[own].pop(row["id"], "calibration") == "calibration"
        assert all(part[row["id"]] != "calibration" for number, part in parts.items() if number != own)
    assert all("calibration" not in part.values() for part in parts.values())
    folds = Counter(fold_of(row) for row in rows)
    assert set(folds) == set(range(1, FOLDS + 1))


def test_an_out_of_fold_age_is_what_the_networks_of_the_fold_says(folded: Path, data: list[Path]) -> None:
    how = Preprocessing("keep-aspect", 64, 64)
    for row in table(folded / "predictions.csv")[::7]:
        network = empty_network(SHORT.network)
        run = folded / f"fold-{fold_of(row)}"
        network.load_state_dict(load_checkpoint(run / "best.pt")["average"])
        film = next(data[0].rglob(row["file"]))
        shown = normalise(place(read_radiograph(film).pixels, how)[np.newaxis], how)
        with torch.no_grad():
            months = network.eval()(torch.from_numpy(shown), torch.tensor([[float(row["sex"] == "M")]]))
        assert float(row["bone_age_months"]) == pytest.approx(float(months), abs=0.06)


def test_the_error_is_that_of_the_out_of_fold_ages_with_its_interval(folded: Path) -> None:
    rows = table(folded / "predictions.csv")
    away = [abs(float(row["bone_age_months"]) - float(row["labelled_months"])) for row in rows]
    found = json.loads((folded / "evaluation.json").read_text(encoding="utf-8"))
    assert found["split"] == "out-of-fold"
    assert (found["all"]["films"], found["all"]["children"]) == (len(rows), len({row["id"] for row in rows}))
    error = found["all"]["mae_months"]
    assert error["value"] == pytest.approx(np.mean(away), abs=0.06)
    assert error["low"] < error["value"] < error["high"]
    page = (folded / "evaluation.html").read_text(encoding="utf-8")
    assert "neither learned from its child" in page


class Cut(Exception):
    """The run was cut here."""


def test_folds_that_are_finished_are_passed_over_and_the_one_that_was_stopped_goes_on(
    monkeypatch: pytest.MonkeyPatch, folded: Path, copy: Path, data: list[Path]
) -> None:
    for number in (2, 3):
        shutil.rmtree(copy / f"fold-{number}")
    (copy / "predictions.csv").unlink()
    first = (copy / "fold-1" / "last.pt").read_bytes()
    step, steps = passing._step, iter(range(1, 1000))

    def cut_step(*arguments: Any) -> Any:
        if next(steps) == 2:
            raise Cut
        return step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(passing, "_step", cut_step)
        with pytest.raises(Cut):
            train_folds(SHORT, data, copy, folds=FOLDS, resume=True, keep_minutes=0.0)
    assert load_checkpoint(copy / "fold-2" / "last.pt")["progress"]["step"] == 1
    train_folds(SHORT, data, copy, folds=FOLDS, resume=True)
    assert (copy / "fold-1" / "last.pt").read_bytes() == first
    said = (copy / "fold-2" / "log.txt").read_text(encoding="utf-8")
    assert "Going on in stage 1 after 0 epochs and 1 batches" in said
    assert (copy / "predictions.csv").read_bytes() == (folded / "predictions.csv").read_bytes()


def test_what_is_finished_is_measured_again_and_not_trained_again(
    monkeypatch: pytest.MonkeyPatch, folded: Path, copy: Path, data: list[Path]
) -> None:
    (copy / "predictions.csv").unlink()
    monkeypatch.setattr(folding, "train_together", None)
    train_folds(SHORT, data, copy, folds=FOLDS, resume=True)
    assert (copy / "predictions.csv").read_bytes() == (folded / "predictions.csv").read_bytes()


def test_folds_are_never_written_over_and_only_gone_on_with_as_they_were(
    monkeypatch: pytest.MonkeyPatch, copy: Path, data: list[Path], tmp_path: Path
) -> None:
    monkeypatch.setattr(folding, "train_together", None)
    with pytest.raises(WrongUse, match="run here already"):
        train_folds(SHORT, data, copy, folds=FOLDS)
    with pytest.raises(WrongUse, match=r"parts\.folds was 3 and is 4"):
        train_folds(SHORT, data, copy, folds=4, resume=True)
    with pytest.raises(WrongUse, match="no fold has begun"):
        train_folds(SHORT, data, tmp_path / "none", folds=FOLDS, resume=True)
    with pytest.raises(WrongUse, match="no fold 1 of 1"):
        train_folds(SHORT, data, tmp_path / "none", folds=1)


def test_changed_films_stop_folds_before_any_is_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, copy: Path, data: list[Path], tmp_path: Path
) -> None:
    shutil.rmtree(copy / "fold-3")
    moved = [shutil.copytree(folder, tmp_path / folder.name) for folder in data]
    write_film(moved[0] / "boneage-training-dataset" / "1002.png", 77, 48, 40)
    monkeypatch.setattr(folding, "train_together", None)
    with pytest.raises(UnusableData, match=r"1 film is of another content \(1002\)"):
        train_folds(SHORT, moved, copy, folds=FOLDS, resume=True)


def test_a_single_run_is_no_place_for_folds(copy: Path, data: list[Path]) -> None:
    with pytest.raises(WrongUse, match="run here already"):
        train_folds(SHORT, data, copy / "fold-1", folds=FOLDS, resume=True)


def test_a_fold_is_a_run_that_train_goes_on_with(
    monkeypatch: pytest.MonkeyPatch, copy: Path, data: list[Path]
) -> None:
    monkeypatch.setattr(passing, "_step", None)
    own = replace(SHORT, parts=replace(SHORT.parts, folds=FOLDS, fold=2))
    assert train(own, data, copy / "fold-2", resume=True) == copy / "fold-2"
