"""The commands that work between the scanner and the archive: node, watch, queue."""

from __future__ import annotations

import importlib.util
import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bonexage.cli.front import A_DAY, SOME_UNUSABLE, Coverage, Model, Threads, a_number, app, as_share
from bonexage.cli.outcomes import note, say
from bonexage.errors import MissingExtra, WrongUse

if TYPE_CHECKING:
    from bonexage.node.config import NodeConfig

_NEEDED = ("fhir", "highdicom", "prometheus_client", "pydicom", "pynetdicom", "reportlab")


@app.command(
    epilog="Examples:\n\nbonexage node --config node.toml\n\nbonexage node --config node.toml --check"
)
def node(
    *,
    config: Annotated[Path, typer.Option(help="The configuration, TOML; docs/node.toml shows all of it.")],
    check: Annotated[
        bool,
        typer.Option("--check", help="Check model, state folder, ports and archives, and end."),
    ] = False,
) -> None:
    """Receive films by DICOM, assess them, and send the results to archives; logs JSON lines to stderr."""
    _check_installed("The DICOM node")
    from bonexage.node.config import read_config
    from bonexage.node.logs import json_lines
    from bonexage.node.running import run_node

    said = read_config(config)
    if check:
        _check(said)
        return
    run_node(said, json_lines(), _stop_by_signal())


def _check(said: NodeConfig) -> None:
    """Load the model, try state folder and ports, and call each archive; exit 3 where one of them fails."""
    from bonexage.node.checking import check_places
    from bonexage.node.running import configured_judge
    from bonexage.node.sending import answers_echo

    say(f"Model: {configured_judge(said).assessor.model}")
    places = check_places(said)
    for place in places:
        say(f"{place.name}: {place.state}")
    answers = {each.name: answers_echo(each, said) for each in said.destinations}
    for name, answered in answers.items():
        say(f"{name}: {'answers' if answered else 'does not answer'}")
    if not all(answers.values()) or not all(place.usable for place in places):
        raise typer.Exit(SOME_UNUSABLE)


def _check_installed(feature: str) -> None:
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise MissingExtra(feature, "node")


def _stop_by_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set; a second one ends the process at once."""
    stop = threading.Event()

    def stopping(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        # In a thread: this may run within `stop.wait` of the main thread, whose lock is not reentrant.
        threading.Thread(target=stop.set, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopping)
    return stop


def _state_folder(text: str) -> Path:
    if not text.strip():
        raise WrongUse("--state is empty", remedy="Name a folder of its own, or leave --state out")
    return Path(text)


@app.command(
    epilog="Examples:\n\nbonexage watch films/ results/\n\nbonexage watch films/ results/ --once --deidentify"
)
def watch(
    inbox: Annotated[Path, typer.Argument(metavar="IN", help="Folder that films are put into.")],
    outbox: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for results, one in it a film.")],
    *,
    model: Model = None,
    coverage: Coverage = 90,
    threads: Threads = None,
    fhir: Annotated[bool, typer.Option("--fhir", help="Write FHIR of DICOM films too.")] = False,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Leave who the films show, and their names, out.")
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the queue, with nothing else in it.",
            show_default="OUT/.bonexage",
            parser=_state_folder,
            metavar="DIRECTORY",
        ),
    ] = None,
    every: Annotated[
        float,
        typer.Option(min=0.01, max=A_DAY, callback=a_number, help="Seconds between two looks into IN."),
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is left to do.")] = False,
) -> None:
    """Assess films that are put into a folder; a film is taken when it has stopped growing."""
    _check_installed("Watching a folder")
    from bonexage.node.config import Delivery
    from bonexage.node.judging import make_judge
    from bonexage.node.logs import json_lines
    from bonexage.node.watching import STATE, Watch, run_watch

    judge = make_judge(
        "" if model is None else str(model),
        100 * as_share(coverage),
        threads=threads or 0,
        deidentify=deidentify,
        fhir=fhir,
    )
    watched = Watch(inbox, outbox, state or outbox / STATE, every, once)
    run_watch(watched, judge, Delivery(), json_lines(), _stop_by_signal())


@app.command(
    epilog="Examples:\n\nbonexage queue node.toml\n\nbonexage queue node.toml --json\n\n"
    "bonexage queue node.toml --retry 17\n\nbonexage queue node.toml --retry all"
)
def queue(
    place: Annotated[
        Path,
        typer.Argument(metavar="PLACE", help="A node's configuration or state folder, or the OUT of watch."),
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Tell of films that are done too.")] = False,
    again: Annotated[
        list[str] | None,
        typer.Option("--retry", metavar="FILM|all", help="Try dead letters again; several times, or all."),
    ] = None,
) -> None:
    """Look at the queue of a node or a watched folder; exit 3 where there are dead letters."""
    _check_installed("The queue")
    from bonexage.node.looking import as_table, overview, retry, state_folder

    folder = state_folder(place)
    if again:
        revived = retry(folder, _numbers(again))
        note(f"{len(revived)} films are tried again.")
    told = overview(folder, done=everything)
    say(json.dumps(told, indent=1) if as_json else as_table(told))
    if told["films"]["dead"]:
        raise typer.Exit(SOME_UNUSABLE)


def _numbers(again: list[str]) -> list[int] | None:
    """The numbers that were named; None for all."""
    if again == ["all"]:
        return None
    try:
        return [int(each) for each in again]
    except ValueError:
        raise WrongUse("a film has a number", remedy="Give --retry 17, or --retry all") from None
