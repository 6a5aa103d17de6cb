"""The same network by the published procedure and by ours: same films and steps, whose error is less?

    BONEXAGE_DATA=folder python experiments/published_procedure.py [--init WEIGHTS] [--locator ONNX]

Trains `procedures/published.toml` and `procedures/ours.toml` into `runs/procedures`, each from where it was
stopped, measures both on the validation films of the same children, and writes `published-procedure.json` and
its part of README.md. It takes about half an hour on two cores. What published inference adds, its
normalisation unlike training's, is left out: both are measured as they were trained.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from held_out import HeldOut, read_held_out
from numpy.typing import NDArray
from run import FOLDERS, run_all

from bonexage.disk import write_atomically
from bonexage.evaluation.compare import RESAMPLES
from bonexage.evaluation.metrics import Figure, agreement, drawn_again, middle_of
from bonexage.evaluation.runs import read_run
from bonexage.learning.recipe import read_recipe
from bonexage.numbers import two_decimals, with_interval
from bonexage.reports.region import write_region

HERE = Path(__file__).parent
PROCEDURES = HERE / "procedures"
RUNS = HERE.parent / "runs" / "procedures"
OUT = HERE / "published-procedure.json"
README = HERE / "README.md"
REGION: Final = "published procedure"
PUBLISHED: Final = "published"
OURS: Final = "ours"
GOAL: Final = 0.15


def ratio(ours: NDArray[np.float64], published: NDArray[np.float64], children: Sequence[str]) -> Figure:
    """Our mean absolute error over the published one's, with its paired 95% bootstrap interval over children.

    Args:
        ours: absolute errors in months, `[n]`.
        published: of the published procedure, on the same films.
        children: of which child each film is.
    """
    names, owner_of = np.unique(np.asarray(children, dtype=str), return_inverse=True)
    value = float(ours.sum() / published.sum())
    if len(names) < 2:
        return Figure(value, math.nan, math.nan)
    drawn = [
        (times @ ours) / (times @ published) for times in drawn_again(owner_of, seed=0, resamples=RESAMPLES)
    ]
    return Figure(value, *middle_of(np.concatenate(drawn)))


def compared(ours: HeldOut, published: HeldOut) -> dict[str, Any]:
    """Both errors, and their ratio, on the films that both have.

    Raises:
        ValueError: they have other films.
    """
    if (ours.children, ours.folders) != (published.children, published.folders):
        raise ValueError("the two were not measured on the same films")
    errors = {
        name: np.abs(each.months() - each.labelled) for name, each in ((OURS, ours), (PUBLISHED, published))
    }
    found = ratio(errors[OURS], errors[PUBLISHED], ours.children)
    return {
        "films": len(ours.children),
        "children": len(set(ours.children)),
        **{
            f"{name}_mae_months": agreement(
                each.months(), each.labelled, children=each.children
            ).mae_months.as_dict()
            for name, each in ((OURS, ours), (PUBLISHED, published))
        },
        "ratio": found.as_dict(),
        "better_by": 1 - found.value,
        "goal": GOAL,
        "goal_met": found.value <= 1 - GOAL,
        "goal_met_for_certain": found.high <= 1 - GOAL,
    }


def trained(folder: Path) -> dict[str, Any]:
    """How a run was trained: its steps' films and its time."""
    run = read_run(folder)
    stage = run.recipe["stages"][-1]
    return {
        "size": run.size,
        "batch": stage["batch"],
        "epochs": run.epochs,
        "hours": round(run.hours, 3),
        "machine": run.machine,
        "validation_mae_months": [round(row["validation_mae_months"], 3) for row in run.rows],
    }


def section(found: Mapping[str, Any]) -> str:
    """What README.md says of it."""
    gain = {
        end: 100 * (1 - found["ratio"][other])
        for end, other in zip(("value", "low", "high"), ("value", "high", "low"), strict=True)
    }
    better = with_interval(gain, lambda percent: f"{percent:.0f}", unit="%", name="95% interval")
    met = "met" if found["goal_met"] else "not met"
    certain = ", and certainly so" if found["goal_met_for_certain"] else ""
    return (
        f"On {found['films']} validation films of {found['children']} children the published procedure comes "
        f"to {with_interval(found['published_mae_months'], two_decimals)} months, ours to "
        f"{with_interval(found['ours_mae_months'], two_decimals)}: less by {better}. The goal, "
        f"{found['goal']:.0%}, is {met}{certain}."
    )


def main() -> None:
    """Train what is not trained, compare, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--init", type=Path, help="weights of the backbone: safetensors or .pth")
    parser.add_argument("--locator", type=Path, help="the network that finds hands; the carried model's")
    asked = parser.parse_args()
    data = os.environ.get("BONEXAGE_DATA")
    if not data:
        sys.exit("Set BONEXAGE_DATA to the folder that holds rsna-100px and rsna-640px.")
    recipes = [PROCEDURES / f"{name}.toml" for name in (PUBLISHED, OURS)]
    failed = run_all(recipes, Path(data), RUNS, init=asked.init, locator=asked.locator)
    if failed:
        sys.exit(f"Not finished: {', '.join(failed)}. Run this again to go on.")
    folders = [Path(data) / name for name in FOLDERS]
    ours, published = (read_held_out(RUNS / name, folders) for name in (OURS, PUBLISHED))
    found = compared(ours, published)
    found |= {"trained": {recipe.stem: trained(RUNS / recipe.stem) for recipe in recipes}}
    found |= {"network": read_recipe(recipes[0]).network.backbone}
    write_atomically(OUT, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    write_region(README, REGION, section(found))
    print(section(found))


if __name__ == "__main__":
    main()
