"""Films in a zip archive: named as if the archive were a folder, and read without unpacking it on disk."""

from __future__ import annotations

import io
import os
import struct
import threading
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

from bonexage.errors import UnreadableFile

SUFFIX: Final = ".zip"
MAX_MEMBERS: Final = 100_000
MAX_MEMBER_BYTES: Final = 512_000_000
# The list of an archive's members, at its end; so many bytes of it hold `MAX_MEMBERS` with long names.
MAX_DIRECTORY_BYTES: Final = 32_000_000
# Archives that stay open, their lists of members parsed.
_MOST_OPEN: Final = 4

_AGAIN: Final = "Unpack it yourself and give the folder"
_ENCRYPTED: Final = 0x1
_UTF_8: Final = 0x800
# How a member begins in the list of members, and how many bytes of it come before its name.
_MEMBER: Final = b"PK\1\2"
_FIXED: Final = 46
# The same of what lies before its content.
_HEAD_OF_MEMBER: Final = b"PK\3\4"
_HEAD: Final = 30


def archive_in(path: Path) -> tuple[Path, str] | None:
    """The archive that a path leads into and what it names in there; None where it leads into none."""
    for above in path.parents:
        if above.suffix.lower() == SUFFIX and above.is_file():
            return above, path.relative_to(above).as_posix()
    return None


def members(archive: Path) -> list[str]:
    """The files in an archive in order of their names, hidden ones and other systems' litter left out.

    A name is a path below the archive, its parts separated by single slashes, however the archive writes it.
    No part is '.' or '..'. Files of the same name in one folder are named once.

    Raises:
        UnreadableFile: it is no zip archive, damaged, or holds more than `MAX_MEMBERS` files.
    """
    with _readable(str(archive)):
        return sorted(name for name in _opened(archive).entries if _is_shown(name))


def member_bytes(archive: Path, member: str, name: str, *, most: int | None = None) -> bytes:
    """What a file in an archive holds, or its first `most` bytes.

    Args:
        archive: the zip file.
        member: the file in it, as `members` names it; upper and lower case do not matter where only one fits.
        name: what to call it in errors.
        most: how many bytes to read; None for all.

    Raises:
        UnreadableFile: there is no such file, several different ones have its name, it is encrypted, damaged,
            or unpacks to more than `MAX_MEMBER_BYTES`.
    """
    with _readable(name):
        data = _opened(archive).read(member, name, MAX_MEMBER_BYTES + 1 if most is None else most)
    if len(data) > MAX_MEMBER_BYTES:
        raise UnreadableFile(
            f"it unpacks to more than {MAX_MEMBER_BYTES // 1_000_000} MB",
            remedy="Give a smaller copy of it",
            subject=name,
        )
    return data


class _File(io.BufferedReader):
    """An archive's file, of which `most` bytes are read at once, and no name is called UTF-8 that is none."""

    most: int | None = MAX_DIRECTORY_BYTES
    as_utf_8 = True

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise _too_many()
        data = super().read(size)
        if self.most is not None:
            return _with_names_that_decode(data)
        if self.as_utf_8 or len(data) != _HEAD or not data.startswith(_HEAD_OF_MEMBER):
            return data
        return data[:6] + _without_utf_8(data, 6) + data[8:]


def _with_names_that_decode(data: bytes) -> bytes:
    """A list of members without the flag UTF-8 where a name is none: zipfile would give up all of them."""
    mended, at = bytearray(data), 0
    while data[at : at + 4] == _MEMBER and len(data) >= at + _FIXED:
        lengths = struct.unpack_from("<3H", data, at + 28)
        try:
            data[at + _FIXED : at + _FIXED + lengths[0]].decode()
        except UnicodeDecodeError:
            mended[at + 8 : at + 10] = _without_utf_8(data, at + 8)
        at += _FIXED + sum(lengths)
    return bytes(mended)


