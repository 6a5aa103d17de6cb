"""The service as an ASGI application: its routes, and what they share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from bonexage import __version__
from bonexage.assessment import DISCLAIMER
from bonexage.model.bundle import Bundle, describe
from bonexage.reports.fhir import together
from bonexage.serving import described
from bonexage.serving.accept import JSON, MEDIA_TYPES, OF_ONE_FILM, wanted
from bonexage.serving.again import Again, check_key
from bonexage.serving.clients import peer_of, while_there
from bonexage.serving.front import Front
from bonexage.serving.keeping import keep
from bonexage.serving.logs import event
from bonexage.serving.metrics import MEDIA_TYPE as METRICS_TYPE
from bonexage.serving.metrics import Metrics
from bonexage.serving.page import add_page
from bonexage.serving.pool import Answer, Pool
from bonexage.serving.problems import KINDS, Problem, answer
from bonexage.serving.settings import Settings
from bonexage.serving.uploads import Held, Upload, read_upload

_TITLE: Final = "bonexage"
_ABOUT: Final = f"Bone age from a radiograph of the left hand. {DISCLAIMER}"
_TRANSIENT: Final = frozenset({"busy", "stalled", "no-worker", "not-kept", "failed"})


@dataclass(frozen=True)
class Service:
    """What the routes share.

    Attributes:
        settings: how the service is run.
        bundle: its model.
        pool: the workers.
        metrics: what it counts.
        again: answers remembered by key.
        held: bytes of uploads in memory.
    """

    settings: Settings
    bundle: Bundle
    pool: Pool
    metrics: Metrics
    again: Again
    held: Held = field(repr=False)

    async def read(self, request: Request, share: Any) -> Upload:
        """A request's upload; raises Problem."""
        upload = await read_upload(request, self.settings.limits, share)
        request.scope["films"] = len(upload.films)
        return upload

    async def assess(self, request: Request, upload: Upload, forms: Sequence[str] = ()) -> list[Answer]:
        """Each film's answer, in the films' order, counted, and stored where wished; raises Problem.

        Where the client goes, its films are given up, and ClientDisconnect is raised.
        """
        answers = await self.look(request, upload, forms)
        for each in answers:
            self.metrics.film(each.row["status"])
        if self.settings.keep:
            place = await asyncio.to_thread(keep, self.settings.keep, upload, answers)
            event("kept", request=request.scope["request_id"], place=place)
        return answers

    async def look(self, request: Request, upload: Upload, forms: Sequence[str]) -> list[Answer]:
        """What workers make of each film, neither counted nor stored; raises as `assess`."""
        with self.pool.places(len(upload.films), peer_of(request)) as party:
            looks = [
                self.pool.assess(film.data, upload.asked(film, tuple(forms)), party) for film in upload.films
            ]
            outcomes = await while_there(request, _all(looks))
        answers = [each for each in outcomes if isinstance(each, Answer)]
        for each in outcomes:
            if isinstance(each, BaseException):
                raise each
        return answers


async def _all(looks: Sequence[Coroutine[Any, Any, Answer]]) -> list[Answer | BaseException]:
    return await asyncio.gather(*looks, return_exceptions=True)


