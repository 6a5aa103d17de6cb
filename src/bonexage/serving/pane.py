"""The result of one film as the page shows it: a piece of HTML, and the same as text to copy."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage import __version__
from bonexage.assessment import Assessment, Caution, Failure
from bonexage.atlas.plates import Plate, surrounding_plates
from bonexage.reports import scale
from bonexage.reports.document import png_uri
from bonexage.reports.heat import Overlay, overlay
from bonexage.reports.item import Picture, thumbnail
from bonexage.serving import sentences
from bonexage.serving.growth_svg import growth_svg
from bonexage.serving.words import Words
from bonexage.subject import Sex

FILM_PX: Final = 1200
PLATES: Final = "page/plates"  # the address of a plate, seen from the page


@dataclass(frozen=True, eq=False)
class Seen:
    """What there is to show of one film.

    Attributes:
        outcome: the assessment, or why there is none.
        picture: the film, `[height, width]`; None where it could not be read.
        months: what each place of it moved the answer by, `[height, width]`; None where that is not known.
    """

    outcome: Assessment | Failure
    picture: Picture | None = None
    months: NDArray[np.float32] | None = None


def pane(seen: Seen, plates: Iterable[Plate], figures: Mapping[str, Any], words: Words) -> bytes:
    """The result as JSON in UTF-8.

    It has `html`, a piece of a page; `text`, the same to copy; and `age`, the bone age in words, '' for none.
    """
    said = seen.outcome
    if isinstance(said, Failure):
        html, text, age = _failure_html(said, seen.picture, words), _failure_text(said, words), ""
    else:
        html, text = _html(said, seen, tuple(plates), figures, words), _text(said, words)
        age = words.age(said.bone_age_months)
    return json.dumps({"html": html, "text": text, "age": age}).encode()


def _html(
    said: Assessment, seen: Seen, plates: tuple[Plate, ...], figures: Mapping[str, Any], words: Words
) -> str:
    laid = overlay(seen.months, FILM_PX) if seen.months is not None else None
    return "".join(
        [
            f'<section class="answer">{_answer(said, words)}</section>',
            _film(said.file, seen.picture, laid, words),
            f'<section class="growing"><h3>{_h(words("result.growth"))}</h3>{_growth(said, words)}</section>',
            _plates(_nearest(said, plates), words),
            f'<section class="model"><h3>{_h(words("result.model"))}</h3>'
            f"{_pairs(_model(said.model, figures, words))}</section>",
        ]
    )


def _answer(said: Assessment, words: Words) -> str:
    interval = ""
    if said.interval:
        span = words.span(said.interval.low_months, said.interval.high_months)
        name = sentences.interval_name(said.interval, words)
        interval = f'<span class="ends">{_h(words("form.named", name=name, value=span))}</span>'
    return (
        f'<h3 class="told">{_h(words("result.bone_age"))}</h3>'
        f'<p class="big">{_h(words.age(said.bone_age_months))}</p>'
        f'<p class="exact">{_h(words.months(said.bone_age_months))} {interval}</p>'
        f"{scale.as_svg(scale.marks(said), _scale_in_words(said, words))}"
        f'<p class="soft">{_h(_legend(said, words))}</p>'
        f'<p class="sentence">{_h(sentences.plain_sentence(said, words))}</p>'
        f"<h3>{_h(words('result.cautions'))}</h3>{_cautions(said.cautions, words)}"
        f"{_pairs(_facts(said, words))}"
    )


def _scale_in_words(said: Assessment, words: Words) -> str:
    named = [(words("result.bone_age"), words.age_with_months(said.bone_age_months))]
    if said.interval:
        span = words.span(said.interval.low_months, said.interval.high_months)
        named.append((sentences.interval_name(said.interval, words), span))
    if said.subject.age_months is not None:
        named.append((words("child.age"), words.age_with_months(said.subject.age_months)))
    return "; ".join(words("form.named", name=name, value=value) for name, value in named)


def _legend(said: Assessment, words: Words) -> str:
    told = [words("scale.legend_bone_age")]
    told += [words("scale.legend_interval")] if said.interval else []
    told += [words("scale.legend_age")] if said.subject.age_months is not None else []
    return words("scale.legend", marks="; ".join(told))


def _cautions(cautions: Iterable[Caution], words: Words) -> str:
    told = "".join(f"<li>{_translated(each.sentence, words)}</li>" for each in cautions)
    return f'<ul class="cautions">{told}</ul>' if told else f"<p>{_h(words('result.no_cautions'))}</p>"


def _facts(said: Assessment, words: Words) -> list[tuple[str, str]]:
    sex = said.subject.sex
    sexes = {Sex.FEMALE: "child.girl", Sex.MALE: "child.boy", Sex.UNKNOWN: "result.both_sexes"}
    found = [(words("child.sex"), words(sexes[sex]))]
    if len(said.readings) > 1:
        found += [
            (words(f"result.read_as_{one.sex}"), words.age_with_months(one.bone_age_months))
            for one in said.readings
        ]
    age = said.subject.age_months
    found.append(
        (words("child.age"), words("result.not_known") if age is None else words.age_with_months(age))
    )
    if said.sds:
        scored = f"{sentences.score(said.sds, words)}, {sentences.verdict(said.sds, words)}"
        found += [(words("result.sds"), scored), (words("result.reference"), words("result.norm"))]
    elif age is not None:
        found.append((words("result.sds"), words("result.no_reference")))
    return found


def _model(model: str, figures: Mapping[str, Any], words: Words) -> list[tuple[str, str]]:
    name, _, digest = model.partition("@")
    errors = "; ".join(sentences.model_errors(figures, words)) or words("result.not_measured")
    return [
        (words("result.model_name"), f"{name}, bonexage {__version__}"),
        (words("result.model_hash"), digest),
        (words("result.model_error"), errors),
    ]


def _film(file: str, picture: Picture | None, laid: Overlay | None, words: Words) -> str:
    """The film, the map over it, and the places where the page's script puts what moves them."""
    if picture is None:
        return ""
    grey = thumbnail(picture, FILM_PX)
    out = io.BytesIO()
    Image.fromarray(grey).save(out, format="PNG")
    height, width = grey.shape
    alt = words("result.film_alt", file=file)
    size = f'width="{width}" height="{height}"'
    film = f'<img class="film" src="{png_uri(out.getvalue())}" alt="{_h(alt)}" {size}>'
    over = told = ""
    if laid:
        over = f'<img class="map" src="{png_uri(laid.png)}" alt="{_h(_map_in_words(laid, words))}">'
        told = f"<figcaption>{_bar(laid, words)}<p>{_h(words('map.caption'))}</p></figcaption>"
    return (
        f'<section class="viewing"><h3>{_h(words("result.film"))}</h3>'
        f'<figure class="viewer"><div class="stage"><div class="turned">{film}{over}</div></div>'
        f'<div class="controls"></div>{told}</figure></section>'
    )


