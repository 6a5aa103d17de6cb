"""A state folder and its queue are brought together at the start, also after a queue was lost or restored."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from bonexage.disk import remove_partial
from bonexage.errors import ConflictingFilm, UnreadableFile
from bonexage.logline import error_facts
from bonexage.node.books import UNLISTED, Books
from bonexage.node.logs import Log
from bonexage.node.queue import ASSESSED, BESIDE, DEAD, FILE, WAITING, Film
from bonexage.node.spool import NAME, Spool
from bonexage.node.taking import DiskFull, Door, uid_of
from bonexage.reading.dicom import read_identity
from bonexage.reading.dicom_meta import HEAD_BYTES, file_meta, is_dicom
from bonexage.reading.files import MAX_BYTES

_NEEDED: Final = (WAITING, ASSESSED, DEAD)
# What `Spool.keep` calls a film; and the numbers of films.
_KEPT: Final = re.compile(r"[0-9a-f]{32}")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,15}")


def put_journal_aside(spool: Spool, log: Log) -> None:
    """Keep what SQLite left beside a queue that is gone: opening a new queue would remove it."""
    if not (spool.folder / FILE).exists():
        for name in BESIDE:
            if (spool.folder / name).exists():
                _put_aside(spool, spool.folder / name, log)


def recover(door: Door, log: Log) -> None:
    """Forget what is done, take films up again that the queue does not know, and put all else aside.

    Nothing is removed but what this program left half written and the files of films that the queue knows as
    done. Nobody else may be at work on the folder.
    """
    spool, books = door.spool, Books(door.queue, door.spool, log)
    remove_partial(spool.films)
    strays = [path for path in sorted(spool.films.iterdir()) if not _is_listed(books, path)]
    for path in sorted(spool.results.iterdir()):
        _settle_results(books, path)
    for path in sorted(spool.dead.iterdir()):
        film = _film_of(books, path, "film-")
        if film is None or film.state != DEAD:
            _put_aside(spool, path, log)
    for path in strays:
        if not _is_taken_up(door, path, log):
            _put_aside(spool, path, log)
            beside = spool.films / f"{path.name}{NAME}"
            if os.path.lexists(beside):
                _put_aside(spool, beside, log)


def _is_listed(books: Books, path: Path) -> bool:
    """Whether the queue knows a file among the films, or it is the name of one; of a done film, forget it."""
    stem, suffix = path.name.removesuffix(NAME), path.name.endswith(NAME)
    film = books.queue.film_in(stem)
    if film is None:
        return suffix and os.path.lexists(path.with_name(stem))
    if film.state not in _NEEDED:
        books.spool.drop(film.file)
    return True


def _settle_results(books: Books, path: Path) -> None:
    """Keep the results of a film that has work left, forget those of one that has none."""
    film = _film_of(books, path, "")
    if film is None:
        _put_aside(books.spool, path, books.log)
    elif film.state in _NEEDED:
        remove_partial(path)
    else:
        books.release(film)


def _film_of(books: Books, path: Path, before: str) -> Film | None:
    """The film whose number a folder is named after."""
    number = path.name.removeprefix(before)
    named = path.is_dir() and _NUMBER.fullmatch(number) and path.name == f"{before}{number}"
    films = books.queue.films_numbered(int(number)) if named else []
    return films[0] if films else None


def _is_taken_up(door: Door, path: Path, log: Log) -> bool:
    """Whether a film that the queue does not know stays where it is, as one that it knows from now on."""
    data = _bytes_of(path)
    if data is None:
        return False
    is_kept = bool(_KEPT.fullmatch(path.name))
    name = door.spool.name_beside(path.name) if is_kept else None
    uid = uid_of(data) if name is not None else _dicom_uid(data)
    if not uid:
        return False
    try:
        # What this program did not name stays as it is: a copy of it is taken.
        number = door.enter(uid, data, path.name, name) if is_kept else door.take(uid, data)
    except (ConflictingFilm, DiskFull):
        return False
    if number:
        log("taken-up", film=number, bytes=len(data))
    return is_kept and number is not None


def _dicom_uid(data: bytes) -> str:
    """The SOP Instance UID that a DICOM file names in its header, else before it; '' where it names none."""
    if not is_dicom(data):
        return ""
    try:
        return read_identity(data, "").sop_uid
    except UnreadableFile:
        return file_meta(data[:HEAD_BYTES]).sop_uid


def _bytes_of(path: Path) -> bytes | None:
    """What a regular file holds; None for anything else, and for one that cannot be read or is too large."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= MAX_BYTES:
            return None
        return path.read_bytes()
    except OSError:
        return None


def _put_aside(spool: Spool, path: Path, log: Log) -> None:
    """Move what the queue does not know; where it cannot be moved, it stays where it is."""
    place = path.parent.name if path.parent != spool.folder else "queue"
    try:
        spool.put_aside(path)
        log(UNLISTED, place=place)
    except OSError as error:
        log("unlisted-not-put-aside", place=place, **error_facts(error))
