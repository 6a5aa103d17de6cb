"""The tables of a queue: how they are made, brought up from an earlier version, and recognised in a file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

SCHEMA: Final = 2

_FILMS: Final = """
CREATE TABLE films (
  number INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL,
  file TEXT NOT NULL, name TEXT NOT NULL, received REAL NOT NULL, state TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '', content TEXT NOT NULL DEFAULT '')
"""
_DELIVERIES: Final = """
CREATE TABLE deliveries (
  number INTEGER PRIMARY KEY AUTOINCREMENT, film INTEGER NOT NULL REFERENCES films,
  destination TEXT NOT NULL, file TEXT NOT NULL, sop_class TEXT NOT NULL, uid TEXT NOT NULL,
  state TEXT NOT NULL, since REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  next_at REAL NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '', asked TEXT NOT NULL DEFAULT '',
  sha256 TEXT NOT NULL DEFAULT '', UNIQUE (film, destination, file))
"""
_INDEXES: Final = (
    "CREATE INDEX IF NOT EXISTS films_by_state ON films (state, attempts, number)",
    "CREATE INDEX IF NOT EXISTS films_by_sha256 ON films (sha256)",
    "CREATE INDEX IF NOT EXISTS films_by_file ON films (file)",
    "CREATE INDEX IF NOT EXISTS deliveries_by_state ON deliveries (destination, state, next_at)",
    "CREATE INDEX IF NOT EXISTS deliveries_by_asked ON deliveries (asked)",
)
# From each schema to the next. Schema 2 has the hash of what a film decodes to, and of each result. `watch`
# then also names its folders of results by whole hashes: a film of which some results lie in a folder named
# the old way gets all of them in the new one.
_STEPS: Final = {
    1: (
        "ALTER TABLE films ADD COLUMN content TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE deliveries ADD COLUMN sha256 TEXT NOT NULL DEFAULT ''",
        "UPDATE deliveries SET state = 'waiting', next_at = 0"
        " WHERE destination = 'out' AND state = 'delivered'"
        " AND film IN (SELECT number FROM films WHERE state IN ('assessed', 'dead'))",
    ),
}
# Columns that every schema has had: a file without them is another program's.
_ALWAYS: Final = {
    "films": {"number", "uid", "sha256", "file", "name", "received", "state", "status", "attempts"},
    "deliveries": {"number", "film", "destination", "file", "sop_class", "uid", "state", "since", "asked"},
}


class NoQueue(Exception):
    """A database that is another program's."""


def schema_of(opened: sqlite3.Connection) -> int:
    """The schema of an open queue, above `SCHEMA` for one of a later version; 0 for an empty database.

    Raises:
        NoQueue: it holds other tables than a queue.
        sqlite3.DatabaseError: it cannot be read.
    """
    version = int(opened.execute("PRAGMA user_version").fetchone()[0])
    tables = {row[0] for row in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables and version == 0:
        return 0
    for table, columns in _ALWAYS.items():
        if not columns <= {row[1] for row in opened.execute(f"PRAGMA table_info({table})")}:
            raise NoQueue
    if version < 1:
        raise NoQueue
    return version


def bring_up(at: sqlite3.Connection) -> None:
    """Make the tables of an empty database, or bring those of an earlier schema up; within a transaction."""
    schema = schema_of(at)
    if schema == 0:
        at.execute(_FILMS)
        at.execute(_DELIVERIES)
    else:
        for statement in (each for step in range(schema, SCHEMA) for each in _STEPS[step]):
            at.execute(statement)
    for statement in _INDEXES:
        at.execute(statement)
    at.execute(f"PRAGMA user_version = {SCHEMA}")


def is_queue(file: Path) -> bool:
    """Whether a file is a queue of this version or an earlier one; the file stays as it is."""
    return _schema_in(file) in range(1, SCHEMA + 1)


def may_be_queue(file: Path) -> bool:
    """Whether a file is a queue as `is_queue` says, or an empty database, which can be made one."""
    return _schema_in(file) in range(SCHEMA + 1)


def _schema_in(file: Path) -> int | None:
    """The schema of a file as `schema_of` has it; None where it is no queue."""
    if not file.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            return schema_of(opened)
    except (NoQueue, sqlite3.Error):
        return None
