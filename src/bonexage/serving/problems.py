"""What is answered where there is no assessment: a problem (RFC 9457) with a code and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.responses import Response

from bonexage.assessment import DISCLAIMER
from bonexage.errors import (
    INSTALL_WITH,
    BonexageError,
    BundleError,
    MissingExtra,
    RefusedRadiograph,
    TooManyPixels,
    UnreadableFile,
    WrongUse,
)

MEDIA_TYPE: Final = "application/problem+json"
TYPE: Final = "urn:bonexage:problem:"

# Each code with the status it is answered with, and what it means whatever the request.
KINDS: Final[Mapping[str, tuple[int, str]]] = {
    "wrong-use": (400, "The request cannot be obeyed"),
    "no-token": (401, "The service asks for a token"),
    "foreign-origin": (403, "The request comes from the page of another site"),
    "not-found": (404, "There is nothing of this name"),
    "wrong-method": (405, "This is asked in another way"),
    "not-acceptable": (406, "There is no answer of the kind asked for"),
    "stalled": (408, "The upload came to a stop"),
    "key-in-use": (409, "A request with this key is still being answered"),
    "too-large": (413, "The upload is too large"),
    "too-many-files": (413, "There are too many films in one request"),
    "wrong-form": (415, "The body is no multipart form"),
    "wrong-host": (421, "The service is not known by this name"),
    "unreadable": (422, "No radiograph can be read from the file"),
    "too-many-pixels": (422, "The picture has too many pixels"),
    "too-slow": (422, "The film took more time than one film may"),
    "refused": (422, "The film must not be assessed"),
    "key-reused": (422, "The key belongs to another request"),
    "busy": (429, "The service has too much to do"),
    "failed": (500, "The service failed"),
    "no-worker": (503, "The service cannot assess at the moment"),
    "not-kept": (507, "The film could not be stored"),
}
# A header each: a browser reads no second one in the same header, and then asks for no password.
CHALLENGES: Final = ('Bearer realm="bonexage"', 'Basic realm="bonexage", charset="UTF-8"')
_ASK_OPERATOR: Final = "Ask the operator of this server to install them"
_CODES: Final[tuple[tuple[type[BonexageError], str], ...]] = (
    (TooManyPixels, "too-many-pixels"),
    (UnreadableFile, "unreadable"),
    (RefusedRadiograph, "refused"),
    (WrongUse, "wrong-use"),
    (MissingExtra, "not-acceptable"),
    (BundleError, "failed"),
)


@dataclass(eq=False)
class Problem(Exception):
    """Why a request is answered without an assessment.

    Attributes:
        code: one of `KINDS`.
        problem: what is wrong, one sentence without a full stop.
        remedy: what to do about it, likewise.
        exit_code: what the command line exits with for the same (2 wrong use, 3 unusable input).
        headers: of the answer.
        row: the film's row, as `predict --format json` gives it; None where it is about no film.
        field: the field of the form that is wrong; None where it is about no field.
    """

    code: str
    problem: str
    remedy: str
    exit_code: int = 2
    headers: Mapping[str, str] = field(default_factory=dict)
    row: Mapping[str, Any] | None = None
    field: str | None = None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.code][0]

    def as_dict(self, request_id: str) -> dict[str, Any]:
        """Its members as RFC 9457 names them, and ours."""
        text = f"{self.problem}. {self.remedy}."
        members: dict[str, Any] = {
            "type": TYPE + self.code,
            "title": KINDS[self.code][1],
            "status": self.status,
            "detail": f"{self.field}: {text}" if self.field else text,
            "remedy": self.remedy,
            "instance": f"urn:uuid:{request_id}",
            "code": self.code,
            "exit_code": self.exit_code,
            "disclaimer": DISCLAIMER,
        }
        about = {"field": self.field, "row": None if self.row is None else dict(self.row)}
        return members | {name: value for name, value in about.items() if value is not None}


def for_client(error: BonexageError) -> BonexageError:
    """The error as a client is to see it, who can run no command of this machine."""
    return error.with_remedy(_ASK_OPERATOR) if error.remedy.startswith(INSTALL_WITH) else error


def code_of(error: BonexageError) -> str:
    """The code of an error of this package."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), "failed")


def answer(problem: Problem, request_id: str) -> Response:
    """The problem as an HTTP answer."""
    body = json.dumps(problem.as_dict(request_id)).encode()
    made = Response(body, problem.status, dict(problem.headers), MEDIA_TYPE)
    for challenge in CHALLENGES if problem.code == "no-token" else ():
        made.headers.append("WWW-Authenticate", challenge)
    return made
