"""How many films an experiment may learn from in the time that the baseline takes: the speed of its steps.

    python experiments/measure_speed.py

Training and reading are timed in seconds of one core, so that other work on the machine matters little. What
counts is how they compare with the baseline.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bonexage.learning.learner import Learner, choose_precision, first_state, learner_from
from bonexage.learning.memory import keep_memory
from bonexage.learning.recipe import Recipe, Stage, read_recipe

HERE = Path(__file__).parent
BASELINE = "baseline"
VALIDATION_FILMS = 797  # of both RSNA folders, at the baseline's parts
SMALLER_FOLDER = 735  # training films of the folder of which every epoch takes all
BATCH = 32
STEPS = 4


@dataclass(frozen=True)
class Speed:
    """Films a core-second: learned from, and only read."""

    learned: float
    read: float


def speed_of(recipe: Recipe) -> Speed:
    """The fastest of a few steps, after one that is not counted, in the recipe's precision."""
    from_chance = replace(recipe, network=replace(recipe.network, start="random"))
    precision = choose_precision(recipe.optimiser, torch.device("cpu"))
    learner = learner_from(first_state(from_chance, None, print), from_chance, precision)
    stage = recipe.stages[-1]
    films, male = torch.rand(BATCH, 1, stage.height, stage.width), torch.ones(BATCH, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision.autocast is not None):
        learner.network.train()
        learned = min(seconds_of(lambda: _learn(learner, films, male)) for _ in range(STEPS))
        learner.average.eval()
        read = min(seconds_of(lambda: _read(learner, films, male)) for _ in range(STEPS))
    return Speed(BATCH / learned, BATCH / read)


def seconds_of(work: Callable[[], None]) -> float:
    """What a piece of work takes of a core."""
    began = time.process_time()
    work()
    return time.process_time() - began


def _learn(learner: Learner, films: torch.Tensor, male: torch.Tensor) -> None:
    learner.network(films, male).mean().backward()
    learner.optimiser.step()


@torch.no_grad()
def _read(learner: Learner, films: torch.Tensor, male: torch.Tensor) -> None:
    learner.average(films, male)


def seconds_taken(speed: Speed, stage: Stage) -> float:
    """What a run of one stage takes of a core: its epochs, each with a validation."""
    learned = min(stage.films, SMALLER_FOLDER) + stage.films
    return stage.epochs * (learned / speed.learned + VALIDATION_FILMS / speed.read)


def films_that_fit(speed: Speed, stage: Stage, budget_seconds: float) -> int:
    """What `films` of a stage may be, so that its epochs and validations take `budget_seconds` of a core.

    An epoch takes so many of each folder, or all of a folder that has fewer.
    """
    films = (budget_seconds / stage.epochs - VALIDATION_FILMS / speed.read) * speed.learned
    return int(max(films - SMALLER_FOLDER, films / 2, 0.0))


def main() -> None:
    """Print a line an experiment."""
    torch.set_num_threads(1)
    keep_memory()
    recipes = {file.stem: read_recipe(file) for file in sorted(HERE.glob("*.toml"))}
    speeds = {name: speed_of(recipe) for name, recipe in recipes.items()}
    budget = seconds_taken(speeds[BASELINE], recipes[BASELINE].stages[-1])
    for name, recipe in recipes.items():
        speed, stage = speeds[name], recipe.stages[-1]
        print(
            f"{name}: {speed.learned:.1f} films learned and {speed.read:.1f} read a core-second; "
            f"films = {films_that_fit(speed, stage, budget)} fit in {stage.epochs} epochs of the baseline's "
            f"{budget:.0f} core-seconds, {stage.films} in the recipe",
            flush=True,
        )


if __name__ == "__main__":
    main()
