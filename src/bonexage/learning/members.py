"""Runs that are finished become networks for use, alone or as the members of an ensemble."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save

from bonexage.errors import WrongUse
from bonexage.learning.checkpoint import BEST, load_checkpoint
from bonexage.learning.network import BoneAgeNetwork
from bonexage.learning.recipe import Recipe, recipe_from_table
from bonexage.learning.start import empty_network
from bonexage.learning.train import choose_locator, preprocessing_of
from bonexage.model.preprocess import Preprocessing


@dataclass(frozen=True, eq=False)
class Member:
    """A run's best network, and what the run kept of itself.

    Attributes:
        run: the run folder.
        table: its recipe as it was written down.
        recipe: the same, read.
        data: what it was trained on, as `data.json` has it.
        network: the running average of the weights, of the epoch with the lowest validation error.
        started_from: what the weights were at first, in words.
        weights: the network's, as safetensors.
        how: how films are prepared for it.
        locator: the network that finds hands, or None.
    """

    run: Path
    table: dict[str, Any]
    recipe: Recipe
    data: dict[str, Any]
    network: BoneAgeNetwork
    started_from: str
    weights: bytes
    how: Preprocessing
    locator: bytes | None

    @property
    def name(self) -> str:
        """The model as assessments name it: recipe, fold, and 12 digits of its weights' hash."""
        fold = f"-fold-{self.recipe.parts.fold}" if self.recipe.parts.folds else ""
        return f"{self.recipe.name}{fold}@{self.weights_sha256[:12]}"

    @property
    def weights_sha256(self) -> str:
        """The hash of its weights, hex: the same where a run was stopped and went on."""
        return hashlib.sha256(self.weights).hexdigest()


def read_member(run: Path) -> Member:
    """Read a run's best checkpoint.

    Raises:
        WrongUse: there is no such run, or its checkpoint is missing or damaged.
    """
    table = read_record(run, "recipe.json")
    recipe = recipe_from_table(table, source=str(run / "recipe.json"))
    saved = load_checkpoint(run / BEST)
    network = empty_network(recipe.network)
    network.load_state_dict(saved["average"])
    return Member(
        run=run,
        table=table,
        recipe=recipe,
        data=read_record(run, "data.json"),
        network=network,
        started_from=saved["started_from"],
        weights=save({key: value.contiguous() for key, value in network.state_dict().items()}),
        how=preprocessing_of(recipe, len(recipe.stages) - 1),
        locator=choose_locator(recipe, None, run),
    )


def read_record(run: Path, name: str) -> dict[str, Any]:
    """One of the JSON files that a run keeps; raises `WrongUse` where it cannot be read."""
    try:
        record: dict[str, Any] = json.loads((run / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise WrongUse(
            f"the run has no readable {name}",
            remedy="Name a run folder that train has written",
            subject=str(run),
        ) from problem
    return record
