"""Write what the experiments found: a small JSON of each, the table in README.md, and their curves.

    BONEXAGE_DATA=folder python experiments/write_table.py

Every finished run in `runs/experiments` is measured on its validation films and written to
`results/NAME.json`; ensembles and views of such runs are measured beside them. The table and the picture are
made of all results there are, so that they can be made again without any run.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from held_out import HeldOut, read_held_out
from learned import learned
from numpy.typing import NDArray

from bonexage import __version__
from bonexage.assessment import DISCLAIMER
from bonexage.disk import write_atomically
from bonexage.evaluation.compare import paired_difference
from bonexage.evaluation.metrics import agreement
from bonexage.evaluation.runs import Run, State, read_run
from bonexage.learning.members import read_member, read_record
from bonexage.learning.recipe import Recipe, recipe_to_table
from bonexage.numbers import signed, two_decimals, with_interval
from bonexage.reports import sheet
from bonexage.reports.region import write_region

HERE = Path(__file__).parent
RESULTS = HERE / "results"
RUNS = HERE.parent / "runs" / "experiments"
README = HERE / "README.md"
PICTURE = HERE / "curves.png"
FOLDERS = ("rsna-299px", "rsna-640px")
BASELINE: Final = "baseline"
AGAIN: Final = "baseline-again"
REGION: Final = "experiments"

HEADINGS = (
    "experiment",
    "backbone",
    "input",
    "started from",
    "films learned from",
    "epochs",
    "hours",
    "films/s",
    "validation error, months",
    "against the baseline, months",
)
# What each panel of the picture sets beside the baseline.
QUESTIONS: Final[dict[str, tuple[str, ...]]] = {
    "Output and pooling": ("linear-output", "average-pooling"),
    "Sex and loss": ("no-sex", "published-loss"),
    "Augmentation": ("moves-only", "no-augmentation"),
    "Input size and teacher": ("larger-input", "distilled"),
    "Weights at the start": ("random-start",),
    "Backbones, from random weights": (
        "random-start",
        "resnet18",
        "convnext-atto",
        "convnext-femto",
        "convnext-nano",
        "convnext-tiny",
        "mobilenetv4",
    ),
}


@dataclass(frozen=True)
class Together:
    """Runs that answer as one, in so many views of each film; nothing is trained."""

    runs: tuple[str, ...]
    views: int


TOGETHER: Final = {
    "two-views": Together((BASELINE,), 2),
    "ten-views": Together((BASELINE,), 10),
    "two-seeds": Together((BASELINE, AGAIN), 1),
    "two-backbones": Together((BASELINE, "resnet18"), 1),
}


def validation(films: HeldOut, months: NDArray[np.float64]) -> dict[str, Any]:
    """The error over all validation films and by data folder, each with its interval over children."""

    def error(here: NDArray[np.bool_]) -> dict[str, Any]:
        children = [child for child, one in zip(films.children, here, strict=True) if one]
        found = agreement(months[here], films.labelled[here], children=children)
        return {"films": found.films, "children": found.children, "mae_months": found.mae_months.as_dict()}

    folders = np.array(films.folders)
    by_folder = {str(name): error(folders == name) for name in np.unique(folders)}
    return {**error(np.ones(len(folders), dtype=bool)), "by_folder": by_folder}


def difference(
    films: HeldOut, months: NDArray[np.float64], baseline: NDArray[np.float64]
) -> dict[str, float | None]:
    """How much larger the error is than the baseline's on the same films, with its paired interval."""
    errors = [np.abs(said - films.labelled) for said in (months, baseline)]
    return paired_difference(errors[0], errors[1], films.children).as_dict()


