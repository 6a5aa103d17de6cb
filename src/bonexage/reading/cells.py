"""A CSV file a person wrote, cell by cell: what is wrong with one is told with its row and column."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from bonexage.decimals import number_in
from bonexage.errors import WrongUse
from bonexage.spreadsheet import text_of
from bonexage.subject import Sex

MALE_COLUMN: Final = "male"
SEX_COLUMNS: Final = ("sex", MALE_COLUMN)
_OWN_HEADER: Final = b"file,status,sex,"
# The names of the columns that tables are asked for, by which their delimiter is recognised.
KNOWN_COLUMNS: Final = frozenset(
    {
        *("file", "id", "case id", "image id", "sex", MALE_COLUMN, "model", "status", "cautions", "coverage"),
        *("boneage", "bone age (months)", "ground truth bone age (months)", "labelled_months"),
        *("age_months", "bone_age_months", "interval_low_months", "interval_high_months"),
        *("date", "birth_date"),
    }
)
_MALE_WORDS: Final = {"true": Sex.MALE, "1": Sex.MALE, "false": Sex.FEMALE, "0": Sex.FEMALE}
_DELIMITERS: Final = ",;\t|"
# Excel's own first line, such as sep=; which names the delimiter and is no row; people write it with blanks,
# with quotes round the delimiter, and a tab as \t.
_NAMED_DELIMITER: Final = re.compile(
    r' *"? *sep *= *("{0,2}|\')(\\t|[^"\'\w\r\n\0])\1 *"?[,;\t| ]*(?:\r\n|\r|\n|\Z)', flags=re.IGNORECASE
)
_ROWS_TO_COMPARE: Final = 200
# So many rows may stand above a header, such as a title; a header names so many known columns.
_ROWS_ABOVE: Final = 20
_COLUMNS_OF_HEADER: Final = 2
MAX_TABLE_BYTES: Final = 256_000_000
# How .xlsx and .ods begin, and .xls.
_WORKBOOKS: Final = (b"PK\3\4", b"\xd0\xcf\x11\xe0")


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


def read_table(path: Path, data: bytes | None = None) -> tuple[tuple[str, ...], list[dict[str, Cell]]]:
    """The header in lower case, and the rows by it; empty rows are left out, a wrong row raises.

    Args:
        path: the file.
        data: its bytes, where they have been read: a pipe gives them only once.
    """
    header, rows = open_table(path, data)
    sound = []
    for row in rows:
        if isinstance(row, WrongUse):
            raise row
        sound.append(row)
    return header, sound


def open_table(
    path: Path, data: bytes | None = None
) -> tuple[tuple[str, ...], list[dict[str, Cell] | WrongUse]]:
    """As `read_table`, with the error in the place of a wrong row.

    The text is UTF-8, or UTF-16 as spreadsheets write it. Cells are parted by comma, semicolon, tab or bar:
    by what a first line such as `sep=;` names, else by the one that shows known columns in the header and
    parts the rows as it parts the header.
    """
    text, delimiter = _without_named_delimiter(_text_of(path, table_bytes(path) if data is None else data))
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or _delimiter_of(text))
        first, header = next(
            ((number, names) for number, names in enumerate(reader, start=1) if any(map(str.strip, names))),
            (1, []),
        )
        columns = tuple(name.strip().lower() for name in header)
        if not KNOWN_COLUMNS.intersection(columns):
            _refuse_rows_above(path, text, delimiter or _DELIMITERS)
        _refuse_repeated(path, columns)
        rows = list(_rows(path, columns, reader, first + 1))
    except csv.Error as error:
        raise WrongUse(
            f"the file is not a CSV table ({error})", remedy="Save it anew as CSV", subject=str(path)
        ) from None
    if not rows:
        raise WrongUse("the file has no rows", remedy="Give a header and a row a film", subject=str(path))
    return columns, rows


def _refuse_rows_above(path: Path, text: str, delimiters: str) -> None:
    """Raise WrongUse where the names of columns stand below a title, parted by any of the delimiters."""
    for delimiter in delimiters:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        for number, names in enumerate(islice(reader, _ROWS_ABOVE), start=1):
            known = KNOWN_COLUMNS.intersection(name.strip().lower() for name in names)
            if len(known) >= _COLUMNS_OF_HEADER:
                raise WrongUse(
                    f"the names of the columns stand in row {number}, below other rows",
                    remedy="Remove the rows above them, such as a title",
                    subject=str(path),
                )


def _refuse_repeated(path: Path, columns: tuple[str, ...]) -> None:
    """Raise WrongUse where a known column stands twice: which of the two holds what is meant is not known."""
    for column in columns:
        if column in KNOWN_COLUMNS and columns.count(column) > 1:
            raise WrongUse(
                f"the column {column!r} stands in the header {columns.count(column)} times",
                remedy="Leave one of them",
                subject=str(path),
            )


def table_bytes(path: Path) -> bytes:
    """The bytes of a table.

    Raises:
        WrongUse: the file cannot be read, is too large for a table, or is a workbook.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TABLE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WrongUse(
            f"the file cannot be read ({reason})", remedy="Check the path", subject=str(path)
        ) from None
    if len(data) > MAX_TABLE_BYTES:
        raise WrongUse(
            f"the file is larger than {MAX_TABLE_BYTES // 1_000_000} MB, too large for a table",
            remedy="Give a CSV file, in parts where it has so many rows",
            subject=str(path),
        )
    if data.startswith(_WORKBOOKS):
        raise WrongUse(
            "the file is a workbook of a spreadsheet, not a CSV table",
            remedy="Save its sheet as 'CSV UTF-8' and give that file",
            subject=str(path),
        )
    return data


