"""Faults planted into a running service: damaged films, stalled uploads, killed workers, bodies that bite."""

from __future__ import annotations

import io
import os
import pickle
import platform
import signal
import socket
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import urlsplit

import httpx
import numpy as np
from PIL import Image
from pydicom import uid

from bonexage.model.runtime import usable_cores
from trials.mutations import damaged, dicom, drawn, sound_films
from trials.reliability import Found
from trials.served import Served, served
from trials.waiting import eventually

PATH: Final = "/v1/assessments"
SEED: Final = 7
MOST_SECONDS: Final = 10.0
SECONDS_AFTER_KILL: Final = 2.0
STALL_SECONDS: Final = 10.0
_GONE: Final = ("Z", "")
_HEALTH_TRIES: Final = 50
_SENT: Final = "application/octet-stream"


@dataclass(frozen=True)
class Part:
    """What came of one kind of fault: a row of the table, and whether no harm was done."""

    fault: str
    done: int
    outcome: str
    held: bool


def run(mutated: int = 20_000, stalled: int = 200, kills: int = 50) -> Found:
    """Start a service and plant faults into it.

    Args:
        mutated: how many damaged films to send.
        stalled: how many uploads to leave standing.
        kills: how often to kill a worker at its work.
    """
    with tempfile.TemporaryDirectory() as made:
        place = Path(made) / "place"
        place.mkdir()
        inside = {"TMPDIR": str(place), "HOME": str(place), "MPLCONFIGDIR": made}
        with served(place, "--stall-seconds", str(STALL_SECONDS), **inside) as service:
            parts = [
                _damaged_films(service, mutated),
                _stalled(service, stalled),
                _killed(service, kills),
                *_biting(service),
            ]
            lives = service.alive
        written = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    parts.append(
        Part(
            "files left in its folder, home or temporary folder",
            len(written),
            ", ".join(written) or "none",
            not written,
        )
    )
    return Found(_told(parts, lives), held=lives and all(part.held for part in parts))


def _damaged_films(service: Served, number: int) -> Part:
    """Send damaged films, one a core at the same time, and count what they are answered."""
    answers: Counter[str] = Counter()
    slowest = 0.0
    with (
        httpx.Client(base_url=service.address, timeout=120) as client,
        ThreadPoolExecutor(usable_cores()) as threads,
    ):

        def send(film: tuple[str, bytes]) -> tuple[str, float]:
            began = time.monotonic()
            answer = _answer(client, *film)
            return answer, time.monotonic() - began

        films = damaged_films(Random(SEED))
        for begun in range(0, number, 500):
            for answer, seconds in threads.map(send, islice(films, min(500, number - begun))):
                answers[answer] += 1
                slowest = max(slowest, seconds)
            print(f"{answers.total()} of {number} damaged films, {dict(answers)}", flush=True)
    held = all(each == "assessed" or each.startswith("4") for each in answers) and slowest < MOST_SECONDS
    said = ", ".join(f"{count:,} {answer}" for answer, count in answers.most_common())
    return Part("damaged films", number, f"{said}; the slowest answer took {slowest:.1f} s", held)


def damaged_films(chance: Random) -> Iterator[tuple[str, bytes]]:
    """Endlessly, a film of some kind with damages by chance, and its name."""
    films = list(sound_films().items())
    while True:
        name, sound = chance.choice(films)
        yield name, damaged(sound, drawn(chance))


def _answer(client: httpx.Client, name: str, film: bytes) -> str:
    """What a film is answered, in a word or two: 'assessed', or a status and its code."""
    try:
        said = client.post(PATH, files={"file": (name, film, _SENT)}, data={"sex": "F"})
    except httpx.HTTPError as error:
        return f"no answer ({type(error).__name__})"
    if said.status_code == 429:
        time.sleep(1)
        return _answer(client, name, film)
    try:
        found = said.json()
        return str(found[0]["status"]) if said.status_code == 200 else f"{said.status_code} {found['code']}"
    except (ValueError, KeyError, TypeError):
        return f"{said.status_code} without a code"


def _stalled(service: Served, number: int) -> Part:
    """Begin uploads and leave them standing; see whether health answers as before, and how they are ended."""
    before = _health_seconds(service)
    lines = [begun_upload(service.address) for _ in range(number)]
    during = _health_seconds(service)
    ended: Counter[str] = Counter()
    for line in lines:
        line.settimeout(4 * STALL_SECONDS)
        ended[line.recv(1000)[9:12].decode(errors="replace") or "no answer"] += 1
        line.close()
    held = during < 2 * before and set(ended) == {"408"}
    said = ", ".join(f"{count} {answer}" for answer, count in ended.items())
    times = f"{1000 * during:.0f} ms during, {1000 * before:.0f} ms before"
    return Part("stalled uploads", number, f"{said}; health answered within {times} (median)", held)


def _health_seconds(service: Served) -> float:
    """How long health takes to answer, as a median."""
    taken = []
    with httpx.Client(base_url=service.address, timeout=30) as client:
        for _ in range(_HEALTH_TRIES):
            began = time.monotonic()
            client.get("/healthz").raise_for_status()
            taken.append(time.monotonic() - began)
    return statistics.median(taken)


