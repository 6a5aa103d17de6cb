"""A comparison of two models as one self-contained page, a picture and JSON, in one folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from bonexage import __version__
from bonexage.assessment import DISCLAIMER
from bonexage.evaluation.compare import Comparison, Contrast, signed_two
from bonexage.evaluation.result import NOT_OFFICIAL
from bonexage.numbers import two_decimals, with_interval
from bonexage.reports.contrast import Row, differences
from bonexage.reports.document import document, figure_html
from bonexage.reports.figures import Level
from bonexage.reports.writing import write_whole

PAGE: Final = "comparison.html"
PICTURE: Final = "comparison.png"
MOST_LISTED: Final = 500


def write_comparison(found: Comparison, out: Path) -> None:
    """Write `comparison.json`, `comparison.png` and `comparison.html` to the folder `out`.

    Raises:
        WrongUse: the folder cannot be written.
    """
    png = draw(found)
    write_whole(out / "comparison.json", json.dumps(found.as_dict(), indent=1, allow_nan=False) + "\n")
    write_whole(out / PICTURE, png)
    write_whole(out / PAGE, render(found, png))


def draw(found: Comparison) -> bytes:
    """The picture of a comparison as PNG."""
    errors = [
        [abs((film.said_months or 0.0) - film.labelled_months) for film in side]
        for side in zip(*found.pairs, strict=True)
    ]
    return differences(
        [_row(name, contrast) for name, contrast in (("all films", found.overall), *found.groups)],
        errors[0],
        errors[1],
        first=found.first,
        second=found.second,
    )


def render(found: Comparison, png: bytes) -> str:
    """The page as HTML."""
    title = f"{found.first} against {found.second}"
    caption = (
        "Left: mean absolute error of the first model minus that of the second, with 95% intervals, over all "
        "films and in groups of them (number of films in brackets). Right: the errors of every film; below "
        "the line the second model lies closer."
    )
    alt = "Differences of the two models' errors by group of films. The table gives them."
    body = [
        f'<header><h1>{escape(title)}</h1><p class="disclaimer">{escape(DISCLAIMER)}</p>',
        f"<p><strong>{escape(str(found))}</strong></p></header><main>",
        figure_html(png, alt=alt, caption=caption),
        _table(found),
        _left_out(found),
        f"<section><h2>Methods</h2><p>{escape(_methods(found))}</p></section>",
        f"<section><h2>Limits</h2><p>{escape(NOT_OFFICIAL)}</p></section></main>",
    ]
    return document(title, "\n".join(body))


def _row(name: str, contrast: Contrast) -> Row:
    gap = contrast.difference
    return Row(name, contrast.films, Level(gap.value, gap.low, gap.high))


def _table(found: Comparison) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="n">{contrast.films:,}</td>'
        f'<td class="n">{with_interval(contrast.first.as_dict(), two_decimals, name="")}</td>'
        f'<td class="n">{with_interval(contrast.second.as_dict(), two_decimals, name="")}</td>'
        f'<td class="n">{with_interval(contrast.difference.as_dict(), signed_two, name="")}</td></tr>'
        for name, contrast in (("all films", found.overall), *found.groups)
    )
    return (
        '<section><h2>Figures</h2><div class="wide" role="region" aria-label="Figures" tabindex="0"><table>'
        "<caption>Mean absolute errors in months and their difference, first minus second, with 95% "
        'intervals.</caption><thead><tr><th scope="col">Films</th><th scope="col" class="n">Number</th>'
        f'<th scope="col" class="n">{escape(found.first)}</th>'
        f'<th scope="col" class="n">{escape(found.second)}</th>'
        f'<th scope="col" class="n">Difference</th></tr></thead><tbody>{rows}</tbody></table></div>'
        "<p>Groups are looked at side by side: where there are many, one or the other stands out by chance."
        "</p></section>"
    )


def _left_out(found: Comparison) -> str:
    lines = [
        f"{_listed(names)} assessed by {model} alone"
        for names, model in ((found.only_first, found.first), (found.only_second, found.second))
        if names
    ]
    said = "".join(f"<p>{escape(line)}.</p>" for line in lines) or "<p>None: both assessed every film.</p>"
    return f"<section><h2>Films not compared</h2>{said}</section>"


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {rest:,} more" if rest > 0 else "")


def _methods(found: Comparison) -> str:
    return (
        "Both models' predictions of the same films were compared, film by film. The interval of the "
        "difference of the mean absolute errors is a paired 95% percentile bootstrap interval: children were "
        f"drawn with replacement {found.resamples:,} times (seed {found.seed}), each with all their films, "
        "and both models were seen on the same draws. The two are said to differ where the interval leaves "
        "out zero. That no difference is shown does not show that there is none. Made with bonexage "
        f"{__version__}."
    )
