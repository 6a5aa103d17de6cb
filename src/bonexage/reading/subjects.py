"""The table of who the films show: which row is a film's, and which films and rows have not met."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final

from bonexage.reading.cells import SEX_COLUMNS, Cell, column_of, months_in, read_table, sex_of
from bonexage.reading.labels import ID_COLUMNS
from bonexage.subject import MAX_CHRONOLOGICAL_AGE_MONTHS, Subject

SUBJECT_COLUMNS: Final = ("file", *ID_COLUMNS)
AGE_COLUMN: Final = "age_months"
_LOST_DECIMALS: Final = re.compile(r"(?<=\d)\.0+$")


@dataclass(frozen=True)
class SubjectRow:
    """A row: what it calls its film, whom that shows, and its number in the file (the header is row 1)."""

    name: str
    subject: Subject
    number: int


def read_subjects(path: Path, data: bytes | None = None) -> tuple[SubjectRow, ...]:
    """Read who the films show: a column `file` or `id`, one `sex` or `male`, and, if known, `age_months`.

    An empty sex is an unknown one; an empty age is none. Where the table has both `sex` and `male`, one of a
    row's two cells may be empty.

    Args:
        path: the file.
        data: its bytes, where they have been read.

    Raises:
        WrongUse: the file cannot be read, lacks a column or has one twice, or holds no rows, two rows name
            the same film, or a cell is not what its column asks for or contradicts another; then its row and
            column are named.
    """
    header, rows = read_table(path, data)
    name_column = column_of(path, header, SUBJECT_COLUMNS)
    column_of(path, header, SEX_COLUMNS)
    read: dict[str, SubjectRow] = {}
    for row in rows:
        name = row[name_column]
        _check_name(name, read)
        subject = Subject(sex_of(row), _age(row.get(AGE_COLUMN)))
        read[_key(name.text)] = SubjectRow(name.text, subject, name.row)
    return tuple(read.values())


def _check_name(cell: Cell, read: dict[str, SubjectRow]) -> None:
    if not cell.text:
        raise cell.error("the cell is empty", "Write which film the row is about")
    if before := read.get(_key(cell.text)):
        raise cell.error(
            f"{cell.text!r} stands in the file twice, first in row {before.number}",
            "Leave one row for each film",
        )


def _age(cell: Cell | None) -> float | None:
    return months_in(cell, MAX_CHRONOLOGICAL_AGE_MONTHS) if cell and cell.text else None


@dataclass
class Roll:
    """The rows of a table called against films by name; the films that have passed are kept in mind.

    Attributes:
        rows: of the table.
        films: how many films have passed.
        absent: those of them that no row is of, each with its place among the films, from 1.
    """

    rows: tuple[SubjectRow, ...]
    films: int = 0
    absent: list[tuple[int, str]] = field(default_factory=list)
    _by_key: dict[str, SubjectRow] = field(init=False, repr=False)
    _met: dict[int, dict[str, tuple[int, str]]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._by_key = {_key(row.name): row for row in self.rows}

    def row_of(self, film: str) -> SubjectRow | None:
        """The row that names a film: by its path as given, its file name, or its name without the suffix."""
        path = PurePath(film)
        bare = path.name if path.suffix[1:].isdecimal() else path.stem  # a name may be a UID
        for name in (film, path.name, bare):
            if row := self._by_key.get(_key(name)):
                return row
        return None

    def passing(self, films: Iterable[str]) -> Iterator[str]:
        """The same films, each kept in mind as it passes."""
        for film in films:
            self.call(film)
            yield film

    def call(self, film: str) -> None:
        """Keep a film in mind."""
        self.films += 1
        if row := self.row_of(film):
            self._met.setdefault(row.number, {}).setdefault(_key(film), (self.films, film))
        else:
            self.absent.append((self.films, film))

    @property
    def unmet(self) -> tuple[SubjectRow, ...]:
        """The rows that are of none of the films that have passed."""
        return tuple(row for row in self.rows if row.number not in self._met)

    @property
    def shared(self) -> tuple[tuple[SubjectRow, tuple[tuple[int, str], ...]], ...]:
        """The rows that are of several different films, each film with its place from 1.

        Folders of several children may hold files of one name, and such a row is then of one child alone.
        """
        return tuple(
            (row, tuple(films.values()))
            for row in self.rows
            if len(films := self._met.get(row.number, {})) > 1
        )

    def nearly(self) -> dict[int, str]:
        """By the number of an unmet row, a film without a row that its name was perhaps meant for."""
        films = {_loose_key(film): film for _, film in reversed(self.absent)}
        return {row.number: films[key] for row in self.unmet if (key := _loose_key(row.name)) in films}


def _key(name: str) -> str:
    """What equal names have in common: `./a.png` is `a.png`, however a system writes an accent."""
    return unicodedata.normalize("NFC", PurePath(name).as_posix())


def _loose_key(name: str) -> str:
    """What is left of a name when spreadsheets and other systems have been at it.

    Folders of any system, the suffix, upper and lower case, leading zeros and decimals of a number are gone.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFKC", name).strip().strip("'\""))[-1]
    stem = PurePath(_LOST_DECIMALS.sub("", last)).stem
    return _LOST_DECIMALS.sub("", stem).casefold().lstrip("0").strip()
