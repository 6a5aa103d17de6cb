"""The queue in SQLite: what was taken, what became of it, and what is still to be sent."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from bonexage.errors import ConflictingFilm, UnusableData

FILE: Final = "queue.sqlite3"
SCHEMA: Final = 1

# Of a film: it waits to be assessed; its results wait to be delivered; all are. Or it was no film; or it, or
# a result of it, could not be dealt with.
WAITING, ASSESSED, DONE, ASIDE, DEAD = "waiting", "assessed", "done", "aside", "dead"
# Of a delivery, beside WAITING and DEAD: the archive has it and its commitment is to be asked for; has been
# asked for; nothing is left to do.
STORED, ASKED, DELIVERED = "stored", "asked", "delivered"

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS films (
  number INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL,
  file TEXT NOT NULL, name TEXT NOT NULL, received REAL NOT NULL, state TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS films_by_state ON films (state, attempts, number);
CREATE TABLE IF NOT EXISTS deliveries (
  number INTEGER PRIMARY KEY AUTOINCREMENT, film INTEGER NOT NULL REFERENCES films,
  destination TEXT NOT NULL, file TEXT NOT NULL, sop_class TEXT NOT NULL, uid TEXT NOT NULL,
  state TEXT NOT NULL, since REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  next_at REAL NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '', asked TEXT NOT NULL DEFAULT '',
  UNIQUE (film, destination, file));
CREATE INDEX IF NOT EXISTS deliveries_by_state ON deliveries (destination, state, next_at);
CREATE INDEX IF NOT EXISTS deliveries_by_asked ON deliveries (asked);
"""


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


@dataclass(frozen=True)
class Result:
    """A result as the queue has to know it: its file's name, and as DICOM knows it, where it is DICOM."""

    file: str
    sop_class: str = ""
    uid: str = ""


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
        self._opened = sqlite3.connect(
            folder / FILE, timeout=30, check_same_thread=False, isolation_level=None
        )
        try:
            self._opened.execute("PRAGMA journal_mode = WAL")
            self._opened.execute("PRAGMA synchronous = FULL")
            schema = self._opened.execute("PRAGMA user_version").fetchone()[0]
            if schema not in (0, SCHEMA):
                raise UnusableData(
                    "this queue was made by a later version", remedy="Use that version", subject=str(folder)
                )
            with self._changing() as at:
                for statement in filter(str.strip, _TABLES.split(";")):
                    at.execute(statement)
                at.execute(f"PRAGMA user_version = {SCHEMA}")
        except sqlite3.DatabaseError as error:
            self._opened.close()
            raise UnusableData(
                f"the queue cannot be opened ({error})",
                remedy="Check that it is whole, that you may write to it, and that the disk has room",
                subject=str(folder / FILE),
            ) from None

    def close(self) -> None:
        """Close it; what was answered is kept."""
        with self._lock:
            self._opened.close()

    def known(self, uid: str, sha256: str) -> bool:
        """Whether this very film was taken before.

        Raises:
            ConflictingFilm: another one was taken under its UID, and was not put aside.
        """
        found = self._films("uid = ?", uid)
        if found and found[0].sha256 != sha256:
            if found[0].state == ASIDE:
                return False
            raise ConflictingFilm(
                f"film {found[0].number} has the same SOP Instance UID and another content",
                remedy="Send it under a UID of its own",
            )
        return bool(found)

    def add(self, uid: str, sha256: str, file: str, name: str = "") -> int | None:
        """Take a film in and return its number; None where this very film was taken before.

        Raises:
            ConflictingFilm: another one was taken under its UID.
        """
        with self._changing() as at:
            if self.known(uid, sha256):
                return None
            # What was put aside under its UID, such as a damaged copy, leaves that to it.
            at.execute("UPDATE films SET uid = uid || ' aside ' || number WHERE uid = ?", (uid,))
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

    def assessed(self, film: Film, status: str, deliveries: Iterable[tuple[str, Result]]) -> None:
        """Note what a film's assessment gave: its status, and each result with the destination it goes to."""
        now, deliveries = time.time(), list(deliveries)
        with self._changing() as at:
            at.execute(
                "UPDATE films SET state = ?, status = ?, reason = '' WHERE number = ?",
                (ASSESSED if deliveries else DONE, status, film.number),
            )
            at.executemany(
                "INSERT OR IGNORE INTO deliveries (film, destination, file, sop_class, uid, state, since)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (film.number, destination, result.file, result.sop_class, result.uid, WAITING, now)
                    for destination, result in deliveries
                ],
            )

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
                at.execute(
                    "UPDATE films SET state = CASE"
                    "  WHEN EXISTS (SELECT 1 FROM deliveries WHERE film = ?1 AND state = ?2) THEN ?2"
                    "  WHEN EXISTS (SELECT 1 FROM deliveries WHERE film = ?1 AND state != ?3) THEN ?4"
                    "  ELSE ?5 END WHERE number = ?1",
                    (film, DEAD, DELIVERED, ASSESSED, DONE),
                )

    def revive(self, numbers: Sequence[int] | None = None) -> list[int]:
        """Let the dead films of these numbers, or all, be tried again; returns their numbers."""
        now = time.time()
        with self._changing() as at:
            dead = [film.number for film in self._films("state = ? ORDER BY number", DEAD)]
            chosen = [number for number in dead if numbers is None or number in numbers]
            for number in chosen:
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

    def film(self, number: int) -> Film:
        """The film of a number that is known."""
        return self._films("number = ?", number)[0]

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
