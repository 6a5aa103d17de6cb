"""The queue in SQLite: what was taken, what became of it, and what is still to be sent."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

from bonexage.errors import UnusableData
from bonexage.node.schema import SCHEMA, NoQueue, bring_up, schema_of

FILE: Final = "queue.sqlite3"
# What SQLite keeps beside it while it is open, and after a kill.
BESIDE: Final = (f"{FILE}-wal", f"{FILE}-shm")

# Of a film: it waits to be assessed; its results wait to be delivered; all are. Or it was no film; or it, or
# a result of it, could not be dealt with.
WAITING, ASSESSED, DONE, ASIDE, DEAD = "waiting", "assessed", "done", "aside", "dead"
# Of a delivery, beside WAITING and DEAD: the archive has it and its commitment is to be asked for; has been
# asked for; nothing is left to do.
STORED, ASKED, DELIVERED = "stored", "asked", "delivered"
# Why a result is dead that is made again, from its film, where it is tried again.
MISSING: Final = "its file is missing from the state folder"
DAMAGED: Final = "its file in the state folder is damaged"
# After the UID of a film that gave it up to another one; the film's number follows.
_GAVE_UP: Final = " aside "


class Overtaken(Exception):
    """Another film came under the same UID while a film was being taken in."""


@dataclass(frozen=True)
class Film:
    """A film that was taken.

    Attributes:
        number: in the queue, from 1.
        uid: its SOP Instance UID; for a picture of another kind its hash.
        sha256: of its content.
        file: its name in the folder of films that wait.
        name: its path in the folder it came from; '' for one from the network.
        received: when, in seconds since 1970.
        state: `WAITING`, `ASSESSED`, `DONE`, `ASIDE` or `DEAD`.
        status: 'assessed', 'refused' or 'unreadable'; '' as long as that is not known.
        attempts: how often assessing it was begun.
        next_at: when it is tried again, in seconds since 1970.
        reason: why it is where it is.
        content: hash of what it decodes to, the same however it is packed; '' where that is not known.
    """

    number: int
    uid: str
    sha256: str
    file: str
    name: str
    received: float
    state: str
    status: str
    attempts: int
    next_at: float
    reason: str
    content: str = ""

    @property
    def gave_up_its_uid(self) -> bool:
        """Whether another film was taken under its UID."""
        return _GAVE_UP in self.uid


@dataclass(frozen=True)
class Delivery:
    """One result on its way to one destination.

    Attributes:
        number: in the queue, from 1.
        film: the number of the film it is of.
        destination: by its name.
        file: the result's name in the film's folder of results.
        sop_class: of the result; '' for one that is not DICOM.
        uid: its SOP Instance UID.
        state: `WAITING`, `STORED`, `ASKED`, `DELIVERED` or `DEAD`.
        since: when it began to wait, in seconds since 1970.
        attempts: how often it was refused, or its commitment asked for.
        next_at: when it is tried again, in seconds since 1970.
        reason: why it was not delivered at the last attempt.
        asked: the transaction UID under which its commitment was asked for.
        sha256: of the result's file; '' where an earlier version made it.
    """

    number: int
    film: int
    destination: str
    file: str
    sop_class: str
    uid: str
    state: str
    since: float
    attempts: int
    next_at: float
    reason: str
    asked: str
    sha256: str = ""


@dataclass(frozen=True)
class Result:
    """A result as the queue knows it: its file's name and hash, and its DICOM class and UID if it has any."""

    file: str
    sop_class: str = ""
    uid: str = ""
    sha256: str = ""


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Turn what SQLite raises of a folder's queue within the block into `UnusableData`."""
    try:
        yield
    except sqlite3.Error as error:
        raise _unusable(folder, "used", error) from None


def _unusable(folder: Path, how: str, error: sqlite3.Error) -> UnusableData:
    return UnusableData(
        f"the queue cannot be {how} ({error})",
        remedy="Check that it is whole, that you may write to it, and that the disk has room; where it is "
        "damaged, put a backup in its place or move it away, and films that wait are taken up again",
        subject=str(folder / FILE),
    )


