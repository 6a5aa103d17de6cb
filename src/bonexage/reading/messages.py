"""Messages between this process and the one that decodes: a head of JSON and a body of bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

_LENGTHS: Final = struct.Struct("<IQ")


def write_message(stream: BinaryIO, head: Mapping[str, Any], body: bytes | memoryview = b"") -> None:
    """Send one message, whole; raises OSError where nobody reads it."""
    said = json.dumps(head).encode()
    stream.write(_LENGTHS.pack(len(said), len(body)))
    stream.write(said)
    stream.write(body)
    stream.flush()


def read_message(
    stream: BinaryIO, *, most_head: int = 1 << 20, most_body: int = 1 << 31
) -> tuple[dict[str, Any], bytes] | None:
    """The next message; None where the stream ends first, or what comes is none."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head_length, body_length = _LENGTHS.unpack(lengths)
    if head_length > most_head or body_length > most_body:
        return None
    said, body = stream.read(head_length), stream.read(body_length)
    if len(said) < head_length or len(body) < body_length:
        return None
    try:
        head = json.loads(said)
    except ValueError:
        return None
    return (head, body) if isinstance(head, dict) else None
