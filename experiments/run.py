"""Run the experiments that are not finished, one after another, each from where it was stopped.

    BONEXAGE_DATA=folder python experiments/run.py [NAME ...] [--init WEIGHTS] [--locator ONNX]

Each `NAME.toml` here is trained on `rsna-299px` and `rsna-640px` into `runs/experiments/NAME`. Weights given
with --init start those whose recipe asks for ImageNet's; all others start from random ones.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bonexage.evaluation.runs import State, read_run
from bonexage.learning.checkpoint import has_run
from bonexage.learning.recipe import read_recipe

HERE = Path(__file__).parent
RUNS = HERE.parent / "runs" / "experiments"
FOLDERS = ("rsna-299px", "rsna-640px")
FIRST = ("baseline", "baseline-again")


def in_order(recipes: Sequence[Path]) -> list[Path]:
    """Recipes by name, the baseline before all others, which are compared with it."""
    return sorted(recipes, key=lambda recipe: (recipe.stem not in FIRST, recipe.stem))


def command(recipe: Path, data: Path, out: Path, *, init: Path | None, locator: Path | None) -> list[str]:
    """What trains a recipe, or goes on with its run."""
    words = [sys.executable, "-m", "bonexage", "train", str(recipe), "--out", str(out)]
    for folder in FOLDERS:
        words += ["--data", str(data / folder)]
    if locator:
        words += ["--locator", str(locator)]
    if init and read_recipe(recipe).network.start == "imagenet":
        words += ["--init", str(init)]
    return [*words, "--resume"] if has_run(out) else words


def run_all(
    recipes: Sequence[Path], data: Path, runs: Path, *, init: Path | None, locator: Path | None
) -> list[str]:
    """Run what is not finished; the names of those that failed. One that fails does not stop the rest."""
    failed = []
    for recipe in in_order(recipes):
        out = runs / recipe.stem
        if read_run(out).state is State.FINISHED:
            print(f"{recipe.stem}: finished before", flush=True)
            continue
        print(f"{recipe.stem}:", flush=True)
        done = subprocess.run(command(recipe, data, out, init=init, locator=locator), check=False)
        if done.returncode:
            failed.append(recipe.stem)
    return failed


def main() -> None:
    """Run them; exit 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help="experiments to run; all of them by default")
    parser.add_argument("--init", type=Path, help="weights of the baseline's backbone: safetensors or .pth")
    parser.add_argument("--locator", type=Path, help="the network that finds hands; the carried model's")
    asked = parser.parse_args()
    data = os.environ.get("BONEXAGE_DATA")
    if not data:
        sys.exit("Set BONEXAGE_DATA to the folder that holds rsna-299px and rsna-640px.")
    recipes = sorted(HERE.glob("*.toml"))
    unknown = set(asked.names) - {recipe.stem for recipe in recipes}
    if unknown:
        sys.exit(f"There is no experiment {', '.join(sorted(unknown))}.")
    chosen = [recipe for recipe in recipes if not asked.names or recipe.stem in asked.names]
    failed = run_all(chosen, Path(data), RUNS, init=asked.init, locator=asked.locator)
    if failed:
        sys.exit(f"Not finished: {', '.join(failed)}. Run this again to go on.")


if __name__ == "__main__":
    main()
