"""The result of one film as the page shows it, in each language: a piece of HTML, and a text to copy."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage import __version__
from bonexage.assessment import Assessment, Caution, Failure
from bonexage.atlas.plates import Plate, surrounding_plates
from bonexage.radiograph import NOTHING_STATED, Stated
from bonexage.reports import scale
from bonexage.reports.document import png_uri
from bonexage.reports.heat import Overlay, overlay
from bonexage.reports.item import Picture, thumbnail
from bonexage.serving import sentences
from bonexage.serving.growth_svg import growth_svg
from bonexage.serving.words import LANGUAGES, Words
from bonexage.serving.words import words as words_in
from bonexage.subject import Sex, Subject

FILM_PX: Final = 1200
ALIKE_MONTHS: Final = 0.05  # ages are told with one decimal
PLATES: Final = "page/plates"  # the address of a plate, seen from the page


@dataclass(frozen=True, eq=False)
class Seen:
    """What there is to show of one film.

    Attributes:
        outcome: the assessment, or why there is none.
        picture: the film, `[height, width]`; None where it could not be read.
        months: what each place of it moved the answer by, `[height, width]`; None where that is not known.
        stated: what its header states.
    """

    outcome: Assessment | Failure
    picture: Picture | None = None
    months: NDArray[np.float32] | None = None
    stated: Stated = NOTHING_STATED


@dataclass(frozen=True)
class _Drawn:
    """The pictures of a result, alike in every language: the map, and the film's height and width."""

    laid: Overlay | None = None
    film_px: tuple[int, int] | None = None


def panes(seen: Seen, plates: Iterable[Plate], figures: Mapping[str, Any]) -> bytes:
    """The result as JSON in UTF-8.

    It has `panes`, by language: `html`, a piece of a page; `text`, the same to copy; and `age`, the bone age
    in words, '' for none. No part names the film: the page knows which film it sent. `pictures` are data
    URIs of the pictures that any `html` names in `data-picture`. `header` is what the film's header states.
    """
    atlas, drawn = tuple(plates), _Drawn()
    pictures: dict[str, str] = {}
    if seen.picture is not None:
        grey = thumbnail(seen.picture, FILM_PX)
        laid = overlay(seen.months, FILM_PX) if seen.months is not None else None
        pictures = {"film": _as_png(grey), **({"map": png_uri(laid.png)} if laid else {})}
        drawn = _Drawn(laid, (grey.shape[0], grey.shape[1]))
    made = {each: _pane(seen, drawn, atlas, figures, words_in(each)) for each in LANGUAGES}
    header = stated_message(seen.stated.subject)
    return json.dumps({"panes": made, "pictures": pictures, "header": header}).encode()


def stated_message(subject: Subject, cautions: Sequence[str] = ()) -> dict[str, Any]:
    """What a header states of the child and what to be wary of in that, as the page's scripts take it."""
    notes = {language: _notes(cautions, words_in(language)) for language in LANGUAGES}
    return {"sex": subject.sex.value, "months": subject.age_months, "notes": notes}


def _notes(english: Sequence[str], words: Words) -> list[str]:
    return [words.as_sentence(words.translated(each) or each) for each in english]


def _pane(
    seen: Seen, drawn: _Drawn, plates: tuple[Plate, ...], figures: Mapping[str, Any], words: Words
) -> dict[str, str]:
    said = seen.outcome
    if isinstance(said, Failure):
        return {"html": _failure_html(said, drawn, words), "text": _failure_text(said, words), "age": ""}
    html = _html(said, seen.stated.subject, drawn, plates, figures, words)
    return {"html": html, "text": _text(said, words), "age": words.age(said.bone_age_months)}


def _html(
    said: Assessment,
    stated: Subject,
    drawn: _Drawn,
    plates: tuple[Plate, ...],
    figures: Mapping[str, Any],
    words: Words,
) -> str:
    return "".join(
        [
            f'<section class="answer">{_answer(said, stated, words)}</section>',
            _film(drawn, words),
            f'<section class="growing"><h3>{_h(words("result.growth"))}</h3>{_growth(said, words)}</section>',
            _plates(_nearest(said, plates), words),
            f'<section class="model"><h3>{_h(words("result.model"))}</h3>'
            f"{_pairs(_model(said.model, figures, words))}</section>",
        ]
    )


def _answer(said: Assessment, stated: Subject, words: Words) -> str:
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
        f"{_pairs(_facts(said, stated, words))}"
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


