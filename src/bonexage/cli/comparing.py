"""The commands that set models, runs and months beside one another: compare, runs, drift."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from bonexage.cli.front import SOME_UNUSABLE, Model, SkipUnreadable, Threads, app
from bonexage.cli.measuring import Split
from bonexage.cli.outcomes import counting, note, say, screen
from bonexage.errors import WrongUse
from bonexage.terminal import printable, printable_lines

if TYPE_CHECKING:
    from bonexage.evaluation.compare import Predictions
    from bonexage.evaluation.month import Row
    from bonexage.reading.folder import LabelledFilm
    from bonexage.reading.labels import Label

FILMS_NAMED = 10
PLAIN_WIDTH = 140

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command(
    epilog="Examples:\n\nbonexage compare first.zip second.zip --data rsna --out comparison/\n\n"
    "bonexage compare evaluation/first evaluation/second"
)
def compare(
    first: Annotated[Path, typer.Argument(help="A bundle, or a predictions.csv or the folder with it.")],
    second: Annotated[Path, typer.Argument(help="The one to set against it.")],
    *,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="A data folder to run bundles on; may be given several times."),
    ] = None,
    split: Annotated[Split, typer.Option(help="The split to read.")] = Split.TEST,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the page, the picture and the figures.")
    ] = None,
    as_json: Json = False,
    threads: Threads = None,
    skip_unreadable: SkipUnreadable = False,
) -> None:
    """Say whether two models differ on the same films, by a paired bootstrap."""
    from bonexage.evaluation.compare import compare as set_beside
    from bonexage.evaluation.compare import read_predictions
    from bonexage.evaluation.compare_page import PAGE, write_comparison

    films = _films(data or [], split, skip_unreadable)
    said = [
        _assessed(place, films, threads) if _is_bundle(place) else read_predictions(place)
        for place in (first, second)
    ]
    found = set_beside(*said)
    if out is not None:
        write_comparison(found, out)
        note(f"All figures: {out / PAGE}")
    say(json.dumps(found.as_dict(), indent=2) if as_json else str(found))
    for model, names in ((found.first, found.only_first), (found.second, found.only_second)):
        if names:
            rest = len(names) - FILMS_NAMED
            more = f" and {rest} more" if rest > 0 else ""
            note(f"Not compared, in {model} alone: {', '.join(map(printable, names[:FILMS_NAMED]))}{more}")


def _is_bundle(place: Path) -> bool:
    return place.suffix.lower() == ".zip" or (place / "bundle.json").is_file()


def _films(data: list[Path], split: Split, skip_unreadable: bool) -> list[LabelledFilm]:
    from bonexage.reading.folder import read_split

    return [
        film
        for folder in data
        for film in read_split(folder, split.of_folder, skip_unreadable=skip_unreadable)[0]
    ]


def _assessed(place: Path, films: list[LabelledFilm], threads: int | None) -> Predictions:
    from bonexage.evaluation.compare import predictions_of
    from bonexage.evaluation.evaluate import measure
    from bonexage.model.assessor import Assessor
    from bonexage.model.bundle import load_bundle

    if not films:
        raise WrongUse(
            "a bundle has to be run on films", remedy="Name a data folder with --data", subject=str(place)
        )
    assessor = Assessor(load_bundle(place), threads=threads)
    with counting() as advance:
        return predictions_of(assessor.model, measure(assessor, films, progress=advance))


@app.command(epilog="Example:\n\nbonexage runs runs/ --out overview/")
def runs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with runs of `bonexage train`.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Folder for a picture and a page of them.")] = None,
    as_json: Json = False,
) -> None:
    """List training runs: what they were, how long they took, what came out, how they differ."""
    from bonexage.evaluation import runs_page
    from bonexage.evaluation.runs import read_runs

    found = read_runs(folder)
    if out is not None:
        runs_page.write_overview(found, folder, out)
        note(f"Page: {out / runs_page.PAGE}")
    if as_json:
        say(json.dumps(runs_page.as_dict(found), indent=2))
        return
    shown = screen(PLAIN_WIDTH)
    for table in runs_page.tables(found, folder):
        shown.print(table)
    for line in runs_page.remarks(found):
        shown.print(printable_lines(line), markup=False)


def _name_unmet(labels: Sequence[Label], rows: Sequence[Row], table: Path) -> None:
    """Say which labels are of no film of the month."""
    films = {PurePath(str(row.get("file") or "")).stem for row in rows}
    if unmet := [label.id for label in labels if label.id not in films]:
        rest = len(unmet) - FILMS_NAMED
        more = f" and {rest} more" if rest > 0 else ""
        note(
            f"{len(unmet)} of {len(labels)} labels of {table} are of no film of the month: "
            f"{', '.join(map(printable, unmet[:FILMS_NAMED]))}{more}"
        )


@app.command(
    epilog="Examples:\n\nbonexage drift november.csv --out drift/november\n\n"
    "bonexage drift december.csv --films december/ --against drift/november --out drift/december"
)
def drift(
    answers: Annotated[
        Path, typer.Argument(metavar="TABLE", help="A month's answers, as `predict --out` writes them.")
    ],
    *,
    films: Annotated[
        Path | None,
        typer.Option(help="Folder of the month's films, to look how sure the model is of their hands."),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Earlier answers: a table, or the folder of an earlier `drift --out`.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Labels (id, boneage, male) of films of the month, to hold errors too."),
    ] = None,
    model: Model = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the page, the picture and the figures.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what has moved in a month's films and answers since the calibration films or an earlier month."""
    from bonexage.evaluation.drift import drift as hold
    from bonexage.evaluation.drift_page import PAGE, write_drift
    from bonexage.evaluation.month import month_of, read_month, read_rows, with_films, with_labels
    from bonexage.model.bundle import load_bundle
    from bonexage.reading.labels import read_labels
    from bonexage.reports.text import footer

    bundle = load_bundle(model)
    rows = read_rows(answers)
    month = month_of(rows, str(answers))
    if month.model != bundle.model:
        raise WrongUse(
            f"its answers are of {month.model}, not of {bundle.model}",
            remedy="Name the model that gave them with --model",
            subject=str(answers),
        )
    earlier = read_month(against) if against else None
    if labels:
        known = read_labels(labels)
        month = with_labels(month, rows, known, bundle)
        _name_unmet(known, rows, labels)
    if films:
        with counting() as advance:
            month = with_films(month, films, bundle, advance)
    found = hold(month, bundle, earlier)
    if out is not None:
        write_drift(found, out)
        note(f"All figures: {out / PAGE}")
    said = [str(shift) for shift in found.shifts]
    if earlier and earlier.model != month.model:
        said.insert(0, f"The earlier answers are of another model, {earlier.model}.")
    lines = [*said, *found.unknown, str(found)]
    say(json.dumps(found.as_dict(), indent=2) if as_json else "\n".join(lines))
    note(footer(month.model))
    if month.unread:
        note(f"{month.unread} films could not be read.")
        raise typer.Exit(SOME_UNUSABLE)
