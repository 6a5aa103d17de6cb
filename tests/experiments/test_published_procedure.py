"""Both procedures get the same network, films and steps, and are compared on the same children."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import published_procedure
import pytest
from held_out import HeldOut, read_held_out
from hypothesis import given
from hypothesis import strategies as st
from learned import learned
from published_procedure import (
    OURS,
    OUT,
    PUBLISHED,
    as_published_inference,
    compared,
    on_films_apart,
    ratio,
    section,
)

from bonexage.learning import epoch
from bonexage.learning.recipe import Augmentation, Recipe, read_recipe
from bonexage.learning.train import train
from bonexage.reports.region import with_region
from learning.folders import data_folder_with
from learning.test_train import TINY
from models import small_bundle, small_network

ROOT = Path(__file__).parents[2]


def recipe(name: str) -> Recipe:
    return read_recipe(ROOT / "recipes" / f"{name}.toml")


def test_both_have_the_same_network_children_and_precision() -> None:
    ours, published = recipe(OURS), recipe(PUBLISHED)
    assert ours.network == published.network
    assert ours.parts == published.parts
    assert ours.optimiser.precision == published.optimiser.precision


def test_the_published_one_learned_from_no_fewer_films_and_in_no_fewer_steps() -> None:
    trained = json.loads(OUT.read_text(encoding="utf-8"))["trained"]
    assert trained[PUBLISHED]["steps"] >= trained[OURS]["steps"] > 0
    assert trained[PUBLISHED]["films_learned"] >= trained[OURS]["films_learned"] > 0


def test_the_published_one_is_published_but_for_its_size_and_that_no_augmentation_reaches_its_films() -> None:
    published, as_published = recipe(PUBLISHED), recipe("published")
    assert published.augmentation == Augmentation()
    assert as_published.augmentation != Augmentation()
    assert (published.loss, published.input) == (as_published.loss, as_published.input)
    assert replace(published.optimiser, precision="auto") == replace(as_published.optimiser, precision="auto")
    (stage,), (full,) = published.stages, as_published.stages
    assert (stage.learning_rate, stage.warm_up) == (full.learning_rate, full.warm_up)


@pytest.mark.parametrize("batch", [7, 10, 29])
@pytest.mark.parametrize("least", [0, 25])
def test_films_and_steps_are_those_that_training_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, least: int
) -> None:
    stages = tuple(
        replace(TINY.stages[0], epochs=epochs, batch=batch, least_in_band=least) for epochs in (1, 2)
    )
    taken: list[int] = []
    cut = epoch.split_batches

    def counted(order: np.ndarray, size: int) -> list[np.ndarray]:
        batches = cut(order, size)
        taken.extend(len(one) for one in batches)
        return batches

    monkeypatch.setattr(epoch, "split_batches", counted)
    train(replace(TINY, stages=stages), [data_folder_with(tmp_path / "drawn", 30)], tmp_path / "run")
    found = learned(tmp_path / "run", stages)
    assert (found.films, found.steps) == (sum(taken), len(taken))


def test_published_inference_normalises_unlike_training_and_reads_the_same_films(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_folder_with(tmp_path / "drawn", 30)
    train(TINY, [data], tmp_path / "run")
    trained = read_held_out(tmp_path / "run", [data])
    used = as_published_inference(tmp_path / "run", trained, [data])
    assert used.children == trained.children
    assert not np.allclose(used.said, trained.said, atol=1e-3)
    for name in ("MEAN", "STD"):
        alike = getattr(TINY.input, name.lower())
        monkeypatch.setattr(published_procedure, f"IMAGENET_{name}", (alike,))
    alike = as_published_inference(tmp_path / "run", trained, [data])
    assert np.allclose(alike.said, trained.said, atol=1e-3)


def test_bundles_are_set_beside_one_another_on_the_films_that_both_assess(tmp_path: Path) -> None:
    data = data_folder_with(tmp_path / "rsna-640px", 8, split="test").parent
    home = data / "other-scanner"
    shutil.copytree(data / "rsna-640px" / "boneage-test-dataset", home / "films")
    shutil.copy(data / "rsna-640px" / "boneage-test-dataset.csv", home / "films.csv")
    (home / "films" / "1003.png").write_bytes(b"no picture")
    ours = small_bundle(tmp_path / "ours")
    other = small_bundle(tmp_path / "other", onnx=small_network(slope=90.0))
    found = on_films_apart(ours, other, data)
    assert [one["films"] for one in found.values()] == [8, 7]
    for one in found.values():
        errors = [one[f"{which}_mae_months"]["value"] for which in ("ours", "published")]
        assert one["ratio"]["value"] == pytest.approx(errors[0] / errors[1])
        assert errors[0] != errors[1]


def films(errors: np.ndarray, children: list[str]) -> HeldOut:
    labelled = np.linspace(50, 150, len(errors))
    return HeldOut(tuple(children), ("here",) * len(errors), labelled, (labelled + errors)[:, np.newaxis])


@given(st.floats(0.2, 2.0), st.integers(20, 60))
def test_a_constant_ratio_is_found_without_any_spread(factor: float, number: int) -> None:
    errors = np.random.default_rng(0).uniform(1, 20, number)
    found = ratio(factor * errors, errors, [str(n) for n in range(number)])
    assert (found.value, found.low, found.high) == pytest.approx((factor,) * 3)


def test_the_ratio_is_that_of_the_errors_and_children_are_drawn_with_all_their_films() -> None:
    draw = np.random.default_rng(2)
    each = draw.uniform(1, 20, 100)
    published, ours = np.repeat(each, 3), np.repeat(each * draw.uniform(0.4, 1.0, 100), 3)
    children = [str(n // 3) for n in range(300)]
    found = compared(films(ours, children), *(films(published, children),) * 2)
    assert found["ratio"]["value"] == pytest.approx(ours.mean() / published.mean())
    assert found["ours_mae_months"]["value"] == pytest.approx(ours.mean())
    assert (found["films"], found["children"]) == (300, 100)
    apart = ratio(ours, published, [str(n) for n in range(300)])
    assert apart.high - apart.low < found["ratio"]["high"] - found["ratio"]["low"]


@pytest.mark.parametrize(("factor", "met"), [(0.8, True), (0.84, True), (0.86, False), (1.2, False)])
def test_the_goal_is_met_from_fifteen_percent_on(factor: float, met: bool) -> None:
    errors = np.random.default_rng(0).uniform(1, 20, 50)
    children = [str(n) for n in range(50)]
    found = compared(films(factor * errors, children), films(errors, children), films(2 * errors, children))
    assert found["goal_met"] is met
    how = {"steps": 1200, "films_learned": 30000, "sizes": ["64 x 64"]}
    apart = {
        "elsewhere": {
            key: found[key] for key in ("films", "ours_mae_months", "published_mae_months", "ratio")
        }
    }
    said = section(found | {"trained": {OURS: how, PUBLISHED: how}, "apart": apart})
    assert "| `elsewhere` | 50 |" in said
    assert ("not met" in said) is not met
    assert f"{100 * (1 - factor):.0f}%" in said
    assert "1,200 steps on 30,000 films of 64 × 64 pixels" in said
    assert f"less by {100 * (1 - factor / 2):.0f}%" in said.partition("inference")[2]


def test_other_films_are_refused() -> None:
    errors = np.ones(3)
    with pytest.raises(ValueError, match="same films"):
        compared(films(errors, ["1", "2", "3"]), *(films(errors, ["1", "2", "4"]),) * 2)


def test_the_section_of_the_readme_is_that_of_what_was_measured() -> None:
    readme = (ROOT / "experiments" / "README.md").read_text(encoding="utf-8")
    body = section(json.loads(OUT.read_text(encoding="utf-8")))
    assert with_region(readme, published_procedure.REGION, body) == readme
