"""The command that shows what moved an answer: explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bonexage.cli.front import Coverage, Model, Threads, age_option, app, as_share
from bonexage.cli.outcomes import note, say
from bonexage.terminal import printable


@app.command(epilog="Example:\n\nbonexage explain hand.png --sex F --out map.png")
def explain(
    film: Annotated[Path, typer.Argument(help="A radiograph of a left hand.")],
    *,
    sex: Annotated[str, typer.Option(metavar="F|M|U", help="Sex of the child.")] = "U",
    age_months: Annotated[
        float | None, typer.Option(parser=age_option, metavar="MONTHS", help="Chronological age.")
    ] = None,
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
    from bonexage.reading.decoder import start_early
    from bonexage.reports.heat import heat_picture
    from bonexage.reports.text import footer, line
    from bonexage.reports.writing import write_whole

    start_early()  # the film is decoded as soon as the model is ready
    assessor = Assessor(load_bundle(model), threads=threads)
    found = assessor.explain(film, sex, age_months, coverage=as_share(coverage), page=page)
    place = out or film.with_name(f"{film.stem}-explained.png")
    write_whole(place, heat_picture(found.pixels, found.months, found.assessment))
    say(line(found.assessment))
    if unlike := nearest_sentence(found.assessment):
        say(unlike)
    note(f"What moved it: {printable(str(place))}")
    note(footer(assessor.model))
