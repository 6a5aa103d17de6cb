"""One self-contained HTML page of hands with their bone ages, for people, printers and screen readers."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from html import escape
from pathlib import Path
from typing import Final

from PIL import Image

from bonexage import __version__
from bonexage.assessment import (
    DISCLAIMER,
    MAX_BONE_AGE_MONTHS,
    Assessment,
    Failure,
    Interval,
    years_and_months,
)
from bonexage.reports.figures import readings_against_ages
from bonexage.reports.item import Grey, ReportItem, thumbnail
from bonexage.reports.writing import write_whole
from bonexage.subject import Sex

__all__ = ["ReportItem", "document", "figure_html", "png_uri", "write_report"]

MOST_PICTURES: Final = 300
MOST_ROWS: Final = 2000
_FEW: Final = 60
_LARGE_PX: Final = 400
_SMALL_PX: Final = 200
_LEAST_FOR_A_FIGURE: Final = 3

_SEX_TITLES: Final = {Sex.FEMALE: "Girls", Sex.MALE: "Boys", Sex.UNKNOWN: "Sex unknown"}

# Bone ages are drawn on a scale this wide, in units of the drawing.
_SCALE_WIDTH: Final = 260.0
_SCALE_MARGIN: Final = 8.0

_STYLE: Final = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1a1a1a; --soft: #565656; --line: #c9c9c9;
  --card: #f6f6f4; --mark: #00558c; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171a; --ink: #ececec; --soft: #b3b3b3;
  --line: #45494e; --card: #1e2125; --mark: #7cc3f2; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 76rem; padding: 1.25rem clamp(.75rem, 3vw, 2rem) 3rem;
  background: var(--paper); color: var(--ink); overflow-wrap: break-word;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { font-size: clamp(1.4rem, 4vw, 2rem); line-height: 1.2; margin: .25rem 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.25rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .4rem 0; max-width: 46rem; }
a { color: var(--mark); }
.soft, small { color: var(--soft); }
.disclaimer { border: 2px solid currentColor; border-radius: .3rem; padding: .4rem .75rem; font-weight: 600;
  display: inline-block; }
.films { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(16.5rem, 100%), 1fr));
  padding: 0; margin: 1rem 0; list-style: none; }
.films.small { grid-template-columns: repeat(auto-fill, minmax(min(14rem, 100%), 1fr)); }
.film { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; overflow: hidden;
  display: flex; flex-direction: column; height: 100%; }
.film .hand { background: #000; display: flex; justify-content: center; }
.film img { display: block; width: auto; max-width: 100%; height: 18rem; object-fit: contain; }
.films.small .film img { height: 11rem; }
.film .said { padding: .6rem .75rem .75rem; display: flex; flex-direction: column; gap: .25rem; }
.film p { margin: 0; }
.film h3 { font-weight: 500; color: var(--soft); font-size: .9rem; }
.film .age { font-size: 1.2rem; font-weight: 650; line-height: 1.25; }
.film .age span { font-size: .85rem; font-weight: 400; color: var(--soft); white-space: nowrap; }
.film dl { margin: 0; font-size: .85rem; }
.film dl div { display: flex; flex-wrap: wrap; justify-content: space-between; column-gap: .6rem; }
.film dt { color: var(--soft); }
.film dd { margin: 0; font-variant-numeric: tabular-nums; }
.film ul { margin: .2rem 0 0; padding-left: 1.1rem; font-size: .9rem; }
svg.scale { width: 100%; max-width: 24rem; height: auto; color: var(--ink); }
svg.scale text { font: 9px system-ui, "Liberation Sans", sans-serif; fill: var(--soft); }
.wide { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .35rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0;
  border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid currentColor; vertical-align: bottom; }
tbody th { font-weight: 500; }
td.n, th.n { text-align: right; white-space: nowrap; }
td small { white-space: nowrap; }
td .ci { display: block; }
figure { margin: 1rem 0; }
.pair { display: grid; gap: 0 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); }
.pair figure { max-width: 34rem; }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: .3rem; display: block; }
figcaption { font-size: .92rem; color: var(--soft); max-width: 46rem; margin-top: .35rem; }
.facts { display: grid; grid-template-columns: minmax(7rem, auto) 1fr; gap: .15rem 1rem; margin: .75rem 0; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 34rem) {
  .facts { grid-template-columns: 1fr; }
  .facts dd { margin-bottom: .4rem; }
}
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #333; --line: #999; --card: #fff; --mark: #000;
    color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  .film, figure, tr { break-inside: avoid; }
  .films, .films.small { grid-template-columns: repeat(4, 1fr); gap: 3mm; }
  .film img, .films.small .film img { height: 42mm; }
  .film .said { padding: 2mm; gap: .5mm; font-size: 8pt; }
  .film .age { font-size: 10pt; }
  .film h3, .film dl, .film ul, .film .age span { font-size: 7.5pt; }
  .pair { grid-template-columns: 1fr 1fr; }
  figure img { max-height: 100mm; width: auto; }
  figcaption { font-size: 8.5pt; }
  table.short { break-inside: avoid; }
  h2, h2 + p { break-after: avoid; }
  .wide { overflow: visible; }
  table { font-size: 7.6pt; }
  @page { margin: 12mm; }
}
"""


