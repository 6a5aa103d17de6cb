"""Films as cards: each with its picture, its bone age on a scale, and its cautions."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from typing import Final

from PIL import Image

from bonexage.assessment import Assessment, years_and_months
from bonexage.numbers import interval_name, signed, span
from bonexage.reports import scale
from bonexage.reports.document import png_uri
from bonexage.reports.item import Grey, ReportItem, thumbnail

LARGE_PX: Final = 400
_SMALL_PX: Final = 200
_FEW: Final = 60


def cards(items: Sequence[ReportItem], known: str) -> str:
    """The films that have a picture, a card each; large where there are few of them."""
    if not items:
        return ""
    few = len(items) <= _FEW
    each = "".join(f"<li>{_card_html(item, known, LARGE_PX if few else _SMALL_PX)}</li>" for item in items)
    marks = ["bar: interval", "upright: bone age"]
    if any(item.known_age_months is not None for item in items):
        marks.append(f"diamond: {known[:1].lower()}{known[1:]}")
    if any(item.outcome.subject.age_months is not None for item in items):
        marks.append("triangle: chronological age")
    return (
        f'<p class="soft">On each scale, in years: {escape("; ".join(marks))}.</p>'
        f'<ul class="films{"" if few else " small"}">{each}</ul>'
    )


def _card_html(item: ReportItem, known: str, side: int) -> str:
    said = item.outcome
    if not isinstance(said, Assessment) or item.picture is None:
        raise ValueError("a card shows an assessed film with its picture")
    facts = [("Sex", said.subject.sex.word)]
    if said.interval:
        facts.append((interval_name(said.interval), f"{span(said.interval)} months"))
    if item.known_age_months is not None and item.difference_months is not None:
        facts.append((known, f"{item.known_age_months:.1f} months ({signed(item.difference_months)})"))
    if said.subject.age_months is not None:
        facts.append(("Chronological age", f"{said.subject.age_months:.1f} months"))
    if said.sds:
        facts.append(("SDS", f"{signed(said.sds.value)} ({said.sds.norm})"))
    cautions = "".join(f"<li>{escape(caution.sentence)}</li>" for caution in said.cautions)
    image = _image_html(thumbnail(item.picture, side), item.title)
    return (
        f'<article class="film"><div class="hand">{image}</div>'
        f'<div class="said"><h3>{_title(item)}</h3>'
        f'<p class="age">{years_and_months(said.bone_age_months)} '
        f"<span>({said.bone_age_months:.1f} months)</span></p>"
        f"{_scale(said, item.known_age_months)}<dl>"
        + "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
        + "</dl>"
        + (f'<ul aria-label="Cautions">{cautions}</ul>' if cautions else "")
        + "</div></article>"
    )


def _title(item: ReportItem) -> str:
    """The film's name, leading to its own report where it has one."""
    if not item.page:
        return escape(item.title)
    return f'<a href="{escape(item.page)}">{escape(item.title)}</a>'


def _scale(said: Assessment, known_months: float | None) -> str:
    return scale.as_svg(scale.marks(said, known_months), scale.in_words(said, known_months))


def _image_html(picture: Grey, title: str) -> str:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, format="PNG", optimize=True)
    height, width = picture.shape
    return (
        f'<img src="{png_uri(out.getvalue())}" alt="Hand radiograph {escape(title)}" '
        f'width="{width}" height="{height}" loading="lazy">'
    )
