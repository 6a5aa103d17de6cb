"""The CSV file of one child's series: films or bone ages, each with a date or a chronological age."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Literal, get_args

from bonexage.assessment import MAX_BONE_AGE_MONTHS, Interval
from bonexage.decimals import number_in
from bonexage.errors import WrongUse
from bonexage.reading.cells import SEX_COLUMNS, Cell, column_of, months_in, read_table, sex_in
from bonexage.subject import DAYS_A_MONTH, MAX_CHRONOLOGICAL_AGE_MONTHS, Sex

FILM_COLUMN: Final = "file"
BONE_AGE_COLUMN: Final = "bone_age_months"
AGE_COLUMN: Final = "age_months"
DATE_COLUMN: Final = "date"
BIRTH_COLUMN: Final = "birth_date"

Failed = Literal["refused", "unreadable"]


@dataclass(frozen=True)
class SeriesRow:
    """One film or bone age of a child.

    Attributes:
        age_months: chronological age, 0 to 1440.
        file: the film; '' where only its bone age is known.
        bone_age_months: 0 to 240; None where the film is to be read.
        interval: of that bone age; None where none is given.
        model: what made that bone age, as given; '' where it is not said.
        status: 'refused' or 'unreadable' where `predict` says so of the film, which is not to be opened then:
            its name may be made up; else None.
        message: why, as `predict` says.
    """

    age_months: float
    file: str = ""
    bone_age_months: float | None = None
    interval: Interval | None = None
    model: str = ""
    status: Failed | None = None
    message: str = ""


def read_series(path: Path, *, born: date | None = None) -> tuple[Sex, tuple[SeriesRow, ...]]:
    """Read one child's sex and series, by age.

    A row has a bone age (`bone_age_months`, perhaps with `interval_low_months`, `interval_high_months` and
    `coverage`) or a film to read (`file`, as seen from the working folder or from beside the CSV file), and a
    chronological age (`age_months`) or a `date` as 2024-12-31; a date needs a date of birth, `birth_date` or
    `born`. These are the names `predict` writes, so its table can be given as it is; a film that
    `predict` refused or could not read is not opened again. The sex is that of
    `sex` or `male`, once or in every row; UNKNOWN where it is nowhere.

    Raises:
        WrongUse: the file cannot be read, a column or cell is missing or is not what it should be, or the
            rows are of more than one child.
    """
    header, rows = read_table(path)
    if BONE_AGE_COLUMN not in header:
        column_of(path, header, (FILM_COLUMN, BONE_AGE_COLUMN))
    column_of(path, header, (AGE_COLUMN, DATE_COLUMN))
    birth = _birth_date(path, rows, born)
    read = [_row(path, row, birth) for row in rows]
    return _sex(path, rows), tuple(sorted(read, key=lambda row: row.age_months))


def _row(path: Path, row: Mapping[str, Cell], born: date | None) -> SeriesRow:
    age, film, given = _age(path, row, born), row.get(FILM_COLUMN), row.get(BONE_AGE_COLUMN)
    for failed in get_args(Failed):
        if film and _text(row, "status") == failed:
            return SeriesRow(
                age, film.text, model=_text(row, "model"), status=failed, message=_text(row, "message")
            )
    file = _film(path, film.text) if film else ""
    if given is not None and given.text:
        months = months_in(given, MAX_BONE_AGE_MONTHS)
        return SeriesRow(age, file, months, _interval(row, months), _text(row, "model"))
    if not file:
        cell = film or given
        raise (cell or next(iter(row.values()))).error(
            "there is neither a bone age nor a film", "Write one of the two"
        )
    return SeriesRow(age, file)


def _text(row: Mapping[str, Cell], column: str) -> str:
    cell = row.get(column)
    return cell.text if cell else ""


def _film(path: Path, name: str) -> str:
    beside = path.parent / name
    return str(beside) if name and not Path(name).exists() and beside.exists() else name


def _age(path: Path, row: Mapping[str, Cell], born: date | None) -> float:
    age, taken = row.get(AGE_COLUMN), row.get(DATE_COLUMN)
    if age is not None and (age.text or taken is None or not taken.text):
        return months_in(age, MAX_CHRONOLOGICAL_AGE_MONTHS)
    if taken is None:
        raise ValueError("a table without ages and dates has been refused before")
    day = _date(taken)
    if born is None:
        raise WrongUse(
            "the series has dates and no date of birth",
            remedy=f"Give --born 2015-12-31, a column {BIRTH_COLUMN!r}, or {AGE_COLUMN!r} in place of dates",
            subject=str(path),
        )
    months = (day - born).days / DAYS_A_MONTH
    if not 0 <= months <= MAX_CHRONOLOGICAL_AGE_MONTHS:
        raise taken.error(
            f"{taken.text} lies {'before birth' if months < 0 else 'too long after birth'} ({born})",
            "Correct one of the two dates",
        )
    return months


def _interval(row: Mapping[str, Cell], months: float) -> Interval | None:
    low, high = row.get("interval_low_months"), row.get("interval_high_months")
    share = row.get("coverage")
    if low is None or high is None or not (low.text or high.text):
        return None
    ends = (months_in(low, MAX_BONE_AGE_MONTHS), months_in(high, MAX_BONE_AGE_MONTHS))
    if not ends[0] <= months <= ends[1]:
        raise low.error("the bone age lies outside its interval", "Correct the interval or the bone age")
    try:
        return Interval(*ends, number_in(share.text if share else "", 1.0))
    except ValueError:
        raise (share or low).error(
            "the interval's coverage is missing or no share", "Write a coverage above 0 and below 1, as 0.9"
        ) from None


def _birth_date(path: Path, rows: list[dict[str, Cell]], born: date | None) -> date | None:
    dates = {_date(row[BIRTH_COLUMN]) for row in rows if BIRTH_COLUMN in row and row[BIRTH_COLUMN].text}
    dates |= {born} if born else set()
    if len(dates) > 1:
        raise _not_one_child(path, f"dates of birth {', '.join(str(day) for day in sorted(dates))}")
    return dates.pop() if dates else None


def _sex(path: Path, rows: list[dict[str, Cell]]) -> Sex:
    cells = [row[column] for row in rows for column in SEX_COLUMNS if column in row]
    sexes = {sex_in(cell) for cell in cells} - {Sex.UNKNOWN}
    if len(sexes) > 1:
        raise _not_one_child(path, "both sexes")
    return sexes.pop() if sexes else Sex.UNKNOWN


def _not_one_child(path: Path, found: str) -> WrongUse:
    return WrongUse(
        f"the rows are of more than one child ({found})",
        remedy="Leave the rows of one child in the file",
        subject=str(path),
    )


def _date(cell: Cell) -> date:
    try:
        return date.fromisoformat(cell.text)
    except ValueError:
        raise cell.error(f"{cell.text!r} is not a date", "Write it as 2024-12-31") from None
