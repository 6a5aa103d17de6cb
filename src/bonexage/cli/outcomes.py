"""Where the outcomes of `predict` go: a table, the standard output, a page; and how far it is."""

from __future__ import annotations

import io
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

from bonexage.assessment import Failure
from bonexage.errors import WrongUse
from bonexage.terminal import printable, printable_lines

if TYPE_CHECKING:
    from rich.console import Console

    from bonexage.model.assessor import Assessor, Outcome
    from bonexage.reports.item import ReportItem

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
    """How many films there were so far, and what did not come of them.

    Attributes:
        done: films so far.
        unusable: those that were not assessed.
        total: how many films there are, if that is known.
        unreferable: DICOM films without DICOM and FHIR results, because a UID is missing or is none.
    """

    done: int = 0
    unusable: int = 0
    total: int | None = None
    unreferable: int = 0

    def count(self, outcome: Outcome) -> None:
        """Count one more film."""
        self.done += 1
        self.unusable += isinstance(outcome, Failure)


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
            with progress(tally) as tell:

                def add(outcome: Outcome) -> None:
                    journal.add(record(outcome))
                    tell(line(outcome) if isinstance(outcome, Failure) else None)

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
    from bonexage.reports.text import line

    check_stdout()
    if form in _ROWS:
        with _rows_to_stdout(_ROWS[form], tally) as sink:
            yield sink
    elif sys.stdout.isatty():
        with _to_terminal(tally) as sink:
            yield sink
    else:
        yield Sink(lambda outcome: say(line(outcome)))


@contextmanager
def _rows_to_stdout(form: Literal["csv", "json", "jsonl"], tally: Tally) -> Iterator[Sink]:
    """Rows for a program; a terminal is shown no control characters, and all else gets names as they are."""
    from bonexage.reports.table import record, row_writer
    from bonexage.reports.text import line

    shown = sys.stdout.isatty()
    if not shown and isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower() == "utf-8":
        sys.stdout.reconfigure(errors="surrogateescape")

    def cell(value: object) -> object:
        return printable(value) if shown and isinstance(value, str) else value

    with progress(tally) as tell, row_writer(sys.stdout, form) as write:

        def add(outcome: Outcome) -> None:
            write({name: cell(value) for name, value in record(outcome).items()})
            tell(line(outcome) if isinstance(outcome, Failure) else None)

        yield Sink(add)


@contextmanager
def _to_terminal(tally: Tally) -> Iterator[Sink]:
    """One table for a person, a few lines where there is a single film; many films get a line each."""
    from bonexage.reports.text import line, paragraph, table

    gathered: list[Outcome] = []
    with ExitStack() as bar:
        tell = bar.enter_context(progress(tally))

        def show() -> None:
            bar.close()
            if len(gathered) > 1:
                screen().print(table(gathered))
            elif gathered:
                say(paragraph(gathered[0]))

        def add(outcome: Outcome) -> None:
            if tally.done > TABLE_ROWS:
                say(line(outcome))
                return
            gathered.append(outcome)
            tell(line(outcome) if isinstance(outcome, Failure) else None)
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
                console.print(printable_lines(text), markup=False)
            bar.update(task, description=how_far())

        yield draw


@contextmanager
def counting() -> Iterator[Callable[[int, int], None]]:
    """Show the progress of work that tells how many films are done and how many there are."""
    tally = Tally()
    with progress(tally) as tell:

        def advance(done: int, total: int) -> None:
            tally.done, tally.total = done, total
            tell(None)

        yield advance


def told(outcomes: Iterator[Outcome], add: Callable[[Outcome], None], tally: Tally) -> Iterator[Outcome]:
    """The same outcomes, each counted and given to a sink as it passes."""
    for outcome in outcomes:
        tally.count(outcome)
        add(outcome)
        yield outcome


@dataclass(frozen=True)
class Reports:
    """Where reports of the films go, and whether as PDF too."""

    folder: Path
    pdf: bool


def use_up(
    items: Iterator[ReportItem], sink: Sink, tally: Tally, reports: Reports | None, by: Assessor
) -> None:
    """Let all films pass into a sink, and into reports where they are wanted."""

    def passing() -> Iterator[ReportItem]:
        for item in items:
            tally.count(item.outcome)
            sink.add(item.outcome)
            yield item

    if reports is None:
        for _ in passing():
            pass
        return
    from bonexage.atlas.plates import read_plates
    from bonexage.reports.batch import INDEX, Made, write_reports

    made = Made(by.model, by.bundle.description.figures, read_plates(), reports.pdf, date.today())
    write_reports(passing(), reports.folder, made)
    note(f"Page: {reports.folder / INDEX}")


def say(text: str) -> None:
    """Write what a command gives to the standard output; nothing of it steers a terminal.

    Raises:
        WrongUse: the standard output is closed.
    """
    check_stdout()
    typer.echo(printable_lines(text))


def note(text: str) -> None:
    """Write something beside what a command gives to the standard error; nothing of it steers a terminal.

    A standard error that takes nothing keeps no command from its work.
    """
    with suppress(OSError):
        typer.echo(printable_lines(text), err=True)


def screen(plain_width: int | None = None) -> Console:
    """What tables are drawn on: the standard output, of this width where it is no terminal.

    Raises:
        WrongUse: the standard output is closed.
    """
    from rich.console import Console

    check_stdout()
    return Console(width=None if sys.stdout.isatty() else plain_width, soft_wrap=False, highlight=False)


def check_stdout() -> None:
    """Raise WrongUse where the standard output is closed, so that what is written there would be lost."""
    if sys.stdout is None:
        raise WrongUse("the standard output is closed", remedy="Leave it open, or send it to /dev/null")