def result_of(run: Run, films: HeldOut, baseline: HeldOut | None) -> dict[str, Any]:
    """What is committed of a finished run."""
    member = read_member(run.folder)
    recipe, stages = member.recipe, member.recipe.stages
    environment = read_record(run.folder, "environment.json")
    changes, _, why = recipe.about.partition("\n") if recipe.about.startswith("Changes ") else ("", "", "")
    return {
        "name": recipe.name,
        "changes": re.sub(r"^Changes |:$", "", changes),
        "why": " ".join((why or recipe.about).split()),
        "backbone": recipe.network.backbone,
        "million_weights": round(sum(each.numel() for each in member.network.parameters()) / 1e6, 2),
        "size": run.size,
        "started_from": member.started_from,
        "augmentation": _changed(recipe_to_table(recipe)["augmentation"]),
        "epochs": run.epochs,
        "films_learned": learned(run.folder, stages).films,
        "hours": round(run.hours, 3),
        "films_per_second": round(float(np.median([row["films_per_second"] for row in run.rows])), 1),
        "machine": {key: environment[key] for key in ("processor", "cores", "threads", "gpus")},
        "packages": {key: environment["packages"][key] for key in ("torch", "timm")},
        "bonexage": __version__,
        "fingerprint": run.fingerprint,
        "validation": validation(films, films.months()),
        "difference_months": _against(films, films.months(), baseline, recipe.name),
        "curve": [
            {
                "share": round((number + 1) / run.planned_epochs, 4),
                "training_mae_months": round(row["train_mae_months"], 3),
                "validation_mae_months": round(row["validation_mae_months"], 3),
            }
            for number, row in enumerate(run.rows)
        ],
    }


def together(
    name: str, how: Together, films: Mapping[str, HeldOut], measured: Mapping[str, Any]
) -> dict[str, Any]:
    """What is committed of runs that answer as one."""
    first = films[how.runs[0]]
    months = np.mean([films[run].months(how.views) for run in how.runs], axis=0)
    return {
        "name": name,
        "runs": list(how.runs),
        "views": how.views,
        "backbone": ", ".join(dict.fromkeys(measured[run]["backbone"] for run in how.runs)),
        "size": measured[how.runs[0]]["size"],
        "fingerprint": measured[how.runs[0]]["fingerprint"],
        "validation": validation(first, months),
        "difference_months": _against(first, months, films[BASELINE], name),
    }


def _against(
    films: HeldOut, months: NDArray[np.float64], baseline: HeldOut | None, name: str
) -> dict[str, float | None] | None:
    """The difference from the baseline, where it has the same films; None for the baseline itself."""
    if baseline is None or name == BASELINE:
        return None
    if (films.children, films.folders) != (baseline.children, baseline.folders):
        return None
    return difference(films, months, baseline.months())


def _changed(augmentation: Mapping[str, Any]) -> dict[str, Any]:
    """What of an augmentation is in use."""
    unused = recipe_to_table(Recipe("none"))["augmentation"]
    return {key: value for key, value in augmentation.items() if value != unused[key]}


def measure(runs: Path, data: Sequence[Path], results: Path) -> None:
    """Measure every finished run, and those that answer together, and write their results."""
    finished = {
        run.folder.name: run
        for run in (
            read_run(folder) for folder in sorted(runs.glob("*")) if (folder / "recipe.json").exists()
        )
        if run.state is State.FINISHED
    }
    films: dict[str, HeldOut] = {}
    measured: dict[str, Any] = {}
    for name in sorted(finished, key=lambda name: (name != BASELINE, name)):
        views = max([1, *(how.views for how in TOGETHER.values() if name in how.runs)])
        films[name] = read_held_out(finished[name].folder, data, views=views)
        measured[name] = result_of(finished[name], films[name], films.get(BASELINE))
    for name, how in TOGETHER.items():
        if set(how.runs) <= set(films):
            measured[name] = together(name, how, films, measured)
    for name, result in measured.items():
        text = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        write_atomically(results / f"{name}.json", text.encode())
        print(f"{name}: {_error(result['validation'])}", flush=True)


