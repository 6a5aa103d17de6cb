"""Runs that are finished become networks for use, alone or as the members of an ensemble."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from bonexage.errors import UnusableData, WrongUse
from bonexage.learning.cache import Cache, build_cache
from bonexage.learning.checkpoint import BEST, load_checkpoint
from bonexage.learning.dataset import TrainingFilm, fingerprint, gather_films
from bonexage.learning.network import BoneAgeNetwork
from bonexage.learning.recipe import Recipe, recipe_from_table
from bonexage.learning.records import METRICS_TABLE
from bonexage.learning.start import empty_network
from bonexage.learning.train import choose_locator, preprocessing_of
from bonexage.model.preprocess import Preprocessing
from bonexage.spreadsheet import text_of


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


def read_members(runs: Sequence[Path]) -> tuple[Member, ...]:
    """Read the best checkpoints of runs that are to answer as one.

    Raises:
        WrongUse: a run is named twice or cannot be read, or the runs cannot answer as one: their films are
            prepared differently, they had different films, or their activation maps differ in size.
    """
    members = tuple(read_member(run) for run in runs)
    first = members[0]
    named: set[Path] = set()
    for member in members:
        if member.run.resolve() in named:
            raise WrongUse("this run is named twice", remedy="Name each member once", subject=str(member.run))
        named.add(member.run.resolve())
        if unlike := _unlike(first, member):
            raise WrongUse(
                f"its network cannot answer as one with that of {first.run}: {unlike}",
                remedy="Take runs with the same films, input and kind of network",
                subject=str(member.run),
            )
    return members


def _unlike(first: Member, other: Member) -> str:
    """Why two members cannot answer as one; empty where they can."""
    before, now = asdict(first.how), asdict(other.how)
    apart = [f"{key} is {now[key]}, not {before[key]}" for key in before if before[key] != now[key]]
    if apart:
        return "; ".join(apart)
    if first.locator != other.locator:
        return "hands are found by another locator"
    if _films_told(first.run) != _films_told(other.run):
        return "it had other films or labels"
    if _map_size(first) != _map_size(other):
        return "its activation map has another size"
    return ""


def _films_told(run: Path) -> Counter[tuple[str, ...]]:
    """Content, label and sex of a run's films, whatever their parts and folders."""
    try:
        text = (run / "films.csv").read_text(encoding="utf-8")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        return Counter(
            tuple(text_of(row[column]) for column in ("id", "bone_age_months", "sex", "sha256"))
            for row in rows
        )
    except (OSError, ValueError, KeyError) as problem:
        raise _unreadable(run, "films.csv") from problem


@torch.no_grad()
def _map_size(member: Member) -> torch.Size:
    return member.network.eval().feature_map(torch.zeros(1, 1, member.how.height, member.how.width)).shape[2:]


def cost_of(member: Member) -> str:
    """What a member's training took, and where, in a sentence; raises `WrongUse` where it is not told."""
    place = read_record(member.run, "environment.json")
    try:
        with (member.run / METRICS_TABLE).open(encoding="utf-8", newline="") as table:
            seconds = [float(row["seconds"]) for row in csv.DictReader(table)]
    except (OSError, ValueError, KeyError) as problem:
        raise _unreadable(member.run, METRICS_TABLE) from problem
    name, threads = member.run.resolve().name, place["threads"]
    where = [*place["gpus"], f"{threads} thread{'s' if threads > 1 else ''} of {place['processor']}"]
    return f"{name}: {len(seconds)} epochs in {sum(seconds) / 60:.0f} minutes, on {' and '.join(where)}."


def films_of(
    members: Sequence[Member], data: Sequence[Path], cache_folder: Path
) -> tuple[tuple[tuple[TrainingFilm, ...], ...], Cache]:
    """For each member the films in its parts, and all of them placed.

    Args:
        members: whose films.
        data: the data folders, where they are no longer where the first member's run found them.
        cache_folder: where placed films are kept.

    Raises:
        WrongUse: a data folder is not there.
        UnusableData: the films or labels are no longer what the members were trained on.
    """
    first = members[0]
    told = read_record(first.run, "environment.json")["data_folders"]
    folders = list(data) or [Path(folder) for folder in told]
    gone = [folder for folder in folders if not folder.is_dir()]
    if gone:
        raise WrongUse(
            "the data folder of the run is not there",
            remedy="Say where it is with --data",
            subject=str(gone[0]),
        )
    gathered = [gather_films(folders, member.recipe.parts, skip_unreadable=True)[0] for member in members]
    paths = [film.film.path for film in gathered[0]]
    cache = build_cache(paths, first.how, cache_folder, locator=first.locator, skip_unreadable=True)
    usable = tuple(tuple(film for film in films if film.film.path in cache.row_of) for films in gathered)
    for member, films in zip(members, usable, strict=True):
        if fingerprint(films, cache.hashes) != member.data["fingerprint"]:
            raise UnusableData(
                "the films or labels are no longer those the run was trained on",
                remedy="Restore them, or train again",
                subject=str(member.run),
            )
    return usable, cache


def read_record(run: Path, name: str) -> dict[str, Any]:
    """One of the JSON files that a run keeps; raises `WrongUse` where it cannot be read."""
    try:
        record: dict[str, Any] = json.loads((run / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise _unreadable(run, name) from problem
    return record


def _unreadable(run: Path, name: str) -> WrongUse:
    return WrongUse(
        f"the run has no readable {name}",
        remedy="Name a run folder that train has written",
        subject=str(run),
    )
