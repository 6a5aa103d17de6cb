"""The front of the command line: what every command shares, and how errors are told."""

from __future__ import annotations

import errno
import math
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from typer.core import TyperGroup

from bonexage import __version__
from bonexage.assessment import coverage_share
from bonexage.cli.outcomes import Tally, note, say
from bonexage.errors import BonexageError, WrongUse
from bonexage.subject import parse_age_months
from bonexage.terminal import printable_lines

S = TypeVar("S")
T = TypeVar("T")

WRONG_USE: Final = 2
SOME_UNUSABLE: Final = 3
INTERRUPTED: Final = 130
A_DAY: Final = 86_400  # in seconds
_USAGE_ERROR: Final[Any] = typer.BadParameter.__base__  # what Typer itself finds wrong with the arguments


class _Front(TyperGroup):
    """Turns what a command raises into one line and an exit code; `--debug` may stand anywhere."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest = args[: args.index("--")] if "--" in args else args
        if "--debug" in rest:
            args = ["--debug", *(each for each in args if each != "--debug")]
        with _one_line(debug="--debug" in rest):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with _one_line(debug=bool(ctx.params.get("debug"))):
            return super().invoke(ctx)


@contextmanager
def _one_line(*, debug: bool) -> Iterator[None]:
    """Turn what is raised into one line on the standard error and an exit code.

    Typer tells what it finds wrong with arguments itself, and names them; a shell's pattern makes arguments
    of file names.
    """
    try:
        yield
    except _USAGE_ERROR as error:
        error.message = printable_lines(error.message)
        raise
    except (BonexageError, OSError, KeyboardInterrupt) as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:  # the reader had enough
            raise
        if isinstance(error, KeyboardInterrupt):
            _stop_decoding()
        if debug:
            note("".join(traceback.format_exception(error)))
        said, code = sentence(error)
        note(said)
        raise typer.Exit(code) from None


def _stop_decoding() -> None:
    """End the films that are being decoded: the threads that wait for them are waited for before the end."""
    from bonexage.reading.decoder import end_all

    end_all()


def sentence(error: BaseException) -> tuple[str, int]:
    """What a person is told of an error, and the exit code."""
    if isinstance(error, BonexageError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "Stopped, as asked.", INTERRUPTED
    return f"{error}. Check the path, its permissions and the disk.", WRONG_USE


app = typer.Typer(
    cls=_Front,
    name="bonexage",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"bonexage {__version__}")
        raise typer.Exit


@app.callback()
def bonexage(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the code an error arose.")] = False,
) -> None:
    """Bone age from a radiograph of the left hand. For research, not for diagnosis."""


# Options that several commands take, each written once.
Model = Annotated[
    Path | None, typer.Option(help="The model: a bundle, folder or zip.", show_default="the carried one")
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, max=1024, help="CPU threads of the network.", show_default="all there are"),
]
Views = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=64,
        help="Views of each hand whose mean is the answer; each takes its time.",
        show_default="what the model is made for",
    ),
]
Coverage = Annotated[
    float,
    typer.Option(help="Share of children the intervals are to hold: 80, 90, 95 or any other percentage."),
]
Data = Annotated[
    list[Path], typer.Option(help="A data folder in the RSNA layout; may be given several times.")
]
BundleOut = Annotated[Path, typer.Option(help="The bundle to write: a folder, or a zip if it ends in .zip.")]
SkipUnreadable = Annotated[bool, typer.Option(help="Go on without films that are missing or unreadable.")]


def conclude(tally: Tally, model: str, *, fits: bool = True) -> None:
    """Tell how many films lack an assessment or results, and which model answered.

    Exit 3 where any do, or where films and the table of their subjects do not fit together.
    """
    from bonexage.reports.text import footer

    if tally.unusable:
        note(f"{tally.unusable} of {tally.done} films could not be assessed.")
    if tally.unreferable:
        note(f"{tally.unreferable} of {tally.done} films have no DICOM or FHIR results, for lack of a UID.")
    note(footer(model))
    if tally.unusable or tally.unreferable or not fits:
        raise typer.Exit(SOME_UNUSABLE)


def a_number(value: float) -> float:
    """Refuse NaN, which lies in every range as Click compares."""
    if math.isnan(value):
        raise typer.BadParameter("nan is not a number.")
    return value


def as_share(coverage: float) -> float:
    """A percentage as a share; what is below 1 is taken as a share already."""
    return _of_option("--coverage", coverage_share, coverage)


def age_option(text: str) -> float | None:
    """The months that --age-months names; None where its text is blank."""
    return _of_option("--age-months", parse_age_months, text)


def _of_option(option: str, parse: Callable[[S], T], value: S) -> T:
    try:
        return parse(value)
    except WrongUse as error:
        raise error.about(option) from None
