"""A run does what its recipe says, keeps what it reached, and goes on where it stopped."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bonexage.errors import TrainingStopped, UnusableData, WrongUse
from bonexage.learning import epoch as passing
from bonexage.learning import start
from bonexage.learning.augment import change, draw_changes
from bonexage.learning.checkpoint import load_checkpoint
from bonexage.learning.dataset import FilmSet, Part
from bonexage.learning.epoch import learning_rate, losses_of, predict_films
from bonexage.learning.learner import Precision
from bonexage.learning.network import build_features
from bonexage.learning.recipe import (
    Augmentation,
    InputRecipe,
    Loss,
    NetworkRecipe,
    Optimiser,
    Parts,
    Recipe,
    Stage,
)
from bonexage.learning.start import empty_network
from bonexage.learning.train import train
from hands import drawn_hand
from learning.folders import data_folder_with

CPU = Precision(torch.device("cpu"), None)
TINY = Recipe(
    name="tiny",
    network=NetworkRecipe(backbone="test_convnext", start="random"),
    parts=Parts(validation=0.2, calibration=0.2),
    augmentation=Augmentation(rotation_degrees=10, flip=0.5),
    optimiser=Optimiser(ema=0.9),
    stages=(
        Stage(height=64, width=64, epochs=2, batch=8, learning_rate=1e-3),
        Stage(height=96, width=64, epochs=2, batch=8, learning_rate=1e-3),
    ),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_folder_with(tmp_path_factory.mktemp("data") / "drawn", 30)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    return train(TINY, [data], tmp_path_factory.mktemp("runs") / "tiny")


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_keeps_all_it_was_made_of(run: Path, data: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert names == {
        "best.pt",
        "curves.png",
        "data.json",
        "environment.json",
        "films.csv",
        "last.pt",
        "log.txt",
        "metrics.csv",
        "previous.pt",
        "recipe.json",
        "tensorboard",
    }
    assert [(row["stage"], row["epoch"]) for row in rows_of(run)] == [
        ("1", "1"),
        ("1", "2"),
        ("2", "1"),
        ("2", "2"),
    ]
    with (run / "films.csv").open(encoding="utf-8") as file:
        films = list(csv.DictReader(file))
    assert len(films) == 30
    assert {film["part"] for film in films} == {part.value for part in Part}
    assert not any(
        str(data) in (run / name).read_text(encoding="utf-8") for name in ("films.csv", "data.json")
    )
    record = json.loads((run / "data.json").read_text(encoding="utf-8"))
    assert record["folders"] == [{"name": "drawn", "films": 30}]
    log = (run / "log.txt").read_text(encoding="utf-8")
    assert "started from random weights" in log
    assert "validation MAE" in log


def test_only_the_training_part_is_learned_from(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    seen: dict[str, set[float]] = {"learned": set(), "chosen": set()}
    step = passing._step
    predict = passing.predict_films

    def spy_step(job: Any, parts: Any, *rest: Any) -> Any:
        seen["learned"].update(months for _, batch in parts for months in batch.months.tolist())
        return step(job, parts, *rest)

    def spy_predict(network: Any, films: FilmSet, *rest: Any) -> Any:
        seen["chosen"].update(films.months.tolist())
        return predict(network, films, *rest)

    monkeypatch.setattr(passing, "_step", spy_step)
    monkeypatch.setattr(passing, "predict_films", spy_predict)
    run = train(replace(TINY, stages=TINY.stages[:1]), [data], tmp_path / "run")
    with (run / "films.csv").open(encoding="utf-8") as file:
        by_part: dict[str, set[float]] = {}
        for film in csv.DictReader(file):
            by_part.setdefault(film["part"], set()).add(float(film["bone_age_months"]))
    assert seen["learned"] == by_part["training"]
    assert seen["chosen"] == by_part["validation"]
    assert not by_part["calibration"] & (seen["learned"] | seen["chosen"])


def test_training_films_change_from_epoch_to_epoch_and_validation_films_do_not(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    # The published code shared one dataset between its splits, and switched augmentation off for both.
    learned: list[torch.Tensor] = []
    validated: list[torch.Tensor] = []
    normalise = passing._normalise

    def spy(films: torch.Tensor, how: InputRecipe) -> torch.Tensor:
        (learned if torch.is_grad_enabled() else validated).append(films.clone())
        return normalise(films, how)

    monkeypatch.setattr(passing, "_normalise", spy)
    order = passing.epoch_order
    monkeypatch.setattr(passing, "epoch_order", lambda films, **_: order(films, seed=1, most_from_folder=0))
    train(replace(TINY, stages=TINY.stages[:1]), [data], tmp_path / "run")
    for batches, same in ((learned, False), (validated, True)):
        half = len(batches) // 2
        assert half >= 1
        for first, second in zip(batches[:half], batches[half:], strict=True):
            assert torch.equal(first, second) is same


class Cut(Exception):
    """The run was cut here."""


@pytest.mark.parametrize("cut_at", [1, 3, 6, 8])
def test_a_run_that_was_cut_goes_on_to_the_same_weights(
    monkeypatch: pytest.MonkeyPatch, run: Path, data: Path, tmp_path: Path, cut_at: int
) -> None:
    steps = iter(range(1, 1000))
    step = passing._step

    def cut_step(*arguments: Any) -> Any:
        if next(steps) == cut_at:
            raise Cut
        return step(*arguments)

    monkeypatch.setattr(passing, "_step", cut_step)
    out = tmp_path / "cut"
    with pytest.raises(Cut):
        train(TINY, [data], out, cache_folder=run.parent / "cache")
    monkeypatch.setattr(passing, "_step", step)
    resumed = (out / "last.pt").exists()
    train(TINY, [data], out, resume=resumed, cache_folder=run.parent / "cache")
    whole, mended = load_checkpoint(run / "last.pt"), load_checkpoint(out / "last.pt")
    for part in ("network", "average"):
        assert all(torch.equal(value, mended[part][key]) for key, value in whole[part].items())
    assert [row["validation_mae_months"] for row in rows_of(out)] == [
        row["validation_mae_months"] for row in rows_of(run)
    ]


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    losses = iter(range(1000))

    def spoiled(predicted: torch.Tensor, labelled: torch.Tensor, how: Loss) -> torch.Tensor:
        return losses_of(predicted, labelled, how) * (float("nan") if next(losses) == 3 else 1.0)

    monkeypatch.setattr(passing, "losses_of", spoiled)
    with pytest.raises(TrainingStopped, match="not a number"):
        train(TINY, [data], tmp_path / "run")
    kept = load_checkpoint(tmp_path / "run" / "last.pt")
    assert kept["progress"]["epoch"] == 1
    assert all(torch.isfinite(value).all() for value in kept["network"].values() if value.is_floating_point())


def test_missing_and_unreadable_films_stop_training_before_it_starts(tmp_path: Path) -> None:
    data = data_folder_with(tmp_path / "data", 20)
    films = data / "boneage-training-dataset"
    (films / "1003.png").unlink()
    with pytest.raises(UnusableData, match="1003"):
        train(TINY, [data], tmp_path / "run")
    (films / "1003.png").write_bytes(b"torn")
    (films / "1004.png").write_bytes(b"")
    with pytest.raises(UnusableData) as error:
        train(TINY, [data], tmp_path / "run")
    assert "1003" in str(error.value)
    assert "1004" in str(error.value)
    assert "--skip-unreadable" in error.value.remedy
    assert not (tmp_path / "run" / "last.pt").exists()
    run = train(replace(TINY, stages=TINY.stages[:1]), [data], tmp_path / "run", skip_unreadable=True)
    record = json.loads((run / "data.json").read_text(encoding="utf-8"))
    assert len(record["skipped"]) == 2


def test_a_run_folder_is_never_written_over(run: Path, data: Path) -> None:
    with pytest.raises(WrongUse, match="run here already"):
        train(TINY, [data], run)


def test_nothing_to_go_on_from_is_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="no checkpoint"):
        train(TINY, [data], tmp_path / "none", resume=True)


def test_a_run_that_had_to_start_from_chance_says_so_at_both_ends_and_in_its_record(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    def without_network(backbone: str, options: Any = None, *, pretrained: bool = False) -> Any:
        if pretrained:
            raise OSError("no route to host")
        return build_features(backbone, options)

    monkeypatch.setattr(start, "build_features", without_network)
    wanting = replace(TINY, network=replace(TINY.network, start="imagenet"), stages=TINY.stages[:1])
    with pytest.raises(WrongUse, match="could not be had"):
        train(wanting, [data], tmp_path / "required", require_init=True)
    run = train(wanting, [data], tmp_path / "run")
    lines = (run / "log.txt").read_text(encoding="utf-8").splitlines()
    assert "starts from random weights" in lines[0]
    assert start.RANDOM_FOR_WANT in lines[-2]
    assert load_checkpoint(run / "best.pt")["started_from"] == start.RANDOM_FOR_WANT


def test_too_few_films_are_said(tmp_path: Path) -> None:
    with pytest.raises(UnusableData, match="left for training"):
        train(TINY, [data_folder_with(tmp_path / "data", 1)], tmp_path / "run")


def test_patience_ends_a_stage(monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path) -> None:
    worse = iter(range(1000))

    def worsening(network: Any, films: FilmSet, *_: Any) -> NDArray[np.float32]:
        return films.months + np.float32(next(worse))

    monkeypatch.setattr(passing, "predict_films", worsening)
    stage = replace(TINY.stages[0], epochs=9, patience=2)
    run = train(replace(TINY, stages=(stage,)), [data], tmp_path / "run")
    assert [row["validation_mae_months"] for row in rows_of(run)] == ["0.0", "1.0", "2.0"]
    assert load_checkpoint(run / "best.pt")["progress"]["best_epoch"] == 1


def test_it_learns(tmp_path: Path) -> None:
    data = data_folder_with(tmp_path / "data", 16)
    stage = Stage(height=64, width=64, epochs=25, batch=16, learning_rate=3e-3)
    recipe = replace(
        TINY,
        network=replace(TINY.network, dropout=(0.0, 0.0)),
        parts=Parts(0.1, 0.1),
        augmentation=Augmentation(),
        stages=(stage,),
    )
    rows = rows_of(train(recipe, [data], tmp_path / "run"))
    assert float(rows[-1]["train_mae_months"]) < 0.5 * float(rows[0]["train_mae_months"])


def film_set(count: int) -> FilmSet:
    draw = np.random.default_rng(0)
    return FilmSet(
        draw.integers(0, 255, (count, 64, 64), dtype=np.uint8),
        np.arange(count),
        draw.uniform(0, 228, count).astype(np.float32),
        draw.integers(0, 2, count).astype(np.float32),
        np.zeros(count, dtype=np.int64),
    )


@pytest.fixture
def network() -> torch.nn.Module:
    from bonexage.learning.start import empty_network

    torch.manual_seed(0)
    return empty_network(TINY.network)


def test_predictions_do_not_depend_on_the_batch(network: Any) -> None:
    # An error averaged over batches would weigh the films of a short last batch more.
    films = film_set(7)
    whole = predict_films(network, films, InputRecipe(), 7, CPU)
    for size in (1, 2, 3):
        assert np.allclose(predict_films(network, films, InputRecipe(), size, CPU), whole, atol=1e-3)


def test_the_loss_is_the_published_one() -> None:
    predicted, labelled = torch.tensor([110.0, 45.0]), torch.tensor([100.0, 50.0])
    assert losses_of(predicted[None], labelled, Loss(0.7, 0.3)).mean().item() == pytest.approx(
        0.7 * 7.5 + 0.3 * 0.1
    )


def test_two_pictures_of_a_film_that_are_read_apart_cost_more() -> None:
    labelled = torch.tensor([100.0, 50.0])
    apart = torch.tensor([[110.0, 50.0], [90.0, 50.0]])
    assert losses_of(apart, labelled, Loss()).tolist() == [10.0, 0.0]
    assert losses_of(apart, labelled, Loss(agreement=0.5)).tolist() == [20.0, 0.0]


@pytest.mark.parametrize("weights", [{"agreement": -0.1}, {"absolute": 0.0}, {"relative": -1.0}])
def test_a_loss_that_holds_readings_to_no_label_is_refused(weights: dict[str, float]) -> None:
    with pytest.raises(WrongUse, match="weight"):
        Loss(**weights)


def test_with_agreement_changed_pictures_of_a_film_are_read_more_alike(data: Path, tmp_path: Path) -> None:
    stage = replace(TINY.stages[0], epochs=12)
    films = torch.from_numpy(np.stack([drawn_hand(64, 64, seed) for seed in range(32)]))[:, None]
    changes = draw_changes(32, (64, 64), TINY.augmentation, torch.Generator().manual_seed(1))

    def read_apart(agreement: float) -> float:
        recipe = replace(TINY, stages=(stage,), loss=Loss(agreement=agreement))
        run = train(recipe, [data], tmp_path / f"run-{agreement}", cache_folder=tmp_path / "cache")
        network = empty_network(recipe.network)
        network.load_state_dict(load_checkpoint(run / "last.pt")["network"])
        with torch.no_grad():
            pictures = [
                network.eval()(each * 2 - 1, torch.ones(32, 1)) for each in (films, change(films, changes))
            ]
        return float((pictures[0] - pictures[1]).abs().mean())

    without, held = read_apart(0.0), read_apart(5.0)
    assert held < 0.8 * without, (held, without)


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    stage = Stage(learning_rate=1e-3, warm_up=0.1)
    rates = [learning_rate(stage, done / 1000) for done in range(1001)]
    assert max(rates) == pytest.approx(1e-3)
    assert rates.index(max(rates)) == 100
    assert rates[0] == 0.0
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)
    assert all(before > after for before, after in pairwise(rates[100:]))
