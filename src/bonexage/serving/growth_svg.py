"""Bone age against chronological age as an SVG that takes the page's colours and language."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from bonexage.assessment import Assessment
from bonexage.clinic.growth import MARKED, age_range_months, standard_deviation_months
from bonexage.serving.words import Words
from bonexage.subject import Sex

WIDTH: Final = 400
HEIGHT: Final = 320
LEAST_SPAN_YEARS: Final = 8
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 392.0, 8.0, 276.0
_YEAR: Final = 12
_STEP_MONTHS: Final = 3


def growth_svg(said: Assessment, words: Words) -> str:
    """The chart, with the band of 2 SD where the reference reaches; '' without a chronological age."""
    age = said.subject.age_months
    if age is None:
        return ""
    ends = (said.interval.low_months, said.interval.high_months) if said.interval else ()
    low, high = _reach([age, said.bone_age_months, *ends])
    chart = _Chart(low, high)
    parts = [
        *chart.grid(),
        *chart.reference(said.subject.sex),
        *chart.point(age, said.bone_age_months, ends),
        _axis(f"translate({(_LEFT + _RIGHT) / 2:.0f} 314)", words("chart.age_axis")),
        _axis(f"translate(12 {(_TOP + _BOTTOM) / 2:.0f}) rotate(-90)", words("chart.bone_age_axis")),
    ]
    told = escape(in_words(said, words))
    return (
        f'<svg class="growth" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{told}">'
        f"{''.join(parts)}</svg>"
    )


def in_words(said: Assessment, words: Words) -> str:
    """The chart for who cannot see it; '' without a chronological age."""
    age = said.subject.age_months
    if age is None:
        return ""
    spread = standard_deviation_months(age, said.subject.sex)
    if spread is None:
        band = words("chart.words_no_band")
    else:
        ends = (max(age - MARKED * spread, 0.0), age + MARKED * spread)
        band = words("chart.words_band", low=words.age(ends[0]), high=words.age(ends[1]))
    return words("chart.words", age=words.age(age), bone_age=words.age(said.bone_age_months), band=band)


class _Chart:
    """Where months of either axis lie in the drawing; both axes have the same reach."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high

    def _x(self, months: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (months - self._low) / (self._high - self._low)

    def _y(self, months: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (months - self._low) / (self._high - self._low)

    def grid(self) -> Iterator[str]:
        """A line and a number for every year, or every other where there are many."""
        step = 1 if self._high - self._low <= 12 * _YEAR else 2
        for year in range(round(self._low / _YEAR), round(self._high / _YEAR) + 1, step):
            x, y = self._x(_YEAR * year), self._y(_YEAR * year)
            yield f'<path class="rule" d="M{x:.1f} {_TOP}V{_BOTTOM}M{_LEFT} {y:.1f}H{_RIGHT}"/>'
            yield f'<text x="{x:.1f}" y="{_BOTTOM + 16:.0f}" text-anchor="middle">{year}</text>'
            yield f'<text x="{_LEFT - 7:.0f}" y="{y + 4:.1f}" text-anchor="end">{year}</text>'

    def reference(self, sex: Sex) -> Iterator[str]:
        """The band where the table reaches, and the line on which both ages agree."""
        reach = age_range_months(sex)
        first, last = (max(self._low, reach[0]), min(self._high, reach[1])) if reach else (1.0, 0.0)
        ages = [first + at for at in range(0, math.floor(last - first) + 1, _STEP_MONTHS)]
        ages += [last] if first < last else []
        band = [(age, MARKED * (standard_deviation_months(age, sex) or 0.0)) for age in ages]
        below = [self._at(age, age - spread) for age, spread in band]
        above = [self._at(age, age + spread) for age, spread in band]
        if band:
            yield f'<path class="band" d="M{"L".join([*below, *reversed(above)])}z"/>'
            yield f'<path class="edge" d="M{"L".join(below)}M{"L".join(above)}"/>'
        corners = self._at(self._low, self._low), self._at(self._high, self._high)
        yield f'<path class="equal" d="M{"L".join(corners)}"/>'

    def point(self, age: float, bone_age: float, ends: Sequence[float]) -> Iterator[str]:
        """The bone age with its interval."""
        x, y = self._x(age), self._y(bone_age)
        if ends:
            low, high = (self._y(end) for end in ends)
            d = f"M{x:.1f} {low:.1f}V{high:.1f}M{x - 5:.1f} {low:.1f}h10M{x - 5:.1f} {high:.1f}h10"
            yield f'<path class="whisker" d="{d}"/>'
        yield f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'

    def _at(self, age: float, bone_age: float) -> str:
        inside = min(max(bone_age, self._low), self._high)
        return f"{self._x(age):.1f} {self._y(inside):.1f}"


def _axis(place: str, name: str) -> str:
    return f'<text transform="{place}" text-anchor="middle">{escape(name)}</text>'


def _reach(months: Sequence[float]) -> tuple[float, float]:
    """Whole years around all values with some room, at least eight of them, from 0 on; in months."""
    low = max(0, math.floor(min(months) / _YEAR - 1))
    high = math.ceil(max(months) / _YEAR + 1)
    missing = max(0, LEAST_SPAN_YEARS - (high - low))
    low = max(0, low - missing // 2)
    return float(_YEAR * low), float(_YEAR * max(high, low + LEAST_SPAN_YEARS))
