"""How many films an experiment may learn from in its quarter of an hour: the speed of its steps.

    python experiments/measure_speed.py [FILMS_A_SECOND]

Training and reading are timed in seconds of one core, so that other work on the machine matters little. What
counts is how they compare with the baseline, whose real speed (films a second) the argument gives.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from bonexage.learning.network import BoneAgeNetwork
from bonexage.learning.recipe import Recipe, Stage, read_recipe
from bonexage.learning.start import empty_network

HERE = Path(__file__).parent
BASELINE = "baseline"
BUDGET_SECONDS = 900.0
BASELINE_SPEED = 45.0
VALIDATION_FILMS = 797  # of both RSNA folders, at the baseline's parts
SMALLER_FOLDER = 735  # training films of the folder of which every epoch takes all
BATCH = 16
STEPS = 3


@dataclass(frozen=True)
class Speed:
    """Films a core-second: learned from, and only read."""

    learned: float
    read: float


def speed_of(recipe: Recipe) -> Speed:
    """The fastest of a few steps, after one that is not counted."""
    stage = recipe.stages[-1]
    network = empty_network(recipe.network).to(memory_format=torch.channels_last)
    films, male = torch.rand(BATCH, 1, stage.height, stage.width), torch.ones(BATCH, 1)
    learned = [_seconds_to_learn(network.train(), films, male) for _ in range(STEPS)][1:]
    read = [_seconds_to_read(network.eval(), films, male) for _ in range(STEPS)][1:]
    return Speed(BATCH / min(learned), BATCH / min(read))


def _seconds_to_learn(network: BoneAgeNetwork, films: torch.Tensor, male: torch.Tensor) -> float:
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    began = time.process_time()
    network(films, male).mean().backward()
    optimiser.step()
    return time.process_time() - began


@torch.no_grad()
def _seconds_to_read(network: BoneAgeNetwork, films: torch.Tensor, male: torch.Tensor) -> float:
    began = time.process_time()
    network(films, male)
    return time.process_time() - began


def films_that_fit(speed: Speed, baseline: Speed, stage: Stage, baseline_speed: float) -> int:
    """What `films` of a stage may be, so that its epochs and validations take the budget's time.

    An epoch takes so many of each folder, or all of a folder that has fewer.
    """
    factor = baseline_speed / baseline.learned
    seconds = BUDGET_SECONDS / stage.epochs - VALIDATION_FILMS / (factor * speed.read)
    films = seconds * factor * speed.learned
    return int(max(films - SMALLER_FOLDER, films / 2, 0.0))


def main() -> None:
    """Print a line an experiment."""
    torch.set_num_threads(1)
    given = float(sys.argv[1]) if len(sys.argv) > 1 else BASELINE_SPEED
    recipes = {file.stem: read_recipe(file) for file in sorted(HERE.glob("*.toml"))}
    baseline = speed_of(recipes[BASELINE])
    for name, recipe in recipes.items():
        speed, stage = speed_of(recipe), recipe.stages[-1]
        fits = films_that_fit(speed, baseline, stage, given)
        print(
            f"{name}: {speed.learned:.1f} films learned and {speed.read:.1f} read a core-second; "
            f"films = {fits} fit in {stage.epochs} epochs, {stage.films} in the recipe",
            flush=True,
        )


if __name__ == "__main__":
    main()
