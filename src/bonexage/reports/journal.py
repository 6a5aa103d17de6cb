"""A journal beside a table that is being made, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from bonexage.errors import WrongUse
from bonexage.reports.table import Record, check_table_path, is_record, write_table

FORMAT: Final = 1


class Journal:
    """Rows done so far, one JSON object a line, each on disk before the next film is read.

    The first line holds the settings of the run. `finish` turns the journal into the table and removes it.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], *, resume: bool = False) -> None:
        """Begin a journal beside `out`, or go on with the one that is there.

        Args:
            out: the table to be made.
            settings: what the rows depend on (model, coverage, subjects ...), as JSON knows it.
            resume: go on with an unfinished journal; where there is none, begin.

        Raises:
            WrongUse: `out` is no table's name; there is an unfinished journal and `resume` is not set; the
                journal was begun with other settings, is damaged, or is being written by another process.
            MissingExtra: the table needs a package that is not installed.
        """
        check_table_path(out)
        self._out = out
        self.path = journal_path(out)
        self.kept = 0
        self.unusable = 0
        out.parent.mkdir(parents=True, exist_ok=True)
        header = {"journal": FORMAT, "settings": dict(settings)}
        if not self.path.exists():
            self._stream: IO[str] = self.path.open("x", encoding="utf-8")
            self._take()
            self._write(header)
        elif resume:
            self._stream = self.path.open("a", encoding="utf-8")
            self._take()
            try:
                self.kept, self.unusable = self._mend(header)
            except WrongUse:
                self._stream.close()
                raise
        else:
            raise WrongUse(
                f"an unfinished run of this table is there, in {self.path}",
                remedy="Go on from it with --resume, or remove it to begin anew",
                subject=str(out),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()

    def remaining(self, films: Iterable[str]) -> Iterator[str]:
        """The films that are not yet done: those after the ones in the journal, which must be the same.

        Raises:
            WrongUse: the films are not those the journal was begun with.
        """
        stream = iter(films)
        for row in islice(self.records(), self.kept):
            if next(stream, None) != row["file"]:
                raise WrongUse(
                    f"the films are not those of the unfinished run in {self.path}, which has {row['file']}",
                    remedy="Give the same films in the same order, or remove that file to begin anew",
                    subject=str(self._out),
                )
        yield from stream

    def add(self, row: Record) -> None:
        """Keep one more row."""
        self._write(row)
        self.unusable += row["status"] != "assessed"

    def records(self) -> Iterator[Record]:
        """All rows so far, read from disk one by one."""
        with self.path.open(encoding="utf-8") as lines:
            for line in islice(lines, 1, None):
                yield json.loads(line)

    def finish(self) -> None:
        """Write the table and remove the journal."""
        write_table(self.records(), self._out)
        self._stream.close()
        self.path.unlink()

    def discard(self) -> None:
        """Remove the journal and make no table."""
        self._stream.close()
        self.path.unlink()

    def _take(self) -> None:
        """Keep other processes from going on with this journal, where the system has such locks."""
        try:
            import fcntl

            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._stream.close()
            raise WrongUse(
                f"another run is at work on this table, in {self.path}",
                remedy="Let it end, or stop it first",
                subject=str(self._out),
            ) from None
        except (ImportError, OSError):
            return

    def _write(self, row: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(row) + "\n")
        self._stream.flush()

    def _mend(self, header: Mapping[str, Any]) -> tuple[int, int]:
        """Cut off a last line that was torn; how many rows there are, and how many were not assessed."""
        whole, rows, unusable = 0, 0, 0
        with self.path.open("rb+") as stream:
            first = stream.readline()
            if not first.endswith(b"\n"):
                stream.seek(0)
                stream.write(json.dumps(header).encode() + b"\n")
                stream.truncate()
                return 0, 0
            self._compare(_parsed(first), header)
            whole = stream.tell()
            for line in stream:
                row = _parsed(line)
                if not line.endswith(b"\n"):
                    break
                if row is None or not is_record(row):
                    raise self._damaged()
                whole += len(line)
                rows += 1
                unusable += row["status"] != "assessed"
            stream.truncate(whole)
        return rows, unusable

    def _compare(self, found: Record | None, header: Mapping[str, Any]) -> None:
        if found is None or found.get("journal") != FORMAT or not isinstance(found.get("settings"), dict):
            raise self._damaged()
        before, now = found["settings"], json.loads(json.dumps(header["settings"]))
        if other := sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key)):
            raise WrongUse(
                f"the unfinished run in {self.path} was begun with other {', '.join(other)}",
                remedy="Give the same options as then, or remove that file to begin anew",
                subject=str(self._out),
            )

    def _damaged(self) -> WrongUse:
        return WrongUse(
            f"the unfinished run in {self.path} cannot be read",
            remedy="Remove that file to begin anew",
            subject=str(self._out),
        )


def journal_path(out: Path) -> Path:
    """Where the journal of a table lies until it is finished."""
    return out.with_name(f"{out.name}.unfinished")


def _parsed(line: bytes) -> Record | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
