"""An upload becomes films and what is asked about them, in memory, within limits of size and time."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from starlette.requests import ClientDisconnect, Request

from bonexage.assessment import coverage_share
from bonexage.errors import WrongUse
from bonexage.model.assessor import DEFAULT_COVERAGE
from bonexage.radiograph import NOBODY
from bonexage.serving.looking import Asked
from bonexage.serving.multipart import MEDIA_TYPE, FormReader, Part, shown
from bonexage.serving.problems import Problem
from bonexage.serving.settings import MEGABYTE, Limits
from bonexage.subject import Sex, Subject, parse_age_months

T = TypeVar("T")

FIELDS: Final = ("file", "sex", "age_months", "coverage", "page")
MOST_PAGES: Final = 10_000
_MOST_NAME: Final = 200
_PIECE_BYTES: Final = 8192
_PAGE: Final = re.compile(r"[0-9]{1,6}(\.0*)?")
_CLOSE: Final = {"Connection": "close"}


@dataclass(frozen=True)
class Film:
    """One film as it came in."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Upload:
    """The films of one request, and what is asked about all of them; `page` is counted from 1."""

    films: tuple[Film, ...]
    subject: Subject = NOBODY
    coverage: float = DEFAULT_COVERAGE
    page: int | None = None

    def asked(self, film: Film, forms: tuple[str, ...] = ()) -> Asked:
        """What is asked about one of the films."""
        return Asked(film.name, self.subject, self.coverage, self.page, forms)

    def fingerprint(self) -> str:
        """A hash of all of it."""
        digest = hashlib.sha256(repr((self.subject, self.coverage, self.page)).encode())
        for film in self.films:
            digest.update(repr((film.name, hashlib.sha256(film.data).hexdigest())).encode())
        return digest.hexdigest()


@dataclass
class Held:
    """How many bytes of uploads are in memory, and how many may be; the last quarter no peer has alone."""

    most: int
    bytes: int = 0
    by_peer: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def share(self, peer: str = "") -> Iterator[Share]:
        """What one upload of a peer holds of it, given back at the end."""
        share = Share(self, peer)
        try:
            yield share
        finally:
            self.count(peer, -share.bytes)
            if not self.by_peer[peer]:
                del self.by_peer[peer]

    def count(self, peer: str, length: int) -> None:
        """Count so many bytes more of a peer."""
        self.bytes += length
        self.by_peer[peer] += length

    def is_over(self, peer: str) -> bool:
        """Whether all uploads, or this peer's, hold more than they may."""
        return self.bytes > self.most or self.by_peer[peer] > self.most - self.most // 4


@dataclass
class Share:
    """How many bytes one upload holds."""

    of: Held
    peer: str = ""
    bytes: int = 0

    def add(self, length: int) -> None:
        """So many bytes more.

        Raises:
            Problem: all uploads together, or those of this peer, hold more than they may.
        """
        self.bytes += length
        self.of.count(self.peer, length)
        if self.of.is_over(self.peer):
            raise Problem(
                "busy",
                "the uploads under way fill the memory that they may take",
                "Ask again later; Retry-After says when",
                headers={"Retry-After": "5"},
            )


async def read_upload(request: Request, limits: Limits, share: Share) -> Upload:
    """Read a request's multipart form.

    Args:
        request: its body is read once, as it comes.
        limits: what it may take.
        share: what it holds in memory, counted here.

    Raises:
        Problem: the form, or a field of it, cannot be used, is too large, or does not come.
    """
    media = request.headers.get("content-type", "")
    if (
        media.partition(";")[0].strip().lower() != MEDIA_TYPE
        or len(request.headers.getlist("content-type")) > 1
    ):
        raise Problem("wrong-form", "the body is no multipart form", f"Send {MEDIA_TYPE} with the field file")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.bytes:
        raise _too_large(limits)
    form = FormReader(media, most_files=limits.files)
    async for chunk in _chunks(request, limits, share):
        for start in range(0, len(chunk), _PIECE_BYTES):
            form.write(chunk[start : start + _PIECE_BYTES])
            await asyncio.sleep(0)  # others have their turn: a form can be written to be slow to read
    return _upload_of(form.parts())


