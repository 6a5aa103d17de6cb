"""The page on which films are dropped: its HTML in the reader's language, its files, and a film's result."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
from bonexage.reports.table import FIELDS
from bonexage.serving.forms import PANES
from bonexage.serving.pane import Seen, pane
from bonexage.serving.problems import MEDIA_TYPE, Problem
from bonexage.serving.words import LANGUAGES, TAGS, Words, choose, words
from bonexage.subject import Sex, Subject

if TYPE_CHECKING:
    from bonexage.serving.app import Service
    from bonexage.serving.pool import Answer

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_SCRIPTED: Final = ("form.", "state.", "list.", "child.", "server.", "problem.", "result.")
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

    @app.post("/page/films", include_in_schema=False)
    async def film(request: Request, lang: str | None = None) -> Response:
        said = words(choose(lang, request.headers.get("accept-language")))
        try:
            with service.held.share() as share:
                upload = await service.read(request, share)
                if len(upload.films) > 1:
                    raise Problem("wrong-use", "a result is of one film", "Send the films one by one")
                found = await service.assess(request, upload, [PANES[said.language]])
        except Problem as problem:
            told = {**problem.as_dict(request.scope["request_id"]), "said": in_language(problem, said)}
            return Response(json.dumps(told), problem.status, dict(problem.headers), MEDIA_TYPE)
        return Response(answer_json(found[0], said), media_type="application/json")


def page_html(template: str, said: Words, service: Service) -> str:
    """The page in one language, before any film."""
    scripted = {key: text for key, text in said.texts.items() if key.startswith(_SCRIPTED)}
    kept = service.settings.keep is not None
    filled = {key: escape(text) for key, text in said.texts.items()} | {
        "page.privacy": escape(said("page.kept" if kept else "page.privacy")),
        "tag": said.tag,
        "language": said.language,
        "languages": _languages(said),
        "words": escape(json.dumps(scripted, ensure_ascii=False)),
        "fields": ",".join(FIELDS),
        "most_bytes": str(service.settings.limits.bytes - _ROOM_FOR_FORM),
        "made_by": escape(said("page.made_by", model=service.bundle.model, version=__version__)),
    }
    return _Page(template).substitute(filled)


def answer_json(found: Answer, said: Words) -> bytes:
    """A film's row, and its result as HTML and as text, as JSON."""
    made = found.forms.get(PANES[said.language]) or pane(Seen(_failure(found)), (), {}, said)
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
