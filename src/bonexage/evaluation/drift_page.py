"""Drift as one self-contained page, a picture and JSON, in one folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from bonexage import __version__
from bonexage.assessment import DISCLAIMER
from bonexage.evaluation.drift import CALIBRATION, EARLIER, LEAST_FILMS, LEVEL, Amounts, Drift, Shift
from bonexage.evaluation.month import DRIFT
from bonexage.reports.document import document, figure_html, scrolling
from bonexage.reports.moved import Kinds, Values, moved
from bonexage.reports.writing import write_whole

PAGE: Final = "drift.html"
PICTURE: Final = "drift.png"


def write_drift(found: Drift, out: Path) -> None:
    """Write `drift.json`, `drift.html` and, if there is something to draw, `drift.png` to a folder.

    Raises:
        WrongUse: the folder cannot be written.
    """
    panels = _panels(found.shifts)
    png = moved(panels) if panels else None
    write_whole(out / DRIFT, json.dumps(found.as_dict(), indent=1, allow_nan=False) + "\n")
    if png:
        write_whole(out / PICTURE, png)
    write_whole(out / PAGE, render(found, png))


def render(found: Drift, png: bytes | None) -> str:
    """The page as HTML. It names no film."""
    title = f"What has moved: {found.month.model}"
    body = [
        f'<header><h1>{escape(title)}</h1><p class="disclaimer">{escape(DISCLAIMER)}</p>',
        f"<p><strong>{escape(str(found))}</strong></p></header><main>",
    ]
    if png:
        body.append(figure_html(png, alt=_ALT, caption=_CAPTION))
    for against in (CALIBRATION, EARLIER):
        if some := [shift for shift in found.shifts if shift.against == against]:
            body.append(f"<section><h2>Against the {against}</h2>{_table(some, against)}</section>")
    if found.unknown:
        listed = "".join(f"<li>{escape(each)}</li>" for each in found.unknown)
        body.append(
            f"<section><h2>With nothing to hold it against</h2><p>{_GIVE}</p><ul>{listed}</ul></section>"
        )
    body.append(f"<section><h2>Methods</h2><p>{escape(_METHODS)}</p></section>")
    body.append(f"<section><h2>Limits</h2><p>{escape(_LIMITS)}</p></section></main>")
    return document(title, "\n".join(body))


def _panels(shifts: Sequence[Shift]) -> list[Values | Kinds]:
    """What has many values or kinds in a panel of its own, all single shares together in the last."""
    panels: list[Values | Kinds] = []
    shares = []
    for shift in shifts:
        of = "calibration" if shift.against == CALIBRATION else "earlier"
        name = f"{shift.about} ({of}){' *' if shift.moved else ''}"
        seen = shift.seen
        if isinstance(seen, Amounts):
            panels.append(Values(name, seen.now, seen.then, seen.unit.strip()))
        elif len(seen.names) > 2:
            short = [each.removesuffix(" months") for each in seen.names]
            now, then = zip(*seen.shares, strict=True)
            panels.append(Kinds(name, short, now, then, "months"))
        else:
            shares.append((name.replace("Sex", "Girls"), *seen.shares[0]))
    if shares:
        names, now, then = zip(*shares, strict=True)
        panels.append(Kinds("Shares of films", names, now, then))
    return panels


def _table(shifts: Sequence[Shift], against: str) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(one.about)}</th><td>{_verdict(one)}</td>'
        f"<td>{escape(one.seen.words()) if one.tested else '–'}</td>"
        f'<td class="n">{one.seen.sizes[0]:,}</td><td class="n">{one.seen.sizes[1]:,}</td>'
        f'<td>{escape(one.tested.test) if one.tested else "–"}</td><td class="n">{_chance(one)}</td></tr>'
        for one in shifts
    )
    heads = "".join(
        f'<th scope="col"{" class=n" if name in _NUMBERS else ""}>{name}</th>'
        for name in ("What", "Verdict", "Now against then", "Films now", "Films then", "Test", "p")
    )
    return scrolling(
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>", f"Against the {against}"
    )


def _verdict(shift: Shift) -> str:
    if shift.tested is None:
        return "too few films"
    return "<strong>moved</strong>" if shift.moved else "no shift shown"


def _chance(shift: Shift) -> str:
    if shift.p is None:
        return "–"
    return "&lt; 0.001" if shift.p < 0.001 else f"{shift.p:.3f}"


_NUMBERS: Final = ("Films now", "Films then", "p")
_ALT: Final = "Each thing that was compared, now and then. The tables give the figures."
_CAPTION: Final = (
    "Orange, solid or filled: this month. Blue, dashed or hatched: what it is held against. Of values, the "
    "share of films up to each value; of kinds, their shares. A star: it has moved."
)
_GIVE: Final = (
    "The model does not know these of those films. Name an earlier month with <code>--against</code>."
)
_METHODS: Final = (
    "Values were compared by the two-sided two-sample Kolmogorov-Smirnov test, two kinds by Fisher's exact "
    "test, more by the chi-square test of homogeneity; kinds of which fewer than five films are expected "
    f"were joined with a neighbour, and samples of fewer than {LEAST_FILMS} films were not tested. The p are "
    f"corrected by Holm for all comparisons on this page; below {LEVEL} something is said to have moved. The "
    "calibration films are those that the model's intervals come from, as the model read them. Made "
    f"with bonexage {__version__}."
)
_LIMITS: Final = (
    "That something moved does not say that the model errs: other children may have come. That no shift is "
    "shown does not show that there is none. Several films of one child count as if they were of several, "
    "which makes alarms more frequent. With many films small shifts are found too: look at their size."
)
