"""A folder in place of the network: films put into it are taken, and their results go to another one."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Final

from bonexage.assessment import Assessment, Failure
from bonexage.disk import write_durably
from bonexage.errors import (
    BonexageError,
    ConflictingFilm,
    MissingExtra,
    RefusedRadiograph,
    UnreadableFile,
    WrongUse,
)
from bonexage.logline import error_facts
from bonexage.model.assessor import Outcome
from bonexage.node.books import Books
from bonexage.node.config import Delivery as Limits
from bonexage.node.judging import Judge, Judged, NoFilm, Unreferable, judge_film, status_of
from bonexage.node.logs import Log, libraries_without_words
from bonexage.node.metrics import new_counters
from bonexage.node.queue import ASSESSED, WAITING, Film, Result
from bonexage.node.running import at_work, opened_state
from bonexage.node.sending import to_folder
from bonexage.node.spool import REASON
from bonexage.node.taking import DiskFull, Door, content_hash, uid_of
from bonexage.node.working import Work
from bonexage.reading.dicom_meta import is_dicom
from bonexage.reading.files import MAX_BYTES, decode_film_bytes, is_film
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
# Bytes of UTF-8. With a hash behind it the name stays below the 143 that encrypted file systems allow.
_LONGEST_STEM: Final = 78
# So often in a row a file that cannot be read is tried, as long as it does not change.
_MOST_READS: Final = 3
# Some programs keep the room of a whole file before they copy it: its size says nothing then, and zeros are
# in it where nothing was copied yet. A file that ends in zeros has to be as it is for longer than others.
_ZEROS: Final = bytes(1024)
ZEROS_SECONDS: Final = 6.0

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
    _check_folders(watch)
    with libraries_without_words(log), opened_state(watch.state, 0, log) as door:
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


def _check_folders(watch: Watch) -> None:
    if not watch.inbox.is_dir():
        raise WrongUse(
            "there is no such folder", remedy="Name one that films are put into", subject=str(watch.inbox)
        )
    state, inbox = watch.state.resolve(), watch.inbox.resolve()
    if state in (inbox, *inbox.parents):
        raise WrongUse(
            "the folder that films are put into lies in the state folder, or is that",
            remedy="Name another folder with --state",
            subject=str(watch.state),
        )


def place_of(film: Film) -> str:
    """The folder of a film's results: its name and its whole hash, so that no two films share one."""
    return _place(film.name, film.sha256)


def _place(name: str, sha256: str) -> str:
    stem = re.sub(r"[^\w.-]+", "-", PurePath(name).stem).encode()[:_LONGEST_STEM].decode(errors="ignore")
    return f"{stem.strip('-.') or 'film'}-{sha256}"


def shown_name(path: PurePath) -> str:
    """A path as text for the queue, the results and their folder.

    What UTF-8 cannot hold and control characters are shown as escapes.
    """
    return "".join(
        each.encode("unicode_escape").decode() if unicodedata.category(each) in ("Cc", "Cs") else each
        for each in str(path)
    )


def judge_file(judge: Judge, data: bytes, film: Film) -> Judged:
    """Judge a film of any kind: its row, and DICOM results with FHIR where that is wished, or else a sheet.

    A DICOM film to which no result can refer gives a sheet, and a file with the reason.
    """
    files = {}
    if is_dicom(data):
        try:
            judged = judge_film(judge, data, film.uid)
            return _with_row(judged, film)
        except Unreferable as error:
            files[REASON] = f"No DICOM results: {error}\n".encode()
        except NoFilm as error:
            failure = Failure(film.name, Subject(), error, judge.assessor.model)
            return _with_row(Judged(status_of(failure), {}, (), failure), film)
    outcome, picture = _read_picture(judge, data, film)
    files[SHEET] = _sheet(judge, outcome, picture, film)
    return _with_row(Judged(status_of(outcome), files, tuple(map(Result, files)), outcome), film)


def _with_row(judged: Judged, film: Film) -> Judged:
    outcome = replace(judged.outcome, file=film.name or place_of(film))
    row = json.dumps(record(outcome), ensure_ascii=False, indent=1)
    return replace(
        judged,
        files={**judged.files, ROW: f"{row}\n".encode()},
        results=(*judged.results, Result(ROW)),
    )


def _read_picture(judge: Judge, data: bytes, film: Film) -> tuple[Outcome, Picture | None]:
    picture, name = None, film.name or place_of(film)
    try:
        radiograph = decode_film_bytes(data, name)
        picture = radiograph.pixels
        return judge.assessor.assess(radiograph, coverage=judge.coverage), picture
    except (UnreadableFile, RefusedRadiograph, MissingExtra) as error:
        return Failure(name, Subject(), error, judge.assessor.model), picture


def _sheet(judge: Judge, outcome: Outcome, picture: Picture | None, film: Film) -> bytes:
    if not isinstance(outcome, Assessment):
        return as_pdf(draw_capture(outcome, picture, ON_PAPER))
    day = datetime.fromtimestamp(film.received, UTC).date()
    return film_pdf(film_report(outcome, picture, judge.beside.plates, judge.beside.figures, made=day))


