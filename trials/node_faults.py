"""A node under faults: kills, an archive away, half associations, mutated files, a full disk."""

from __future__ import annotations

import platform
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset

from bonexage.node.queue import ASIDE, ASSESSED, DEAD, DONE, WAITING, Queue
from bonexage.reading.dicom_meta import file_meta
from trials.archive import Archive, listening, send, send_file
from trials.mutations import damaged, drawn
from trials.node_process import plate_film, start, until, write_config
from trials.reliability import Found

SEED: Final = 5
RESULTS: Final = ("DOC", "OT", "SR")
MEGABYTE: Final = 1_000_000
OUT_OF_RESOURCES: Final = 0xA700
# Of a disk made for the trial; and the room on it that the node leaves.
DISK_MEGABYTES, FREE_MEGABYTES = 32, 24
ENLARGED: Final = 2  # films that fill it soon
# Without such a disk: the largest file that the node may write.
FILE_BYTES: Final = 8 * MEGABYTE
# So far reaches the header of a film after its file meta information.
HEADER_BYTES: Final = 300
# Memory counts as flat where it grew by no more than this share from a third of the films to the last.
# Fewer films than that do not tell.
FLAT, LEAST_STEADY = 0.1, 60


@dataclass(frozen=True)
class Counts:
    """How much of everything, as `run` is told it."""

    films: int
    kills: int
    outages: int
    half: int
    mutated: int
    steady: int
    refused: int


@dataclass
class Told:
    """What came of the trial.

    Attributes:
        lines: for people.
        harm: what must not have happened.
    """

    lines: list[str] = field(default_factory=list)
    harm: list[str] = field(default_factory=list)


def run(
    *,
    films: int = 300,
    kills: int = 30,
    outages: int = 6,
    half: int = 60,
    mutated: int = 100,
    steady: int = 150,
    refused: int = 10,
) -> Found:
    """Send films to nodes under faults, and count what became of those that were acknowledged.

    Args:
        films: that arrive while the node is killed.
        kills: of the node.
        outages: of the archive.
        half: associations that are never finished.
        mutated: files that are damaged at random.
        steady: films that are sent to a node that is left alone, for its memory.
        refused: films for which the disk has no room.
    """
    told, wanted = Told(), Counts(films, kills, outages, half, mutated, steady, refused)
    for part in (_killed, _mutated, _full):
        with tempfile.TemporaryDirectory() as made:
            part(Path(made), wanted, told)
        print(told.lines[-1], flush=True)
    harm = "\n".join(f"- **{each}**" for each in told.harm) or "No fault did harm."
    machine = f"Python {platform.python_version()} on {platform.system()}, {platform.machine()}"
    lines = "\n".join(f"- {line}" for line in told.lines)
    text = (
        "A node with the carried model, plates of the atlas wrapped as DX films, an archive on loopback.\n\n"
        f"{lines}\n\n{harm}\n\nWith {machine}."
    )
    return Found(text, held=not told.harm)


def _killed(folder: Path, wanted: Counts, told: Told) -> None:
    """Kills, outages of the archive and half associations while films arrive."""
    chance, archive = random.Random(SEED), Archive(keeps=False)
    port = _free_port()
    config, at = write_config(folder, port), _Place()
    planted: Counter[str] = Counter()
    stop, acknowledged = threading.Event(), threading.Event()
    with ExitStack() as nodes:
        node = nodes.enter_context(closing(start(config)))
        nodes.enter_context(
            _background(
                lambda: _send_all(wanted.films, at, acknowledged),
                lambda: _come_and_go(archive, port, wanted.outages, stop, planted),
                lambda: _half(wanted.half, at, stop, planted),
            )
        )
        for number in range(wanted.kills):
            if number % 3:  # else also while it starts
                at.port = until(node.port, "a node that listens")
            time.sleep(chance.uniform(0.2, 4.0))
            at.port = None
            node.close()
            node = nodes.enter_context(closing(start(config)))
            print(f"killed {number + 1} of {wanted.kills}", flush=True)
        at.port = until(node.port, "a node that listens")
        until(acknowledged.is_set, "the acknowledgement of all films")
        stop.set()
        until(lambda: planted["end"], "the archive's last outage")
        with listening(archive, port):
            _drained(folder / "state")
            ended = node.stop()
    films = [plate_film(number) for number in range(wanted.films)]
    right = _check(folder / "state", films, archive, told, "killed")
    if ended:
        told.harm.append(f"the node ended with {ended} when it was asked to stop")
    again = sum(len(copies) - 1 for copies in archive.stored.values())
    told.lines.append(
        f"{wanted.films} films arrived while the node was ended by `kill -9` {wanted.kills} times, the "
        f"archive went away {planted['outages']} times and {planted['half']} associations were left half "
        f"open: {right} of {wanted.films} acknowledged films have each of their {len(RESULTS)} results in "
        f"the archive once; {again} came a second time, the same to the byte."
    )


