"""The command that shows what moved an answer: explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bonexage.cli.front import Coverage, Model, Threads, app, as_share
from bonexage.cli.outcomes import note


@app.command(epilog="Example:\n\nbonexage explain hand.png --sex F --out map.png")
def explain(
    film: Annotated[Path, typer.Argument(help="A radiograph of a left hand.")],
    *,
    sex: Annotated[str, typer.Option(metavar="F|M|U", help="Sex of the child.")] = "U",
    age_months: Annotated[float | None, typer.Option(help="Chronological age.")] = None,
    model: Model = None,
    out: Annotated[
        Path | None, typer.Option(help="The picture to write, PNG.", show_default="FILM-explained.png")
    ] = None,
    coverage: Coverage = 90,
    threads: Threads = None,
    page: Annotated[int | None, typer.Option(min=1, help="Page of a file with several pages.")] = None,
) -> None:
    """Show what in a film moved its bone age: a map over the film, in months."""
    from bonexage.clinic.sentence import nearest_sentence
    from bonexage.model.assessor import Assessor
    from bonexage.model.bundle import load_bundle
    from bonexage.reports.heat import heat_picture
    from bonexage.reports.text import footer, line
    from bonexage.reports.writing import write_whole

    assessor = Assessor(load_bundle(model), threads=threads)
    found = assessor.explain(film, sex, age_months, coverage=as_share(coverage), page=page)
    place = out or film.with_name(f"{film.stem}-explained.png")
    write_whole(place, heat_picture(found.pixels, found.months, found.assessment))
    typer.echo(line(found.assessment))
    if unlike := nearest_sentence(found.assessment):
        typer.echo(unlike)
    note(f"What moved it: {place}")
    note(footer(assessor.model))
