"""The command line: all commands, one function each, in the order in which help lists them."""

from __future__ import annotations

import os
import sys

from bonexage.cli.front import app, sentence
from bonexage.cli.outcomes import note

# isort: off
# Each registers its commands, in the order in which help lists them.
# fmt: off
from bonexage.cli import (  # noqa: F401
    predicting, explaining, following, measuring, comparing, checking, learning, noding, serving,
)
# fmt: on


def main() -> None:
    """Run the command line."""
    _hold_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be text
    code: object = 2
    try:
        app()
    except SystemExit as end:
        code = end.code
    except OSError as error:  # what Typer itself could not write, such as its help
        said, code = sentence(error)
        note(said)
    finally:
        _let_go_of_stdout()
    sys.exit(code)  # type: ignore[arg-type]


def _hold_standard_streams() -> None:
    """Keep a closed standard stream's number from being given to a file, into which libraries would write."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _let_go_of_stdout() -> None:
    """Drop what the standard output does not take, so that its end says nothing more of it."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
