"""CSV files of what is known about films: labels to learn from, subjects to assess."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.errors import WrongUse
from bonexage.subject import MAX_CHRONOLOGICAL_AGE_MONTHS, Sex, Subject

ID_COLUMNS: Final = ("id", "case id", "image id")
AGE_COLUMNS: Final = ("boneage", "bone age (months)", "ground truth bone age (months)")
SEX_COLUMNS: Final = ("sex", "male")
SUBJECT_COLUMNS: Final = ("file", *ID_COLUMNS)
CHRONOLOGICAL_AGE_COLUMN: Final = "age_months"

_MALE_WORDS: Final = {"true": Sex.MALE, "1": Sex.MALE, "false": Sex.FEMALE, "0": Sex.FEMALE}


@dataclass(frozen=True)
class Label:
    """The bone age in months (0 to 240) that readers gave to a film, its id, and the child's sex."""

    id: str
    bone_age_months: float
    sex: Sex


@dataclass(frozen=True)
class _Cell:
    """What stands in one cell, and where."""

    file: Path
    row: int
    column: str
    text: str

    def error(self, problem: str, remedy: str) -> WrongUse:
        return WrongUse(
            f"row {self.row}, column {self.column!r}: {problem}", remedy=remedy, subject=str(self.file)
        )


def read_labels(path: Path) -> tuple[Label, ...]:
    """Read a labels file in any of the three forms in which the RSNA challenge gave them out.

    They are `id,boneage,male`, `Case ID,Sex,Ground truth bone age (months)` and
    `Image ID,male,Bone Age (months)`. The order of the columns, upper or lower case, a byte-order mark and
    further columns do not matter. Sex is written True/False, M/F, 1/0 or as a word.

    Raises:
        WrongUse: the file cannot be read, lacks a column or holds no rows, or a cell is not what its column
            asks for; then its row (the header is row 1) and column are named.
    """
    header, rows = _read_table(path)
    id_column = _column(path, header, ID_COLUMNS)
    age_column = _column(path, header, AGE_COLUMNS)
    sex_column = _column(path, header, SEX_COLUMNS)
    labels: dict[str, Label] = {}
    for row in rows:
        name = _new_name(row[id_column], labels)
        sex = _sex(row[sex_column])
        if sex is Sex.UNKNOWN:
            raise row[sex_column].error("the sex is missing", "Write M or F")
        labels[name] = Label(name, _months(row[age_column], MAX_BONE_AGE_MONTHS), sex)
    return tuple(labels.values())


def read_subjects(path: Path) -> dict[str, Subject]:
    """Read who the films show: a column `file` or `id`, one `sex` or `male`, and, if known, `age_months`.

    An empty sex is an unknown one; an empty age is none.

    Returns:
        The subjects by what stands in `file` or `id`.

    Raises:
        WrongUse: as in `read_labels`.
    """
    header, rows = _read_table(path)
    name_column = _column(path, header, SUBJECT_COLUMNS)
    sex_column = _column(path, header, SEX_COLUMNS)
    subjects: dict[str, Subject] = {}
    for row in rows:
        age = row.get(CHRONOLOGICAL_AGE_COLUMN)
        months = _months(age, MAX_CHRONOLOGICAL_AGE_MONTHS) if age and age.text else None
        subjects[_new_name(row[name_column], subjects)] = Subject(_sex(row[sex_column]), months)
    return subjects


def _read_table(path: Path) -> tuple[tuple[str, ...], list[dict[str, _Cell]]]:
    """The header in lower case, and the rows by it; empty rows are left out."""
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


def _rows(path: Path, header: tuple[str, ...], reader: Iterator[list[str]]) -> Iterator[dict[str, _Cell]]:
    """Each row by its header, numbered as a spreadsheet numbers them: the header is row 1."""
    for number, texts in enumerate(reader, start=2):
        cells = [text.strip() for text in texts]
        if not any(cells):
            continue
        if len(cells) > len(header) and any(cells[len(header) :]):
            raise WrongUse(
                f"row {number} has {len(cells)} cells under {len(header)} columns",
                remedy="Write a point in numbers, and quote a cell that holds a comma",
                subject=str(path),
            )
        filled = cells + [""] * (len(header) - len(cells))
        yield {
            column: _Cell(path, number, column, text) for column, text in zip(header, filled, strict=False)
        }


def _column(path: Path, header: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    for column in wanted:
        if column in header:
            return column
    raise WrongUse(
        f"there is no column {' or '.join(repr(column) for column in wanted)}",
        remedy=f"Name it so in the header, which has {', '.join(header) or 'no columns'}",
        subject=str(path),
    )


def _new_name(cell: _Cell, known: Collection[str]) -> str:
    if not cell.text:
        raise cell.error("the cell is empty", "Write which film the row is about")
    if cell.text in known:
        raise cell.error(f"{cell.text!r} stands in the file twice", "Leave one row for each film")
    return cell.text


def _months(cell: _Cell, most: float) -> float:
    try:
        months = float(cell.text)
    except ValueError:
        months = math.nan
    if not 0 <= months <= most:
        raise cell.error(
            f"{cell.text!r} is not an age in months", f"Write a number of months from 0 to {most:g}"
        )
    return months


def _sex(cell: _Cell) -> Sex:
    try:
        return _MALE_WORDS.get(cell.text.lower()) or Sex.parse(cell.text)
    except WrongUse:
        raise cell.error(f"{cell.text!r} is not a sex", "Write M or F, or True or False for male") from None
