"""The report of one film as a self-contained HTML page, for a screen of any width and for one sheet of A4."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from PIL import Image

from bonexage import __version__
from bonexage.assessment import DISCLAIMER, years_and_months
from bonexage.atlas.plates import Plate
from bonexage.clinic.sentence import plain_sentence
from bonexage.reports import scale
from bonexage.reports.document import document, figure_html, png_uri
from bonexage.reports.film import (
    NO_CAUTIONS,
    NO_CHART,
    PLATES_NOTE,
    TITLE,
    Drawn,
    FilmReport,
    chart,
    facts,
    film_alt,
    model_facts,
    plate_caption,
)

_STYLE: Final = """
.answer, .beside { display: grid; gap: 1rem 2rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); }
.answer figure, .beside figure { margin: .5rem 0; }
.answer .picture img { background: #000; max-height: 34rem; width: auto; margin: 0 auto; }
.big { font-size: 1.9rem; font-weight: 700; line-height: 1.15; margin: 0 0 .3rem; }
.big small { display: block; font-size: 1rem; font-weight: 400; }
section h2 { margin-top: 1.25rem; }
.plates { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .6rem; margin: .5rem 0;
  padding: 0; list-style: none; }
@media (min-width: 48rem) { .plates.wide { grid-template-columns: repeat(6, minmax(0, 1fr)); } }
.plates figure { margin: 0; }
.plates img { background: #000; width: 100%; height: auto; aspect-ratio: 4 / 5; object-fit: contain; }
.plates figcaption { font-size: .85rem; }
.facts { margin: .5rem 0; }
@media print {
  @page { size: A4; margin: 11mm 12mm; }
  body { font-size: 9pt; line-height: 1.35; }
  h1 { font-size: 15pt; margin: 0; }
  section h2 { font-size: 10.5pt; margin: 2.5mm 0 1mm; }
  p, li { margin: .6mm 0; }
  ul { margin: 0; }
  header p { margin: 1mm 0; }
  .disclaimer { padding: .5mm 2mm; }
  .answer, .beside { grid-template-columns: 1fr 1fr; gap: 1mm 7mm; }
  .answer figure, .beside figure { margin: 1mm 0; }
  .answer .picture img { max-height: 96mm; }
  .big { font-size: 17pt; }
  .big small { font-size: 9pt; }
  .beside figure img { max-height: 70mm; }
  .plates { gap: 2mm; }
  .plates img, .beside .plates figure img { height: 36mm; aspect-ratio: auto; }
  .plates.wide { grid-template-columns: repeat(6, minmax(0, 1fr)); }
  .beside .plates.small figure img { height: 26mm; }
  .plates figcaption, figcaption { font-size: 7.5pt; margin-top: .5mm; }
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
        '<section class="answer" aria-label="Bone age">',
        _film(report),
        f"<div><h2>Bone age</h2>{_answer(report)}<h2>Cautions</h2>{_cautions(report)}</div></section>",
        _explanation(report.explanation),
        _beside(chart(report), report.plates),
        f"<section><h2>The model</h2>{_pairs(model_facts(report))}</section></main>",
        f'<footer><p class="soft">Made on {report.made.isoformat()} with bonexage {escape(__version__)}. '
        f"{escape(DISCLAIMER)}</p></footer>",
    ]
    title = f"{TITLE}: {said.file}, {years_and_months(said.bone_age_months)}"
    return document(title, "\n".join(part for part in body if part), style=_STYLE)


def _film(report: FilmReport) -> str:
    if report.film is None:
        return ""
    out = io.BytesIO()
    Image.fromarray(report.film).save(out, format="PNG", optimize=True)
    height, width = report.film.shape
    return (
        f'<figure class="picture"><img src="{png_uri(out.getvalue())}" alt="{escape(film_alt(report))}" '
        f'width="{width}" height="{height}"></figure>'
    )


def _answer(report: FilmReport) -> str:
    said = report.said
    return (
        f'<p class="big">{years_and_months(said.bone_age_months)} '
        f"<small>{said.bone_age_months:.1f} months</small></p>"
        f"{scale.as_svg(scale.marks(said), scale.in_words(said))}"
        f'<p class="soft">{scale.legend(said)}</p>'
        f"<p>{escape(plain_sentence(said))}</p>{_pairs(facts(report)[1:])}"
    )


def _cautions(report: FilmReport) -> str:
    if not report.said.cautions:
        return f"<p>{NO_CAUTIONS}</p>"
    return "<ul>" + "".join(f"<li>{escape(one.sentence)}</li>" for one in report.said.cautions) + "</ul>"


def _explanation(drawn: Drawn | None) -> str:
    if drawn is None:
        return ""
    figure = figure_html(drawn.png, alt=drawn.alt, caption=drawn.caption)
    return f"<section><h2>What moved the answer</h2>{figure}</section>"


def _beside(drawn: Drawn | None, plates: Sequence[Plate]) -> str:
    """The chart beside the plates, or the plates in the whole width where there is no chart."""
    against = "<section><h2>Against chronological age</h2>"
    if drawn is None:
        return f"{against}<p>{NO_CHART}</p></section>{_plates(plates, 'plates wide')}"
    figure = figure_html(drawn.png, alt=drawn.alt, caption=drawn.caption)
    kind = "plates small" if len(plates) > 3 else "plates"
    return f'<div class="beside">{against}{figure}</section>{_plates(plates, kind)}</div>'


def _plates(plates: Sequence[Plate], kind: str) -> str:
    if not plates:
        return ""
    shown = "".join(
        f'<li><figure><img src="{png_uri(plate.path.read_bytes())}" alt="Composite hand"{_size(plate)}>'
        f"<figcaption>{escape(plate_caption(plate))}</figcaption></figure></li>"
        for plate in plates
    )
    return (
        f'<section><h2>Beside the atlas</h2><ul class="{kind}">{shown}</ul>'
        f'<p class="soft">{escape(PLATES_NOTE)}</p></section>'
    )


def _size(plate: Plate) -> str:
    with Image.open(plate.path) as image:
        return f' width="{image.width}" height="{image.height}"'


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f'<dl class="facts">{rows}</dl>'
