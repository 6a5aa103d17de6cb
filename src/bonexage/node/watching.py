"""A folder in place of the network: films put into it are taken, and their results go to another one."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Final

from bonexage.assessment import Assessment, Failure
from bonexage.disk import write_durably
from bonexage.errors import BonexageError, ConflictingFilm, RefusedRadiograph, UnreadableFile, WrongUse
from bonexage.logline import error_facts
from bonexage.model.assessor import Outcome
from bonexage.node.books import Books
from bonexage.node.config import Delivery as Limits
from bonexage.node.judging import Judge, Judged, NoFilm, judge_film, status_of
from bonexage.node.logs import Log, libraries_without_words
from bonexage.node.metrics import new_counters
from bonexage.node.queue import ASSESSED, WAITING, Film, Result
from bonexage.node.running import at_work, opened_state
from bonexage.node.sending import to_folder
from bonexage.node.taking import DiskFull, Door, content_hash
from bonexage.node.working import Work
from bonexage.reading.dicom import read_identity
from bonexage.reading.dicom_meta import is_dicom
from bonexage.reading.files import MAX_BYTES, is_film
from bonexage.reading.images import decode_image
from bonexage.reports.capture import ON_PAPER, as_pdf, draw_capture
from bonexage.reports.film import film_report
from bonexage.reports.item import Picture
from bonexage.reports.pdf import film_pdf
from bonexage.reports.table import record
from bonexage.subject import Subject

OUT: Final = "out"
ROW: Final = "reading.json"
SHEET: Final = "report.pdf"
STATE: Final = ".bonexage"
_LONGEST_NAME: Final = 80

Stamp = tuple[int, int]
"""Size and time of change of a file, in nanoseconds: what has them as before has not grown."""


@dataclass(frozen=True)
class Watch:
    """What is watched.

    Attributes:
        inbox: the folder that films are put into; nothing in it is changed.
        outbox: the folder that results are put into.
        state: folder for the queue and what waits in it.
        every_seconds: how often the folder is looked into; a film that did not grow in between is taken.
        once: end when there is nothing left to do.
    """

    inbox: Path
    outbox: Path
    state: Path
    every_seconds: float = 2.0
    once: bool = False


def run_watch(watch: Watch, judge: Judge, limits: Limits, log: Log, stop: threading.Event) -> None:
    """Take films from a folder until `stop` is set, or until nothing is left to do where that is wished.

    Raises:
        WrongUse: a folder cannot be used, or another node uses the state folder.
    """
    if not watch.inbox.is_dir():
        raise WrongUse(
            "there is no such folder", remedy="Name one that films are put into", subject=str(watch.inbox)
        )
    with libraries_without_words(log), opened_state(watch.state, least_free_megabytes=0) as door:
        books = Books(door.queue, door.spool, log)
        counters = new_counters(door.queue, door.spool.free_bytes)
        work = Work(
            books,
            door.arrived,
            door.has_room_for_results,
            limits,
            counters,
            threading.Event(),
            threading.Event(),
        )
        sends = {OUT: to_folder(watch.outbox, books, place_of)}
        with at_work(work, lambda data, film: judge_file(judge, data, film), lambda _result: [OUT], sends):
            log("watching", model=judge.assessor.model)
            _look(watch, Taker(watch, door, judge.deidentify, log), door, stop)
            log("stopping")
    log("stopped")


def place_of(film: Film) -> str:
    """The folder of a film's results: its name and the start of its hash, so that no two films share one."""
    stem = re.sub(r"[^\w.-]+", "-", PurePath(film.name).stem).strip("-.")[:_LONGEST_NAME]
    return f"{stem or 'film'}-{film.sha256[:8]}"


def judge_file(judge: Judge, data: bytes, film: Film) -> Judged:
    """Judge a film of any kind: its row, its DICOM results or else a sheet, and FHIR where that is wished."""
    if is_dicom(data):
        try:
            judged = judge_film(judge, data, film.uid)
            return _with_row(judged, film)
        except NoFilm as error:
            outcome: Outcome = Failure(film.name, Subject(), error, judge.assessor.model)
            return _with_row(Judged(status_of(outcome), {}, (), outcome), film)
    outcome, picture = _read_picture(judge, data, film)
    files = {SHEET: _sheet(judge, outcome, picture, film)}
    return _with_row(Judged(status_of(outcome), files, (Result(SHEET),), outcome), film)