def _mutated(folder: Path, wanted: Counts, told: Told) -> None:
    """Mutated files among whole ones, and the memory of a node that is left alone."""
    chance, archive = random.Random(SEED), Archive(keeps=False)
    with listening(archive) as port, ExitStack() as nodes:
        node = nodes.enter_context(closing(start(write_config(folder, port))))
        to = until(node.port, "a node that listens")
        whole = [plate_film(number) for number in range(wanted.steady)]
        answers: Counter[bool] = Counter()
        memory: list[int] = []
        turns = max(wanted.mutated, wanted.steady)
        for turn in range(turns):
            if turn < wanted.mutated:
                answers[_send_mutated(to, folder, wanted.steady + turn, chance)] += 1
            if turn < wanted.steady:
                _until_taken(to, whole[turn])
            if turn >= turns // 3 and turn % max(1, turns // 12) == 0:
                _drained(folder / "state")
                memory.append(node.memory_bytes())
        _drained(folder / "state")
        memory.append(node.memory_bytes())
        ended = node.stop()
    with closing(Queue(folder / "state")) as queue:
        states = queue.counts()[0]
    right = _check(folder / "state", whole, archive, told, "mutated")
    grown = memory[-1] / memory[0] - 1 if memory[0] else 0.0
    if grown > FLAT and wanted.steady >= LEAST_STEADY:
        told.harm.append(f"memory grew by {grown:.0%}")
    if ended or node.events("unforeseen"):
        told.harm.append("a mutated file met the node unforeseen")
    told.lines.append(
        f"{wanted.mutated} mutated files among {wanted.steady} whole ones: {answers[True]} were taken and "
        f"{answers[False]} not; {states.get(ASIDE, 0)} objects were put aside with a reason, and {right} of "
        f"{wanted.steady} whole films have each result once. Memory after a third of them "
        f"{memory[0] / MEGABYTE:.0f} MB, at the end {memory[-1] / MEGABYTE:.0f} MB ({grown:+.1%})."
    )


def _full(folder: Path, wanted: Counts, told: Told) -> None:
    """A disk that fills while the archive is away, and empties when it is back."""
    archive, port = Archive(keeps=False), _free_port()
    with _small_disk(folder / "disk") as disk, ExitStack() as nodes:
        config = write_config(
            folder, port, state=disk or folder / "state", free_megabytes=FREE_MEGABYTES if disk else 0
        )
        state = disk or folder / "state"
        limit = None if disk else FILE_BYTES
        node = nodes.enter_context(closing(start(config, most_file_bytes=limit)))
        to = until(node.port, "a node that listens")
        taken: list[Dataset] = []
        refused: list[Dataset] = []
        answers: Counter[str] = Counter()
        while len(refused) < wanted.refused and len(taken) < 1000:
            film = plate_film(len(taken) + len(refused), enlarged=ENLARGED)
            if not disk and len(answers) and sum(answers.values()) % 3 == 2:
                film.PixelData += bytes(2 * FILE_BYTES)
            status = (send(to, film) or [None])[0]
            answers["none" if status is None else f"{status:04X}"] += 1
            (taken if status == 0 else refused).append(film)
        with listening(archive, port):
            later = 0
            if disk:
                for film in refused:
                    _until_taken(to, film)
                later, taken = len(refused), taken + refused
            _drained(state)
            node.stop()
        right = _check(state, taken, archive, told, "full")
    if set(answers) != {"0000", f"{OUT_OF_RESOURCES:04X}"}:
        told.harm.append(f"a full disk was answered {dict(answers)}")
    how = f"a disk of {DISK_MEGABYTES} MB" if disk else f"no file above {FILE_BYTES / MEGABYTE:.0f} MB"
    told.lines.append(
        f"Disk full ({how}) with the archive away: {len(taken) - later} films were taken and {len(refused)} "
        f"answered A700, out of resources; with the archive back {later} of these were taken, and {right} of "
        f"{len(taken)} films have each result once."
    )


