"""Every experiment is a recipe that differs from the baseline in what it says, and in nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from measure_speed import Speed, films_that_fit, seconds_taken
from run import command, in_order

from bonexage.evaluation.runs import Run, State, differences
from bonexage.learning.recipe import Recipe, Stage, read_recipe, recipe_to_table

ROOT = Path(__file__).parents[2]
RECIPES = {path.stem: path for path in sorted((ROOT / "experiments").glob("*.toml"))}
BASELINE = read_recipe(RECIPES["baseline"])
others = pytest.mark.parametrize("name", [name for name in RECIPES if name != "baseline"])


def changed(recipe: Recipe) -> set[str]:
    """The places at which a recipe differs from the baseline."""
    runs = [Run(Path(), State.UNFINISHED, recipe=recipe_to_table(one)) for one in (BASELINE, recipe)]
    return set(differences(runs))


@others
def test_an_experiment_changes_what_its_remark_names_and_nothing_else(name: str) -> None:
    recipe = read_recipe(RECIPES[name])
    named = re.match(r"Changes ([^:]+):\n\S", recipe.about)
    assert named, recipe.about
    assert changed(recipe) == set(named.group(1).split(", "))
    assert recipe.name == name


def test_a_change_that_is_not_named_is_seen() -> None:
    assert changed(BASELINE) == set()
    assert changed(Recipe("other", seed=BASELINE.seed)) > {"network.backbone", "stages.1.height"}


def test_the_baseline_is_the_carried_models_recipe_on_small_films() -> None:
    assert (BASELINE.network.backbone, BASELINE.input.geometry) == ("mobilenetv2_100", "hand")
    assert (BASELINE.parts.validation, BASELINE.parts.calibration) == (0.07, 0.10)
    assert len(BASELINE.stages) == 1
    assert BASELINE.name == "baseline"


def test_every_question_has_its_experiment() -> None:
    said = {name: changed(read_recipe(path)) for name, path in RECIPES.items()}
    for place in (
        "seed",
        "network.pooling",
        "network.output",
        "network.sex",
        "network.start",
        "stages.1.height",
        "loss.relative",
        "distil.teacher",
    ):
        assert any(place in places for places in said.values()), place
    backbones = {read_recipe(path).network.backbone for path in RECIPES.values()}
    assert backbones >= {"resnet18", *(f"convnext_{size}" for size in ("atto", "femto", "nano", "tiny"))}
    assert sum(any(place.startswith("augmentation") for place in places) for places in said.values()) >= 2


def test_the_baseline_runs_first() -> None:
    order = [recipe.stem for recipe in in_order(list(RECIPES.values()))]
    assert order[:2] == ["baseline", "baseline-again"]
    assert sorted(order) == sorted(RECIPES)


def test_given_weights_start_those_that_ask_for_imagenets_alone(tmp_path: Path) -> None:
    init = tmp_path / "weights.safetensors"
    for name, path in RECIPES.items():
        words = command(path, tmp_path, tmp_path / name, init=init, locator=None)
        assert ("--init" in words) == (read_recipe(path).network.start == "imagenet"), name
        assert "--resume" not in words


def test_a_run_that_has_begun_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "last.pt").touch()
    words = command(RECIPES["baseline"], tmp_path, tmp_path, init=None, locator=tmp_path / "locator.onnx")
    assert words[-1] == "--resume"
    assert words[words.index("--locator") + 1] == str(tmp_path / "locator.onnx")


def test_slower_networks_get_fewer_films() -> None:
    fast, slow, stage = Speed(50.0, 200.0), Speed(10.0, 40.0), Stage(epochs=5, films=3000)
    budget = seconds_taken(fast, stage)
    assert films_that_fit(fast, stage, budget) == pytest.approx(stage.films, abs=1)
    few = films_that_fit(slow, stage, budget)
    assert 0 < few < stage.films / 4
    assert seconds_taken(slow, replace(stage, films=few)) == pytest.approx(budget, rel=0.01)
