"""A service under load for minutes: is it as fast as the bare runtime, in time, and of constant memory?"""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import numpy as np

from bonexage.atlas.plates import read_plates
from bonexage.model.assessor import Assessor, assess_many
from bonexage.model.bundle import load_bundle
from bonexage.model.runtime import usable_cores
from bonexage.subject import Sex, Subject
from trials.reliability import Found
from trials.served import Served, served

PATH: Final = "/v1/assessments"
MOST_SECONDS: Final = 5.0
LEAST_RATIO: Final = 0.8
MOST_GROWTH_PERCENT: Final = 2.0
_BARE_SHARE: Final = 0.2
_LEAST_BARE_SECONDS: Final = 5.0
_WARM_SHARE: Final = 0.25
_SAMPLE_SECONDS: Final = 2.0  # adding up a process's pages takes its time
_BOY: Final = Subject(Sex.MALE)
_KB: Final = 1024


@dataclass(frozen=True)
class Load:
    """What came of it.

    Attributes:
        seconds: how long the service was under load.
        clients: that asked at the same time.
        statuses: how often each was answered; 0 for no answer.
        films_a_second: that the service assessed.
        bare_films_a_second: that the bare runtime assessed, before and after, in this process.
        median_seconds: of accepted requests.
        p99_seconds: of accepted requests; 99% took no longer.
        memory_mb: of the service and its workers, the mean after warming up.
        growth_mb_a_minute: the slope of that, by least squares.
        growth_percent: by that slope, from the end of warming up to the end.
    """

    seconds: float
    clients: int
    statuses: dict[int, int]
    films_a_second: float
    bare_films_a_second: float
    median_seconds: float
    p99_seconds: float
    memory_mb: float
    growth_mb_a_minute: float
    growth_percent: float

    @property
    def ratio(self) -> float:
        """The service's speed as a share of the bare runtime's."""
        return self.films_a_second / self.bare_films_a_second

    @property
    def harms(self) -> list[str]:
        """What was not as it has to be."""
        wrong = {status: count for status, count in self.statuses.items() if status not in (200, 429)}
        checks = {
            f"answers other than 200 and 429: {wrong}": bool(wrong),
            f"99% of accepted requests took up to {self.p99_seconds:.1f} s": self.p99_seconds >= MOST_SECONDS,
            f"only {100 * self.ratio:.0f}% of the bare runtime's speed": self.ratio < LEAST_RATIO,
            f"memory grew by {self.growth_percent:.1f}%": self.growth_percent > MOST_GROWTH_PERCENT,
        }
        return [harm for harm, found in checks.items() if found]

    def as_dict(self) -> dict[str, Any]:
        """The figures by name."""
        return {**asdict(self), "ratio": self.ratio, "harms": self.harms}


def run(seconds: int = 300, clients: int = 32) -> Found:
    """Put a service under load.

    Args:
        seconds: for so long.
        clients: so many ask at the same time, each as soon as it was answered.
    """
    load = measure(seconds, clients)
    return Found(told(load), held=not load.harms)


def measure(seconds: float, clients: int) -> Load:
    """The bare runtime, the service, and the bare runtime once more, on the plates of the atlas."""
    films = [plate.path for plate in read_plates()]
    assessor = Assessor(load_bundle())
    bare_seconds = max(_LEAST_BARE_SECONDS, _BARE_SHARE * seconds / 2)
    bare = [_bare_speed(assessor, films, bare_seconds)]
    with tempfile.TemporaryDirectory() as made:
        place = Path(made) / "place"
        place.mkdir()
        with served(place) as service:
            asked = asyncio.run(_asked(service, films, seconds, clients))
    bare.append(_bare_speed(assessor, films, bare_seconds))
    return _load(asked, sum(bare) / len(bare), clients)


def _bare_speed(assessor: Assessor, films: Sequence[Path], seconds: float) -> float:
    """Films a second of the runtime itself, decoding included; libraries are loaded before it counts."""
    names = cycle(map(str, films))
    for _ in zip(range(4), assess_many(assessor, names, lambda _: _BOY), strict=False):
        pass
    began, done = time.monotonic(), 0
    for _ in assess_many(assessor, names, lambda _: _BOY):
        done += 1
        if time.monotonic() - began >= seconds:
            break
    return done / (time.monotonic() - began)


@dataclass
class _Asked:
    """What clients saw: statuses, how long accepted requests took, when memory was how large."""

    statuses: Counter[int]
    taken: list[float]
    memory: list[tuple[float, float]]
    seconds: float = 0.0