class _Place:
    """Where the node listens; None while it is not there."""

    port: int | None = None


def _send_all(films: int, at: _Place, acknowledged: threading.Event) -> None:
    """Send films until each is acknowledged."""
    for number in range(films):
        film = plate_film(number)
        while True:
            port = at.port
            if port is not None and send(port, film) == [0]:
                break
            time.sleep(0.05)
    acknowledged.set()


def _come_and_go(
    archive: Archive, port: int, outages: int, stop: threading.Event, planted: Counter[str]
) -> None:
    """An archive that is there and away in turns, and then there until it is to end."""
    for _ in range(outages):
        with listening(archive, port):
            stop.wait(4.0)
        planted["outages"] += 1
        stop.wait(2.0)
    if not stop.is_set():
        with listening(archive, port):
            stop.wait()
    planted["end"] = 1


def _half(count: int, at: _Place, stop: threading.Event, planted: Counter[str]) -> None:
    """Connections that say nothing, or half of something, and are left open or dropped."""
    chance, kept = random.Random(SEED), []
    while planted["half"] < count and not stop.wait(0.2):
        port = at.port
        if port is None:
            continue
        try:
            half = socket.create_connection(("127.0.0.1", port), timeout=5)
            half.sendall(chance.choice([b"", b"\x01\x00\x00\x00\x00\xcd", b"\x04\x00\x00\x00", b"GET / "]))
        except OSError:
            continue
        planted["half"] += 1
        kept.append(half)
        if len(kept) > 5:
            kept.pop(0).close()
    for each in kept:
        each.close()


def mutated_file(film: Dataset, chance: random.Random) -> bytes:
    """A film's file, sound as far as its file meta information, damaged in its header or anywhere."""
    out = BytesIO()
    film.save_as(out, enforce_file_format=True)
    data = out.getvalue()
    begin = file_meta(data).end
    end = begin + HEADER_BYTES if chance.random() < 0.5 else len(data)
    return data[:begin] + damaged(data[begin:end], drawn(chance)) + data[end:]


def _send_mutated(port: int, folder: Path, number: int, chance: random.Random) -> bool:
    """Send a mutated film; whether it was taken."""
    film, path = plate_film(number), folder / "mutated.dcm"
    path.write_bytes(mutated_file(film, chance))
    return send_file(port, path, film) == 0


def _until_taken(port: int, film: Dataset) -> None:
    until(lambda: send(port, film) == [0], "the acknowledgement of a film")


def _drained(state: Path) -> None:
    """Wait until a node has nothing left to do, however long that takes as long as it gets on with it."""
    with closing(Queue(state)) as queue:
        while {WAITING, ASSESSED} & (before := queue.counts())[0].keys():
            until(partial(_has_moved, queue, before), "a step of a queue that has work")


def _has_moved(queue: Queue, before: object) -> bool:
    return queue.counts() != before


def _check(state: Path, films: list[Dataset], archive: Archive, told: Told, part: str) -> int:
    """How many films that were acknowledged have each result once; what is not as it should be is told."""
    found: dict[str, list[str]] = {}
    for study, modality in archive.kinds.values():
        found.setdefault(study, []).append(modality)
    wrong = [film for film in films if sorted(found.get(film.StudyInstanceUID, ())) != sorted(RESULTS)]
    if wrong:
        told.harm.append(f"{part}: {len(wrong)} of {len(films)} films have lost or doubled results")
    changed = [uid for uid, copies in archive.stored.items() if len(set(copies)) > 1]
    if changed:
        told.harm.append(f"{part}: {len(changed)} results came again as others")
    with closing(Queue(state)) as queue:
        known = {film.uid: film.state for film in queue.films()}
    lost = [film for film in films if known.get(film.SOPInstanceUID) != DONE]
    if lost or DEAD in known.values():
        told.harm.append(f"{part}: {len(lost)} films are not done, or dead letters were written")
    return len(films) - len(wrong)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def _background(*tasks: Callable[[], None]) -> Iterator[None]:
    """What goes on beside what is done, each in a thread; waited for when it is done."""
    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()


@contextmanager
def _small_disk(place: Path) -> Iterator[Path | None]:
    """A small disk in memory; None where this user may not make one."""
    place.mkdir()
    mount = shutil.which("mount")
    size = f"size={DISK_MEGABYTES}m"
    made = [str(mount), "-t", "tmpfs", "-o", size, "tmpfs", str(place)]
    if not mount or subprocess.run(made, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
