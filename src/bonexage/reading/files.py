"""The door through which films come in: a path becomes a radiograph, and what was asked for becomes paths."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TextIO

from bonexage.errors import UnreadableFile, WrongUse
from bonexage.radiograph import Radiograph
from bonexage.reading.images import decode_image

FILM_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
LIST_SUFFIXES: Final = frozenset({".txt", ".list", ".lst"})
MAX_BYTES: Final = 1_000_000_000


def read_radiograph(path: str | Path, *, page: int | None = None) -> Radiograph:
    """Read one film: PNG, JPEG, TIFF, BMP or WebP.

    Args:
        path: the file; it stands in the provenance as given.
        page: the page of a file with several pages, counted from 1.

    Raises:
        UnreadableFile: there is no such file, or no radiograph can be read from it.
    """
    name = str(path)
    data = _bytes_of(Path(path), name)
    if data[128:132] == b"DICM":
        raise UnreadableFile(
            "this is a DICOM file, which this version does not read yet",
            remedy="Export the film from the viewer as a PNG and give that file",
            subject=name,
        )
    return decode_image(data, name, page=page)


def list_films(paths: Iterable[str], *, stdin: TextIO | None = None) -> Iterator[str]:
    """Name the films that are asked for, one after the other, without opening any.

    A path is a film; a folder (all pictures in it and below, sorted); a pattern such as `films/*.png`
    (`**` goes below); a list file, written `@names` or ending in .txt, .list or .lst (a path a line, as
    seen from the folder the command runs in); or `-`, the same from the standard input. What matches nothing is
    named as it was given, so that it is reported when it cannot be read.

    Raises:
        WrongUse: a list file cannot be read.
    """
    for path in paths:
        if path == "-":
            yield from _named_in(sys.stdin if stdin is None else stdin)
        elif path.startswith("@") and not Path(path).exists():
            yield from _listed(path[1:])
        elif Path(path).suffix.lower() in LIST_SUFFIXES and Path(path).is_file():
            yield from _listed(path)
        else:
            yield from _found(path)


def films_below(folder: Path) -> Iterator[Path]:
    """All pictures in a folder and below, sorted, files before folders, hidden ones left out."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    shown = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in shown:
        if not entry.is_dir() and Path(entry.name).suffix.lower() in FILM_SUFFIXES:
            yield folder / entry.name
    for entry in shown:
        if entry.is_dir(follow_symlinks=False):
            yield from films_below(folder / entry.name)


def _found(path: str) -> Iterator[str]:
    if Path(path).is_dir():
        yield from (str(film) for film in films_below(Path(path)))
    elif glob.has_magic(path) and not Path(path).exists():
        matches = sorted(match for match in glob.iglob(path, recursive=True) if _is_film(match))
        yield from matches or [path]
    else:
        yield path


def _is_film(path: str) -> bool:
    return Path(path).suffix.lower() in FILM_SUFFIXES and not Path(path).is_dir()


def _listed(list_file: str) -> Iterator[str]:
    try:
        with Path(list_file).open(encoding="utf-8-sig") as lines:
            yield from _named_in(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(
            f"the list of films cannot be read ({_reason(error)})",
            remedy="Give a text file in UTF-8 with a path a line",
            subject=list_file,
        ) from None


def _named_in(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if line.strip():
            yield line.strip()


def _bytes_of(path: Path, name: str) -> bytes:
    """The bytes of a regular file; every way in which that fails is an UnreadableFile."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableFile("this is a folder", remedy="Name a film in it", subject=name)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFile("this is not a file", remedy="Name a picture on disk", subject=name)
        if status.st_size > MAX_BYTES:
            raise UnreadableFile(
                f"the file is larger than {MAX_BYTES // 1_000_000_000} GB",
                remedy="Give a smaller copy of it",
                subject=name,
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableFile("there is no such file", remedy="Check the path", subject=name) from None
    except PermissionError:
        raise UnreadableFile(
            "the file may not be read", remedy="Ask for the right to read it", subject=name
        ) from None
    except (OSError, ValueError) as error:
        raise UnreadableFile(
            f"the file cannot be read ({_reason(error)})", remedy="Check the path and the disk", subject=name
        ) from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
