"""Messages between this process and those that work for it: a head of JSON and a body of bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

LENGTHS: Final = struct.Struct("<IQ")
MOST_HEAD: Final = 1 << 20


def write_message(stream: BinaryIO, head: Mapping[str, Any], body: bytes | memoryview = b"") -> None:
    """Send one message, whole; raises OSError where nobody reads it."""
    stream.write(before_body(head, len(body)))
    stream.write(body)
    stream.flush()


def before_body(head: Mapping[str, Any], body_length: int) -> bytes:
    """What of a message comes before its body: two lengths, `LENGTHS`, and the head."""
    said = json.dumps(head).encode()
    return LENGTHS.pack(len(said), body_length) + said


def read_message(stream: BinaryIO, *, most_body: int = 1 << 31) -> tuple[dict[str, Any], bytes] | None:
    """The next message; None where the stream ends first, or what comes is none."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head_length, body_length = LENGTHS.unpack(lengths)
    if head_length > MOST_HEAD or body_length > most_body:
        return None
    said, body = stream.read(head_length), stream.read(body_length)
    if len(said) < head_length or len(body) < body_length:
        return None
    try:
        head = json.loads(said)
    except ValueError:
        return None
    return (head, body) if isinstance(head, dict) else None
