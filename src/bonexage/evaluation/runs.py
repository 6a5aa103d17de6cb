"""What training runs left in their folders, read without PyTorch and set beside one another."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from bonexage.errors import WrongUse

RECIPE: Final = "recipe.json"
METRICS: Final = "metrics.csv"
_TRACES: Final = (RECIPE, METRICS, "log.txt", "last.pt")
_DEEPEST: Final = 3
_NOT_DECIDING: Final = ("name", "about")
_NEEDED: Final = ("stage", "epoch", "validation_mae_months", "seconds")

Row = Mapping[str, float]


class State(StrEnum):
    """How far a run is."""

    FINISHED = "finished"
    UNFINISHED = "unfinished"
    BROKEN = "broken"


@dataclass(frozen=True)
class Run:
    """A run folder as it was found.

    Attributes:
        folder: where it lies.
        state: whether it did all that its recipe asks for.
        problem: why it is broken; empty where it is not.
        recipe: the recipe as used, every default written out; empty where it cannot be read.
        rows: of `metrics.csv`, a row an epoch; what is no number is NaN.
        machine: what it ran on.
        films: how many films it has, in all its parts; None where that is not recorded.
        fingerprint: of its films, labels and parts; only runs of the same one have validation errors that can
            be compared.
    """

    folder: Path
    state: State
    problem: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    machine: str = ""
    films: int | None = None
    fingerprint: str = ""

    @property
    def epochs(self) -> int:
        """How many epochs are done, in all stages."""
        return len(self.rows)

    @property
    def planned_epochs(self) -> int:
        """How many epochs the recipe asks for at most."""
        return sum(stage["epochs"] for stage in self.recipe.get("stages", ()))

    @property
    def hours(self) -> float:
        """Time spent in epochs, hours."""
        return math.fsum(row["seconds"] for row in self.rows) / 3600

    @property
    def best_months(self) -> float:
        """Lowest validation error of the last stage begun, months; NaN before its first epoch.

        A model is made of the last stage's best epoch: an earlier stage's does not count.
        """
        if not self.rows:
            return math.nan
        return min(
            row["validation_mae_months"] for row in self.rows if row["stage"] == self.rows[-1]["stage"]
        )

    @property
    def size(self) -> str:
        """Height and width of the last stage's input in pixels."""
        stages = self.recipe.get("stages")
        return f"{stages[-1]['height']} x {stages[-1]['width']}" if stages else ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "run": str(self.folder),
            "state": self.state.value,
            "problem": self.problem or None,
            "recipe": self.recipe.get("name"),
            "backbone": self.recipe.get("network", {}).get("backbone"),
            "size": self.size or None,
            "epochs": self.epochs,
            "planned_epochs": self.planned_epochs or None,
            "hours": round(self.hours, 4),
            "best_validation_mae_months": None if math.isnan(self.best_months) else self.best_months,
            "films": self.films,
            "fingerprint": self.fingerprint or None,
            "machine": self.machine or None,
        }


def read_runs(folder: Path) -> tuple[Run, ...]:
    """Every run in a folder, at most three folders deep, in the order of their names.

    Raises:
        WrongUse: there is no such folder, or no run in it.
    """
    found = tuple(read_run(one) for one in _run_folders(folder, 0)) if folder.is_dir() else ()
    if not found:
        raise WrongUse(
            "there is no run in it", remedy="Name a folder with runs of `bonexage train`", subject=str(folder)
        )
    return found


def read_run(folder: Path) -> Run:
    """One run; what of it cannot be read makes it a broken one, and raises nothing."""
    try:
        recipe = _read_table(folder / RECIPE)
        planned = [(stage["epochs"], stage["patience"]) for stage in recipe["stages"]]
        rows = tuple(_read_rows(folder / METRICS))
        environment = _read_table(folder / "environment.json")
        data = _read_table(folder / "data.json")
        films = sum(each["films"] for each in data["folders"])
    except _Unreadable as problem:
        return Run(folder, State.BROKEN, str(problem))
    except (KeyError, TypeError) as problem:
        return Run(folder, State.BROKEN, f"its records lack {problem}")
    state = State.FINISHED if is_finished(planned, rows) else State.UNFINISHED
    machine = ", ".join(environment.get("gpus") or ()) or f"{environment.get('cores', '?')} cores"
    return Run(folder, state, "", recipe, rows, machine, films, str(data.get("fingerprint", "")))


def is_finished(planned: Sequence[tuple[int, int]], rows: Sequence[Row]) -> bool:
    """Whether the rows of a run reach its end.

    Args:
        planned: epochs and patience of each stage, as a recipe has them.
        rows: with stage and epoch, both counted from 1, and the validation error.
    """
    epochs, patience = planned[-1]
    last = [row for row in rows if row["stage"] == len(planned)]
    if not last:
        return False
    best = min(last, key=lambda row: row["validation_mae_months"])
    done = last[-1]["epoch"]
    return done >= epochs or (patience > 0 and done - best["epoch"] >= patience)


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """What the recipes of runs differ in: by place, such as `stages.2.epochs`, the value in each run.

    A place that a run's recipe does not have, or that is not read, is None. Names and remarks are left out.
    """
    recipes = [flat(run.recipe) for run in runs]
    places = dict.fromkeys(place for recipe in recipes for place in recipe)
    known = [recipe for recipe in recipes if recipe]
    return {
        place: [recipe.get(place) for recipe in recipes]
        for place in places
        if place not in _NOT_DECIDING and any(recipe.get(place) != known[0].get(place) for recipe in known)
    }


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """Every single value of a recipe's table by its place, such as `stages.1.epochs`; stages count from 1."""
    if isinstance(value, Mapping):
        inner = [(f"{place}.{key}" if place else str(key), each) for key, each in value.items()]
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        inner = [(f"{place}.{number}", each) for number, each in enumerate(value, start=1)]
    else:
        return {place: value}
    return {key: each for name, one in inner for key, each in flat(one, name).items()}


def are_comparable(runs: Sequence[Run]) -> bool:
    """Whether the runs' validation errors are of the same films."""
    return len({run.fingerprint for run in runs if run.rows}) <= 1


class _Unreadable(Exception):
    """A file of a run that is not there or damaged."""


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    if any((folder / name).exists() for name in _TRACES):
        yield folder
    elif depth < _DEEPEST:
        for inner in sorted(each for each in folder.iterdir() if each.is_dir()):
            yield from _run_folders(inner, depth + 1)


def _read_table(path: Path) -> dict[str, Any]:
    table = _parsed(path)
    if not isinstance(table, dict):
        raise _Unreadable(f"its {path.name} is damaged")
    return table


def _parsed(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except ValueError:
        raise _Unreadable(f"its {path.name} is damaged") from None


def _read_rows(path: Path) -> Iterator[Row]:
    if not path.exists():  # no epoch is done yet
        return
    for row in csv.DictReader(io.StringIO(_text(path), newline="")):
        numbers = {name: _number(value) for name, value in row.items() if name}
        if any(math.isnan(numbers.get(name, math.nan)) for name in _NEEDED):
            raise _Unreadable(f"its {path.name} is damaged")
        yield numbers


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _Unreadable(f"it has no {path.name}") from None
    except (OSError, UnicodeDecodeError):
        raise _Unreadable(f"its {path.name} cannot be read") from None


def _number(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return math.nan
