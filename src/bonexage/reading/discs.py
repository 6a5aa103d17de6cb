"""The files that the index of a disc names, found under the names that copying has left them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

# ISO 9660 ends a name with a version, and a name without a suffix with a point.
_VERSION: Final = re.compile(r"\.?(;\d+)?$")
INDEX: Final = "dicomdir"


def is_index(name: str) -> bool:
    """Whether a file of this name may be the index of a disc."""
    return plain_name(name).casefold() == INDEX


def plain_name(name: str) -> str:
    """A name without the version and the trailing point that some systems show."""
    return _VERSION.sub("", name)


def files_on_disc(folder: Path, files: Iterable[tuple[str, ...]], suffixes: frozenset[str]) -> Iterator[Path]:
    """Where the files of a disc lie, one after the other; where the index says, if they are nowhere.

    Each part may stand on the disk in other letters (upper or lower case), with a trailing point or a version
    (`;1`) or without, and the file with a suffix of DICOM or without. The nearest name counts; where two are
    as near, neither is taken, for one of them is another film.

    Args:
        folder: the folder of the index.
        files: the parts of each path, as the index names them.
        suffixes: that a film may have, in lower case.
    """
    disc = _Disc(suffixes)
    for parts in files:
        above = folder
        for part in parts[:-1]:
            above = disc.nearest(above, part, folders=True) or above / part
        yield disc.nearest(above, parts[-1], folders=False) or folder.joinpath(*parts)


class _Disc:
    """The names in the folders of a disc, each folder looked into once."""

    def __init__(self, suffixes: frozenset[str]) -> None:
        self._suffixes = suffixes
        self._listed: dict[tuple[Path, bool], list[dict[str, list[str]]]] = {}

    def nearest(self, folder: Path, wanted: str, *, folders: bool) -> Path | None:
        """The one that comes nearest to a name, of the folders or of the files in a folder; or None."""
        if (folder, folders) not in self._listed:
            self._listed[folder, folders] = self._list(folder, folders=folders)
        for alike, form in zip(self._listed[folder, folders], self._forms(wanted), strict=True):
            if form in alike:
                return folder / alike[form][0] if len(alike[form]) == 1 else None
        return None

    def _list(self, folder: Path, *, folders: bool) -> list[dict[str, list[str]]]:
        """The names by each of their forms."""
        found: list[dict[str, list[str]]] = [{} for _ in self._forms("")]
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir() is folders:
                    for alike, form in zip(found, self._forms(entry.name), strict=True):
                        alike.setdefault(form, []).append(entry.name)
        return found

    def _forms(self, name: str) -> tuple[str, ...]:
        """What is compared of a name, the nearest first."""
        plain = plain_name(name).casefold()
        base, point, suffix = plain.rpartition(".")
        return name, name.casefold(), plain, base if point + suffix in self._suffixes else plain