def write_report(
    items: Iterable[ReportItem],
    out: Path,
    *,
    model: str,
    title: str = "Bone ages",
    note: str = "",
    known: str = "Known bone age",
    made: date | None = None,
) -> None:
    """Write one page with every film: its picture, bone age, interval on a scale, cautions.

    Items are taken one after another and only thumbnails are kept. Beyond 300 films there are no more
    pictures, beyond 2,000 films no more rows; the page says how many are left out.

    Args:
        items: the films, in order.
        out: the HTML file; replaced in one step.
        model: name and hash of the model.
        title: heading of the page.
        note: a sentence under the heading, such as what the films are.
        known: what `known_age_months` is called, such as 'Plate's own age'.
        made: date to print; None for today.

    Raises:
        WrongUse: the page cannot be written there.
    """
    kept = _keep(items)
    body = [
        f"<header><h1>{escape(title)}</h1>",
        f"<p>{escape(note)}</p>" if note else "",
        f'<p class="disclaimer">{escape(DISCLAIMER)}</p>',
        f"<p>{escape(_count_sentence(kept.counts))}</p>",
        f'<p class="soft">Model {escape(model)}, bonexage {escape(__version__)}, '
        f"{(made or date.today()).isoformat()}</p></header><main>",
        _failures_html([item for item in kept.items if isinstance(item.outcome, Failure)]),
        _readings_html(kept.items, known),
        _cards_html([item for item in kept.items if item.picture is not None and item.assessment], known),
        _table_html([item for item in kept.items if item.assessment], known),
    ]
    left_out = sum(kept.counts.values()) - len(kept.items)
    if left_out:
        body.append(
            f"<p>{left_out} more films are not on this page; the table that predict writes has all.</p>"
        )
    body.append("</main>")
    write_whole(out, document(title, "\n".join(part for part in body if part)))