def make_app(settings: Settings, bundle: Bundle) -> FastAPI:
    """The application; its workers live from its start to its end.

    Args:
        settings: how the service is run.
        bundle: the model that `settings` names, as loaded.
    """
    pool = Pool(settings)
    metrics = Metrics(pool)
    service = Service(settings, bundle, pool, metrics, Again(), Held(settings.limits.held_bytes))

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        await pool.start()
        event("started", model=bundle.model, workers=settings.workers)
        try:
            yield
        finally:
            await pool.close()
            event("ended")

    app = FastAPI(
        title=_TITLE,
        description=_ABOUT,
        version=__version__,
        lifespan=alive,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.state.service = service
    app.add_middleware(Front, settings=settings, metrics=metrics)
    app.add_exception_handler(Problem, _told)
    app.add_exception_handler(HTTPException, _no_route)
    add_assessing(app, service)
    add_state(app, service)
    add_page(app, service)
    described_by_hand(app)
    return app


def add_assessing(app: FastAPI, service: Service) -> None:
    """The route that everything is about."""

    @app.post(
        "/v1/assessments",
        summary="Assess films",
        response_class=Response,
        responses={
            200: described.ASSESSED,
            **described.problems((*described.OF_ASSESSING, *described.EVERYWHERE)),
        },
        openapi_extra=described.ASSESSING,
    )
    async def assessments(request: Request) -> Response:
        """Assess one film or several of one child; ask by Accept for JSON, FHIR, HTML or PDF.

        One film that cannot be assessed is a problem. Of several, each has its row.
        """
        form = wanted(request.headers.get("accept"))
        key = request.headers.get("idempotency-key")
        if key is not None:
            check_key(key)
        with service.held.share(peer_of(request)) as share:
            upload = await service.read(request, share)
            if form in OF_ONE_FILM and len(upload.films) > 1:
                raise Problem(
                    "not-acceptable",
                    "a report as a page or PDF is of one film",
                    "Send the films one by one, or accept JSON",
                )
            if key is None:
                return await _assessed(service, request, upload, form)
            return await _once(service, request, upload, form, key)


async def _once(service: Service, request: Request, upload: Upload, form: str, key: str) -> Response:
    """The answer to a request with a key, perhaps one that was given before."""
    fingerprint = await asyncio.to_thread(upload.fingerprint)  # a hash of megabytes
    before = service.again.begin(key, f"{form} {fingerprint}")
    if before is not None:
        return before
    made: Response | None = None
    try:
        made = await _assessed(service, request, upload, form)
        return made
    except Problem as problem:
        if problem.code not in _TRANSIENT:
            made = answer(problem, request.scope["request_id"])
        raise
    finally:
        service.again.finish(key, made)


async def _assessed(service: Service, request: Request, upload: Upload, form: str) -> Response:
    answers = await service.assess(request, upload, () if form == JSON else (form,))
    if len(answers) == 1 and answers[0].failed:
        raise answers[0].failed
    if form == JSON:
        body = json.dumps([dict(each.row) for each in answers]).encode()
    elif form == "fhir":
        body = together(each.forms["fhir"] for each in answers if "fhir" in each.forms).encode()
    else:
        body = answers[0].forms[form]
    return Response(body, media_type=MEDIA_TYPES[form])


def add_state(app: FastAPI, service: Service) -> None:
    """The routes by which one learns what the service is and how it fares."""
    elsewhere = described.problems(described.EVERYWHERE)
    text: dict[int | str, Any] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    stated = {"content": {"application/json": {"schema": {"type": "object"}}}}
    description = json.dumps({**json.loads(describe(service.bundle)), "disclaimer": DISCLAIMER}).encode()

    @app.get("/v1/model", summary="Tell what the model is", responses={200: stated, **elsewhere})
    async def model() -> Response:
        """The bundle's description: name, hash, input, data, figures, where its intervals come from."""
        return Response(description, media_type="application/json")

    @app.get("/healthz", summary="Say that the service runs", responses={**text, **elsewhere})
    async def healthz() -> Response:
        """Answers as long as the service runs, however much it has to do."""
        return Response("ok\n", media_type="text/plain")

    @app.get(
        "/readyz",
        summary="Say whether films can be assessed",
        responses={**text, **described.problems(("no-worker", *described.EVERYWHERE))},
    )
    async def readyz() -> Response:
        """Answers 503 until a worker has loaded the model."""
        if not service.pool.ready:
            raise Problem(
                "no-worker",
                "no worker has loaded the model",
                "Ask again later",
                headers={"Retry-After": "2"},
            )
        return Response("ready\n", media_type="text/plain")

    @app.get("/metrics", summary="Tell how the service fares", responses={**text, **elsewhere})
    async def metrics() -> Response:
        """Counts for Prometheus; nothing about any film."""
        return Response(service.metrics.text(), headers={"Content-Type": METRICS_TYPE})


def described_by_hand(app: FastAPI) -> None:
    """Put the schemas that routes refer to into the OpenAPI document."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        document["components"] = {**document.get("components", {}), **described.COMPONENTS}
        return document

    app.openapi = openapi  # type: ignore[method-assign]


async def _told(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    request.scope["problem"] = problem.code
    return answer(problem, request.scope["request_id"])


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    codes = {404: "not-found", 405: "wrong-method"}
    code = codes.get(error.status_code, "wrong-use")
    problem = Problem(
        code, KINDS[code][1], "See /openapi.json for what there is", headers=error.headers or {}
    )
    return await _told(request, problem)
