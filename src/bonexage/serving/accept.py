"""Which kind of answer a request asks for, by its Accept header (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bonexage.serving.problems import Problem

JSON: Final = "json"
# What there is, the preferred first, with its media type.
MEDIA_TYPES: Final[Mapping[str, str]] = {
    JSON: "application/json",
    "fhir": "application/fhir+json",
    "html": "text/html",
    "pdf": "application/pdf",
}
OF_ONE_FILM: Final = frozenset({"html", "pdf"})


def wanted(accept: str | None) -> str:
    """The name of the form that is asked for: a key of `MEDIA_TYPES`.

    Raises:
        Problem: there is none that would be accepted.
    """
    if not (accept or "").strip():
        return JSON
    ranges = [_range(each) for each in str(accept).split(",")]
    quality = {name: _quality(media, ranges) for name, media in MEDIA_TYPES.items()}
    best = max(quality, key=lambda name: quality[name])
    if quality[best] <= 0:
        raise Problem(
            "not-acceptable",
            "no answer of the kinds that the request accepts can be given",
            f"Accept one of {', '.join(MEDIA_TYPES.values())}",
        )
    return best


def _range(text: str) -> tuple[str, float]:
    """A media range and its quality; what is badly written counts for nothing."""
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = min(1.0, max(0.0, float(value)))
            except ValueError:
                quality = 0.0
    return media, quality


def _quality(media: str, ranges: list[tuple[str, float]]) -> float:
    """How welcome a media type is: as its most specific range says."""
    for pattern in (media, f"{media.partition('/')[0]}/*", "*/*"):
        said = [quality for name, quality in ranges if name == pattern]
        if said:
            return max(said)
    return 0.0