async def _asked(service: Served, films: Sequence[Path], seconds: float, clients: int) -> _Asked:
    """Ask for so many seconds; requests under way at the end are still counted."""
    asked = _Asked(Counter(), [], [])
    place = urlsplit(service.address)
    requests = cycle([_request(film.read_bytes(), place.netloc) for film in films])
    began = time.monotonic()
    memory = asyncio.create_task(_watch(service, asked, began))
    one = [_one(place, requests, asked, began + seconds) for _ in range(clients)]
    await asyncio.gather(*one)
    asked.seconds = time.monotonic() - began
    memory.cancel()
    return asked


def _request(film: bytes, host: str) -> bytes:
    """A film as an HTTP request, put together once: what clients compute is taken from the service."""
    field = b"--x\r\nContent-Disposition: form-data; "
    sex, file = b'name="sex"\r\n\r\nM\r\n', b'name="file"; filename="film.png"\r\n\r\n'
    form = field + sex + field + file + film + b"\r\n--x--\r\n"
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {len(form)}\r\n\r\n"
    )
    return head.encode() + form


async def _one(place: SplitResult, requests: Iterator[bytes], asked: _Asked, end: float) -> None:
    """One client, which asks again as soon as it was answered, or when it is told to."""
    while time.monotonic() < end:
        try:
            heard, said = await asyncio.open_connection(place.hostname, place.port)
            while time.monotonic() < end:
                began = time.monotonic()
                said.write(next(requests))
                status, pause = await _answer(heard)
                asked.statuses[status] += 1
                if status == 200:
                    asked.taken.append(time.monotonic() - began)
                else:
                    await asyncio.sleep(pause)
            said.close()
        except (OSError, asyncio.IncompleteReadError, ValueError):
            asked.statuses[0] += 1


async def _answer(heard: asyncio.StreamReader) -> tuple[int, float]:
    """The status of the next answer, and the seconds after which to ask again."""
    head = (await heard.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    await heard.readexactly(int(headers["content-length"]))
    return int(head.split(" ", 2)[1]), float(headers.get("retry-after", 1))


async def _watch(service: Served, asked: _Asked, began: float) -> None:
    while True:
        asked.memory.append((time.monotonic() - began, _resident_mb(service)))
        await asyncio.sleep(_SAMPLE_SECONDS)


def _resident_mb(service: Served) -> float:
    """Memory of a service and its workers, shared pages divided among those that share them."""
    total = 0
    for pid in (service.process.pid, *service.workers):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / _KB


def _load(asked: _Asked, bare: float, clients: int) -> Load:
    warm = [(at, size) for at, size in asked.memory if at >= _WARM_SHARE * asked.seconds]
    at, size = np.array(warm).T
    slope = float(np.polyfit(at, size, 1)[0])
    return Load(
        seconds=asked.seconds,
        clients=clients,
        statuses=dict(asked.statuses),
        films_a_second=asked.statuses[200] / asked.seconds,
        bare_films_a_second=bare,
        median_seconds=float(np.median(asked.taken)),
        p99_seconds=float(np.quantile(asked.taken, 0.99)),
        memory_mb=float(size.mean()),
        growth_mb_a_minute=60 * slope,
        growth_percent=100 * slope * float(at[-1] - at[0]) / float(size.mean()),
    )


def told(load: Load) -> str:
    """The figures as a section of the page."""
    turned_away = load.statuses.get(429, 0)
    others = {status: count for status, count in load.statuses.items() if status not in (200, 429)}
    machine = f"{platform.system()}, {platform.machine()}, {usable_cores()} cores"
    verdict = f"**{'; '.join(load.harms)}.**" if load.harms else "All was as it has to be."
    return f"""\
{load.clients} clients asked one service for {load.seconds:.0f} seconds, each anew as soon as it was answered,
clients and service on the same machine. {verdict}

| | measured | has to be |
|---|---:|---:|
| requests assessed | {load.statuses.get(200, 0):,} | |
| turned away with 429 and Retry-After | {turned_away:,} | |
| other answers | {sum(others.values()):,} | 0 |
| films a second | {load.films_a_second:.2f} | |
| films a second of the bare runtime in the same run | {load.bare_films_a_second:.2f} | |
| ratio | {100 * load.ratio:.0f}% | at least {100 * LEAST_RATIO:.0f}% |
| accepted requests, median | {load.median_seconds:.2f} s | |
| accepted requests, 99% within | {load.p99_seconds:.2f} s | below {MOST_SECONDS:g} s |
| memory of the service and its workers | {load.memory_mb:.0f} MB | |
| its slope | {load.growth_mb_a_minute:+.1f} MB a minute, {load.growth_percent:+.1f}% in all | \
at most {MOST_GROWTH_PERCENT:g}% |

With Python {platform.python_version()} on {machine}, {os.uname().release.split("-")[0]}.
"""