def _map_in_words(laid: Overlay, words: Words) -> str:
    key = "map.words_older" if laid.older else "map.words_younger"
    return words(key, across=words.share(round(laid.across, 2)), down=words.share(round(laid.down, 2)))


def _bar(laid: Overlay, words: Words) -> str:
    """The colours of the map, from towards younger to towards older."""
    steps = len(laid.colours)
    boxes = "".join(
        f'<rect x="{at * 100 / steps:.2f}" width="{100 / steps + 0.2:.2f}" height="6" fill="{colour}"/>'
        for at, colour in enumerate(laid.colours)
    )
    most = words.number(laid.most_months, 2)
    return (
        f'<div class="bar"><span>{_h(words("map.younger"))}<br>−{most}</span>'
        '<svg viewBox="0 0 100 6" preserveAspectRatio="none" shape-rendering="crispEdges" '
        f'aria-hidden="true">{boxes}</svg>'
        f"<span>{_h(words('map.older'))}<br>+{most} {_h(words('map.unit'))}</span></div>"
    )


def _growth(said: Assessment, words: Words) -> str:
    drawn = growth_svg(said, words)
    if not drawn:
        return f'<p class="soft">{_h(words("result.growth_missing"))}</p>'
    keys = ["point", "equal", *(["band"] if said.sds else [])]
    legend = "".join(f'<li class="{key}">{_h(words(f"chart.{key}"))}</li>' for key in keys)
    return f'<figure>{drawn}<figcaption><ul class="keys">{legend}</ul></figcaption></figure>'


