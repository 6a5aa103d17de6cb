"""Bone age against chronological age, with the reference's mean and band of 2 SD either way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from bonexage.assessment import years_and_months
from bonexage.clinic.growth import AUTHORS, MARKED, age_range_months, standard_deviation_months
from bonexage.clinic.series import Visit
from bonexage.numbers import percent
from bonexage.reports import sheet
from bonexage.subject import Sex

if TYPE_CHECKING:
    from matplotlib.axes import Axes

YEAR: Final = 12
LEAST_SPAN_YEARS: Final = 6
_BAND: Final = "#d9d9d9"
_POINT: Final = "#00558c"


def growth_chart(visits: Sequence[Visit], sex: Sex, *, note: str = "", size: tuple[float, float]) -> bytes:
    """Draw one child's bone ages, each with its interval, joined where there are several: PNG.

    The band is drawn where the reference reaches, and without a sex not at all.

    Args:
        visits: at least one.
        sex: of the child.
        note: small print under the chart, such as the model and what it is for.
        size: width and height in inches.
    """
    figure = sheet.new_figure(*size)
    axes = figure.add_subplot()
    left, right = _years([each.age_months for each in visits])
    bottom, top = _years([*_reference(axes, sex, left, right), *_points(axes, visits)])
    for axis, low, high in ((axes.xaxis, left, right), (axes.yaxis, bottom, top)):
        axis.set_ticks(_whole_years(low, high), [f"{months // YEAR}" for months in _whole_years(low, high)])
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set_xlabel("Chronological age (years)")
    axes.set_ylabel("Bone age (years)")
    axes.grid(color="#000000", alpha=0.12, linewidth=0.5)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=3 if size[0] > 5 else 2, frameon=False, fontsize=8)
    if note:
        figure.supxlabel(note, fontsize=7, color="#444444", parse_math=False)
    return sheet.as_png(figure)


def in_words(visits: Sequence[Visit], sex: Sex) -> str:
    """The chart for who cannot see it: every point, and where the band lies there."""
    points = []
    for each in visits:
        spread = standard_deviation_months(each.age_months, sex)
        band = "no reference there"
        if spread is not None:
            ends = (each.age_months - MARKED * spread, each.age_months + MARKED * spread)
            band = f"band from {years_and_months(max(ends[0], 0.0))} to {years_and_months(ends[1])}"
        age, bone_age = years_and_months(each.age_months), years_and_months(each.bone_age_months)
        points.append(f"at {age} bone age {bone_age} ({band})")
    return f"Chart of bone age against chronological age: {'; '.join(points)}."


def _reference(axes: Axes, sex: Sex, left: float, right: float) -> tuple[float, float]:
    """The line on which both ages agree, and the band around it where the table reaches; gives its ends."""
    axes.plot([left, right], [left, right], color=sheet.INK, linewidth=0.9, label="bone age = age", zorder=2)
    reach = age_range_months(sex)
    if reach is None:
        return left, right
    ages = np.arange(math.ceil(max(left, reach[0])), math.floor(min(right, reach[1])) + 1, dtype=np.float64)
    if not ages.size:
        return left, right
    spread = np.array([standard_deviation_months(age, sex) or math.nan for age in ages.tolist()])
    below, above = ages - MARKED * spread, ages + MARKED * spread
    axes.fill_between(ages, below, above, color=_BAND, linewidth=0, zorder=0, label=f"±2 SD, {AUTHORS}")
    for edge in (below, above):
        axes.plot(ages, edge, color="#555555", linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    for end, beside, shift in ((reach[0], "right", -3), (reach[1], "left", 3)):
        if left + YEAR / 2 <= end <= right - YEAR / 2:
            axes.axvline(end, color="#555555", linewidth=0.8, linestyle=":", zorder=1)
            axes.annotate(
                "no reference",
                (end, 0.01),
                xycoords=axes.get_xaxis_transform(),
                xytext=(shift, 0),
                textcoords="offset points",
                ha=beside,
                va="bottom",
                rotation=90,
                fontsize=8,
                color="#444444",
            )
    return min(left, float(below[0])), max(right, float(above[-1]))


def _points(axes: Axes, visits: Sequence[Visit]) -> tuple[float, float]:
    """The bone ages with their intervals; gives the lowest and highest months drawn."""
    ends = [
        (each.interval.low_months, each.interval.high_months)
        if each.interval
        else (each.bone_age_months, each.bone_age_months)
        for each in visits
    ]
    bone_ages = [each.bone_age_months for each in visits]
    axes.errorbar(
        [each.age_months for each in visits],
        bone_ages,
        yerr=[
            [age - low for age, (low, _) in zip(bone_ages, ends, strict=True)],
            [high - age for age, (_, high) in zip(bone_ages, ends, strict=True)],
        ],
        fmt="o-" if len(visits) > 1 else "o",
        color=_POINT,
        ecolor=_POINT,
        markersize=6,
        linewidth=1.6,
        elinewidth=1.4,
        capsize=4,
        zorder=4,
        label=_point_label(visits),
    )
    return min(low for low, _ in ends), max(high for _, high in ends)


def _point_label(visits: Sequence[Visit]) -> str:
    shares = {each.interval.coverage for each in visits if each.interval}
    if not shares:
        return "bone age"
    return f"bone age, {percent(shares.pop())} interval" if len(shares) == 1 else "bone age, its interval"


def _whole_years(low: float, high: float) -> range:
    """The months at which ticks stand: every year, or every other, fifth or tenth where there are many."""
    step = YEAR * next((years for years in (1, 2, 5) if high - low <= 12 * years * YEAR), 10)
    return range(step * math.ceil(low / step), round(high) + 1, step)


def _years(months: Sequence[float]) -> tuple[float, float]:
    """Whole years around all values with some room, at least six years of them, from 0 on."""
    low = max(0, math.floor(min(months) / YEAR - 0.5))
    high = max(low + 1, math.ceil(max(months) / YEAR + 0.5))
    missing = LEAST_SPAN_YEARS - (high - low)
    if missing > 0:
        low = max(0, low - missing // 2)
        high = max(high, low + LEAST_SPAN_YEARS)
    return float(YEAR * low), float(YEAR * high)
