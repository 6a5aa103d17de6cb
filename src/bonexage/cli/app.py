"""The command line: all commands, one function each, in the order in which help lists them."""

from __future__ import annotations

import sys

from bonexage.cli.front import app

# isort: off
# Each registers its commands, in the order in which help lists them.
# fmt: off
from bonexage.cli import (  # noqa: F401
    predicting, explaining, following, measuring, comparing, checking, learning, noding, serving,
)
# fmt: on


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be text
    app()