def read_results(results: Path) -> list[dict[str, Any]]:
    """All results there are, the least error first."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
    return sorted(found, key=lambda one: one["validation"]["mae_months"]["value"])


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """The table in Markdown, and what was common to its rows."""
    if not found:
        return "None has been run to its end yet."
    rules = "|".join("---" if place < 4 else "---:" for place in range(len(HEADINGS)))
    machines = sorted({_machine(one["machine"]) for one in found if "machine" in one})
    validated = sorted({one["validation"]["films"] for one in found})
    note = (
        f"{' or '.join(map(str, validated))} validation films. In brackets the 95% interval, children drawn "
        f"with replacement, and for the difference drawn alike for both. Run on: {'; '.join(machines)}."
    )
    return "\n".join([f"| {' | '.join(HEADINGS)} |", f"|{rules}|", *map(_row, found), "", note])


def _row(one: Mapping[str, Any]) -> str:
    gap = one["difference_months"]
    cells = [
        f"**{one['name']}**" if one["name"] == BASELINE else one["name"],
        one["backbone"],
        one["size"].replace(" x ", " × "),
        *_training_cells(one),
        f"**{_error(one['validation'])}**",
        with_interval(gap, lambda months: signed(months, 2), name="") if gap else "",
    ]
    return f"| {' | '.join(cells)} |"


def _training_cells(one: Mapping[str, Any]) -> list[str]:
    if "runs" in one:
        views = "" if one["views"] == 1 else f", {one['views']} views of each film"
        return [f"nothing trained: {' and '.join(one['runs'])}{views}", "", "", "", ""]
    return [
        _start(one["started_from"]),
        f"{one['films_learned']:,}",
        str(one["epochs"]),
        f"{one['hours']:.2f}",
        f"{one['films_per_second']:.0f}",
    ]


def _start(started_from: str) -> str:
    """Where the weights came from, in two words where they are those of ImageNet."""
    imagenet = "imagenet" in started_from.lower() and "random" not in started_from
    return "ImageNet weights" if imagenet else re.split(r" \(|,", started_from)[0]


def _error(measured: Mapping[str, Any]) -> str:
    return with_interval(measured["mae_months"], two_decimals, name="")


def _machine(machine: Mapping[str, Any]) -> str:
    gpus = f", {', '.join(machine['gpus'])}" if machine["gpus"] else ""
    return f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads{gpus}"


def draw(found: Sequence[Mapping[str, Any]]) -> bytes:
    """Validation error while training, a panel for each question, PNG."""
    curves = {one["name"]: one["curve"] for one in found if "curve" in one}
    figure = sheet.new_figure(10.0, 6.4)
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555")
    for axes, (question, names) in zip(panels.flat, QUESTIONS.items(), strict=True):
        looks = [(name, sheet.FAINT, style) for name, style in ((BASELINE, "-"), (AGAIN, "--"))]
        looks += [(name, colour, "-") for name, colour in zip(names, colours, strict=False)]
        for name, colour, style in looks:
            points = curves.get(name, [])
            axes.plot(
                [100 * point["share"] for point in points],
                [point["validation_mae_months"] for point in points],
                style,
                color=colour,
                linewidth=1.4,
                label=name,
            )
        axes.set_title(question, fontsize=10, loc="left")
        axes.set_yscale("log")
        axes.set_yticks([8, 10, 12, 15, 20, 30, 50], ["8", "10", "12", "15", "20", "30", "50"])
        axes.minorticks_off()
        axes.grid(axis="y", color="#000000", alpha=0.12, linewidth=0.6)
        axes.legend(frameon=False, fontsize=7.5, loc="best")
    figure.supylabel("Validation error, months (log scale)", fontsize=9)
    figure.supxlabel(f"Share of a run's time, %. {DISCLAIMER}", fontsize=9)
    return sheet.as_png(figure)


def main() -> None:
    """Measure what runs there are, then write table and picture."""
    data = os.environ.get("BONEXAGE_DATA")
    if RUNS.is_dir():
        if not data:
            sys.exit(
                "Set BONEXAGE_DATA to the folder that holds the data folders: there are runs to measure."
            )
        measure(RUNS, [Path(data) / name for name in FOLDERS], RESULTS)
    found = read_results(RESULTS)
    write_region(README, REGION, table(found))
    if found:
        write_atomically(PICTURE, draw(found))


if __name__ == "__main__":
    main()