class Queue:
    """The queue of one state folder; its methods may be called from several threads at once.

    All raise sqlite3.Error where the disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        """Open the queue in a folder that exists, or make it.

        Raises:
            UnusableData: the file there is no queue, one of a later version, or cannot be written to.
        """
        self._lock = threading.RLock()
        with ExitStack() as on_failure:
            try:
                self._opened = sqlite3.connect(
                    folder / FILE, timeout=30, check_same_thread=False, isolation_level=None
                )
                on_failure.callback(self._opened.close)
                self._prepare(folder)
            except NoQueue:
                raise UnusableData(
                    "this database belongs to another program",
                    remedy="Name another folder",
                    subject=str(folder / FILE),
                ) from None
            except sqlite3.Error as error:
                raise _unusable(folder, "opened", error) from None
            on_failure.pop_all()

    def _prepare(self, folder: Path) -> None:
        """Bring an open queue up to this version; another program's database stays as it is."""
        if schema_of(self._opened) > SCHEMA:
            raise UnusableData(
                "this queue was made by a later version", remedy="Use that version", subject=str(folder)
            )
        self._opened.execute("PRAGMA journal_mode = WAL")
        self._opened.execute("PRAGMA synchronous = FULL")
        with self._changing() as at:
            bring_up(at)

    def close(self) -> None:
        """Close it; what was answered is kept."""
        with self._lock:
            self._opened.close()

    def holder(self, uid: str) -> Film | None:
        """The film that was taken under a UID and has not given it up."""
        films = self._films("uid = ?", uid)
        return films[0] if films else None

    def took(self, sha256: str) -> bool:
        """Whether a film of this content was ever taken, whatever became of it."""
        return bool(self._films("sha256 = ? LIMIT 1", sha256))

    def film_in(self, file: str) -> Film | None:
        """The film whose bytes lie, or lay, in a file of the folder of films that wait."""
        try:
            films = self._films("file = ? LIMIT 1", file)
        except UnicodeEncodeError:  # a name that is not UTF-8 is none of ours
            return None
        return films[0] if films else None

    def add(
        self, uid: str, sha256: str, file: str, name: str = "", *, instead_of: Film | None = None
    ) -> int | None:
        """Take a film in and return its number; None where this very film was taken before.

        Args:
            uid: its SOP Instance UID, or what else names it.
            sha256: of its content.
            file: its name in the folder of films that wait.
            name: its path in the folder it came from.
            instead_of: the film that leaves the UID to it, as the caller saw it.

        Raises:
            Overtaken: another film holds the UID, or that film was assessed since.
        """
        with self._changing() as at:
            held = self.holder(uid)
            if held and held.sha256 == sha256:
                return None
            if held and (
                instead_of is None or (held.number, held.status) != (instead_of.number, instead_of.status)
            ):
                raise Overtaken
            at.execute("UPDATE films SET uid = uid || ? || number WHERE uid = ?", (_GAVE_UP, uid))
            row = (uid, sha256, file, name, time.time(), WAITING)
            made = at.execute(
                "INSERT INTO films (uid, sha256, file, name, received, state) VALUES (?, ?, ?, ?, ?, ?)", row
            )
            return made.lastrowid

    def begin_next(self) -> Film | None:
        """The next film to assess, its attempts counted up; those never begun come first."""
        with self._changing() as at:
            found = self._films(
                "state = ? AND next_at <= ? ORDER BY attempts, number LIMIT 1", WAITING, time.time()
            )
            if not found:
                return None
            at.execute("UPDATE films SET attempts = attempts + 1 WHERE number = ?", (found[0].number,))
            return self._films("number = ?", found[0].number)[0]

    def assessed(
        self, film: Film, status: str, deliveries: Iterable[tuple[str, Result]], *, content: str = ""
    ) -> None:
        """Note what a film's assessment gave.

        Args:
            film: the film.
            status: 'assessed', 'refused' or 'unreadable'.
            deliveries: each result with the destination it goes to.
            content: hash of what the film decodes to; '' where it does not.
        """
        now, deliveries = time.time(), list(deliveries)
        with self._changing() as at:
            at.execute(
                "UPDATE films SET state = ?, status = ?, content = ?, reason = '' WHERE number = ?",
                (ASSESSED, status, content, film.number),
            )
            at.executemany(
                "INSERT OR IGNORE INTO deliveries"
                " (film, destination, file, sop_class, uid, sha256, state, since)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (film.number, destination, *astuple(result), WAITING, now)
                    for destination, result in deliveries
                ],
            )
            self._settle(at, film.number)

    def forgive(self, film: Film) -> None:
        """Do not count the last attempt at a film: it failed for no fault of the film's."""
        with self._changing() as at:
            at.execute("UPDATE films SET attempts = attempts - 1 WHERE number = ?", (film.number,))

    def put_film(self, film: Film, state: str, reason: str, *, next_at: float = 0.0) -> None:
        """Note that a film waits until a time, was no film, or could not be dealt with, and why."""
        with self._changing() as at:
            at.execute(
                "UPDATE films SET state = ?, reason = ?, next_at = ? WHERE number = ?",
                (state, reason, next_at, film.number),
            )

    def due(self, destination: str, state: str, *, most: int = 100) -> list[Delivery]:
        """The deliveries to a destination in a state whose time has come, the oldest first."""
        return self._deliveries(
            "destination = ? AND state = ? AND next_at <= ? ORDER BY number LIMIT ?",
            *(destination, state, time.time(), most),
        )

    def asked_under(self, transaction: str) -> list[Delivery]:
        """The deliveries whose commitment was asked for under a transaction UID."""
        return self._deliveries("asked = ? AND state = ?", transaction, ASKED)

    def undelivered(self, destination: str) -> list[Delivery]:
        """The deliveries to a destination that may still be delivered."""
        return self._deliveries("destination = ? AND state NOT IN (?, ?)", destination, DELIVERED, DEAD)

    def waiting_since(self, destination: str, before: float) -> list[Delivery]:
        """The deliveries to a destination that wait since before a time."""
        return self._deliveries("destination = ? AND state = ? AND since < ?", destination, WAITING, before)

    def put(self, deliveries: Sequence[Delivery], state: str, **changes: Any) -> None:
        """Note the state of deliveries; `reason`, `attempts`, `next_at`, `asked` change where they are named.

        A film all of whose results are delivered is done.
        """
        names = ", ".join(f"{name} = ?" for name in ("state", *changes))
        with self._changing() as at:
            for delivery in deliveries:
                values = (state, *changes.values(), delivery.number)
                at.execute(f"UPDATE deliveries SET {names} WHERE number = ?", values)
            for film in {delivery.film for delivery in deliveries}:
                self._settle(at, film)

    def _settle(self, at: sqlite3.Connection, film: int) -> None:
        """Note what its results make of a film; one that waits to be judged or is aside stays so."""
        at.execute(
            "UPDATE films SET state = CASE"
            "  WHEN EXISTS (SELECT 1 FROM deliveries WHERE film = ?1 AND state = ?2) THEN ?2"
            "  WHEN EXISTS (SELECT 1 FROM deliveries WHERE film = ?1 AND state != ?3) THEN ?4"
            "  ELSE ?5 END WHERE number = ?1 AND state NOT IN (?6, ?7)",
            (film, DEAD, DELIVERED, ASSESSED, DONE, WAITING, ASIDE),
        )

    def revive(self, numbers: Sequence[int] | None = None) -> list[int]:
        """Let the dead films of these numbers, or all, be tried again; returns their numbers.

        A film is judged again where it has no results, or where the file of one is missing or damaged.
        """
        now = time.time()
        with self._changing() as at:
            dead = [film.number for film in self._films("state = ? ORDER BY number", DEAD)]
            chosen = [number for number in dead if numbers is None or number in numbers]
            for number in chosen:
                unusable = "film = ? AND state = ? AND reason IN (?, ?)"
                if self._deliveries(unusable, number, DEAD, MISSING, DAMAGED):
                    at.execute("DELETE FROM deliveries WHERE film = ? AND state != ?", (number, DELIVERED))
                lost = at.execute(
                    "UPDATE deliveries SET state = ?, attempts = 0, next_at = 0, since = ?, reason = ''"
                    " WHERE film = ? AND state = ?",
                    (WAITING, now, number, DEAD),
                ).rowcount
                at.execute(
                    "UPDATE films SET state = ?, attempts = 0, next_at = 0, reason = '' WHERE number = ?",
                    (ASSESSED if lost else WAITING, number),
                )
            return chosen

    def films(self, *states: str) -> list[Film]:
        """The films in any of some states, or all, by number."""
        if not states:
            return self._films("1 ORDER BY number")
        return self._films(f"state IN ({', '.join('?' * len(states))}) ORDER BY number", *states)

    def films_numbered(self, number: int) -> list[Film]:
        """The film of a number, if there is one."""
        return self._films("number = ?", number)

    def film(self, number: int) -> Film:
        """The film of a number that is known."""
        return self.films_numbered(number)[0]

    def deliveries(self, film: int) -> list[Delivery]:
        """The deliveries of a film, by number."""
        return self._deliveries("film = ? ORDER BY number", film)

    def counts(self) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
        """How many films there are by state, and how many deliveries by destination and state."""
        with self._lock:
            films = self._opened.execute("SELECT state, COUNT(*) FROM films GROUP BY state").fetchall()
            deliveries = self._opened.execute(
                "SELECT destination, state, COUNT(*) FROM deliveries GROUP BY destination, state"
            ).fetchall()
        return dict(films), {(destination, state): count for destination, state, count in deliveries}

    def _films(self, where: str, *values: Any) -> list[Film]:
        return [Film(*row) for row in self._rows(Film, "films", where, values)]

    def _deliveries(self, where: str, *values: Any) -> list[Delivery]:
        return [Delivery(*row) for row in self._rows(Delivery, "deliveries", where, values)]

    def _rows(
        self, kind: type[Film | Delivery], table: str, where: str, values: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        """The rows of a table, their columns as the kind of thing has its fields."""
        columns = ", ".join(each.name for each in fields(kind))
        with self._lock:
            return self._opened.execute(f"SELECT {columns} FROM {table} WHERE {where}", values).fetchall()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is on the disk when it ends, or nothing."""
        with self._lock:
            if self._opened.in_transaction:
                yield self._opened
                return
            self._opened.execute("BEGIN IMMEDIATE")
            try:
                yield self._opened
                self._opened.execute("COMMIT")
            except BaseException:
                if self._opened.in_transaction:
                    self._opened.execute("ROLLBACK")
                raise
