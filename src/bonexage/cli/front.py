"""The front of the command line: what every command shares, and how errors are told."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from bonexage import __version__
from bonexage.cli.outcomes import Tally, note
from bonexage.errors import BonexageError, WrongUse

WRONG_USE: Final = 2
SOME_UNUSABLE: Final = 3
INTERRUPTED: Final = 130


class _Front(TyperGroup):
    """Turns what a command raises into one line and an exit code; `--debug` may stand anywhere."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest = args[: args.index("--")] if "--" in args else args
        if "--debug" in rest:
            args = ["--debug", *(each for each in args if each != "--debug")]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (BonexageError, OSError, KeyboardInterrupt) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:  # the reader had enough
                raise
            if ctx.params.get("debug"):
                note("".join(traceback.format_exception(error)))
            said, code = _sentence(error)
            note(said)
            raise typer.Exit(code) from None


def _sentence(error: BaseException) -> tuple[str, int]:
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
        typer.echo(f"bonexage {__version__}")
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
    int | None, typer.Option(min=1, help="CPU threads of the network.", show_default="all there are")
]
Views = Annotated[
    int, typer.Option(min=1, max=64, help="Views of each hand whose mean is the answer; each takes its time.")
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


def conclude(tally: Tally, model: str) -> None:
    """Tell how many films could not be assessed, and which model answered; exit 3 where there were any."""
    from bonexage.reports.text import footer

    if tally.unusable:
        note(f"{tally.unusable} of {tally.done} films could not be assessed.")
    note(footer(model))
    if tally.unusable:
        raise typer.Exit(SOME_UNUSABLE)


def as_share(coverage: float) -> float:
    """A percentage as a share; what is below 1 is taken as a share already."""
    if 0 < coverage < 1:
        return coverage
    if not 1 < coverage < 100:
        raise WrongUse(f"an interval cannot cover {coverage:g}%", remedy="Give --coverage 80, 90 or 95")
    return coverage / 100
