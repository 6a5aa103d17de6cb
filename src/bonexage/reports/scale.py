"""A bone age on a scale of years, with its interval: marks that every form of a report can draw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Final

from bonexage.assessment import MAX_BONE_AGE_MONTHS, Assessment
from bonexage.numbers import interval_name, span

WIDTH: Final = 260.0
HEIGHT: Final = 36.0
_MARGIN: Final = 8.0
_LINE: Final = 17.0


@dataclass(frozen=True)
class Stroke:
    """A line through points (x to the right, y down), or the area they enclose.

    Attributes:
        points: two or more.
        width: of the line; 0 draws none.
        tone: how strong it is drawn, 0 to 1.
        fill: 'none', 'ink' or 'paper'.
        marked: in the colour that marks the answer.
    """

    points: tuple[tuple[float, float], ...]
    width: float = 1.0
    tone: float = 1.0
    fill: str = "none"
    marked: bool = False


@dataclass(frozen=True)
class Label:
    """Text centred at x, standing on y."""

    x: float
    y: float
    text: str


def marks(said: Assessment, known_months: float | None = None) -> Iterator[Stroke | Label]:
    """The interval as a bar, the bone age upright, a known bone age as a diamond, the age as a triangle."""
    yield Stroke(((_at(0), _LINE), (_at(MAX_BONE_AGE_MONTHS), _LINE)), tone=0.5)
    for year in range(0, 21, 2):
        x = _at(12 * year)
        yield Stroke(((x, _LINE - 3), (x, _LINE + 3)), tone=0.5)
        if year % 4 == 0:
            yield Label(x, _LINE + 16, str(year))
    if said.interval:
        low, high = _at(said.interval.low_months), _at(said.interval.high_months)
        yield Stroke(((low, _LINE), (high, _LINE)), width=7, tone=0.35)
        for x in (low, high):
            yield Stroke(((x, _LINE - 5), (x, _LINE + 5)))
    if known_months is not None:
        x = _at(known_months)
        yield Stroke(
            ((x, _LINE - 6), (x + 5, _LINE), (x, _LINE + 6), (x - 5, _LINE)), width=1.4, fill="paper"
        )
    if (age := _age_on_scale(said)) is not None:
        x = _at(age)
        yield Stroke(((x, _LINE - 8), (x - 4, _LINE - 15), (x + 4, _LINE - 15)), width=0, fill="ink")
    x = _at(said.bone_age_months)
    yield Stroke(((x, _LINE - 9), (x, _LINE + 9)), width=3, marked=True)


def in_words(said: Assessment, known_months: float | None = None) -> str:
    """What the scale shows, for who cannot see it."""
    words = [f"Bone age {said.age_in_words}"]
    if said.interval:
        words.append(f"{interval_name(said.interval)} {span(said.interval)} months")
    if known_months is not None:
        words.append(f"known bone age {known_months:.1f} months")
    if said.subject.age_months is not None:
        words.append(f"chronological age {said.subject.age_months:.1f} months")
    return "; ".join(words)


def legend(said: Assessment) -> str:
    """What the marks of one assessment stand for."""
    told = ["upright: bone age"]
    told += ["bar: interval"] if said.interval else []
    told += ["triangle: chronological age"] if _age_on_scale(said) is not None else []
    return f"In years; {'; '.join(told)}."


def _age_on_scale(said: Assessment) -> float | None:
    age = said.subject.age_months
    return None if age is None or age > MAX_BONE_AGE_MONTHS else age


def as_svg(drawn: Iterable[Stroke | Label], words: str) -> str:
    """The marks as an SVG that a screen reader reads as `words`."""
    return (
        f'<svg class="scale" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{escape(words)}">'
        f"{''.join(_svg(mark) for mark in drawn)}</svg>"
    )


def _svg(mark: Stroke | Label) -> str:
    if isinstance(mark, Label):
        return f'<text x="{mark.x:.1f}" y="{mark.y:.0f}" text-anchor="middle">{escape(mark.text)}</text>'
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in mark.points) + ("" if mark.fill == "none" else "z")
    colour = "var(--mark)" if mark.marked else "currentColor"
    fill = {"none": "none", "ink": "currentColor", "paper": "var(--card)"}[mark.fill]
    stroke = f'stroke="{colour}" stroke-width="{mark.width:g}"' if mark.width else 'stroke="none"'
    return f'<path d="{path}" fill="{fill}" {stroke} opacity="{mark.tone:g}"/>'


def _at(months: float) -> float:
    return _MARGIN + (WIDTH - 2 * _MARGIN) * min(months, MAX_BONE_AGE_MONTHS) / MAX_BONE_AGE_MONTHS
