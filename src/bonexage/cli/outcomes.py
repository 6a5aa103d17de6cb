"""Where the outcomes of `predict` go: a table, the standard output, a page; and how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import typer

from bonexage.assessment import Assessment, Failure
from bonexage.errors import BonexageError, WrongUse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bonexage.model.assessor import Assessor, Outcome
    from bonexage.reports.item import Picture, ReportItem

    Seen = tuple[Picture | None, NDArray[np.float32] | None]

TABLE_ROWS: Final = 500
SECONDS_BETWEEN_LINES: Final = 10.0


class Form(StrEnum):
    """How rows are written to the standard output."""

    TEXT = "text"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


_ROWS: Final[dict[Form, Literal["csv", "json", "jsonl"]]] = {
    Form.CSV: "csv",
    Form.JSON: "json",
    Form.JSONL: "jsonl",
}


@dataclass
class Tally:
    """How many films there were so far, of how many if that is known, and how many were not assessed."""

    done: int = 0
    unusable: int = 0
    total: int | None = None


@dataclass(frozen=True)
class Sink:
    """Where outcomes go, and which films are still to be assessed for it."""

    add: Callable[[Outcome], None]
    remaining: Callable[[Iterable[str]], Iterable[str]] = field(default=iter)


@contextmanager
def to_table(
    out: Path, settings: Mapping[str, Any], tally: Tally, resume: bool, *, empty: bool = False
) -> Iterator[Sink]:
    """A table, row by row in a journal first; one without rows only where `empty` says so."""
    from bonexage.reports.journal import Journal, journal_path
    from bonexage.reports.table import record
    from bonexage.reports.text import line

    if resume and out.is_file() and not journal_path(out).exists():
        raise WrongUse(
            "there is nothing to go on with: this table is finished",
            remedy="Leave --resume out to make it anew",
            subject=str(out),
        )
    with Journal(out, settings, resume=resume) as journal:
        tally.done, tally.unusable = journal.kept, journal.unusable
        try:
            with progress(tally) as say:

                def add(outcome: Outcome) -> None:
                    journal.add(record(outcome))
                    say(line(outcome) if isinstance(outcome, Failure) else None)

                yield Sink(add, journal.remaining)
        except KeyboardInterrupt:
            note(f"{tally.done} films are kept in {journal.path}; the same with --resume goes on from there.")
            raise
        if tally.done or empty:
            journal.finish()
            note(f"Table: {out}")
        else:
            journal.discard()


@contextmanager
def to_stdout(form: Form, tally: Tally) -> Iterator[Sink]:
    """The standard output: a table where a person looks on, else row by row."""
    from bonexage.reports.table import record, row_writer
    from bonexage.reports.text import line

    if form in _ROWS:
        with progress(tally) as say, row_writer(sys.stdout, _ROWS[form]) as write:

            def add(outcome: Outcome) -> None:
                write(record(outcome))
                say(line(outcome) if isinstance(outcome, Failure) else None)

            yield Sink(add)
    elif sys.stdout.isatty():
        with _to_terminal(tally) as sink:
            yield sink
    else:
        yield Sink(lambda outcome: typer.echo(line(outcome)))


@contextmanager
def _to_terminal(tally: Tally) -> Iterator[Sink]:
    """One table for a person, a few lines where there is a single film; many films get a line each."""
    from rich.console import Console

    from bonexage.reports.text import line, paragraph, table

    gathered: list[Outcome] = []
    with ExitStack() as bar:
        say = bar.enter_context(progress(tally))

        def show() -> None:
            bar.close()
            if len(gathered) > 1:
                Console().print(table(gathered))
            elif gathered:
                typer.echo(paragraph(gathered[0]))

        def add(outcome: Outcome) -> None:
            if tally.done > TABLE_ROWS:
                typer.echo(line(outcome))
                return
            gathered.append(outcome)
            say(line(outcome) if isinstance(outcome, Failure) else None)
            if tally.done == TABLE_ROWS:
                show()

        try:
            yield Sink(add)
        finally:
            if tally.done < TABLE_ROWS:
                show()


@contextmanager
def progress(tally: Tally) -> Iterator[Callable[[str | None], None]]:
    """Show on the standard error how far it is, and what is said: a bar on a terminal, else lines."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    began, before = time.monotonic(), tally.done
    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def how_far() -> str:
        speed = (tally.done - before) / max(time.monotonic() - began, 1e-3)
        failed = f", {tally.unusable} not assessed" if tally.unusable else ""
        of = f" of {tally.total}" if tally.total else ""
        return f"{tally.done}{of} films{failed}, {speed:.1f} a second"

    if not console.is_terminal:
        shown = began

        def tell(text: str | None) -> None:
            nonlocal shown
            if text is not None:
                note(text)
            elif time.monotonic() - shown > SECONDS_BETWEEN_LINES:
                shown = time.monotonic()
                note(how_far())

        yield tell
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("reading films", total=None)

        def draw(text: str | None) -> None:
            if text is not None:
                console.print(text, markup=False)
            bar.update(task, description=how_far())

        yield draw


@contextmanager
def counting() -> Iterator[Callable[[int, int], None]]:
    """Show the progress of work that tells how many films are done and how many there are."""
    tally = Tally()
    with progress(tally) as say:

        def advance(done: int, total: int) -> None:
            tally.done, tally.total = done, total
            say(None)

        yield advance


def told(outcomes: Iterator[Outcome], add: Callable[[Outcome], None], tally: Tally) -> Iterator[Outcome]:
    """The same outcomes, each counted and given to a sink as it passes."""
    for outcome in outcomes:
        tally.done += 1
        tally.unusable += isinstance(outcome, Failure)
        add(outcome)
        yield outcome


@dataclass(frozen=True)
class Reports:
    """Where reports of the films go, and whether as PDF too."""

    folder: Path
    pdf: bool


def use_up(
    outcomes: Iterator[Outcome], reports: Reports | None, assessor: Assessor, page: int | None
) -> None:
    """Let all outcomes pass, into reports where they are wanted."""
    if reports is None:
        for _ in outcomes:
            pass
        return
    from bonexage.atlas.plates import read_plates
    from bonexage.reports.batch import INDEX, Made, write_reports

    figures = assessor.bundle.description.figures
    made = Made(assessor.model, figures, read_plates(), reports.pdf, date.today())
    write_reports(_report_items(outcomes, assessor, page), reports.folder, made)
    note(f"Page: {reports.folder / INDEX}")


def _report_items(outcomes: Iterable[Outcome], assessor: Assessor, page: int | None) -> Iterator[ReportItem]:
    """Each outcome with its film's picture and, where the model gives one, the map of what moved it."""
    from bonexage.reports.item import ReportItem

    for outcome in outcomes:
        failed = isinstance(outcome, Failure)
        picture, months = (None, None) if failed else seen_again(outcome, assessor, page)
        yield ReportItem(outcome, picture, months=months)


def seen_again(outcome: Outcome, assessor: Assessor, page: int | None) -> Seen:
    """The film of an outcome, where it can be read, and the map of what moved it, where the model gives one.

    It was read a moment ago; if it is gone by now, there is no picture.
    """
    from bonexage.reading.files import read_radiograph

    picture = months = None
    with suppress(BonexageError):
        radiograph = read_radiograph(outcome.file, page=page)
        picture = radiograph.pixels
        if isinstance(outcome, Assessment) and assessor.explains:
            subject = outcome.subject
            months = assessor.explain(radiograph, subject.sex, subject.age_months).months
    return picture, months


def note(text: str) -> None:
    """Say something on the standard error, beside what a command gives."""
    typer.echo(text, err=True)