def _facts(said: Assessment, stated: Subject, words: Words) -> list[tuple[str, str]]:
    found = [(words("child.sex"), _sex(said.subject.sex, stated.sex, words))]
    if len(said.readings) > 1:
        found += [
            (words(f"result.read_as_{one.sex}"), words.age_with_months(one.bone_age_months))
            for one in said.readings
        ]
    age = said.subject.age_months
    found.append((words("child.age"), _age(age, stated.age_months, words)))
    if said.sds:
        scored = f"{sentences.score(said.sds, words)}, {sentences.verdict(said.sds, words)}"
        found += [(words("result.sds"), scored), (words("result.reference"), words("result.norm"))]
    elif age is not None:
        found.append((words("result.sds"), words("result.no_reference")))
    return found


def _sex(sex: Sex, stated: Sex, words: Words) -> str:
    """The sex that the film was read as, and what its header states of it."""
    named = {Sex.FEMALE: "child.girl", Sex.MALE: "child.boy", Sex.UNKNOWN: "result.both_sexes"}
    used = words(named[sex])
    if stated is Sex.UNKNOWN:
        return used
    return _sourced(used, None if sex is stated else words(named[stated]), words)


def _age(months: float | None, stated: float | None, words: Words) -> str:
    """The chronological age that the reading was held against, and what the film's header states of it."""
    if months is None:
        return words("result.not_known")
    used = words.age_with_months(months)
    if stated is None:
        return used
    alike = abs(months - stated) < ALIKE_MONTHS
    return _sourced(used, None if alike else words.age_with_months(stated), words)


def _sourced(used: str, instead_of: str | None, words: Words) -> str:
    if instead_of is None:
        return words("result.from_header", value=used)
    return words("result.instead", value=used, header=instead_of)


def _model(model: str, figures: Mapping[str, Any], words: Words) -> list[tuple[str, str]]:
    name, _, digest = model.partition("@")
    errors = "; ".join(sentences.model_errors(figures, words)) or words("result.not_measured")
    return [
        (words("result.model_name"), f"{name}, bonexage {__version__}"),
        (words("result.model_hash"), digest),
        (words("result.model_error"), errors),
    ]


def _film(drawn: _Drawn, words: Words) -> str:
    """The film, the map over it, and the places where the page's script puts what moves them."""
    if drawn.film_px is None:
        return ""
    height, width = drawn.film_px
    film = f'<img class="film" data-picture="film" alt="" width="{width}" height="{height}">'
    over = told = ""
    if drawn.laid:
        alt = _h(_map_in_words(drawn.laid, words))
        over = f'<img class="map" data-picture="map" alt="{alt}">'
        told = f"<figcaption>{_bar(drawn.laid, words)}<p>{_h(words('map.caption'))}</p></figcaption>"
    return (
        f'<section class="viewing"><h3>{_h(words("result.film"))}</h3>'
        f'<figure class="viewer"><div class="stage"><div class="turned">{film}{over}</div></div>'
        f'<div class="controls"></div>{told}</figure></section>'
    )


def _as_png(grey: NDArray[np.uint8]) -> str:
    out = io.BytesIO()
    Image.fromarray(grey).save(out, format="PNG")
    return png_uri(out.getvalue())


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


def _failure_html(said: Failure, drawn: _Drawn, words: Words) -> str:
    return (
        f'<section class="answer refusal"><h3 class="told">{_h(words(f"state.{said.status}"))}</h3>'
        f'<p class="big">{_h(words("result.no_bone_age"))}</p>'
        f'<p class="sentence">{_translated(said.error.problem, words)}</p>'
        f"<h3>{_h(words('result.what_to_do'))}</h3><p>{_translated(said.error.remedy, words)}</p></section>"
        f'{_film(drawn, words)}<section class="model"><h3>{_h(words("result.model"))}</h3>'
        f"{_pairs(_model(said.model, {}, words)[:2])}</section>"
    )


def _text(said: Assessment, words: Words) -> str:
    lines = [sentences.plain_sentence(said, words)]
    cautions = [words.as_sentence(words.translated(each.sentence) or each.sentence) for each in said.cautions]
    if cautions:
        lines.append(words("form.named", name=words("result.cautions"), value=" ".join(cautions)))
    return "\n".join([*lines, _made_by(said.model, words)])


def _failure_text(said: Failure, words: Words) -> str:
    parts = [said.error.problem, said.error.remedy]
    told = " ".join(words.as_sentence(words.translated(part) or part) for part in parts)
    return "\n".join([f"{words(f'state.{said.status}')}: {told}", _made_by(said.model, words)])


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
