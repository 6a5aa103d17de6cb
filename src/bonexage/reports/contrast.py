"""Two models on the same films as one figure: the difference of their errors, and the errors themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from bonexage.reports import sheet
from bonexage.reports.figures import Level

_FIRST: Final = "#0072b2"
_SECOND: Final = "#d55e00"


@dataclass(frozen=True)
class Row:
    """The difference of two errors over some films, in months: first minus second."""

    name: str
    films: int
    difference: Level


def differences(
    rows: Sequence[Row], first_errors: ArrayLike, second_errors: ArrayLike, *, first: str, second: str
) -> bytes:
    """Differences with their intervals, a row a group (above the first row all films), beside every film.

    A difference whose interval leaves out zero is drawn in the colour of the model that is closer.

    Args:
        rows: the groups, from above.
        first_errors: absolute errors of the first model in months, `[n]`.
        second_errors: of the second, of the same films.
        first: name of the first model.
        second: name of the second.
    """
    figure = sheet.new_figure(9.6, max(4.0, 1.2 + 0.3 * len(rows)))
    groups, films = figure.subplots(1, 2, width_ratios=(1.15, 1))
    for place, row in enumerate(rows):
        colour = _colour(row.difference)
        if math.isfinite(row.difference.low):
            groups.plot([row.difference.low, row.difference.high], [place] * 2, color=colour, linewidth=1.6)
        face = colour if row.films >= 10 else "white"
        groups.plot(row.difference.value, place, "o", color=colour, mfc=face, markersize=6)
    groups.axvline(0, color=sheet.INK, linewidth=0.8)
    groups.set_yticks(range(len(rows)), [f"{row.name} ({row.films:,})" for row in rows])
    groups.set_ylim(len(rows) - 0.4, -0.6)
    widest = 1.1 * max([1e-3, *(abs(end) for row in rows for end in _ends(row.difference))])
    groups.set_xlim(-widest, widest)
    groups.set_xlabel("Difference of mean absolute errors (months)")
    for end, side, name, colour in ((0, "left", first, _FIRST), (1, "right", second, _SECOND)):
        groups.annotate(
            f"{_short(name)} closer",
            (end, 1),
            xycoords="axes fraction",
            xytext=(0, 4),
            textcoords="offset points",
            ha=side,
            fontsize=8,
            color=colour,
            parse_math=False,
        )
    one, other = (np.asarray(errors, dtype=np.float64) for errors in (first_errors, second_errors))
    most = 1.05 * max(1e-3, float(one.max(initial=0)), float(other.max(initial=0)))
    films.plot([0, most], [0, most], color=sheet.FAINT, linewidth=0.8)
    films.plot(one, other, "o", color=sheet.INK, markersize=3, alpha=0.35, markeredgewidth=0)
    films.set_xlim(0, most)
    films.set_ylim(0, most)
    films.set_aspect("equal")
    films.set_xlabel(f"Error of {_short(first)} (months)", parse_math=False)
    films.set_ylabel(f"Error of {_short(second)} (months)", parse_math=False)
    return sheet.as_png(figure)


def _colour(difference: Level) -> str:
    if difference.high < 0:
        return _FIRST
    return _SECOND if difference.low > 0 else sheet.FAINT


def _ends(difference: Level) -> list[float]:
    return [end for end in (difference.value, difference.low, difference.high) if math.isfinite(end)]


def _short(name: str) -> str:
    return name if len(name) <= 34 else f"{name[:32]}…"