def begun_upload(address: str) -> socket.socket:
    """A connection on which an upload has begun that will not go on."""
    place = urlsplit(address)
    assert place.hostname
    line = socket.create_connection((place.hostname, place.port or 80), timeout=30)
    line.sendall(
        f"POST {PATH} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 1000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode()
    )
    return line


def _killed(service: Served, number: int) -> Part:
    """Kill the worker that has a film, again and again; ask at once for another film."""
    film = sound_films()["hand.png"]
    answers: Counter[str] = Counter()
    slowest = 0.0
    with httpx.Client(base_url=service.address, timeout=120) as client, ThreadPoolExecutor(1) as threads:
        all_ready = f"bonexage_workers {len(service.workers):.1f}\n"
        for _ in range(number):
            eventually(lambda: all_ready in client.get("/metrics").text)
            worker = _frozen_at_work(service, threads, client, film)
            os.kill(worker.pid, signal.SIGKILL)
            _thaw(service)
            answers[worker.answer()] += 1
            began = time.monotonic()
            if _answer(client, "hand.png", film) == "assessed":
                slowest = max(slowest, time.monotonic() - began)
            else:
                slowest = float("inf")
    held = slowest < SECONDS_AFTER_KILL and set(answers) <= {"assessed", "503 no-worker"}
    said = ", ".join(f"{count} {answer}" for answer, count in answers.items())
    return Part(
        "workers killed at a film (`kill -9`)", number, f"{said}; the next film within {slowest:.1f} s", held
    )


@dataclass(frozen=True)
class _AtWork:
    """A worker that is frozen with a film, and what asks for the answer."""

    pid: int
    answer: Callable[[], str]


def _frozen_at_work(
    service: Served, threads: ThreadPoolExecutor, client: httpx.Client, film: bytes
) -> _AtWork:
    """Freeze all workers and send a film: the one that has read of it is at work."""
    workers = [pid for pid in service.workers if _state(pid) not in _GONE]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    eventually(lambda: all(_state(pid) == "T" for pid in workers))  # else one may still read the film first
    asked = threads.submit(_answer, client, "hand.png", film)
    eventually(lambda: "bonexage_workers_working 1.0" in client.get("/metrics").text)
    at_work = next(pid for pid in workers if _has_waiting_input(pid))
    return _AtWork(at_work, asked.result)


def _state(pid: int) -> str:
    """A process's state as Linux has it: T where it is stopped, Z where it has ended, '' where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _has_waiting_input(pid: int) -> bool:
    """Whether something lies in a process's standard input that it has not read."""
    import array
    import fcntl
    import termios

    waiting = array.array("i", [0])
    with Path(f"/proc/{pid}/fd/0").open("rb", buffering=0) as pipe:
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0] > 0


def _thaw(service: Served) -> None:
    for pid in service.workers:
        with suppress(ProcessLookupError):  # the one that was killed
            os.kill(pid, signal.SIGCONT)


def _biting(service: Served) -> Iterator[Part]:
    """Bodies that are to be refused, and names that climb."""
    sound = sound_films()["hand.png"]
    sent = {
        "a body of 64 MB": ("hand.png", bytes(64_000_000), "413 too-large"),
        "a PNG that unpacks to 400 megapixels": ("hand.png", _bomb(), "422 too-many-pixels"),
        "a DICOM file that unpacks to 100 megapixels": (
            "hand.dcm",
            dicom(np.zeros((10_000, 10_000), np.uint16), uid.DeflatedExplicitVRLittleEndian),
            "422 too-many-pixels",
        ),
        "a pickle": ("hand.png", pickle.dumps({"film": [1, 2, 3]}), "422 unreadable"),
        "a film named `../../../climbed.png`": ("../../../climbed.png", sound, "assessed"),
        "a film named `/tmp/climbed.png`": ("/tmp/climbed.png", sound, "assessed"),
    }
    with httpx.Client(base_url=service.address, timeout=120) as client:
        for what, (name, content, wanted) in sent.items():
            answer = _answer(client, name, content)
            yield Part(what, 1, answer, answer == wanted)


def _bomb() -> bytes:
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    return out.getvalue()


def _told(parts: list[Part], lives: bool) -> str:
    rows = "\n".join(
        f"| {part.fault} | {part.done:,} | {part.outcome} | {'held' if part.held else '**HARM**'} |"
        for part in parts
    )
    machine = f"{platform.system()}, {platform.machine()}, {usable_cores()} cores"
    return f"""\
One service, `bonexage serve` with the carried model, was sent all of this without being started again;
at the end it {"could still assess a film" if lives else "was **dead**"}. To hold, an answer has to be an
assessment or a problem of the 400s with its code, and to come within {MOST_SECONDS:g} seconds.

| fault | number | what came of it | |
|---|---:|---|---|
{rows}

With Python {platform.python_version()} on {machine}.
"""
