"""Pictures that take minutes or gigabytes to decode, given to `predict` and to a running service."""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from bonexage.atlas.plates import read_plates
from bonexage.model.runtime import usable_cores
from bonexage.reading.confined import DEFAULT_LIMITS
from trials.biting_pictures import biting_pictures
from trials.reliability import Found
from trials.served import Served, served

PATH: Final = "/v1/assessments"
# Beside decoding, a command loads the model and starts processes.
MOST_SECONDS: Final = DEFAULT_LIMITS.seconds + 10.0
# What decoding may take in a service, and room for a machine that has much else to do.
MOST_SECONDS_SERVED: Final = 30.0
SOUND: Final = "sound.png"


@dataclass(frozen=True)
class Part:
    """What came of one picture: a row of the table, and whether no harm was done."""

    picture: str
    kilobytes: float
    outcome: str
    seconds: float
    held: bool


def run(pictures: int = 1000) -> Found:
    """Give pictures that bite to the command line and to a service, one by one, then all of them with a film.

    Args:
        pictures: how many of them, at most.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        films = folder / "films"
        films.mkdir()
        bites = [(name, data) for name, data in biting_pictures()][:pictures]
        for name, data in bites:
            (films / name).write_bytes(data)
        (films / SOUND).write_bytes(read_plates()[0].path.read_bytes())
        parts = [_predicted(films / name) for name, _ in bites]
        together = _together(films)
        place = folder / "place"
        place.mkdir()
        with served(place) as service:
            answered = list(_answered(service, films))
            lives = service.alive
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    held = lives and together and all(part.held for part in parts + answered)
    return Found(_told(parts, answered, together, lives, peak), held)


def _predicted(film: Path) -> Part:
    """One picture read by `predict`, with the seconds of computing that the command and its decoder took."""
    before = _computed()
    rows, code = _rows(film)
    seconds = _computed() - before
    (row,) = rows or [{"status": "none", "message": f"exit code {code}"}]
    outcome = f"{row['status']}: {row['message']}"
    print(f"{film.name}: {outcome} ({seconds:.1f} s)", flush=True)
    held = code in (0, 3) and row["status"] in ("unreadable", "refused") and seconds < MOST_SECONDS
    return Part(film.name, film.stat().st_size / 1000, outcome, seconds, held)


def _together(films: Path) -> bool:
    """Whether a batch of all of them goes on to the sound film."""
    rows, code = _rows(films)
    status = {Path(row["file"]).name: row["status"] for row in rows}
    return code == 3 and len(rows) == len(list(films.iterdir())) and status[SOUND] == "assessed"


def _rows(path: Path) -> tuple[list[dict[str, Any]], int]:
    command = [sys.executable, "-m", "bonexage", "predict", str(path), "--sex", "F", "--format", "json"]
    done = subprocess.run(command, capture_output=True, check=False)
    try:
        return json.loads(done.stdout), done.returncode
    except ValueError:
        return [], done.returncode


def _computed() -> float:
    """Seconds of computing of all processes that have ended so far and that this one started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _answered(service: Served, films: Path) -> Iterator[Part]:
    """Each picture sent to a service, and a sound film after it."""
    with httpx.Client(base_url=service.address, timeout=300) as client:
        for film in sorted(films.iterdir()):
            if film.stat().st_size > 30_000_000 or film.name == SOUND:
                continue
            began = time.monotonic()
            answer = client.post(PATH, files={"file": (film.name, film.read_bytes())}, data={"sex": "F"})
            seconds = time.monotonic() - began
            after = client.post(
                PATH, files={"file": (SOUND, (films / SOUND).read_bytes())}, data={"sex": "F"}
            )
            outcome = f"{answer.status_code} {answer.json()['code']}"
            held = answer.status_code == 422 and seconds < MOST_SECONDS_SERVED and after.status_code == 200
            print(f"served {film.name}: {outcome} ({seconds:.1f} s)", flush=True)
            yield Part(film.name, film.stat().st_size / 1000, outcome, seconds, held)


def _told(parts: list[Part], answered: list[Part], together: bool, lives: bool, peak: float) -> str:
    machine = f"{platform.system()}, {platform.machine()}, {usable_cores()} cores"
    batch = "assessed the film and named the others" if together else "**broke off**"
    alive = "could still assess a film" if lives else "was **dead**"
    return f"""\
Small pictures that take minutes or gigabytes to decode were given to `predict`, one by one. To hold, each has
to be named as unreadable or refused, after no more than {MOST_SECONDS:g} seconds of computing in all.

{_table(parts, "seconds of computing")}

A batch of all of them and one film {batch}. No process took more than
{peak:.1f} GB of memory.

The same were sent to `bonexage serve`, which at the end {alive}. To hold, each has to be
answered 422 within {MOST_SECONDS_SERVED:g} seconds, and a sound film after it has to be assessed.

{_table(answered, "seconds by the clock")}

With Python {platform.python_version()} on {machine}.
"""


def _table(parts: list[Part], seconds: str) -> str:
    rows = "\n".join(
        f"| `{part.picture}` | {part.kilobytes:,.0f} | {part.outcome} | {part.seconds:.1f} | "
        f"{'held' if part.held else '**HARM**'} |"
        for part in parts
    )
    return f"| picture | kB | what came of it | {seconds} | |\n|---|---:|---|---:|---|\n{rows}"
