"""The same network by the published procedure and by ours: same films and steps, whose error is less?

    BONEXAGE_DATA=folder python experiments/published_procedure.py [--init WEIGHTS] [--locator ONNX]

Ours is the run of `recipes/mobilenetv2.toml`, `runs/mobilenetv2`. `recipes/published-procedure.toml` is
trained beside it for no fewer steps, both from where they were stopped. Both are measured on the validation
films of the same children, and `published-procedure.json` and its part of README.md are written. On two cores
each run takes two to three hours. Both are measured as they were trained, and the published one once more as
its own inference reads films: normalised with ImageNet's mean and deviation, unlike in its training. At last
both bundles are set beside one another on films that had no part in either: the 640 px test films, and those
of other scanners. Nothing is chosen by them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import starmap
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from held_out import BATCH, HeldOut, read_held_out, validation_films
from learned import learned
from numpy.typing import NDArray
from run import FOLDERS, run_all

from bonexage.assessment import Assessment
from bonexage.disk import write_atomically
from bonexage.evaluation.compare import RESAMPLES
from bonexage.evaluation.evaluate import measure
from bonexage.evaluation.metrics import Figure, agreement, drawn_again, middle_of
from bonexage.evaluation.runs import read_run
from bonexage.learning.export import IMAGENET_MEAN, IMAGENET_STD, export_run
from bonexage.learning.members import read_member
from bonexage.learning.recipe import read_recipe
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import Bundle, load_bundle
from bonexage.model.preprocess import normalise
from bonexage.numbers import two_decimals, with_interval
from bonexage.reading.folder import LabelledFilm, read_films, read_split
from bonexage.reports.region import write_region

HERE = Path(__file__).parent
RECIPES = HERE.parent / "recipes"
RUNS = HERE.parent / "runs"
OUT = HERE / "published-procedure.json"
README = HERE / "README.md"
REGION: Final = "published procedure"
PUBLISHED: Final = "published-procedure"
OURS: Final = "mobilenetv2"
GOAL: Final = 0.15

Months = NDArray[np.float64]


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


@torch.no_grad()
def as_published_inference(run: Path, trained: HeldOut, folders: Sequence[Path]) -> HeldOut:
    """What a run says of its validation films if they are normalised as the published inference does it."""
    member = read_member(run)
    _, placed = validation_films(member, folders)
    how = replace(member.how, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    network, said = member.network.eval(), []
    for start in range(0, len(placed), BATCH):
        rows = slice(start, start + BATCH)
        shown = torch.from_numpy(normalise(np.asarray(placed.pixels[placed.rows[rows]]), how))
        said.append(network(shown, torch.from_numpy(placed.male[rows])[:, np.newaxis]).numpy())
    return replace(trained, said=np.concatenate(said)[:, np.newaxis].astype(np.float64))


def compared(ours: HeldOut, published: HeldOut, as_used: HeldOut) -> dict[str, Any]:
    """The errors of ours and of the published procedure, and their ratio, on the films that both have.

    `as_used` is the published one as its own inference reads films.

    Raises:
        ValueError: they have other films.
    """
    if (ours.children, ours.folders) != (published.children, published.folders):
        raise ValueError("the two were not measured on the same films")
    shown, used = (
        _beside(ours.months(), each.months(), ours.labelled, ours.children) for each in (published, as_used)
    )
    reached, at_most = shown["ratio"]["value"], shown["ratio"]["high"]
    return {
        **shown,
        "children": len(set(ours.children)),
        "better_by": 1 - reached,
        "goal": GOAL,
        "goal_met": reached <= 1 - GOAL,
        "goal_met_for_certain": at_most is not None and at_most <= 1 - GOAL,
        "as_used_mae_months": used["published_mae_months"],
        "ratio_as_used": used["ratio"],
    }


def _beside(ours: Months, published: Months, labelled: Months, children: Sequence[str]) -> dict[str, Any]:
    """Both errors, and their ratio, of bone ages in months of the same films, each `[n]`."""
    errors = {
        f"{name}_mae_months": agreement(said, labelled, children=children).mae_months.as_dict()
        for name, said in (("ours", ours), ("published", published))
    }
    gap = ratio(np.abs(ours - labelled), np.abs(published - labelled), children)
    return {"films": len(labelled), **errors, "ratio": gap.as_dict()}


def on_films_apart(ours: Bundle, published: Bundle, data: Path) -> dict[str, Any]:
    """Both errors as in use, and their ratio, on films of children that neither learned from, by folder."""
    elsewhere = data / "other-scanner"
    apart = {
        "rsna-640px": read_split(data / "rsna-640px", "test")[0],
        "other-scanner": read_films(elsewhere / "films", elsewhere / "films.csv")[0],
    }
    return {name: _as_used(ours, published, films) for name, films in apart.items()}


def _as_used(ours: Bundle, published: Bundle, films: Sequence[LabelledFilm]) -> dict[str, Any]:
    """On the films that both assess."""
    said = [
        [one.outcome.bone_age_months if isinstance(one.outcome, Assessment) else math.nan for one in read]
        for read in (measure(Assessor(bundle), films) for bundle in (ours, published))
    ]
    both = np.isfinite(np.array(said)).all(axis=0).tolist()
    labelled = np.array([film.bone_age_months for film in films])[both]
    mine, theirs = (np.array(one)[both] for one in said)
    children = [film.id for film, assessed in zip(films, both, strict=True) if assessed]
    return _beside(mine, theirs, labelled, children)


def trained(folder: Path) -> dict[str, Any]:
    """How a finished run was trained: sizes, films, steps, time, and its error after each epoch."""
    run, stages = read_run(folder), read_member(folder).recipe.stages
    how = learned(folder, stages)
    return {
        "sizes": list(dict.fromkeys(f"{stage.height} x {stage.width}" for stage in stages)),
        "films_learned": how.films,
        "steps": how.steps,
        "hours": round(run.hours, 3),
        "machine": run.machine,
        "validation_mae_months": [round(row["validation_mae_months"], 3) for row in run.rows],
    }


def section(found: Mapping[str, Any]) -> str:
    """What README.md says of it."""
    met = "met" if found["goal_met"] else "not met"
    certain = ", and certainly so" if found["goal_met_for_certain"] else ""
    published = _reached(found["published_mae_months"], found["trained"][PUBLISHED])
    ours = _reached(found["ours_mae_months"], found["trained"][OURS])
    return (
        f"On {found['films']} validation films of {found['children']} children the published procedure comes "
        f"to {published}; ours to {ours}: less by {_less(found['ratio'])}. "
        f"The goal, {found['goal']:.0%}, is {met}{certain}. Read as the published inference reads films, "
        f"normalised unlike in its training, it comes to "
        f"{with_interval(found['as_used_mae_months'], two_decimals)} months: "
        f"ours is less by {_less(found['ratio_as_used'])}.\n\n"
        "| films apart | number | published, months | ours, months | ours is less by |\n"
        "|---|---:|---:|---:|---:|\n" + "\n".join(starmap(_row, found["apart"].items()))
    )


def _row(name: str, one: Mapping[str, Any]) -> str:
    errors = (with_interval(one[f"{which}_mae_months"], name="") for which in ("published", "ours"))
    return f"| `{name}` | {one['films']} | {' | '.join(errors)} | {_less(one['ratio'])} |"


def _less(figure: Mapping[str, float]) -> str:
    gain = {
        end: 100 * (1 - figure[other])
        for end, other in zip(("value", "low", "high"), ("value", "high", "low"), strict=True)
    }
    return with_interval(gain, lambda percent: f"{percent:.0f}", unit="%")


def _reached(error: Mapping[str, float | None], how: Mapping[str, Any]) -> str:
    sizes = " and ".join(how["sizes"]).replace(" x ", " × ")
    return (
        f"{with_interval(error, two_decimals)} months after {how['steps']:,} steps on "
        f"{how['films_learned']:,} films of {sizes} pixels"
    )


def main() -> None:
    """Train what is not trained, compare, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--init", type=Path, help="weights of the backbone: safetensors or .pth")
    parser.add_argument("--locator", type=Path, help="the network that finds hands; the carried model's")
    asked = parser.parse_args()
    data = os.environ.get("BONEXAGE_DATA")
    if not data:
        sys.exit("Set BONEXAGE_DATA to the folder that holds rsna-299px and rsna-640px.")
    recipes = [RECIPES / f"{name}.toml" for name in (OURS, PUBLISHED)]
    failed = run_all(recipes, Path(data), RUNS, init=asked.init, locator=asked.locator)
    if failed:
        sys.exit(f"Not finished: {', '.join(failed)}. Run this again to go on.")
    folders = [Path(data) / name for name in FOLDERS]
    ours, published = (read_held_out(RUNS / name, folders) for name in (OURS, PUBLISHED))
    found = compared(ours, published, as_published_inference(RUNS / PUBLISHED, published, folders))
    found |= {"trained": {name: trained(RUNS / name) for name in (OURS, PUBLISHED)}}
    bundle = export_run(RUNS / PUBLISHED, RUNS / PUBLISHED / "bundle", data=folders)
    found |= {"apart": on_films_apart(load_bundle(), bundle, Path(data))}
    found |= {"network": read_recipe(recipes[0]).network.backbone}
    write_atomically(OUT, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    write_region(README, REGION, section(found))
    print(section(found))


if __name__ == "__main__":
    main()
