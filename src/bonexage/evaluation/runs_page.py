"""Training runs side by side, as tables for the terminal, a page and a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bonexage import __version__
from bonexage.evaluation.runs import Run, State, are_comparable, differences
from bonexage.reports.curves import curves_of_runs
from bonexage.reports.document import document, figure_html
from bonexage.reports.writing import write_whole
from bonexage.terminal import printable

if TYPE_CHECKING:
    from rich.table import Table

PAGE: Final = "runs.html"
PICTURE: Final = "runs.png"
_HEADS: Final = ("Run", "State", "Recipe", "Backbone", "Size", "Epochs", "Hours", "Best MAE", "Films", "On")
_NUMBERS: Final = ("Epochs", "Hours", "Best MAE", "Films")
_OTHER_FILMS: Final = (
    "The runs do not have the same films and parts: their validation errors are not of the same films, so "
    "a lower one need not be the better model. Measure them on one test split with `bonexage compare`."
)
_CHOSEN: Final = (
    "Best MAE is the lowest validation error of a run's last stage, in months. It chose the epoch, so it is "
    "somewhat too good; an error to be reported comes from `bonexage evaluate`."
)


def as_dict(runs: Sequence[Run]) -> dict[str, Any]:
    """For JSON."""
    return {
        "bonexage": __version__,
        "runs": [run.as_dict() for run in runs],
        "differences": differences(runs),
        "comparable": are_comparable(runs),
    }


def tables(runs: Sequence[Run], folder: Path) -> Iterator[Table]:
    """The runs, a row a run, and what their recipes differ in, a row a difference."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold")
    for head in _HEADS:
        made.add_column(
            head, justify="right" if head in _NUMBERS else "left", overflow="fold", no_wrap=head in _NUMBERS
        )
    for run in runs:
        style = "red" if run.state is State.BROKEN else "yellow" if run.state is State.UNFINISHED else ""
        made.add_row(*(Text(printable(cell), style) for cell in _cells(run, folder)))
    yield made
    if changed := differences(runs):
        beside = Table(box=None, pad_edge=False, header_style="bold")
        for head in ("Recipe", *(_name(run, folder) for run in runs)):
            beside.add_column(Text(printable(head)), overflow="fold", no_wrap=head == "Recipe")
        for place, values in changed.items():
            beside.add_row(*(Text(printable(cell)) for cell in (place, *map(_value, values))))
        yield beside


def remarks(runs: Sequence[Run]) -> list[str]:
    """What a reader of the table must know: what is broken, and what the errors do not say."""
    said = [f"{run.folder} is broken: {run.problem}." for run in runs if run.state is State.BROKEN]
    if any(run.rows for run in runs):
        said.append(_CHOSEN)
    if not are_comparable(runs):
        said.append(_OTHER_FILMS)
    return said


def write_overview(runs: Sequence[Run], folder: Path, out: Path) -> None:
    """Write `runs.html`, `runs.png` (where a run has an epoch) and `runs.json` to the folder `out`.

    Raises:
        WrongUse: the folder cannot be written.
    """
    drawn = [run for run in runs if run.rows]
    png = curves_of_runs([(_name(run, folder), run.rows) for run in drawn]) if drawn else None
    write_whole(out / "runs.json", json.dumps(as_dict(runs), indent=1, allow_nan=False) + "\n")
    if png:
        write_whole(out / PICTURE, png)
    write_whole(out / PAGE, _page(runs, folder, png))


def _page(runs: Sequence[Run], folder: Path, png: bytes | None) -> str:
    title = f"Training runs in {folder.resolve().name}"
    body = [f"<header><h1>{escape(title)}</h1></header><main>", "<section><h2>Runs</h2>"]
    body += [_html_table(_HEADS, [_cells(run, folder) for run in runs])]
    body += [f"<p>{escape(line)}</p>" for line in remarks(runs)]
    body.append("</section>")
    if png:
        caption = "Validation error by epoch. A ring marks the epoch that a model is made of."
        body.append(figure_html(png, alt="Validation error of each run by epoch.", caption=caption))
    if changed := differences(runs):
        rows = [(place, *map(_value, values)) for place, values in changed.items()]
        names = ("Recipe", *(_name(run, folder) for run in runs))
        body.append(f"<section><h2>Differences in recipe</h2>{_html_table(names, rows)}</section>")
    return document(title, "\n".join([*body, "</main>"]))


def _html_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    lines = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" role="region" aria-label="{escape(heads[0])}" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _cells(run: Run, folder: Path) -> tuple[str, ...]:
    planned = f" of {run.planned_epochs}" if run.planned_epochs else ""
    return (
        _name(run, folder),
        run.state.value,
        run.recipe.get("name", ""),
        run.recipe.get("network", {}).get("backbone", ""),
        run.size,
        f"{run.epochs}{planned}",
        f"{run.hours:.2f}",
        "" if math.isnan(run.best_months) else f"{run.best_months:.2f}",
        "" if run.films is None else f"{run.films:,}",
        run.machine,
    )


def _name(run: Run, folder: Path) -> str:
    """A run by its place in the folder, or by its own name where it is the folder."""
    return run.folder.name if run.folder == folder else run.folder.relative_to(folder).as_posix()


def _value(value: object) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value)