def _with_row(judged: Judged, film: Film) -> Judged:
    outcome = replace(judged.outcome, file=film.name or place_of(film))
    row = json.dumps(record(outcome), ensure_ascii=False, indent=1)
    return replace(
        judged,
        files={**judged.files, ROW: f"{row}\n".encode(errors="backslashreplace")},
        results=(*judged.results, Result(ROW)),
    )


def _read_picture(judge: Judge, data: bytes, film: Film) -> tuple[Outcome, Picture | None]:
    picture, name = None, film.name or place_of(film)
    try:
        radiograph = decode_image(data, name)
        picture = radiograph.pixels
        return judge.assessor.assess(radiograph, coverage=judge.coverage), picture
    except (UnreadableFile, RefusedRadiograph) as error:
        return Failure(name, Subject(), error, judge.assessor.model), picture


def _sheet(judge: Judge, outcome: Outcome, picture: Picture | None, film: Film) -> bytes:
    if not isinstance(outcome, Assessment):
        return as_pdf(draw_capture(outcome, picture, ON_PAPER))
    day = datetime.fromtimestamp(film.received, UTC).date()
    return film_pdf(film_report(outcome, picture, judge.beside.plates, judge.beside.figures, made=day))


def stamps(watch: Watch) -> dict[Path, Stamp]:
    """The files in the inbox and below by their stamps; nothing hidden, and nothing of the outbox."""
    found: dict[Path, Stamp] = {}
    outbox = watch.outbox.absolute()
    for folder, inner, names in os.walk(watch.inbox):
        here = Path(folder)
        inner[:] = [name for name in inner if not name.startswith(".") and (here / name).absolute() != outbox]
        for name in names:
            with suppress(OSError):
                if not name.startswith("."):
                    status = (here / name).stat()
                    found[here / name] = (status.st_size, status.st_mtime_ns)
    return found


class Taker:
    """Takes films that have not grown since they were looked at last, each once."""

    def __init__(self, watch: Watch, door: Door, deidentify: bool, log: Log) -> None:
        self._watch, self._door, self._deidentify, self._log = watch, door, deidentify, log
        self._before: Mapping[Path, Stamp] = {}
        self._seen: dict[Path, Stamp] = {}

    def look(self) -> bool:
        """Take what is ready; returns whether nothing in the folder is left to be taken."""
        now = stamps(self._watch)
        new = {path: stamp for path, stamp in now.items() if self._seen.get(path) != stamp}
        for path, stamp in sorted(new.items()):
            if self._before.get(path) == stamp and self._take(path):
                self._seen[path] = stamp
        self._before = now
        self._seen = {path: stamp for path, stamp in self._seen.items() if path in now}
        return all(self._seen.get(path) == stamp for path, stamp in now.items())

    def _take(self, path: Path) -> bool:
        """Take one film; returns whether it is not to be looked at again as it is."""
        name = "" if self._deidentify else str(path.relative_to(self._watch.inbox))
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode) or not is_film(path):
                return True
            if status.st_size > MAX_BYTES:
                self._log("not-taken", reason="the file is too large", bytes=status.st_size)
                return True
            data = path.read_bytes()
            try:
                number = self._door.take(_uid_of(data), data, name)
            except ConflictingFilm as error:
                return self._refused(data, name, error)
        except (OSError, sqlite3.Error, DiskFull) as error:
            self._log("not-taken", **error_facts(error))
            return isinstance(error, PermissionError)
        if number:
            self._log("taken", film=number, bytes=len(data))
        else:
            self._log("known-again", bytes=len(data))
        return True

    def _refused(self, data: bytes, name: str, error: BonexageError) -> bool:
        """Say beside the other results why there is none of this film."""
        self._log("not-taken", reason=error.problem)
        film = Film(0, "", content_hash(data), "", name, 0.0, "", "", 0, 0.0, "")
        write_durably(self._watch.outbox / place_of(film) / "reason.txt", f"{error}\n".encode())
        return True


def _uid_of(data: bytes) -> str:
    """A DICOM film's UID; of any other file, and of one that has none, its hash."""
    if is_dicom(data):
        with suppress(UnreadableFile):
            return read_identity(data, "").sop_uid
    return f"sha256:{content_hash(data)}"


def _look(watch: Watch, taker: Taker, door: Door, stop: threading.Event) -> None:
    while not stop.is_set():
        done = taker.look()
        if done and watch.once and not door.queue.films(WAITING, ASSESSED):
            return
        stop.wait(watch.every_seconds)