def _nearest(said: Assessment, plates: Iterable[Plate]) -> list[Plate]:
    atlas = tuple(plates)
    asked = [(Sex(one.sex), one.bone_age_months) for one in said.readings]
    return [
        plate
        for sex, months in asked or [(said.subject.sex, said.bone_age_months)]
        for plate in surrounding_plates(sex, months, atlas)
    ]


def _plates(plates: list[Plate], words: Words) -> str:
    if not plates:
        return ""
    shown = "".join(
        f'<li><figure><img src="{PLATES}/{plate.path.name}" alt="{_h(words("result.plate_alt"))}">'
        f"<figcaption>{_h(_plate_caption(plate, words))}</figcaption></figure></li>"
        for plate in plates
    )
    return (
        f'<section class="atlas"><h3>{_h(words("result.plates"))}</h3><ul class="plates">{shown}</ul>'
        f'<p class="soft">{_h(words("result.plates_note"))}</p></section>'
    )


def _plate_caption(plate: Plate, words: Words) -> str:
    sex = words("child.girl" if plate.sex is Sex.FEMALE else "child.boy")
    return words(
        "result.plate", sex=sex, age=words.age(plate.mean_months), films=plate.films, px=plate.source_px
    )


def _failure_html(said: Failure, picture: Picture | None, words: Words) -> str:
    film = _film(said.file, picture, None, words)
    return (
        f'<section class="answer refusal"><h3 class="told">{_h(words(f"state.{said.status}"))}</h3>'
        f'<p class="big">{_h(words("result.no_bone_age"))}</p>'
        f'<p class="sentence">{_translated(said.error.problem, words)}</p>'
        f"<h3>{_h(words('result.what_to_do'))}</h3><p>{_translated(said.error.remedy, words)}</p></section>"
        f'{film}<section class="model"><h3>{_h(words("result.model"))}</h3>'
        f"{_pairs(_model(said.model, {}, words)[:2])}</section>"
    )


def _text(said: Assessment, words: Words) -> str:
    lines = [said.file, sentences.plain_sentence(said, words)]
    cautions = [words.as_sentence(words.translated(each.sentence) or each.sentence) for each in said.cautions]
    if cautions:
        lines.append(words("form.named", name=words("result.cautions"), value=" ".join(cautions)))
    return "\n".join([*lines, _made_by(said.model, words)])


def _failure_text(said: Failure, words: Words) -> str:
    parts = [said.error.problem, said.error.remedy]
    told = " ".join(words.as_sentence(words.translated(part) or part) for part in parts)
    return "\n".join([said.file, f"{words(f'state.{said.status}')}: {told}", _made_by(said.model, words)])


def _made_by(model: str, words: Words) -> str:
    return f"{words('page.made_by', model=model, version=__version__)} {words('page.disclaimer')}"


def _translated(english: str, words: Words) -> str:
    """A sentence of the package in the page's language; in English, and marked so, where there is none."""
    text = words.translated(english)
    if text is None:
        return f'<span lang="en">{_h(words.as_sentence(english))}</span>'
    return _h(words.as_sentence(text))


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<div><dt>{_h(name)}</dt><dd>{_h(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{rows}</dl>'


_h = escape