def document(title: str, body: str) -> str:
    """A whole HTML document that asks for nothing from outside itself; `body` is HTML, `title` is text."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def png_uri(png: bytes) -> str:
    """PNG bytes as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def figure_html(png: bytes, *, alt: str, caption: str) -> str:
    """A figure with its caption; both texts are escaped."""
    with Image.open(io.BytesIO(png)) as image:
        width, height = image.size
    return (
        f'<figure><img src="{png_uri(png)}" alt="{escape(alt)}" width="{width // 2}" '
        f'height="{height // 2}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


@dataclass(frozen=True)
class _Kept:
    """What of the items goes on the page: how many of each kind there were, and those shown."""

    counts: Counter[str]
    items: tuple[ReportItem, ...]


def _keep(items: Iterable[ReportItem]) -> _Kept:
    counts: Counter[str] = Counter()
    kept: list[ReportItem] = []
    pictures = 0
    for item in items:
        counts[item.outcome.status if isinstance(item.outcome, Failure) else "assessed"] += 1
        if len(kept) == MOST_ROWS:
            continue
        picture = None
        if item.picture is not None and item.assessment is not None and pictures < MOST_PICTURES:
            picture = thumbnail(item.picture, _LARGE_PX)
            pictures += 1
        kept.append(replace(item, picture=picture))
    return _Kept(counts, tuple(kept))


def _count_sentence(counts: Counter[str]) -> str:
    total = sum(counts.values())
    if counts["assessed"] == total:
        return f"{_films(total)}, all assessed."
    parts = [f"{counts['assessed']} assessed"]
    parts += [f"{counts[status]} {status}" for status in ("refused", "unreadable") if counts[status]]
    return f"{_films(total)}: {', '.join(parts)}."


def _films(number: int) -> str:
    return "1 film" if number == 1 else f"{number:,} films"


def _failures_html(items: Sequence[ReportItem]) -> str:
    """The films without a bone age, each with what is wrong and what to do."""
    if not items:
        return ""
    rows = "".join(
        f"<li><strong>{escape(item.title)}</strong>, {item.outcome.status}: "
        f"{escape(item.outcome.error.problem)}. {escape(item.outcome.error.remedy)}.</li>"
        for item in items
        if isinstance(item.outcome, Failure)
    )
    return f"<section><h2>Films without a bone age</h2><ul>{rows}</ul></section>"


def _readings_html(items: Sequence[ReportItem], known: str) -> str:
    """A figure for each sex, beside one another where there is room."""
    compared = [item for item in items if item.difference_months is not None]
    if len(compared) < _LEAST_FOR_A_FIGURE:
        return ""
    figures = []
    for sex in Sex:
        of_sex = [item for item in compared if item.outcome.subject.sex is sex]
        if not of_sex:
            continue
        away = [abs(item.difference_months or 0.0) for item in of_sex]
        sentence = (
            f"{_SEX_TITLES[sex]}, {_films(len(of_sex))}: the readings lie {sum(away) / len(away):.1f} "
            f"months from the known ages on average and {max(away):.1f} months at most."
        )
        figures.append(
            figure_html(
                readings_against_ages(of_sex),
                alt=f"Scatter plot of readings against known ages, with hands. {sentence}",
                caption=f"{sentence} On the line both agree. Known age: {known[:1].lower()}{known[1:]}.",
            )
        )
    return f'<section><h2>Readings against ages</h2><div class="pair">{"".join(figures)}</div></section>'


def _cards_html(items: Sequence[ReportItem], known: str) -> str:
    if not items:
        return ""
    few = len(items) <= _FEW
    cards = "".join(f"<li>{_card_html(item, known, _LARGE_PX if few else _SMALL_PX)}</li>" for item in items)
    marks = ["bar: interval", "upright: bone age"]
    if any(item.known_age_months is not None for item in items):
        marks.append(f"diamond: {known[:1].lower()}{known[1:]}")
    if any(item.outcome.subject.age_months is not None for item in items):
        marks.append("triangle: chronological age")
    return (
        f'<section><h2>Hands</h2><p class="soft">On each scale, in years: {escape("; ".join(marks))}.</p>'
        f'<ul class="films{"" if few else " small"}">{cards}</ul></section>'
    )


def _card_html(item: ReportItem, known: str, side: int) -> str:
    said = item.outcome
    if not isinstance(said, Assessment) or item.picture is None:
        raise ValueError("a card shows an assessed film with its picture")
    facts = [("Sex", said.subject.sex.word)]
    if said.interval:
        facts.append((f"{said.interval.coverage:.0%} interval", _interval_words(said.interval)))
    if item.known_age_months is not None and item.difference_months is not None:
        facts.append((known, f"{item.known_age_months:.1f} months ({_signed(item.difference_months)})"))
    if said.subject.age_months is not None:
        facts.append(("Chronological age", f"{said.subject.age_months:.1f} months"))
    if said.sds:
        facts.append(("SDS", f"{_signed(said.sds.value)} ({said.sds.norm})"))
    cautions = "".join(f"<li>{escape(caution.sentence)}</li>" for caution in said.cautions)
    image = _image_html(thumbnail(item.picture, side), item.title)
    return (
        f'<article class="film"><div class="hand">{image}</div>'
        f'<div class="said"><h3>{escape(item.title)}</h3>'
        f'<p class="age">{years_and_months(said.bone_age_months)} '
        f"<span>({said.bone_age_months:.1f} months)</span></p>"
        f"{_scale_svg(said, item.known_age_months)}<dl>"
        + "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
        + "</dl>"
        + (f'<ul aria-label="Cautions">{cautions}</ul>' if cautions else "")
        + "</div></article>"
    )


def _image_html(picture: Grey, title: str) -> str:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, format="PNG", optimize=True)
    height, width = picture.shape
    return (
        f'<img src="{png_uri(out.getvalue())}" alt="Hand radiograph {escape(title)}" '
        f'width="{width}" height="{height}" loading="lazy">'
    )


