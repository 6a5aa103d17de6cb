"""A state folder as bonexage left it before queues had a second schema and folders a marker."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bonexage.node.queue import FILE
from bonexage.node.taking import content_hash

TABLES = """
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
PRAGMA user_version = 1;
"""


def first_state(folder: Path) -> Path:
    """A state folder of the first schema, with its subfolders, lock and empty queue."""
    for name in ("films", "results", "aside", "dead"):
        (folder / name).mkdir(parents=True)
    (folder / "lock").touch()
    with closing(sqlite3.connect(folder / FILE)) as opened:
        opened.execute("PRAGMA journal_mode = WAL")
        opened.executescript(TABLES)
    return folder


def with_film(
    folder: Path,
    uid: str,
    data: bytes,
    *,
    state: str = "waiting",
    status: str = "",
    name: str = "",
    results: Sequence[tuple[str, str, str]] = (),
) -> int:
    """Note a film in a state folder of the first schema.

    Args:
        folder: the state folder.
        uid: the film's.
        data: its file, written where it waits unless it is done.
        state: as the queue had it.
        status: as the queue had it.
        name: its path in the watched folder.
        results: destination, file and state of each; the files are written unless the film is done.

    Returns:
        Its number.
    """
    file = uuid.uuid4().hex
    if state not in ("done", "aside"):
        (folder / "films" / file).write_bytes(data)
    with closing(sqlite3.connect(folder / FILE)) as opened:
        row = (uid, content_hash(data), file, name, 1.0, state, status)
        number = opened.execute(
            "INSERT INTO films (uid, sha256, file, name, received, state, status)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
        ).lastrowid
        assert number
        for destination, result, of_result in results:
            opened.execute(
                "INSERT INTO deliveries (film, destination, file, sop_class, uid, state, since)"
                " VALUES (?, ?, ?, '', '', ?, 1.0)",
                (number, destination, result, of_result),
            )
            if state not in ("done", "aside"):
                place = folder / "results" / str(number)
                place.mkdir(exist_ok=True)
                (place / result).write_bytes(f"{result} of film {number}".encode())
        opened.commit()
    return number
