"""CSV files of labels to learn from: the bone ages that readers gave to films."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.errors import WrongUse
from bonexage.reading.cells import (
    SEX_COLUMNS,
    Cell,
    column_of,
    months_in,
    open_table,
    read_table,
    sex_of,
)
from bonexage.subject import Sex

ID_COLUMNS: Final = ("id", "case id", "image id")
AGE_COLUMNS: Final = ("boneage", "bone age (months)", "ground truth bone age (months)")


@dataclass(frozen=True)
class Label:
    """The bone age in months (0 to 240) that readers gave to a film, its id, and the child's sex."""

    id: str
    bone_age_months: float
    sex: Sex


@dataclass(frozen=True)
class RowFault:
    """What is wrong with a row of a labels file: a code for programs, a sentence naming row and column."""

    code: str
    sentence: str


@dataclass(frozen=True)
class LabelRow:
    """One row of a labels file as far as it can be read; id '', age or sex None where it cannot."""

    id: str
    bone_age_months: float | None
    sex: Sex | None
    faults: tuple[RowFault, ...] = ()


@dataclass(frozen=True)
class LabelReview:
    """A labels file read past every fault: its rows, and what is wrong with the file as a whole."""

    rows: tuple[LabelRow, ...]
    faults: tuple[WrongUse, ...]


def read_labels(path: Path) -> tuple[Label, ...]:
    """Read a labels file in any of the three forms in which the RSNA challenge gave them out.

    They are `id,boneage,male`, `Case ID,Sex,Ground truth bone age (months)` and
    `Image ID,male,Bone Age (months)`. The order of the columns, upper or lower case, a byte-order mark and
    further columns do not matter. Sex is written M/F or as a word, and under `male` also True/False or 1/0.

    Raises:
        WrongUse: the file cannot be read, lacks a column or holds no rows, or a cell is not what its column
            asks for; then its row (the header is row 1) and column are named.
    """
    header, rows = read_table(path)
    id_column = column_of(path, header, ID_COLUMNS)
    age_column = column_of(path, header, AGE_COLUMNS)
    sex_column = column_of(path, header, SEX_COLUMNS)
    labels: dict[str, Label] = {}
    for row in rows:
        name = _new_name(row[id_column], labels)
        sex = _known_sex(row, sex_column)
        labels[name] = Label(name, months_in(row[age_column], MAX_BONE_AGE_MONTHS), sex)
    return tuple(labels.values())


def review_labels(path: Path) -> LabelReview:
    """As `read_labels`, but going on past every fault; a row keeps its faults, and ids may come twice."""
    try:
        header, rows = open_table(path)
    except WrongUse as error:
        return LabelReview((), (error,))
    columns: list[str | None] = []
    faults: list[WrongUse] = []
    for wanted in (ID_COLUMNS, AGE_COLUMNS, SEX_COLUMNS):
        try:
            columns.append(column_of(path, header, wanted))
        except WrongUse as error:
            columns.append(None)
            faults.append(error)
    return LabelReview(tuple(_reviewed(row, *columns) for row in rows), tuple(faults))


def _reviewed(
    row: dict[str, Cell] | WrongUse, id_column: str | None, age_column: str | None, sex_column: str | None
) -> LabelRow:
    if isinstance(row, WrongUse):
        return LabelRow("", None, None, (RowFault("wrong-row", row.problem),))
    faults: list[RowFault] = []
    name, months, sex = row[id_column].text if id_column else "", None, None
    if id_column and not name:
        faults.append(RowFault("id-missing", f"row {row[id_column].row}: it does not say which film it is"))
    if age_column:
        try:
            months = months_in(row[age_column], MAX_BONE_AGE_MONTHS)
        except WrongUse as error:
            kind = "age-out-of-range" if row[age_column].text else "age-missing"
            faults.append(RowFault(kind, error.problem))
    if sex_column:
        try:
            sex = _known_sex(row, sex_column)
        except WrongUse as error:
            stated = any(row[column].text for column in SEX_COLUMNS if column in row)
            kind = "sex-out-of-range" if stated else "sex-missing"
            faults.append(RowFault(kind, error.problem))
    return LabelRow(name, months, sex, tuple(faults))


def _new_name(cell: Cell, known: Collection[str]) -> str:
    if not cell.text:
        raise cell.error("the cell is empty", "Write which film the row is about")
    if cell.text in known:
        raise cell.error(f"{cell.text!r} stands in the file twice", "Leave one row for each film")
    return cell.text


def _known_sex(row: Mapping[str, Cell], column: str) -> Sex:
    sex = sex_of(row)
    if sex is Sex.UNKNOWN:
        raise row[column].error("the sex is missing", "Write M or F")
    return sex
