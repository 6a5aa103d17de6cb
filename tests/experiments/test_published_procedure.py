"""Both procedures get the same network, films and steps, and are compared on the same children."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import published_procedure
import pytest
from held_out import HeldOut
from hypothesis import given
from hypothesis import strategies as st
from published_procedure import OURS, PROCEDURES, PUBLISHED, compared, ratio, section

from bonexage.learning.recipe import Augmentation, read_recipe
from bonexage.reports.region import with_region

ROOT = Path(__file__).parents[2]


def test_both_have_the_same_network_films_and_number_of_steps() -> None:
    ours, published = (read_recipe(PROCEDURES / f"{name}.toml") for name in (OURS, PUBLISHED))
    assert ours.network == published.network
    assert (ours.parts, ours.seed) == (published.parts, published.seed)
    (mine,), (theirs,) = ours.stages, published.stages
    assert (mine.epochs, mine.batch, mine.films, mine.least_in_band) == (
        theirs.epochs,
        theirs.batch,
        theirs.films,
        theirs.least_in_band,
    )
    assert theirs.height * theirs.width >= mine.height * mine.width


def test_the_published_one_is_published_but_for_its_size_and_that_no_augmentation_reaches_its_films() -> None:
    published = read_recipe(PROCEDURES / f"{PUBLISHED}.toml")
    as_published = read_recipe(ROOT / "recipes" / "published.toml")
    assert published.augmentation == Augmentation()
    assert as_published.augmentation != Augmentation()
    assert (published.loss, published.input) == (as_published.loss, as_published.input)
    mended = replace(as_published.optimiser, precision="float32")  # the published code never uses AMP
    assert published.optimiser == mended
    (stage,), (full,) = published.stages, as_published.stages
    assert (stage.learning_rate, stage.warm_up) == (full.learning_rate, full.warm_up)


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
    found = compared(films(ours, children), films(published, children))
    assert found["ratio"]["value"] == pytest.approx(ours.mean() / published.mean())
    assert found["ours_mae_months"]["value"] == pytest.approx(ours.mean())
    assert (found["films"], found["children"]) == (300, 100)
    apart = ratio(ours, published, [str(n) for n in range(300)])
    assert apart.high - apart.low < found["ratio"]["high"] - found["ratio"]["low"]


@pytest.mark.parametrize(("factor", "met"), [(0.8, True), (0.84, True), (0.86, False), (1.2, False)])
def test_the_goal_is_met_from_fifteen_percent_on(factor: float, met: bool) -> None:
    errors = np.random.default_rng(0).uniform(1, 20, 50)
    children = [str(n) for n in range(50)]
    found = compared(films(factor * errors, children), films(errors, children))
    assert found["goal_met"] is met
    assert ("not met" in section(found)) is not met
    assert f"{100 * (1 - factor):.0f}%" in section(found)


def test_other_films_are_refused() -> None:
    errors = np.ones(3)
    with pytest.raises(ValueError, match="same films"):
        compared(films(errors, ["1", "2", "3"]), films(errors, ["1", "2", "4"]))


def test_the_section_of_the_readme_is_that_of_what_was_measured() -> None:
    readme = (ROOT / "experiments" / "README.md").read_text(encoding="utf-8")
    written = ROOT / "experiments" / "published-procedure.json"
    body = (
        section(json.loads(written.read_text(encoding="utf-8")))
        if written.exists()
        else "It has not been run yet."
    )
    assert with_region(readme, published_procedure.REGION, body) == readme
