"""Split-conformal intervals from the residuals of films that nothing else was fitted on.

Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World (2005); by group, as 'Mondrian' there. The
groups are the sex and the band of the predicted age, both of which are known for a new film.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from bonexage.assessment import MAX_BONE_AGE_MONTHS, Interval
from bonexage.subject import Sex

BAND_MONTHS: Final = 24.0
LEAST_FILMS: Final = 40
_BANDS: Final = round(MAX_BONE_AGE_MONTHS / BAND_MONTHS)


@dataclass(frozen=True)
class Cell:
    """The residuals of one sex in one range of predicted ages.

    Attributes:
        sex: FEMALE or MALE.
        low_months: predicted ages from here, included.
        high_months: up to here, not included (the last cell includes 240). A range wider than 24 months
            was merged from several bands because one of them had fewer than 40 films.
        residuals_months: |predicted - labelled| of each calibration film, ascending.
    """

    sex: Sex
    low_months: float
    high_months: float
    residuals_months: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.sex is Sex.UNKNOWN or not 0 <= self.low_months < self.high_months <= MAX_BONE_AGE_MONTHS:
            raise ValueError(f"not a calibration cell: {self.sex!r} {self.low_months} to {self.high_months}")
        if any(not 0 <= r <= MAX_BONE_AGE_MONTHS for r in self.residuals_months):
            raise ValueError("residuals must be months from 0 to 240")
        if any(before > after for before, after in pairwise(self.residuals_months)):
            raise ValueError("residuals must ascend")

    @property
    def bands(self) -> int:
        """How many 24-month bands were merged into this cell (1: none)."""
        return round((self.high_months - self.low_months) / BAND_MONTHS)


@dataclass(frozen=True)
class Calibration:
    """Residuals by sex and predicted age, from which an interval of any coverage is read."""

    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        for sex in (Sex.FEMALE, Sex.MALE):
            edges = [(cell.low_months, cell.high_months) for cell in self.cells if cell.sex is sex]
            if edges and (
                edges[0][0] != 0.0
                or edges[-1][1] != MAX_BONE_AGE_MONTHS
                or any(before[1] != after[0] for before, after in pairwise(edges))
            ):
                raise ValueError(f"the cells of sex {sex} must follow one another from 0 to 240 months")

    def interval(self, months: float, sex: Sex, coverage: float) -> Interval:
        """The interval about a prediction of `months` in [0, 240] that holds the label with `coverage`.

        Where the films are too few for the coverage asked for (or none of that sex), it is all of 0 to 240
        months. `coverage` lies in (0, 1).
        """
        reach = _reach(self._residuals(months, sex), coverage)
        return Interval(max(0.0, months - reach), min(MAX_BONE_AGE_MONTHS, months + reach), coverage)

    def _residuals(self, months: float, sex: Sex) -> tuple[float, ...]:
        of_sex = [cell for cell in self.cells if cell.sex is sex]
        for cell in of_sex:
            if months < cell.high_months:
                return cell.residuals_months
        return of_sex[-1].residuals_months if of_sex else ()

    def to_json(self) -> dict[str, Any]:
        """As it is stored in `bundle.json`."""
        return {
            "method": "split-conformal",
            "cells": [
                {
                    "sex": cell.sex.value,
                    "low_months": cell.low_months,
                    "high_months": cell.high_months,
                    "bands": cell.bands,
                    "films": len(cell.residuals_months),
                    "residuals_months": list(cell.residuals_months),
                }
                for cell in self.cells
            ],
        }


def calibration_from_json(stored: Mapping[str, Any]) -> Calibration:
    """Read back what `Calibration.to_json` wrote.

    Raises:
        ValueError: it is no calibration of this kind.
    """
    if stored.get("method") != "split-conformal" or not isinstance(stored.get("cells"), list):
        raise ValueError("not a split-conformal calibration")
    try:
        return Calibration(tuple(_cell_from_json(cell) for cell in stored["cells"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a calibration cell is incomplete ({error!r})") from None


def _cell_from_json(stored: Mapping[str, Any]) -> Cell:
    residuals = tuple(float(residual) for residual in stored["residuals_months"])
    if stored["films"] != len(residuals):
        raise ValueError("a calibration cell names another number of films than it has")
    return Cell(Sex(stored["sex"]), float(stored["low_months"]), float(stored["high_months"]), residuals)


def fit_calibration(
    predicted: Sequence[float], labelled: Sequence[float], sexes: Sequence[Sex | str]
) -> Calibration:
    """Sort residuals into cells by sex and 24-month bands of the predicted age.

    A band with fewer than 40 films is merged with whichever neighbour has fewer, smallest band first, until
    none is left or the sex has one cell. A sex without films has no cell.

    Args:
        predicted: months in [0, 240], one a film.
        labelled: months in [0, 240], one a film.
        sexes: FEMALE or MALE, one a film.

    Raises:
        ValueError: the three differ in length, or a value is out of range.
    """
    films = list(zip(predicted, labelled, map(Sex, sexes), strict=True))
    if any(not 0 <= months <= MAX_BONE_AGE_MONTHS for film in films for months in film[:2]):
        raise ValueError("predicted and labelled ages must be months from 0 to 240")
    cells: list[Cell] = []
    for sex in (Sex.FEMALE, Sex.MALE):
        of_sex = [
            (float(guess), abs(float(guess) - float(label))) for guess, label, its in films if its is sex
        ]
        if of_sex:
            cells.extend(_cells(sex, of_sex))
    return Calibration(tuple(cells))


def _cells(sex: Sex, films: Sequence[tuple[float, float]]) -> list[Cell]:
    bands: list[list[float]] = [[] for _ in range(_BANDS)]
    for months, residual in films:
        bands[min(int(months // BAND_MONTHS), _BANDS - 1)].append(residual)
    edges = [BAND_MONTHS * i for i in range(_BANDS + 1)]
    while len(bands) > 1 and min(map(len, bands)) < LEAST_FILMS:
        smallest = min(range(len(bands)), key=lambda i: len(bands[i]))
        neighbours = [i for i in (smallest - 1, smallest + 1) if 0 <= i < len(bands)]
        first = min(smallest, min(neighbours, key=lambda i: len(bands[i])))
        bands[first : first + 2] = [bands[first] + bands[first + 1]]
        del edges[first + 1]
    return [
        Cell(sex, low, high, tuple(sorted(residuals)))
        for (low, high), residuals in zip(pairwise(edges), bands, strict=True)
    ]


def _reach(residuals: Sequence[float], coverage: float) -> float:
    """The ceil((n + 1) * coverage)-th smallest residual; 240 months where there are not that many."""
    rank = math.ceil(round((len(residuals) + 1) * coverage, 9))
    return residuals[rank - 1] if rank <= len(residuals) else MAX_BONE_AGE_MONTHS
