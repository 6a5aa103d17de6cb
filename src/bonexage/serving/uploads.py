"""An upload becomes films and what is asked about them, in memory, within limits of size and time."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from bonexage.errors import WrongUse
from bonexage.model.assessor import DEFAULT_COVERAGE
from bonexage.radiograph import NOBODY
from bonexage.serving.looking import Asked
from bonexage.serving.problems import Problem, problem_of
from bonexage.serving.settings import MEGABYTE, Limits
from bonexage.subject import MAX_CHRONOLOGICAL_AGE_MONTHS, Sex, Subject

FIELDS: Final = ("file", "sex", "age_months", "coverage", "page")
MOST_PAGES: Final = 10_000
_MOST_NAME: Final = 200
_MOST_TEXT: Final = 1000
_NUMBER: Final = re.compile(r"\d{1,6}(\.\d{1,6})?")
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

    @property
    def fingerprint(self) -> str:
        """A hash of all of it."""
        digest = hashlib.sha256(repr((self.subject, self.coverage, self.page)).encode())
        for film in self.films:
            digest.update(repr((film.name, hashlib.sha256(film.data).hexdigest())).encode())
        return digest.hexdigest()


@dataclass
class Held:
    """How many bytes of uploads are in memory, and how many may be."""

    most: int
    bytes: int = 0

    @contextmanager
    def share(self) -> Iterator[Share]:
        """What one upload holds of it, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.bytes -= share.bytes


@dataclass
class Share:
    """How many bytes one upload holds."""

    of: Held
    bytes: int = 0

    def add(self, length: int) -> None:
        """So many bytes more.

        Raises:
            Problem: all uploads together hold more than they may.
        """
        self.bytes += length
        self.of.bytes += length
        if self.of.bytes > self.of.most:
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
        Problem: the form, or what is asked in it, cannot be obeyed, is too large, or does not come.
    """
    media, _, _ = request.headers.get("content-type", "").partition(";")
    if media.strip().lower() != "multipart/form-data":
        raise Problem(
            "wrong-form", "the body is no multipart form", "Send multipart/form-data with the field file"
        )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.bytes:
        raise _too_large(limits)
    chunks = _chunks(request, limits, share)
    parser = MultiPartParser(
        request.headers, chunks, max_files=limits.files, max_fields=len(FIELDS), max_part_size=_MOST_TEXT
    )
    parser.spool_max_size = limits.bytes + 1  # nothing goes to disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise _of_parser(error, limits) from None
    return await _understood(form.multi_items())


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


async def _understood(items: list[tuple[str, UploadFile | str]]) -> Upload:
    films: list[Film] = []
    texts: dict[str, str] = {}
    for name, value in items:
        if name not in FIELDS or name in texts:
            what = "is given twice" if name in texts else "is none that there is"
            raise _wrong(f"a field of the form {what}", f"Give file, and perhaps {', '.join(FIELDS[1:])}")
        if isinstance(value, UploadFile) != (name == "file"):
            kind = "a file" if name == "file" else "a text"
            raise _wrong(f"the field {name} holds no {kind[2:]}", f"Send it as {kind}")
        if isinstance(value, UploadFile):
            films.append(Film(film_name(value.filename or ""), await value.read()))
            await value.close()
        else:
            texts[name] = value
    if not films:
        raise _wrong("there is no film", "Send it as a file in the field file")
    try:
        return Upload(
            tuple(films),
            Subject(_sex(texts.get("sex", "U")), _number(texts, "age_months", MAX_CHRONOLOGICAL_AGE_MONTHS)),
            _share(_number(texts, "coverage", 100)),
            _page(_number(texts, "page", MOST_PAGES)),
        )
    except WrongUse as error:
        raise problem_of(error) from None


def film_name(given: str) -> str:
    """What a film is called by the name that a client gave: no path, nothing unprintable, never empty."""
    last = re.split(r"[/\\]", given)[-1]
    shown = "".join(each for each in last if each.isprintable())[:_MOST_NAME].strip()
    return shown if shown.strip(".") else "film"


def _sex(text: str) -> Sex:
    if text not in set(Sex):
        raise WrongUse("the sex is none that there is", remedy="Write F, M or U")
    return Sex(text)


def _number(texts: dict[str, str], name: str, most: float) -> float | None:
    """A number of the form: digits, perhaps a point; None where it is left out."""
    if name not in texts:
        return None
    if not _NUMBER.fullmatch(texts[name]) or not texts[name].isascii() or float(texts[name]) > most:
        raise WrongUse(f"{name} is no number that it can be", remedy=f"Give a number up to {most:g}")
    return float(texts[name])


def _share(percent: float | None) -> float:
    if percent is None:
        return DEFAULT_COVERAGE
    if not 1 < percent < 100:
        raise WrongUse(
            "coverage is no number that it can be", remedy="Give a percentage above 1 and below 100"
        )
    return percent / 100


def _page(number: float | None) -> int | None:
    if number is None:
        return None
    if number < 1 or not math.isclose(number, round(number)):
        raise WrongUse("page is no number that it can be", remedy="Give a whole number from 1")
    return round(number)


def _wrong(problem: str, remedy: str) -> Problem:
    return Problem("wrong-use", problem, remedy)


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


def _of_parser(error: MultiPartException, limits: Limits) -> Problem:
    if error.message.startswith("Too many files"):
        return Problem(
            "too-many-files", f"there are more than {limits.files} films", "Send fewer films at a time"
        )
    return _wrong("the form is damaged, or a text in it too long", "Send it again")
