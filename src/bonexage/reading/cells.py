"""A CSV file a person wrote, cell by cell: what is wrong with one is told with its row and column."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bonexage.errors import WrongUse
from bonexage.subject import Sex

MALE_COLUMN: Final = "male"
_MALE_WORDS: Final = {"true": Sex.MALE, "1": Sex.MALE, "false": Sex.FEMALE, "0": Sex.FEMALE}


@dataclass(frozen=True)
class Cell:
    """What stands in one cell, and where."""

    file: Path
    row: int
    column: str
    text: str

    def error(self, problem: str, remedy: str) -> WrongUse:
        """The error that names this cell."""
        return WrongUse(
            f"row {self.row}, column {self.column!r}: {problem}", remedy=remedy, subject=str(self.file)
        )


def read_table(path: Path) -> tuple[tuple[str, ...], list[dict[str, Cell]]]:
    """The header in lower case, and the rows by it; empty rows are left out, a wrong row raises."""
    header, rows = open_table(path)
    sound = []
    for row in rows:
        if isinstance(row, WrongUse):
            raise row
        sound.append(row)
    return header, sound


def open_table(path: Path) -> tuple[tuple[str, ...], list[dict[str, Cell] | WrongUse]]:
    """As `read_table`, with the error in the place of a wrong row."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise WrongUse(
            "the file is not UTF-8 text", remedy="Save it anew as 'CSV UTF-8'", subject=str(path)
        ) from None
    except OSError as error:
        raise WrongUse(
            f"the file cannot be read ({error.strerror or error})", remedy="Check the path", subject=str(path)
        ) from None
    first = text.partition("\n")[0]
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = tuple(name.strip().lower() for name in next(reader, []))
        rows = list(_rows(path, header, reader))
    except csv.Error as error:
        raise WrongUse(
            f"the file is not a CSV table ({error})", remedy="Save it anew as CSV", subject=str(path)
        ) from None
    if not rows:
        raise WrongUse("the file has no rows", remedy="Give a header and a row a film", subject=str(path))
    return header, rows


def _rows(
    path: Path, header: tuple[str, ...], reader: Iterator[list[str]]
) -> Iterator[dict[str, Cell] | WrongUse]:
    """Each row by its header, numbered as a spreadsheet numbers them: the header is row 1."""
    for number, texts in enumerate(reader, start=2):
        cells = [text.strip() for text in texts]
        if not any(cells):
            continue
        if len(cells) > len(header) and any(cells[len(header) :]):
            yield WrongUse(
                f"row {number} has {len(cells)} cells under {len(header)} columns",
                remedy="Write a point in numbers, and quote a cell that holds a comma",
                subject=str(path),
            )
            continue
        filled = cells + [""] * (len(header) - len(cells))
        yield {column: Cell(path, number, column, text) for column, text in zip(header, filled, strict=False)}


def column_of(path: Path, header: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    """The first of the wanted columns that the header has; the table of `path` is at fault if it has none."""
    for column in wanted:
        if column in header:
            return column
    raise WrongUse(
        f"there is no column {' or '.join(repr(column) for column in wanted)}",
        remedy=f"Name it so in the header, which has {', '.join(header) or 'no columns'}",
        subject=str(path),
    )


def months_in(cell: Cell, most: float) -> float:
    """The number of months in a cell, from 0 to `most`; anything else raises."""
    try:
        months = float(cell.text)
    except ValueError:
        months = math.nan
    if not 0 <= months <= most:
        raise cell.error(
            f"{cell.text!r} is not an age in months", f"Write a number of months from 0 to {most:g}"
        )
    return months


def sex_in(cell: Cell) -> Sex:
    """The sex in a cell, UNKNOWN in an empty one; anything else raises.

    True, False, 1 and 0 say something under `male` alone: under `sex` they are codes that differ by table.
    """
    words = _MALE_WORDS if cell.column == MALE_COLUMN else {}
    try:
        return words.get(cell.text.lower()) or Sex.parse(cell.text)
    except WrongUse:
        remedy = f"Write M or F, or True or False under {MALE_COLUMN!r}"
        raise cell.error(f"{cell.text!r} is not a sex", remedy) from None
