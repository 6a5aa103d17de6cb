"""Whom the films of `predict` show, and what is said where a table and the films do not fit together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bonexage.cli.outcomes import note
from bonexage.errors import WrongUse
from bonexage.reading.cells import table_bytes
from bonexage.reading.subjects import Roll, SubjectRow, read_subjects
from bonexage.subject import Sex, Subject
from bonexage.terminal import printable

MOST_ROWS_LISTED: Final = 20
MOST_FILMS_OF_A_ROW: Final = 4


@dataclass(frozen=True, kw_only=True)
class Subjects:
    """Whom each film shows, as the command line says.

    Beside a table, the sex and age of the command line are those of no film unless `for_the_rest` says so: a
    film whose row was not found would be read as another child's. A header of the film still tells.

    Attributes:
        given: the sex and age of the command line.
        table: the CSV; None where all films are of the sex and age given.
        sha256: hash of the table's bytes, 64 hex digits; None without one.
        roll: the rows of the table, called against the films as they pass.
        for_the_rest: beside a table, `given` is for films without a row.
        strict: a row without a film, or with several, counts in the exit code.
        deidentify: films and rows are named by their numbers.
    """

    given: Subject
    table: Path | None = None
    sha256: str | None = None
    roll: Roll | None = None
    for_the_rest: bool = False
    strict: bool = False
    deidentify: bool = False

    @property
    def rest(self) -> Subject:
        """Whom a film without a row shows."""
        return self.given if self.table is None or self.for_the_rest else Subject()

    def of(self, film: str) -> Subject:
        """Whom a film shows."""
        row = self.roll.row_of(film) if self.roll else None
        return row.subject if row else self.rest

    def passing(self, films: Iterable[str]) -> Iterator[str]:
        """The films of the whole list, which `do_fit` speaks of when they have passed."""
        return self.roll.passing(films) if self.roll else iter(films)

    def call(self, film: str) -> None:
        """One film of the whole list, as of `passing`."""
        if self.roll:
            self.roll.call(film)

    def do_fit(self) -> bool:
        """Say which films have no row, and which rows no film or several; returns whether all is well."""
        if self.roll is None:
            return True
        films, shared, rows = (
            self._films_fit(self.roll),
            self._is_unshared(self.roll),
            self._rows_fit(self.roll),
        )
        return films and shared and rows

    def _films_fit(self, roll: Roll) -> bool:
        if not roll.absent:
            return True
        read_as = "as their headers say, else as both sexes"
        if self.for_the_rest and self.given.sex is not Sex.UNKNOWN:
            read_as = f"as --sex {self.given.sex}"
        note(
            f"{len(roll.absent)} of {roll.films} films have no row in {self.table}, and were read {read_as}:"
        )
        for place, film in roll.absent:
            note(f"  film {place}" if self.deidentify else f"  {printable(film)}")
        if self.for_the_rest:
            return True
        unused = [name for name, value in self._options() if value]
        if unused:
            note(
                f"{' and '.join(unused)} filled in nothing: beside --subjects that needs --sex-for-the-rest."
            )
        return False

    def _is_unshared(self, roll: Roll) -> bool:
        """Name the rows of several films: films of other children may have the name as well."""
        shared = roll.shared
        if not shared:
            return True
        of = f"{len(shared)} of {len(roll.rows)} rows of {self.table}"
        note(f"{of} are of several films, read as one child's:")
        shown = shared if self.strict else shared[:MOST_ROWS_LISTED]
        for row, films in shown:
            note(f"  row {row.number}: {self._together(films)}")
        if more := len(shared) - len(shown):
            note(f"  and {more} more, which --strict-subjects lists")
        return not self.strict

    def _together(self, films: Sequence[tuple[int, str]]) -> str:
        first = films if self.strict else films[:MOST_FILMS_OF_A_ROW]
        names = [f"film {place}" if self.deidentify else printable(film) for place, film in first]
        more = len(films) - len(first)
        return ", ".join(names) + (f" and {more} more" if more else "")

    def _options(self) -> Sequence[tuple[str, bool]]:
        return (
            (f"--sex {self.given.sex}", self.given.sex is not Sex.UNKNOWN),
            ("--age-months", self.given.age_months is not None),
        )

    def _rows_fit(self, roll: Roll) -> bool:
        unmet, nearly = roll.unmet, roll.nearly()
        if not unmet:
            return True
        note(f"{len(unmet)} of {len(roll.rows)} rows of {self.table} are of no film:")
        first = sorted(unmet, key=lambda row: row.number not in nearly)
        shown = first if self.strict else first[:MOST_ROWS_LISTED]
        for row in shown:
            note(f"  {self._named(row, nearly.get(row.number))}")
        if more := len(unmet) - len(shown):
            note(f"  and {more} more, which --strict-subjects lists")
        return not self.strict

    def _named(self, row: SubjectRow, film: str | None) -> str:
        if self.deidentify:
            return f"row {row.number}"
        perhaps = f"; is {printable(film)} meant?" if film else ""
        return f"row {row.number}: no film is called '{printable(row.name)}'{perhaps}"


def subjects_of(
    table: Path | None, given: Subject, *, for_the_rest: bool, strict: bool, deidentify: bool
) -> Subjects:
    """Whom the films show, with the table read; arguments as of `Subjects`.

    Raises:
        WrongUse: the table cannot be read, or an option needs one and there is none.
    """
    if table is None:
        if for_the_rest or strict:
            option = "--strict-subjects" if strict else "--sex-for-the-rest"
            raise WrongUse(f"{option} is of a table", remedy="Give --subjects with it")
        return Subjects(given=given)
    data = table_bytes(table)
    roll = Roll(read_subjects(table, data))
    return Subjects(
        given=given,
        table=table,
        sha256=hashlib.sha256(data).hexdigest(),
        roll=roll,
        for_the_rest=for_the_rest,
        strict=strict,
        deidentify=deidentify,
    )
