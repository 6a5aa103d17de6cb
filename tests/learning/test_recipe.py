"""A recipe is checked before anything is trained."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from bonexage.errors import WrongUse
from bonexage.learning.recipe import Augmentation, read_recipe, recipe_from_table, recipe_to_table

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_reads_and_comes_back_as_it_was(recipe: Path) -> None:
    read = read_recipe(recipe)
    assert recipe_from_table(recipe_to_table(read), source="again") == read


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_says_where_it_was_run_and_what_came_out_or_that_it_was_not(recipe: Path) -> None:
    about = read_recipe(recipe).about
    if not about.startswith("Not run"):
        assert about.startswith("Run on"), about
        assert re.search(r"\d+ (minutes|hours|days)", about), "how long it took"
        assert re.search(r"error [\d.]+ months", about), "what came out"


def test_the_recipe_for_the_whole_download_has_what_is_known_to_help() -> None:
    recipe, published = (read_recipe(RECIPES / f"{name}.toml") for name in ("rsna-512", "published"))
    assert recipe.network == published.network
    assert recipe.input.geometry == "hand"
    assert (recipe.stages[-1].height, recipe.stages[-1].width) == (512, 416)
    assert (recipe.loss.absolute, recipe.loss.relative) == (1.0, 0.0)
    assert recipe.optimiser.ema > 0.99
    changed = [f for f in fields(Augmentation) if getattr(recipe.augmentation, f.name) != f.default]
    assert len(changed) == len(fields(Augmentation))


def test_the_published_recipe_is_as_published() -> None:
    recipe = read_recipe(RECIPES / "published.toml")
    (stage,) = recipe.stages
    assert recipe.network.backbone == "convnext_tiny"
    assert recipe.input.geometry == "squash"
    assert (stage.height, stage.width, stage.batch, stage.epochs, stage.learning_rate) == (
        512,
        512,
        80,
        200,
        5e-4,
    )
    assert (recipe.loss.absolute, recipe.loss.relative) == (0.7, 0.3)
    assert (recipe.optimiser.weight_decay, recipe.optimiser.clip) == (1e-4, 1.0)


@pytest.mark.parametrize(
    ("table", "wrong", "near"),
    [
        ({"name": "x", "netwrok": {}}, "netwrok", "network"),
        ({"name": "x", "optimiser": {"wieght_decay": 1}}, "optimiser.wieght_decay", "optimiser.weight_decay"),
        ({"name": "x", "stages": [{"epoch": 1}]}, "stages.epoch", "stages.epochs"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(table: dict[str, Any], wrong: str, near: str) -> None:
    with pytest.raises(WrongUse) as error:
        recipe_from_table(table, source="r.toml")
    assert wrong in str(error.value)
    assert near in error.value.remedy
    assert "r.toml" in str(error.value)


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"name": 3},
        {"name": "x", "seed": True},
        {"name": "x", "seed": 1.5},
        {"name": "x", "stages": []},
        {"name": "x", "stages": [{"height": 100}]},
        {"name": "x", "stages": [{"batch": 1}]},
        {"name": "x", "input": {"geometry": "stretch"}},
        {"name": "x", "network": {"dropout": [0.5]}},
        {"name": "x", "augmentation": {"zoom": "much"}},
    ],
)
def test_a_value_that_does_not_fit_is_wrong_use(table: dict[str, Any]) -> None:
    with pytest.raises(WrongUse):
        recipe_from_table(table, source="r.toml")


def test_a_missing_or_broken_file_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("name = ", encoding="utf-8")
    for name in ("none.toml", "bad.toml"):
        with pytest.raises(WrongUse, match=name):
            read_recipe(tmp_path / name)