def _scale_svg(said: Assessment, known_months: float | None) -> str:
    """The interval and the bone age on a line from 0 to 20 years."""
    line = 17

    def at(months: float) -> float:
        return _SCALE_MARGIN + (_SCALE_WIDTH - 2 * _SCALE_MARGIN) * min(months, MAX_BONE_AGE_MONTHS) / 240

    words = [f"Bone age {said.age_in_words}"]
    parts = [f'<path d="M{at(0):.1f} {line}H{at(240):.1f}" stroke="currentColor" opacity=".5"/>']
    for year in range(0, 21, 2):
        x = at(12 * year)
        parts.append(f'<path d="M{x:.1f} {line - 3}v6" stroke="currentColor" opacity=".5"/>')
        if year % 4 == 0:
            parts.append(f'<text x="{x:.1f}" y="{line + 16}" text-anchor="middle">{year}</text>')
    if said.interval:
        low, high = at(said.interval.low_months), at(said.interval.high_months)
        words.append(f"{said.interval.coverage:.0%} interval {_interval_words(said.interval)}")
        parts.append(
            f'<path d="M{low:.1f} {line}H{high:.1f}" stroke="currentColor" stroke-width="7" opacity=".35"/>'
            f'<path d="M{low:.1f} {line - 5}v10M{high:.1f} {line - 5}v10" stroke="currentColor"/>'
        )
    if known_months is not None:
        x = at(known_months)
        words.append(f"known bone age {known_months:.1f} months")
        parts.append(
            f'<path d="M{x:.1f} {line - 6}l5 6l-5 6l-5 -6z" fill="var(--card)" stroke="currentColor" '
            'stroke-width="1.4"/>'
        )
    if said.subject.age_months is not None:
        words.append(f"chronological age {said.subject.age_months:.1f} months")
        if said.subject.age_months <= MAX_BONE_AGE_MONTHS:
            x = at(said.subject.age_months)
            parts.append(f'<path d="M{x:.1f} {line - 8}l-4 -7h8z" fill="currentColor"/>')
    x = at(said.bone_age_months)
    parts.append(f'<path d="M{x:.1f} {line - 9}v18" stroke="var(--mark)" stroke-width="3"/>')
    return (
        f'<svg class="scale" viewBox="0 0 {_SCALE_WIDTH:.0f} 36" role="img" '
        f'aria-label="{escape("; ".join(words))}">{"".join(parts)}</svg>'
    )


def _table_html(items: Sequence[ReportItem], known: str) -> str:
    """Every assessed film as a row; columns that no film fills are left out."""
    if not items:
        return ""
    compared = any(item.known_age_months is not None for item in items)
    aged = any(item.outcome.subject.age_months is not None for item in items)
    cautioned = any(item.assessment and item.assessment.cautions for item in items)
    coverages = {
        item.assessment.interval.coverage for item in items if item.assessment and item.assessment.interval
    }
    span = f"{coverages.pop():.0%} interval" if len(coverages) == 1 else "Interval"
    heads = ["Film", "Sex", "Bone age", f"{span} (months)"]
    heads += [f"{known} (months)", "Difference (months)"] if compared else []
    heads += ["Chronological age (months)", "SDS"] if aged else []
    heads += ["Cautions"] if cautioned else []
    rows = []
    for item in items:
        said = item.assessment
        if said is None:
            continue
        cells = [escape(said.subject.sex.word), escape(said.age_in_words), _interval_months(said.interval)]
        if compared:
            cells += [_one_decimal(item.known_age_months), _signed(item.difference_months)]
        if aged:
            cells += [_one_decimal(said.subject.age_months), _signed(said.sds.value if said.sds else None)]
        if cautioned:
            cells.append(escape("; ".join(caution.code for caution in said.cautions)))
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{escape(item.title)}</th>{row}</tr>')
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    return (
        "<section><h2>All readings</h2>"
        + scrolling(
            f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>", "All readings"
        )
        + "</section>"
    )


def scrolling(table: str, name: str) -> str:
    """A table that scrolls sideways on its own where the screen is narrow, by keyboard too."""
    return f'<div class="wide" role="region" aria-label="{escape(name)}" tabindex="0">{table}</div>'


def _interval_words(interval: Interval) -> str:
    return f"{interval.low_months:.1f} to {interval.high_months:.1f} months"


def _interval_months(interval: Interval | None) -> str:
    return f"{interval.low_months:.1f} to {interval.high_months:.1f}" if interval else "none"


def _one_decimal(months: float | None) -> str:
    return "" if months is None else f"{months:.1f}"


def _signed(value: float | None) -> str:
    """A number with its sign, the minus as printers write it."""
    return "" if value is None else f"{round(value, 1) + 0.0:+.1f}".replace("-", "−")
