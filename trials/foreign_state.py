"""Folders of others named as a state folder, and state folders whose queue is lost or is an older one."""

from __future__ import annotations

import hashlib
import os
import platform
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset

from bonexage.node.queue import ASSESSED, FILE, WAITING, Queue
from trials.archive import Archive, listening, send
from trials.node_process import plate_film, start, until, write_config
from trials.reliability import Found

SEED: Final = 13
RESULTS: Final = ("DOC", "OT", "SR")
FOLDERS: Final = ("films", "results", "dead", "aside", "results/1", "results/7", "dead/film-1", "films/deep")
NAMES: Final = ("hand.dcm", "a.png", "1", "film", "reason.txt", ".x.partial", "0" * 32, "x" * 255, "lock")

COMMANDS: Final = (
    ("node", "--config", "node.toml"),
    ("watch", "in", "out", "--once", "--state", "mine"),
)


def run(*, folders: int = 16, rounds: int = 12, films: int = 6) -> Found:
    """Name folders of others as `state`, and lose queues; count what is left of what was there.

    Args:
        folders: of others.
        rounds: of a node that is killed and loses its queue, or has an older one, with files of others among
            its own.
        films: that wait in each round.
    """
    refused, harm_refused = _refused(folders)
    print(refused, flush=True)
    lost, harm_lost = _lost(rounds, films)
    print(lost, flush=True)
    harm = [*harm_refused, *harm_lost]
    told = "\n".join(f"- **{each}**" for each in harm) or "No fault did harm."
    machine = f"Python {platform.python_version()} on {platform.system()}, {platform.machine()}"
    return Found(f"- {refused}\n- {lost}\n\n{told}\n\nWith {machine}.", held=not harm)


def planted(folder: Path, chance: random.Random, *, least: int = 1) -> set[bytes]:
    """Put files of somebody else's into a folder, under names that a node uses, too; their hashes."""
    made: set[bytes] = set()
    while len(made) < least or chance.random() < 0.7:
        path = folder / chance.choice(FOLDERS) / chance.choice(NAMES)
        if any(each.is_file() for each in path.parents) or path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(200))
        made.add(_hash(path))
    return made


def _refused(folders: int) -> tuple[str, list[str]]:
    """Start a node and a watch on folders that are not theirs."""
    chance, refused, left = random.Random(SEED), 0, 0
    for number in range(folders):
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            mine = folder / "mine"
            planted(mine, chance, least=3)
            if number % 3 == 0:  # a database of another program, under the queue's name
                with closing(sqlite3.connect(mine / FILE)) as jobs:
                    jobs.executescript(f"CREATE TABLE jobs (id); PRAGMA user_version = {number % 2}")
            before = _tree(mine)
            (folder / "in").mkdir()
            write_config(folder, 1, state=mine)
            answers = [_refuses(folder, command) for command in COMMANDS]
            refused += all(answers)
            left += _tree(mine) == before
    harm = [f"{folders - refused} folders of others were used"] if refused < folders else []
    harm += [f"{folders - left} folders of others were changed"] if left < folders else []
    line = (
        f"{folders} folders of others were named as the state of a node and of a watch: {refused} of "
        f"{folders} were refused both times, and {left} are as they were."
    )
    return line, harm


def _refuses(folder: Path, command: Sequence[str]) -> bool:
    """Whether a command ends with 2 and says why."""
    done = subprocess.run(
        [sys.executable, "-m", "bonexage", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )
    return done.returncode == 2 and "the folder is not empty" in done.stderr


def _lost(rounds: int, films: int) -> tuple[str, list[str]]:
    """Kill a node whose films wait, lose its queue or restore an older one, and start it again."""
    chance, sent, right, kept, left = random.Random(SEED), 0, 0, 0, 0
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            state, archive = folder / "state", Archive(keeps=False)
            waiting = [plate_film(number * films + each) for each in range(films)]
            _interrupted(folder, waiting, chance.randint(1, films), restored=bool(number % 2))
            others = planted(state, chance)
            with listening(archive) as port, ExitStack() as nodes:
                node = nodes.enter_context(closing(start(write_config(folder, port))))
                until(node.port, "a node that listens")
                until(partial(_is_done, state), "an empty queue")
                node.stop()
            sent, right = sent + films, right + sum(_has_results(archive, film) for film in waiting)
            kept, left = kept + len(others), left + len(others & set(_tree(state).values()))
    harm = [f"{sent - right} acknowledged films have lost or doubled results"] if right < sent else []
    harm += [f"{kept - left} files of others were removed"] if left < kept else []
    line = (
        f"{rounds} times a node was ended by `kill -9` while {films} films waited, and its queue was lost or "
        f"an older one restored, with files of others among its own: {right} of {sent} acknowledged films "
        f"have each result once, and {left} of {kept} files of others are still in the state folder."
    )
    return line, harm


def _has_results(archive: Archive, film: Dataset) -> bool:
    """Whether the archive has each result of a film once."""
    kinds = [kind for study, kind in archive.kinds.values() if study == film.StudyInstanceUID]
    return sorted(kinds) == sorted(RESULTS)


def _interrupted(folder: Path, waiting: Sequence[Dataset], first: int, *, restored: bool) -> None:
    """A node took films while its archive was away and was killed; it has no queue, or an older one."""
    state = folder / "state"
    _taken_and_killed(folder, waiting[:first])
    with closing(sqlite3.connect(state / FILE)) as live, closing(sqlite3.connect(folder / FILE)) as backup:
        live.backup(backup)
    _taken_and_killed(folder, waiting[first:])
    for path in state.glob(f"{FILE}*"):
        path.unlink()
    if restored:
        shutil.copy(folder / FILE, state / FILE)


def _taken_and_killed(folder: Path, films: Sequence[Dataset]) -> None:
    with closing(start(write_config(folder, 1))) as node:
        port = until(node.port, "a node that listens")
        for film in films:
            until(partial(_is_taken, port, film), "the acknowledgement of a film")


def _is_taken(port: int, film: Dataset) -> bool:
    return send(port, film) == [0]


def _is_done(state: Path) -> bool:
    with closing(Queue(state)) as queue:
        return not {WAITING, ASSESSED} & queue.counts()[0].keys()


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): _hash(path) for path in folder.rglob("*") if path.is_file()}


def _hash(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
