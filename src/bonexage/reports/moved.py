"""Two samples beside one another as one figure: how far values reach, shares of kinds, now and then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bonexage.reports import sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NOW: Final = "#d55e00"
_THEN: Final = "#0072b2"
_ACROSS: Final = 2


@dataclass(frozen=True)
class Values:
    """Something measured on each film, `[n]` now and `[m]` then."""

    title: str
    now: Sequence[float]
    then: Sequence[float]
    unit: str = ""


@dataclass(frozen=True)
class Kinds:
    """The shares (0 to 1) of each kind, now and then."""

    title: str
    names: Sequence[str]
    now: Sequence[float]
    then: Sequence[float]
    unit: str = ""


def moved(panels: Sequence[Values | Kinds]) -> bytes:
    """A panel for each: values as the share of films up to each value, kinds as bars beside one another: PNG.

    Now is a solid orange line or a filled bar, then a dashed blue line or a hatched bar.

    Raises:
        ValueError: there is no panel.
    """
    if not panels:
        raise ValueError("there is nothing to draw")
    rows = -(-len(panels) // _ACROSS)
    figure = sheet.new_figure(9.6, 0.5 + 2.9 * rows)
    grid = figure.subplots(rows, _ACROSS, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        axes.set_title(panel.title, fontsize=10.5, loc="left", parse_math=False)
        if isinstance(panel, Values):
            _draw_values(axes, panel)
        else:
            _draw_kinds(axes, panel)
        axes.legend(frameon=False, fontsize=9)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return sheet.as_png(figure)


def _draw_values(axes: Axes, panel: Values) -> None:
    for values, name, colour, line in (
        (panel.then, "then", _THEN, "dashed"),
        (panel.now, "now", _NOW, "solid"),
    ):
        if values:
            ordered = np.sort(np.asarray(values, dtype=np.float64))
            share = np.arange(1, len(ordered) + 1) / len(ordered)
            axes.step(ordered, share, where="post", color=colour, linestyle=line, linewidth=1.6, label=name)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("Share of films up to it")
    axes.set_xlabel(panel.unit)


def _draw_kinds(axes: Axes, panel: Kinds) -> None:
    places = np.arange(len(panel.names))
    axes.barh(places + 0.2, panel.then, 0.38, color="white", edgecolor=_THEN, hatch="///", label="then")
    axes.barh(places - 0.2, panel.now, 0.38, color=_NOW, label="now")
    axes.set_yticks(places, panel.names, parse_math=False)
    axes.set_ylim(len(panel.names) - 0.5, -0.5)
    axes.set_xlabel("Share of films")
    axes.set_ylabel(panel.unit)