async def _chunks(request: Request, limits: Limits, share: Share) -> AsyncGenerator[bytes, None]:
    """The body as it comes, until it takes too much memory or time."""
    clock = asyncio.get_running_loop().time
    end = clock() + limits.upload_seconds
    more = True
    while more:
        try:
            async with asyncio.timeout(max(0.0, min(limits.stall_seconds, end - clock()))):
                message = await request.receive()
        except TimeoutError:
            raise _stalled(limits, clock() >= end) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        share.add(len(chunk))
        if share.bytes > limits.bytes:
            raise _too_large(limits)
        yield chunk


def _upload_of(parts: tuple[Part, ...]) -> Upload:
    """The films of a form, and what its texts ask; raises Problem with the field that is wrong."""
    films: list[Film] = []
    texts: dict[str, str] = {}
    for part in parts:
        if part.name not in FIELDS:
            raise _wrong("the service knows no such field", f"Send {', '.join(FIELDS)}", part.name)
        if part.name in texts:
            raise _wrong("the field comes twice in the form", "Send it once", part.name)
        if (part.filename is not None) != (part.name == "file"):
            kind = "a file with a file name" if part.name == "file" else "a text without a file name"
            raise _wrong("the field has the wrong kind of content", f"Send {kind}", part.name)
        if part.filename is None:
            texts[part.name] = part.text
        elif part.filename or part.data:  # a form in which no file was chosen sends a file without either
            films.append(Film(film_name(part.filename), part.data))
    if not films:
        raise _wrong("the form has no film", "Send it as a file with a file name", "file")
    sex = _field("sex", Sex.parse, texts)
    age_months = _field("age_months", parse_age_months, texts)
    return Upload(
        tuple(films),
        Subject(sex or Sex.UNKNOWN, age_months),
        _field("coverage", _share_of, texts) or DEFAULT_COVERAGE,
        _field("page", _page_of, texts),
    )


def _field(name: str, parse: Callable[[str], T | None], texts: Mapping[str, str]) -> T | None:
    """What a text of the form says; None where it is left out or blank, as on the command line."""
    text = texts.get(name, "").strip()
    if not text:
        return None
    try:
        return parse(text)
    except WrongUse as error:
        raise _wrong(error.problem, error.remedy, name) from None


def film_name(given: str) -> str:
    """What a film is called by the name that a client gave: no path, nothing unprintable, never empty."""
    last = re.split(r"[/\\]", given)[-1]
    shown = "".join(each for each in last if each.isprintable())[:_MOST_NAME].strip()
    return shown if shown.strip(".") else "film"


def _share_of(percent: str) -> float:
    try:
        return coverage_share(float(percent))
    except ValueError:
        raise WrongUse(f"{percent!r} is not a percentage", remedy="Write a number such as 90") from None


def _page_of(text: str) -> int:
    """The number of a page, counted from 1; programs may write it as 2.0."""
    if not _PAGE.fullmatch(text) or not 1 <= float(text) <= MOST_PAGES:
        raise WrongUse(
            f"{text!r} is not the number of a page", remedy=f"Write a whole number from 1 to {MOST_PAGES}"
        )
    return round(float(text))


def _wrong(problem: str, remedy: str, name: str) -> Problem:
    return Problem("wrong-use", problem, remedy, field=shown(name))


def _too_large(limits: Limits) -> Problem:
    return Problem(
        "too-large",
        f"the upload has more than {limits.bytes / MEGABYTE:g} MB",
        "Send fewer films at a time, or smaller copies",
        exit_code=3,
    )


def _stalled(limits: Limits, at_the_end: bool) -> Problem:
    if at_the_end:
        return Problem(
            "stalled",
            f"the upload was not finished after {limits.upload_seconds:g} seconds",
            "Send fewer films at a time",
            headers=_CLOSE,
        )
    return Problem(
        "stalled", f"nothing came for {limits.stall_seconds:g} seconds", "Send it again", headers=_CLOSE
    )
