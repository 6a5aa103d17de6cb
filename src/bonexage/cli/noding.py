"""The commands that work between the scanner and the archive: node, watch, queue."""

from __future__ import annotations

import importlib.util
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from bonexage.cli.front import SOME_UNUSABLE, app
from bonexage.errors import MissingExtra

_NEEDED = ("fhir", "highdicom", "prometheus_client", "pydicom", "pynetdicom", "reportlab")


@app.command(
    epilog="Examples:\n\nbonexage node --config node.toml\n\nbonexage node --config node.toml --check"
)
def node(
    *,
    config: Annotated[Path, typer.Option(help="The configuration, TOML; docs/node.toml shows all of it.")],
    check: Annotated[
        bool, typer.Option("--check", help="Check the configuration, the model and the archives, and end.")
    ] = False,
) -> None:
    """Receive films by DICOM, assess them, and send the results to archives; logs JSON lines to stderr."""
    _check_installed("The DICOM node")
    from bonexage.node.config import read_config
    from bonexage.node.logs import json_lines
    from bonexage.node.running import run_node

    said = read_config(config)
    if check:
        _check(config)
        return
    run_node(said, json_lines(), _stop_by_signal())


def _check(config: Path) -> None:
    """Load the model and call each archive; exit 3 where one does not answer."""
    from bonexage.node.config import read_config
    from bonexage.node.judging import make_judge
    from bonexage.node.sending import answers_echo

    said = read_config(config)
    typer.echo(f"Model: {make_judge(said).assessor.model}")
    answers = {each.name: answers_echo(each, said) for each in said.destinations}
    for name, answered in answers.items():
        typer.echo(f"{name}: {'answers' if answered else 'does not answer'}")
    if not all(answers.values()):
        raise typer.Exit(SOME_UNUSABLE)


def _check_installed(feature: str) -> None:
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise MissingExtra(feature, "node")


def _stop_by_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set; a second one ends the process at once."""
    stop = threading.Event()

    def stopping(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopping)
    return stop
