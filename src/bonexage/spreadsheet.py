"""Text in the cells of CSV tables: no spreadsheet takes it for a formula, and it is read back as it was.

A text that begins as a formula does gets an apostrophe before it, as OWASP describes (CSV Injection). So does
a text that begins with a blank or ends with one, which readers of tables take away. Numbers stay numbers.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

_MARK: Final = "'"
_FORMULA: Final = frozenset("=+-@＝＋－＠")
_AFTER_SEPARATOR: Final = re.compile(r"[;\t]\s*[=+\-@＝＋－＠]")
_TEXT_FORMULA: Final = re.compile(r'="([^"]*)"')


def cell_of(text: str) -> str:
    """A text as it stands in a cell; `text_of` reads it back."""
    return _MARK + text if _is_marked(text) else text


def text_of(cell: str) -> str:
    """What `cell_of` was given; of a cell that others wrote, its text without blanks around.

    Spreadsheets keep the zeros of an identifier as `="00123"`: that is 00123.
    """
    if cell.startswith(_MARK) and _is_marked(cell):
        return cell[len(_MARK) :]
    stripped = cell.strip()
    formula = _TEXT_FORMULA.fullmatch(stripped)
    return formula[1].strip() if formula else stripped


def _is_marked(text: str) -> bool:
    """Whether a text is written with a mark; marks that it begins with itself count for nothing."""
    rest = text.lstrip(_MARK)
    return rest != "" and (rest[0] in _FORMULA or rest[0].isspace() or rest[-1].isspace())


class TableWriter:
    """Writes a CSV table to an open text stream: the header at once, then row by row."""

    def __init__(self, stream: TextIO, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._plain = csv.writer(stream, lineterminator="\n")
        self._quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        self._plain.writerow(self._columns)

    def write(self, row: Mapping[str, object]) -> None:
        """Write the columns of a row; what it lacks stays empty, and what is of no column is left out."""
        values = [row.get(column) for column in self._columns]
        cells = [cell_of(value) if isinstance(value, str) else value for value in values]
        (self._quoted if any(map(_needs_quotes, cells)) else self._plain).writerow(cells)


def _needs_quotes(cell: object) -> bool:
    """Whether a cell would end where a reader splits at other marks, or at a carriage return."""
    return isinstance(cell, str) and ("\r" in cell or _AFTER_SEPARATOR.search(cell) is not None)