def _without_utf_8(data: bytes, at: int) -> bytes:
    flags = int.from_bytes(data[at : at + 2], "little")
    return (flags & ~_UTF_8).to_bytes(2, "little")


class _Archive:
    """An open archive, its list of members parsed; several threads may read from it.

    Attributes:
        entries: the members by name, several where the archive writes one name in several ways.
    """

    def __init__(self, path: Path) -> None:
        self._file = _File(io.FileIO(path))
        self._opened = zipfile.ZipFile(self._file)
        self._file.most = None
        if len(self._opened.filelist) > MAX_MEMBERS:
            raise _too_many()
        # A ZipFile counts its open members, and does not count them in several threads at once.
        self._turn = threading.Lock()
        self.entries: defaultdict[str, list[zipfile.ZipInfo]] = defaultdict(list)
        for entry in self._opened.filelist:
            if not entry.filename.endswith(("/", "\\")):
                self.entries[_name_of(entry.filename)].append(entry)
        self._alike: defaultdict[str, list[str]] = defaultdict(list)
        for name in self.entries:
            self._alike[_alike(name)].append(name)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def read(self, member: str, name: str, most: int) -> bytes:
        """The first `most` bytes of a member; `name` is for errors."""
        entry = self._entry(member, name)
        if entry.flag_bits & _ENCRYPTED:
            raise UnreadableFile("the archive is encrypted", remedy=_AGAIN, subject=name)
        with self._turn:
            self._file.as_utf_8 = bool(entry.flag_bits & _UTF_8)
            file = self._opened.open(entry)
        try:
            return file.read(most)
        finally:
            with self._turn:
                file.close()

    def _entry(self, member: str, name: str) -> zipfile.ZipInfo:
        asked = _name_of(member)
        if asked not in self.entries:
            alike = self._alike.get(_alike(asked), [])
            asked = alike[0] if len(alike) == 1 else ""
        if not asked or ".." in member.replace("\\", "/").split("/"):
            raise UnreadableFile(
                "there is no such file in the archive", remedy="Check the path", subject=name
            )
        entries = self.entries[asked]
        if len({(entry.CRC, entry.file_size) for entry in entries}) > 1:
            raise UnreadableFile(
                f"the archive holds {len(entries)} different files of this name",
                remedy="Unpack them under different names and give the folder",
                subject=name,
            )
        return entries[-1]


def _opened(archive: Path) -> _Archive:
    """The archive as it is on disk now, parsed once in each process however many threads ask."""
    status = archive.stat()
    with _turns[0]:
        return _parsed(
            os.getpid(), str(archive.absolute()), status.st_ino, status.st_size, status.st_mtime_ns
        )


@lru_cache(maxsize=_MOST_OPEN)
def _parsed(_process: int, archive: str, _inode: int, _size: int, _changed: int) -> _Archive:
    return _Archive(Path(archive))


# Who parses an archive; a process that was forked meanwhile waits for nobody.
_turns: Final = [threading.Lock()]
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _turns.__setitem__(0, threading.Lock()))


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn whatever zipfile raises into an UnreadableFile."""
    try:
        yield
    except UnreadableFile as error:
        raise error.about(error.subject or name) from None
    except NotImplementedError:
        raise UnreadableFile(
            "the archive is packed by a method that is not read", remedy=_AGAIN, subject=name
        ) from None
    except Exception as error:  # zipfile and its decoders raise much on damaged archives
        raise UnreadableFile(
            f"the archive is damaged or cut short ({type(error).__name__})", remedy=_AGAIN, subject=name
        ) from None


def _too_many() -> UnreadableFile:
    return UnreadableFile(f"the archive holds more than {MAX_MEMBERS:,} files", remedy=_AGAIN)


def _name_of(filename: str) -> str:
    """A member's name as a path below the archive; what leads above the archive is left out."""
    parts = filename.replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def _alike(name: str) -> str:
    """What names have in common that differ in case, or in how a letter with an accent is written."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_shown(name: str) -> bool:
    return bool(name) and not any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
