"""The service as OpenAPI describes it: what may be sent, what comes back, an example of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bonexage.reading.images import readable_pictures
from bonexage.serving.accept import MEDIA_TYPES
from bonexage.serving.problems import KINDS, MEDIA_TYPE, TYPE
from bonexage.subject import MAX_CHRONOLOGICAL_AGE_MONTHS, SPELLINGS, Sex

Schema = dict[str, Any]

_ID: Final = "8a2f7c1e-6f0d-4f4b-9a3e-0d3a5b1c2e4f"
_MODEL: Final = "carried@0123456789ab"
_NUMBER: Final[Schema] = {"type": ["number", "null"]}
_TEXT: Final[Schema] = {"type": ["string", "null"]}
_MONTHS: Final[Schema] = {"type": ["number", "null"], "minimum": 0, "maximum": 240}

ROW: Final[Schema] = {
    "type": "object",
    "description": "One film, with the fields of `bonexage predict --format json`. Months have one decimal.",
    "required": ["file", "status", "sex", "age_months", "bone_age_months", "cautions", "message", "model"],
    "properties": {
        "file": {"type": "string"},
        "status": {"enum": ["assessed", "refused", "unreadable"]},
        "sex": {"enum": ["F", "M", "U"]},
        "age_months": _NUMBER,
        "bone_age_months": _MONTHS,
        "interval_low_months": _MONTHS,
        "interval_high_months": _MONTHS,
        "coverage": {"type": ["number", "null"], "description": "Share of children the interval is to hold."},
        "sds": _NUMBER,
        "cautions": {**_TEXT, "description": "Codes, a semicolon between."},
        "message": {**_TEXT, "description": "Why there is no bone age, and what to do."},
        "model": {"type": "string"},
        "sds_low": _NUMBER,
        "sds_high": _NUMBER,
        "caution_sentences": {"type": "array", "items": {"type": "string"}},
        "readings": {"type": "array", "items": {"type": "object"}},
    },
}
ROW_EXAMPLE: Final[Schema] = {
    "file": "hand.png",
    "status": "assessed",
    "sex": "F",
    "age_months": 126.0,
    "bone_age_months": 131.4,
    "interval_low_months": 115.0,
    "interval_high_months": 147.8,
    "coverage": 0.9,
    "sds": 0.47,
    "cautions": "",
    "message": None,
    "model": _MODEL,
}
PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "RFC 9457, with the code, and the exit code of the command line for the same.",
    "required": ["type", "title", "status", "detail", "instance", "code", "exit_code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "remedy": {"type": "string"},
        "instance": {"type": "string", "description": "The request's id."},
        "code": {"enum": sorted(KINDS)},
        "exit_code": {"enum": [2, 3]},
        "disclaimer": {"type": "string"},
        "field": {"type": "string", "description": "The field of the form that is wrong."},
        "row": {"$ref": "#/components/schemas/Row"},
    },
}
FORM: Final[Schema] = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "contentMediaType": "application/octet-stream"},
            "description": f"The films: {', '.join(readable_pictures())} or DICOM.",
        },
        "sex": {
            "enum": [*Sex, *sorted(SPELLINGS)],
            "default": "U",
            "description": "F, M, U or a word for it, in any case. U or blank: as a DICOM header says, "
            "else the film is read as both.",
        },
        "age_months": {
            "type": "number",
            "minimum": 0,
            "maximum": MAX_CHRONOLOGICAL_AGE_MONTHS,
            "description": "Chronological age, decimals after a point. Left out or blank: as a DICOM "
            "header says.",
        },
        "coverage": {
            "type": "number",
            "exclusiveMinimum": 0,
            "exclusiveMaximum": 100,
            "default": 90,
            "description": "Percentage of children the interval is to hold; below 1, their share.",
        },
        "page": {
            "type": "integer",
            "minimum": 1,
            "maximum": 10000,
            "description": "The page or frame of a file with several.",
        },
    },
}
COMPONENTS: Final[Schema] = {"schemas": {"Row": ROW, "Problem": PROBLEM}}


def problems(codes: Iterable[str]) -> dict[int | str, Schema]:
    """The answers of these codes, by status, each with an example."""
    by_status: dict[int | str, Schema] = {}
    for code in codes:
        status, title = KINDS[code]
        said = by_status.setdefault(
            status,
            {
                "description": title,
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        said["content"][MEDIA_TYPE]["examples"][code] = {"value": _problem_example(code)}
    return by_status


def _problem_example(code: str) -> Mapping[str, Any]:
    status, title = KINDS[code]
    return {
        "type": TYPE + code,
        "title": title,
        "status": status,
        "detail": f"{title}. The remedy stands here.",
        "instance": f"urn:uuid:{_ID}",
        "code": code,
        "exit_code": 3 if status == 422 else 2,
    }


EVERYWHERE: Final = ("no-token", "foreign-origin", "wrong-host", "failed")
OF_ASSESSING: Final = (
    *("wrong-use", "not-acceptable", "stalled", "key-in-use", "too-large", "too-many-files", "wrong-form"),
    *("unreadable", "too-many-pixels", "too-slow", "refused", "key-reused", "busy", "no-worker", "not-kept"),
)
ASSESSED: Final[Schema] = {
    "description": "The films' rows in their order, or the report of one film.",
    "content": {
        MEDIA_TYPES["json"]: {
            "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}},
            "examples": {"one film": {"value": [ROW_EXAMPLE]}},
        },
        MEDIA_TYPES["fhir"]: {"schema": {"type": "object"}},
        MEDIA_TYPES["html"]: {"schema": {"type": "string"}},
        MEDIA_TYPES["pdf"]: {"schema": {"type": "string", "contentMediaType": "application/pdf"}},
    },
}
ASSESSING: Final[Schema] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,128}$"},
            "description": "The same request with the same key is done once within ten minutes.",
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": FORM,
                "encoding": {"file": {"contentType": "application/octet-stream"}},
                "examples": {"a girl of 10 and a half": {"value": {"sex": "F", "age_months": 126}}},
            }
        },
    },
}
