"""The page on which films are dropped: its HTML in the reader's language, its files, and a film's result."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse

from bonexage import __version__
from bonexage.assessment import Failure
from bonexage.atlas.plates import read_plates
from bonexage.errors import BonexageError, RefusedRadiograph, UnreadableFile
from bonexage.reading.images import readable_pictures
from bonexage.reports.table import FIELDS
from bonexage.serving.clients import peer_of
from bonexage.serving.forms import HEADER, PANE
from bonexage.serving.pane import Seen, panes, stated_message
from bonexage.serving.problems import MEDIA_TYPE, Problem
from bonexage.serving.words import LANGUAGES, TAGS, Words, choose, words
from bonexage.subject import Sex, Subject

if TYPE_CHECKING:
    from bonexage.serving.app import Service
    from bonexage.serving.pool import Answer
    from bonexage.serving.uploads import Upload

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_SCRIPTED: Final = (
    *("form.", "page.", "drop.", "child.", "list."),
    *("state.", "server.", "problem.", "result.", "view."),
)
_NOTHING_STATED: Final = b'{"sex": "U", "age_months": null, "cautions": []}'
_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_ROOM_FOR_FORM: Final = 10_000  # bytes of a form around its film
HOME: Final = Path(str(files("bonexage.serving"))) / "pages"


class _Page(Template):
    idpattern = r"[a-z][a-z_.]*"


def add_page(app: FastAPI, service: Service) -> None:
    """Add the page and what it asks for to the service's application."""
    fixed = {each.name: each for each in (HOME / "static").iterdir()}
    plates = {plate.path.name: plate.path for plate in read_plates()}
    template = (HOME / "page.html").read_text(encoding="utf-8")

    @app.get("/", include_in_schema=False)
    async def page(request: Request, lang: str | None = None) -> Response:
        said = words(choose(lang, request.headers.get("accept-language")))
        html = page_html(template, said, service)
        headers = {"Content-Security-Policy": POLICY, "Content-Language": said.tag, "Vary": "Accept-Language"}
        return Response(html, media_type="text/html", headers=headers)

    @app.get("/page/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        return _file(fixed, name)

    @app.get("/page/plates/{name}", include_in_schema=False)
    async def plate(name: str) -> Response:
        return _file(plates, name)

    @app.get("/page/words/{language}", include_in_schema=False)
    async def texts(language: str) -> Response:
        if language not in LANGUAGES:
            raise HTTPException(404)
        chosen = words(language)
        body = {"tag": chosen.tag, "texts": scripted(chosen, service)}
        return Response(json.dumps(body), media_type="application/json")

    @app.post("/page/headers", include_in_schema=False)
    async def header(request: Request) -> Response:
        """What a film's header states of the child, before the film is assessed."""
        return await _answered(request, service, _header)

    @app.post("/page/films", include_in_schema=False)
    async def film(request: Request) -> Response:
        """A film's row, and its result in every language."""
        return await _answered(request, service, _result)


async def _answered(
    request: Request, service: Service, made: Callable[[Request, Service, Upload], Awaitable[bytes]]
) -> Response:
    """What is made of the one film that is sent; a problem says in every language what is wrong."""
    try:
        with service.held.share(peer_of(request)) as share:
            upload = await service.read(request, share)
            if len(upload.films) > 1:
                raise Problem("wrong-use", "a result is of one film", "Send the films one by one")
            return Response(await made(request, service, upload), media_type="application/json")
    except Problem as problem:
        sentences = {each: in_language(problem, words(each)) for each in LANGUAGES}
        body = {**problem.as_dict(request.scope["request_id"]), "said": sentences}
        return Response(json.dumps(body), problem.status, dict(problem.headers), MEDIA_TYPE)


async def _header(request: Request, service: Service, upload: Upload) -> bytes:
    (answer,) = await service.look(request, upload, [HEADER])
    stated = json.loads(answer.forms.get(HEADER, _NOTHING_STATED))
    subject = Subject(Sex(stated["sex"]), stated["age_months"])
    return json.dumps({"header": stated_message(subject, stated["cautions"])}).encode()


async def _result(request: Request, service: Service, upload: Upload) -> bytes:
    (answer,) = await service.assess(request, upload, [PANE])
    return answer_json(answer)


def page_html(template: str, said: Words, service: Service) -> str:
    """The page in one language, before any film."""
    for_scripts = scripted(said, service)
    filled = {key: escape(text) for key, text in (dict(said.texts) | for_scripts).items()} | {
        "tag": said.tag,
        "language": said.language,
        "languages": _languages(said),
        "words": escape(json.dumps(for_scripts, ensure_ascii=False)),
        "fields": ",".join(FIELDS),
        "most_bytes": str(service.settings.limits.bytes - _ROOM_FOR_FORM),
        "made_by": escape(for_scripts["page.made_by"]),
    }
    return _Page(named(template)).substitute(filled)


def named(template: str) -> str:
    """The template with the key of each text that stands alone in its element, or is its label, beside it.

    By these the scripts put the texts of another language in their places.
    """
    template = re.sub(r">\$\{([a-z]+\.\w+)\}</", r' data-say="\1">${\1}</', template)
    return re.sub(r'aria-label="\$\{([a-z]+\.\w+)\}"', r'aria-label="${\1}" data-label="\1"', template)


def scripted(said: Words, service: Service) -> dict[str, str]:
    """The texts of the page and its scripts in one language, filled in as this service is run."""
    kept = service.settings.keep is not None
    texts = {key: text for key, text in said.texts.items() if key.startswith(_SCRIPTED)}
    made_by = said("page.made_by", model=service.bundle.model, version=__version__)
    return texts | {
        "page.privacy": said("page.kept" if kept else "page.privacy"),
        "page.made_by": made_by,
        "drop.kinds": said("drop.kinds", pictures=", ".join(readable_pictures())),
    }


def answer_json(found: Answer) -> bytes:
    """A film's row, and its result as HTML and as text in every language, as JSON."""
    made = found.forms.get(PANE) or panes(Seen(_failure(found)), (), {})
    return json.dumps({"row": dict(found.row), **json.loads(made)}).encode()


def in_language(problem: Problem, said: Words) -> str:
    """What is wrong and what to do, in the page's language as far as it is known there."""
    parts = (problem.problem, problem.remedy)
    return " ".join(said.as_sentence(said.translated(part) or part) for part in parts)


def _failure(found: Answer) -> Failure:
    """What became of a film of which the worker made no form."""
    row, problem = found.row, found.failed
    kind: type[BonexageError] = RefusedRadiograph if row["status"] == "refused" else UnreadableFile
    error = kind(problem.problem, remedy=problem.remedy) if problem else kind(str(row["message"]), remedy="")
    return Failure(row["file"], Subject(Sex(row["sex"]), row["age_months"]), error, row["model"])


def _languages(said: Words) -> str:
    """A link to the page in each language; the one it is in is marked."""
    current = {said.language: ' aria-current="true"'}
    return "".join(
        f'<li><a href="?lang={each}" lang="{TAGS[each]}" hreflang="{TAGS[each]}"{current.get(each, "")}>'
        f"{escape(words(each)('language.name'))}</a></li>"
        for each in LANGUAGES
    )


def _file(known: Mapping[str, Path], name: str) -> Response:
    if name not in known:
        raise HTTPException(404)
    return FileResponse(known[name], media_type=_TYPES[known[name].suffix])
