"""A multipart form (RFC 7578) read as it comes: whole parts in memory, or the reason why it is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from bonexage.serving.problems import Problem

MEDIA_TYPE: Final = "multipart/form-data"
MOST_TEXTS: Final = 16
MOST_TEXT_BYTES: Final = 1000
_MOST_PADDING: Final = 80  # spaces between a boundary and the end of its line
_BOUNDARY: Final = re.compile(r";\s*boundary\s*=", re.IGNORECASE)
_AGAIN: Final = "Send the whole form again"


@dataclass(frozen=True)
class Part:
    """One field of a form.

    Attributes:
        name: the field's name, as the client wrote it.
        data: what it holds.
        filename: the name of a file, '' for one without; None where the part is a text.
    """

    name: str
    data: bytes = field(repr=False)
    filename: str | None = None

    @property
    def text(self) -> str:
        """The text of a field: UTF-8, whatever the form says (RFC 7578, section 5.1.2), else Latin-1."""
        return _decoded(self.data)


@dataclass
class _Open:
    """The part that is being read."""

    disposition: bytes = b""
    name: str = ""
    filename: str | None = None
    data: bytearray = field(default_factory=bytearray)


class FormReader:
    """Takes a form's body chunk by chunk; `parts` are there when all of it has come."""

    def __init__(self, content_type: str, *, most_files: int) -> None:
        """Get ready for a form.

        Args:
            content_type: the request's Content-Type.
            most_files: so many files may be in it.

        Raises:
            Problem: the header names no boundary, or several.
        """
        boundary = _boundary(content_type)
        self._most_files = most_files
        self._parts: list[Part] = []
        self._open = _Open()
        self._header = [bytearray(), bytearray()]
        self._ended = False
        self._tail = bytearray()
        self._closing = b"\r\n--" + boundary + b"--"
        self._another = re.compile(rb"--" + re.escape(boundary) + rb"[ \t]{0,%d}\r\n" % _MOST_PADDING)
        self._has_another = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._name,
                    "on_part_data": self._add,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError:
            raise _wrong("the boundary of the form is too long") from None

    def write(self, chunk: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            Problem: they are no part of a form, or hold more than a form may.
        """
        ended = self._ended
        self._tail += chunk
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise _wrong("the form is damaged") from None
        if self._ended and not ended:
            self._tail = self._tail.partition(self._closing)[2]
        if self._ended and self._another.search(self._tail):
            self._has_another = True
        del self._tail[: 1 - len(self._closing) - (_MOST_PADDING if self._ended else 0)]

    def parts(self) -> tuple[Part, ...]:
        """The form's parts, in their order, when its last byte has come.

        Raises:
            Problem: its closing boundary is missing, or more parts follow it.
        """
        if not self._ended:
            raise _wrong("the form ends before its closing boundary, so a field of it may be lost")
        if self._has_another:
            raise _wrong("a second form follows the closing boundary of the first")
        return tuple(self._parts)

    def _begin(self) -> None:
        self._open = _Open()

    def _end_header(self) -> None:
        name, value = self._header
        if name.strip().lower() == b"content-disposition":
            if self._open.disposition:
                raise _wrong("a part of the form has two names")
            self._open.disposition = bytes(value)
        self._header = [bytearray(), bytearray()]

    def _name(self) -> None:
        """Read the name of a part, and count it."""
        _, options = parse_options_header(self._open.disposition.decode("latin-1"))
        if not options.get(b"name"):
            raise _wrong("a part of the form has no name")
        self._open.name = _decoded(options[b"name"])
        if b"filename" in options:
            self._open.filename = _decoded(options[b"filename"])
            if self._files == self._most_files:
                raise Problem(
                    "too-many-files",
                    f"there are more than {self._most_files} films",
                    "Send fewer films at a time",
                )
        elif len(self._parts) - self._files == MOST_TEXTS:
            raise _wrong(f"the form has more than {MOST_TEXTS} fields", "Leave out what no field is for")

    @property
    def _files(self) -> int:
        return sum(part.filename is not None for part in self._parts)

    def _add(self, data: bytes, start: int, end: int) -> None:
        self._open.data += memoryview(data)[start:end]
        if self._open.filename is None and len(self._open.data) > MOST_TEXT_BYTES:
            raise Problem(
                "wrong-use",
                f"its text has more than {MOST_TEXT_BYTES} bytes",
                "Send files with a file name, and shorter texts",
                field=shown(self._open.name),
            )

    def _end_part(self) -> None:
        part = self._open
        self._parts.append(Part(part.name, bytes(part.data), part.filename))
        self._open = _Open()

    def _end(self) -> None:
        self._ended = True


def shown(name: str) -> str:
    """A field's name as it may be shown: known names as they are, a client's own short and in quotes."""
    return name if re.fullmatch(r"[a-z_]{1,30}", name) else ascii(name[:30])


def _boundary(content_type: str) -> bytes:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary or len(_BOUNDARY.findall(content_type)) != 1:
        raise _wrong("Content-Type does not name one boundary of the form")
    return boundary


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _wrong(problem: str, remedy: str = _AGAIN) -> Problem:
    return Problem("wrong-use", problem, remedy)
