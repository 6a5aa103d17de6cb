"""The report of one film as a self-contained HTML page, for a screen of any width and for one sheet of A4."""

from __future__ import annotations

import io
from collections.abc import Iterable
from html import escape
from typing import Final

from PIL import Image

from bonexage.assessment import DISCLAIMER, years_and_months
from bonexage.atlas.plates import Plate
from bonexage.clinic.sentence import plain_sentence
from bonexage.reports import scale
from bonexage.reports.document import document, figure_html, png_uri
from bonexage.reports.film import (
    NO_CAUTIONS,
    TITLE,
    Drawn,
    FilmReport,
    chart,
    facts,
    film_alt,
    made_in_words,
    model_facts,
    plate_caption,
    plates_note,
)

_STYLE: Final = """
.grid { display: grid; gap: .5rem 2rem; align-items: start; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 40rem) { .grid { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
.grid figure { margin: .4rem 0; }
.grid .whole { grid-column: 1 / -1; }
.picture img { background: #000; max-height: 32rem; width: auto; }
.big { font-size: 1.9rem; font-weight: 700; line-height: 1.15; margin: 0 0 .3rem; }
.big small { display: block; font-size: 1rem; font-weight: 400; }
section h2 { margin-top: 1rem; }
.plates { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .6rem; margin: .5rem 0;
  padding: 0; list-style: none; }
@media (min-width: 48rem) { .whole .plates { grid-template-columns: repeat(6, minmax(0, 1fr)); } }
.plates figure { margin: 0; }
.plates img { background: #000; width: 100%; height: auto; aspect-ratio: 4 / 5; object-fit: contain; }
.plates figcaption { font-size: .85rem; }
.facts { margin: .5rem 0; }
@media print {
  @page { size: A4; margin: 11mm 12mm; }
  body { font-size: 9pt; line-height: 1.35; }
  h1 { font-size: 15pt; margin: 0; }
  section h2 { font-size: 10.5pt; margin: 1.5mm 0 .5mm; }
  p, li, .grid p { margin: .4mm 0; }
  ul { margin: 0; }
  header p { margin: .5mm 0; }
  p.soft { font-size: 7.5pt; }
  .disclaimer { padding: .5mm 2mm; }
  .grid { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 7mm; }
  .grid figure { margin: 1mm 0; }
  .grid .picture img { max-height: 78mm; }
  .grid.four .picture img { max-height: 64mm; }
  .grid.four:has(.many) .picture img { max-height: 54mm; }
  .big { font-size: 17pt; }
  .big small { font-size: 9pt; }
  .grid figure img { max-height: 60mm; }
  .plates { gap: 2mm; }
  .grid .plates figure img { height: 36mm; aspect-ratio: auto; }
  .whole .plates { grid-template-columns: repeat(6, minmax(0, 1fr)); }
  .grid .plates.many figure img { height: 18mm; }
  .grid figcaption { font-size: 7.5pt; line-height: 1.25; margin-top: .5mm; }
  .facts { gap: .3mm 4mm; margin: 1mm 0; }
  svg.scale { max-width: 82mm; }
  section { break-inside: avoid; }
}
"""


def film_page(report: FilmReport) -> str:
    """The page as HTML."""
    said = report.said
    body = [
        f"<header><h1>{TITLE}</h1><p>{escape(said.file)}</p>",
        f'<p class="disclaimer">{escape(DISCLAIMER)}</p></header><main>',
        f'<section class="grid" aria-label="Bone age"><div><h2>Bone age</h2>{_answer(report)}</div>',
        f"<div>{_pairs(facts(report)[1:])}<h2>Cautions</h2>{_cautions(report)}</div></section>",
        _grid(report),
        f"<section><h2>The model</h2>{_pairs(model_facts(report))}</section></main>",
        f'<footer><p class="soft">{escape(made_in_words(report))}</p></footer>',
    ]
    title = f"{TITLE}: {said.file}, {years_and_months(said.bone_age_months)}"
    return document(title, "\n".join(part for part in body if part), style=_STYLE)


def _grid(report: FilmReport) -> str:
    """What there is to see, two beside one another; plates that are left over in the whole width."""
    seen = [_film(report), _drawn("What moved the answer", report.explanation, "picture")]
    seen = [each for each in (*seen, _drawn("Against chronological age", chart(report))) if each]
    left_over = len(seen) % 2 == 0
    parts = [*seen, _plates(report, "whole" if left_over else "")]
    kind = "grid four" if len(seen) > 2 else "grid"
    return f'<div class="{kind}">{"".join(parts)}</div>'


def _film(report: FilmReport) -> str:
    if report.film is None:
        return ""
    out = io.BytesIO()
    Image.fromarray(report.film).save(out, format="PNG", optimize=True)
    height, width = report.film.shape
    return (
        f'<section><h2>Film</h2><figure class="picture"><img src="{png_uri(out.getvalue())}" '
        f'alt="{escape(film_alt(report))}" width="{width}" height="{height}"></figure></section>'
    )


def _answer(report: FilmReport) -> str:
    said = report.said
    return (
        f'<p class="big">{years_and_months(said.bone_age_months)} '
        f"<small>{said.bone_age_months:.1f} months</small></p>"
        f"{scale.as_svg(scale.marks(said), scale.in_words(said))}"
        f'<p class="soft">{scale.legend(said)}</p>'
        f"<p>{escape(plain_sentence(said))}</p>"
    )


def _cautions(report: FilmReport) -> str:
    if not report.said.cautions:
        return f"<p>{NO_CAUTIONS}</p>"
    return "<ul>" + "".join(f"<li>{escape(one.sentence)}</li>" for one in report.said.cautions) + "</ul>"


def _drawn(heading: str, drawn: Drawn | None, kind: str = "") -> str:
    if drawn is None:
        return ""
    figure = figure_html(drawn.png, alt=drawn.alt, caption=drawn.caption)
    return f'<section class="{kind}"><h2>{heading}</h2>{figure}</section>'


def _plates(report: FilmReport, kind: str) -> str:
    plates = report.plates
    if not plates:
        return ""
    many = "plates many" if len(plates) > 3 and not kind else "plates"
    shown = "".join(
        f'<li><figure><img src="{png_uri(plate.path.read_bytes())}" alt="Composite hand"{_size(plate)}>'
        f"<figcaption>{escape(plate_caption(plate))}</figcaption></figure></li>"
        for plate in plates
    )
    return (
        f'<section class="{kind}"><h2>Beside the atlas</h2><ul class="{many}">{shown}</ul>'
        f'<p class="soft">{escape(plates_note(report))}</p></section>'
    )


def _size(plate: Plate) -> str:
    with Image.open(plate.path) as image:
        return f' width="{image.width}" height="{image.height}"'


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f'<dl class="facts">{rows}</dl>'
