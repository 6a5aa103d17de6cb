"""A folder of results, on disk or at an address that fsspec knows, whose files appear whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from bonexage.disk import opened_atomically, remove_partial
from bonexage.errors import WrongUse
from bonexage.reading.remote import is_address, opened_system

SETTINGS: Final = "_settings.json"
FORMAT: Final = 1


@dataclass(frozen=True)
class Folder:
    """Where the parts of a table go; what begins with `_` there is no part, as readers of Parquet have it.

    Attributes:
        place: a path, or an address such as `s3://bucket/readings.parquet`.
    """

    place: str

    def names(self) -> set[str]:
        """The names of the files in it; none where it does not exist."""
        if not is_address(self.place):
            path = Path(self.place)
            return {each.name for each in path.iterdir()} if path.is_dir() else set()
        system, path_there = opened_system(self.place)
        try:
            found = system.ls(path_there, detail=False, refresh=True)
        except FileNotFoundError:
            return set()
        return {str(each).rstrip("/").rpartition("/")[2] for each in found}

    def has(self, name: str) -> bool:
        """Whether a file is in it."""
        if not is_address(self.place):
            return Path(self.place, name).exists()
        system, path = opened_system(self.place)
        system.invalidate_cache()
        return bool(system.exists(f"{path}/{name}"))

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes of a file in it, or `length` of them from `start` on.

        Raises:
            OSError: there is no such file, or it cannot be read.
        """
        if not is_address(self.place):
            with Path(self.place, name).open("rb") as file:
                file.seek(start)
                return file.read(-1 if length is None else length)
        system, path = opened_system(self.place)
        end = None if length is None else start + length
        return bytes(system.cat_file(f"{path}/{name}", start=start, end=end))

    def remove(self, name: str) -> None:
        """Remove a file from it, if it is there."""
        if not is_address(self.place):
            Path(self.place, name).unlink(missing_ok=True)
        elif self.has(name):
            system, path = opened_system(self.place)
            system.rm_file(f"{path}/{name}")

    def tidy(self) -> None:
        """Remove what killed processes left half written; no other may be writing there now."""
        if not is_address(self.place):
            remove_partial(Path(self.place))

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file in it, one after the other."""
        if not is_address(self.place):
            with Path(self.place, name).open("rb") as file:
                yield from file
            return
        system, path = opened_system(self.place)
        with system.open(f"{path}/{name}", "rb") as file:
            yield from file

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file to write to; it is there when the block ends, and is not where the block raises.

        On disk it takes its place in one step. Elsewhere it is gathered here first and then sent as a whole;
        a store of objects shows an object when all of it is there.
        """
        if not is_address(self.place):
            with opened_atomically(Path(self.place, name)) as file:
                yield file
            return
        with tempfile.TemporaryFile() as gathered:
            yield cast("BinaryIO", gathered)
            gathered.seek(0)
            self._send(cast("BinaryIO", gathered), name)

    def _send(self, content: BinaryIO, name: str) -> None:
        system, path = opened_system(self.place)
        system.makedirs(path, exist_ok=True)
        stream = system.open(f"{path}/{name}", "wb", autocommit=False)
        try:
            shutil.copyfileobj(content, stream)
            stream.close()
        except BaseException:
            stream.discard()
            raise
        stream.commit()


def settle_settings(folder: Folder, settings: Mapping[str, Any]) -> None:
    """Write down what the rows of a folder depend on, or see that it is as it was before.

    Args:
        folder: the results.
        settings: what the rows depend on (model, coverage, subjects ...), as JSON knows it.

    Raises:
        WrongUse: the folder was begun with other settings, or holds something else.
    """
    now = json.loads(json.dumps(dict(settings)))
    names = folder.names()
    if SETTINGS in names:
        _compare(folder, now)
        return
    if strangers := sorted(name for name in names if not name.startswith((".", "_"))):
        raise WrongUse(
            f"this folder holds other files already, such as {strangers[0]}",
            remedy="Name a folder of its own for the parts of the table",
            subject=folder.place,
        )
    with folder.writing(SETTINGS) as file:
        file.write((json.dumps({"parts": FORMAT, "settings": now}, indent=2) + "\n").encode())
    _compare(folder, now)  # another may have begun in the same moment, with other settings


def _compare(folder: Folder, now: Mapping[str, Any]) -> None:
    try:
        found = json.loads(folder.read(SETTINGS))
        before = found["settings"] if found["parts"] == FORMAT else None
    except (ValueError, KeyError, TypeError):
        before = None
    if not isinstance(before, dict):
        raise WrongUse(
            f"what this folder was begun with cannot be read from {SETTINGS}",
            remedy="Name another folder",
            subject=folder.place,
        )
    if other := sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key)):
        raise WrongUse(
            f"this folder was begun with other {', '.join(other)}",
            remedy="Give the same options as then, or name another folder",
            subject=folder.place,
        )
