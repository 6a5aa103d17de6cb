"""The command that follows one child: follow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bonexage.cli.front import SOME_UNUSABLE, Coverage, Model, Threads, app, as_share
from bonexage.cli.outcomes import note, say
from bonexage.errors import BonexageError, UnusableData, WrongUse

if TYPE_CHECKING:
    from bonexage.assessment import Assessment, Failure
    from bonexage.model.assessor import Assessor
    from bonexage.reading.series import SeriesRow
    from bonexage.subject import Sex

CHART: Final = "series.png"
PAGE: Final = "series.html"


@app.command(
    epilog="Examples:\n\nbonexage follow child.csv --out child/\n\n"
    "bonexage follow dated.csv --born 2015-03-31 --sex F --json"
)
def follow(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="CSV",
            help="One child: `file` or `bone_age_months`, `age_months` or `date`, and `sex`; what predict "
            "--out writes will do.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the chart and the page.")] = Path("followed"),
    born: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Date of birth, where the CSV has dates.")
    ] = None,
    sex: Annotated[str, typer.Option(metavar="F|M|U", help="Sex where the CSV gives none.")] = "U",
    model: Model = None,
    coverage: Coverage = 90,
    threads: Threads = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Follow one child: bone age against age, and its rate, as a chart and a page."""
    from bonexage.assessment import Failure
    from bonexage.clinic import series as clinic
    from bonexage.reading.series import read_series
    from bonexage.reports import series as reports
    from bonexage.reports.text import footer
    from bonexage.reports.writing import write_whole
    from bonexage.subject import Sex

    share = as_share(coverage)
    found, rows = read_series(table, born=born.date() if born else None)
    asked = Sex.parse(sex)
    if Sex.UNKNOWN not in (found, asked) and found is not asked:
        raise WrongUse(
            f"--sex {asked} is not the sex in the file", remedy="Leave --sex out", subject=str(table)
        )
    child = asked if found is Sex.UNKNOWN else found
    films = [row for row in rows if row.bone_age_months is None and row.status is None]
    assessor = _assessor(model, threads) if films else None
    outcomes = _assess(films, child, assessor, share) if assessor else []
    stated = {one.subject.sex for one in outcomes if not isinstance(one, Failure)} - {Sex.UNKNOWN}
    if assessor and child is Sex.UNKNOWN and stated:
        if len(stated) > 1:
            raise WrongUse(
                "its films' headers state both sexes, so they are not of one child",
                remedy="Give one child's films, or the child's sex with --sex",
                subject=str(table),
            )
        child = stated.pop()
        outcomes = _assess(films, child, assessor, share)
    visits = [
        clinic.given_visit(row.age_months, row.bone_age_months, child, row.interval, row.file)
        for row in rows
        if row.bone_age_months is not None
    ]
    failures = (
        *(_failed_before(row, child) for row in rows if row.status),
        *(one for one in outcomes if isinstance(one, Failure)),
    )
    visits += [visit for one in outcomes if not isinstance(one, Failure) and (visit := clinic.visit(one))]
    for one in failures:
        note(str(one.error))
    if not visits:
        raise UnusableData(
            "none of its films could be assessed", remedy="Mend what is listed above", subject=str(table)
        )
    followed = reports.Followed(
        clinic.follow(visits, child, share),
        failures,
        _made_by(assessor.model if assessor else "", rows),
        date.today(),
    )
    drawn = reports.chart(followed)
    write_whole(out / CHART, drawn)
    write_whole(out / PAGE, reports.render(followed, drawn))
    say(
        json.dumps(reports.as_dict(followed), indent=1, allow_nan=False)
        if as_json
        else "\n".join(reports.lines(followed))
    )
    note(f"Chart: {out / CHART}\nPage: {out / PAGE}\n{footer(followed.model)}")
    if failures:
        raise typer.Exit(SOME_UNUSABLE)


def _assessor(model: Path | None, threads: int | None) -> Assessor:
    from bonexage.model.assessor import Assessor
    from bonexage.model.bundle import load_bundle

    return Assessor(load_bundle(model), threads=threads)


def _assess(
    rows: Sequence[SeriesRow], sex: Sex, assessor: Assessor, coverage: float
) -> list[Assessment | Failure]:
    """The films as they are read."""
    from bonexage.assessment import Failure
    from bonexage.subject import Subject

    outcomes: list[Assessment | Failure] = []
    for row in rows:
        try:
            outcomes.append(assessor.assess(row.file, sex, row.age_months, coverage=coverage))
        except BonexageError as error:
            outcomes.append(Failure(row.file, Subject(sex, row.age_months), error, assessor.model))
    return outcomes


def _failed_before(row: SeriesRow, sex: Sex) -> Failure:
    """What `predict` said of a film that it did not assess."""
    from bonexage.assessment import Failure
    from bonexage.errors import RefusedRadiograph, UnreadableFile
    from bonexage.subject import Subject

    kind = RefusedRadiograph if row.status == "refused" else UnreadableFile
    problem, _, remedy = row.message.removesuffix(".").partition(". ")
    error = kind(
        problem or "it was not assessed", remedy=remedy or "Read it with predict to see why", subject=row.file
    )
    return Failure(row.file, Subject(sex, row.age_months), error, row.model)


def _made_by(model: str, rows: Sequence[SeriesRow]) -> str:
    """What made the bone ages: the models, or that they were given."""
    names = {row.model for row in rows if row.model} | ({model} if model else set())
    if any(row.bone_age_months is not None and not row.model for row in rows):
        names.add("none (bone ages as given)")
    return ", ".join(sorted(names))
