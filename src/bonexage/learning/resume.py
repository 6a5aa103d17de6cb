"""What must still be as it was for a run to go on: its recipe and its films, or the difference is named."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bonexage.errors import UnusableData, WrongUse
from bonexage.evaluation.runs import flat
from bonexage.learning.dataset import FILM_COLUMNS
from bonexage.learning.recipe import Recipe, recipe_from_table, recipe_to_table

NAMED_AT_MOST = 5
NOT_DECIDING = {"about"}

Row = Mapping[str, str]


def check_recipe(recipe: Recipe, out: Path) -> None:
    """Raise `WrongUse`, with what differs, where `recipe` is not the one that the run in `out` began with.

    Further stages may follow those that it began with: so a finished run is trained on.
    """
    try:
        table = json.loads((out / "recipe.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise _lost(out / "recipe.json") from problem
    before = recipe_to_table(recipe_from_table(table, source=str(out / "recipe.json")))
    now = recipe_to_table(recipe)
    now["stages"] = now["stages"][: len(before["stages"])]
    changed = [f"{place} was {old} and is {new}" for place, (old, new) in recipe_changes(before, now).items()]
    if changed:
        raise WrongUse(
            f"the recipe is no longer the run's: {'; '.join(changed)}",
            remedy="Put it back as it was to go on, or start anew in another folder",
            subject=str(out),
        )


def recipe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What decides a run and differs between two recipes, as tables: by place, before and now."""
    old, new = flat(before), flat(now)
    return {
        place: (old.get(place, "not there"), new.get(place, "not there"))
        for place in dict.fromkeys([*old, *new])
        if old.get(place) != new.get(place) and place not in NOT_DECIDING
    }


def check_films(rows: Sequence[Row], out: Path) -> None:
    """Raise `UnusableData`, with what differs, where `rows` are not the films that the run in `out` has.

    A folder may have another name; the films, their labels, their parts and their order must be the same.
    """
    try:
        text = (out / "films.csv").read_text(encoding="utf-8")
        before = list(csv.DictReader(io.StringIO(text, newline="")))
    except (OSError, ValueError) as problem:
        raise _lost(out / "films.csv") from problem
    if any(set(row) != set(FILM_COLUMNS) for row in before):
        raise _lost(out / "films.csv")
    difference = films_difference(before, rows)
    if difference:
        raise UnusableData(
            f"the films are no longer the run's: {difference}",
            remedy="Restore them to go on, or start anew in another folder",
            subject=str(out),
        )


def films_difference(before: Sequence[Row], now: Sequence[Row]) -> str:
    """How two tables of films differ, in words; empty where they do not."""
    old, new = _by_place(before), _by_place(now)
    said = []
    for what, keys in (("gone", old.keys() - new.keys()), ("new", new.keys() - old.keys())):
        if keys:
            said.append(f"{_count(len(keys))} {what} ({_some(sorted(name for _, name in keys))})")
    both = [key for key in old if key in new]
    for column, words in (("bone_age_months", "label"), ("sex", "sex"), ("part", "part")):
        found = [
            f"{key[1]}: {old[key][column]}, now {new[key][column]}"
            for key in both
            if old[key][column] != new[key][column]
        ]
        if found:
            said.append(f"{_count(len(found))} of another {words} ({_some(found)})")
    redrawn = [key[1] for key in both if old[key]["sha256"] != new[key]["sha256"]]
    if redrawn:
        said.append(f"{_count(len(redrawn))} of another content ({_some(redrawn)})")
    if not said and list(old) != list(new):
        said.append("they come in another order")
    return "; ".join(said)


def _by_place(rows: Sequence[Row]) -> dict[tuple[int, str], Row]:
    """Rows by the number of their folder, as it comes first, and their id."""
    folders = {name: number for number, name in enumerate(dict.fromkeys(row["folder"] for row in rows))}
    return {(folders[row["folder"]], row["id"]): row for row in rows}


def _count(number: int) -> str:
    return "1 film is" if number == 1 else f"{number} films are"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {rest} more" if rest > 0 else "")


def _lost(path: Path) -> WrongUse:
    return WrongUse(
        "what the run began with cannot be read",
        remedy="Restore the file, or start anew in another folder",
        subject=str(path),
    )