def _text_of(path: Path, data: bytes) -> str:
    try:
        # A table of our own also holds the names of files that are no text, as the system gives them.
        own = data.startswith(_OWN_HEADER)
        return data.decode(_encoding_of(data), errors="surrogateescape" if own else "strict")
    except UnicodeDecodeError:
        raise WrongUse(
            "the file is neither UTF-8 nor UTF-16 text",
            remedy="Save it anew as 'CSV UTF-8'",
            subject=str(path),
        ) from None


def _encoding_of(data: bytes) -> str:
    """UTF-8, or UTF-16 where its mark or the zero byte of a first ASCII letter shows it."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if data[1:2] == b"\0":
        return "utf-16-le"
    return "utf-16-be" if data[:1] == b"\0" else "utf-8-sig"


def _without_named_delimiter(text: str) -> tuple[str, str]:
    """The table after a first line such as `sep=;`, and the delimiter that the line names, or ''."""
    named = _NAMED_DELIMITER.match(text)
    return (text[named.end() :], named[2].replace("\\t", "\t")) if named else (text, "")


def _delimiter_of(text: str) -> str:
    """The mark that parts a table: it shows known names in the header, and parts the rows as the header."""

    def fitness(delimiter: str) -> tuple[int, float, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        rows = [row for row in islice(reader, _ROWS_TO_COMPARE) if any(map(str.strip, row))]
        if not rows or len(rows[0]) < 2:
            return 0, 0.0, 0
        known = sum(name.strip().lower() in KNOWN_COLUMNS for name in rows[0])
        return known, sum(len(row) == len(rows[0]) for row in rows) / len(rows), len(rows[0])

    return max(_DELIMITERS, key=fitness)


def _rows(
    path: Path, header: tuple[str, ...], reader: Iterator[list[str]], first: int
) -> Iterator[dict[str, Cell] | WrongUse]:
    """Each row by its header, numbered as a spreadsheet numbers them, from `first`."""
    for number, texts in enumerate(reader, start=first):
        cells = [text_of(text) for text in texts]
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
        months = number_in(cell.text, most)
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


def sex_of(row: Mapping[str, Cell]) -> Sex:
    """The sex that a row states under `sex`, under `male` or under both; UNKNOWN where it states none.

    Raises:
        WrongUse: a cell is no sex, or the two differ.
    """
    cells = [row[column] for column in SEX_COLUMNS if column in row and row[column].text]
    sexes = {sex: cell for cell in cells if (sex := sex_in(cell)) is not Sex.UNKNOWN}
    if len(sexes) > 1:
        raise cells[-1].error(
            f"{cells[-1].text!r} contradicts {cells[0].text!r} under {cells[0].column!r}",
            "Correct one of the two cells",
        )
    return next(iter(sexes), Sex.UNKNOWN)