def stamps(watch: Watch) -> dict[Path, Stamp]:
    """The files in the inbox and below by their stamps; nothing hidden, nor of the outbox or the state."""
    files: dict[Path, Stamp] = {}
    ours = {watch.outbox.absolute(), watch.state.absolute()}
    for folder, inner, names in os.walk(watch.inbox):
        here = Path(folder)
        inner[:] = [
            name for name in inner if not name.startswith(".") and (here / name).absolute() not in ours
        ]
        for name in names:
            with suppress(OSError):
                if not name.startswith("."):
                    files[here / name] = _stamp((here / name).stat())
    return files


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns


class NotNow(Exception):
    """A file that changed while it was read, or looks like a copy under way."""


class Taker:
    """Takes films that have not grown since they were looked at last, each once.

    Whatever a file is or is called, the next one is taken.
    """

    def __init__(
        self,
        watch: Watch,
        door: Door,
        deidentify: bool,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watch, self._door, self._deidentify, self._log = watch, door, deidentify, log
        self._clock = clock
        self._in_zeros: dict[tuple[Path, Stamp], float] = {}
        self._before: Mapping[Path, Stamp] = {}
        self._seen: dict[Path, Stamp] = {}
        self._failed: Counter[tuple[Path, Stamp]] = Counter()

    def look(self) -> bool:
        """Take what is ready; returns whether nothing in the folder is left to be taken."""
        now = stamps(self._watch)
        new = {path: stamp for path, stamp in now.items() if self._seen.get(path) != stamp}
        for path, stamp in sorted(new.items()):
            if self._before.get(path) == stamp and self._is_dealt_with(path, stamp):
                self._seen[path] = stamp
        self._before = now
        self._seen = {path: stamp for path, stamp in self._seen.items() if path in now}
        self._failed = Counter(
            {key: count for key, count in self._failed.items() if now.get(key[0]) == key[1]}
        )
        self._in_zeros = {key: since for key, since in self._in_zeros.items() if now.get(key[0]) == key[1]}
        return all(self._seen.get(path) == stamp for path, stamp in now.items())

    def _is_dealt_with(self, path: Path, stamp: Stamp) -> bool:
        """Take one film; returns whether it is not to be looked at again as it is."""
        try:
            data = self._bytes_of(path, stamp)
        except (FileNotFoundError, NotNow):
            return False
        except (OSError, MemoryError) as error:
            self._log("not-taken", **error_facts(error))
            self._failed[path, stamp] += 1
            return isinstance(error, PermissionError) or self._failed[path, stamp] >= _MOST_READS
        if data is None:
            return True
        name = "" if self._deidentify else shown_name(path.relative_to(self._watch.inbox))
        try:
            return self._take(data, name)
        except (OSError, sqlite3.Error, DiskFull) as error:  # our disk's fault, and not the file's
            self._log("not-taken", **error_facts(error))
            return False
        except Exception as error:  # one file must not keep others waiting
            self._log("unforeseen", **error_facts(error))
            return True

    def _stayed(self, path: Path, stamp: Stamp) -> bool:
        """Whether a file that ends in zeros has been as it is for so long that it is no copy under way."""
        now = self._clock()
        return now - self._in_zeros.setdefault((path, stamp), now) >= ZEROS_SECONDS

    def _bytes_of(self, path: Path, stamp: Stamp) -> bytes | None:
        """The bytes of a film that is as it was; None for what is no film.

        Raises:
            NotNow: it changed, or looks like a copy under way.
            OSError: it cannot be read.
        """
        if not stat.S_ISREG(path.stat().st_mode) or not is_film(path):
            return None
        # Not to wait for a writer where a pipe has taken the file's place.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return None
            if status.st_size > MAX_BYTES:
                self._log("not-taken", reason="the file is too large", bytes=status.st_size)
                return None
            data = file.read(MAX_BYTES + 1)
            if _stamp(status) != stamp or _stamp(os.fstat(file.fileno())) != stamp or len(data) != stamp[0]:
                raise NotNow
        if data.endswith(_ZEROS) and not self._stayed(path, stamp):
            raise NotNow
        return data

    def _take(self, data: bytes, name: str) -> bool:
        try:
            number = self._door.take(uid_of(data), data, name)
        except ConflictingFilm as error:
            if not self._door.queue.took(content_hash(data)):
                return self._refused(data, name, error)
            number = None
        if number:
            self._log("taken", film=number, bytes=len(data))
        else:
            self._log("known-again", bytes=len(data))
        return True

    def _refused(self, data: bytes, name: str, error: BonexageError) -> bool:
        """Note beside the other results why there is none of this film."""
        self._log("not-taken", reason=error.problem)
        place = self._watch.outbox / _place(name, content_hash(data))
        try:
            write_durably(place / REASON, f"{error}\n".encode(errors="backslashreplace"))
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as taken:
            if not self._watch.outbox.is_dir():
                raise
            self._log("reason-not-written", **error_facts(taken))  # something else stands in its place
        return True


def _look(watch: Watch, taker: Taker, door: Door, stop: threading.Event) -> None:
    while not stop.is_set():
        done = taker.look()
        if done and watch.once and not door.queue.films(WAITING, ASSESSED):
            return
        stop.wait(watch.every_seconds)
