"""What a JPEG, JPEG-LS or JPEG 2000 codestream says of itself, read without any decoder."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# Markers of ITU-T T.81, T.87 and T.800.
_JPEG: Final = b"\xff\xd8"
_J2K: Final = b"\xff\x4f\xff\x51"
_JP2: Final = b"\x00\x00\x00\x0cjP  "
_J2K_CAPABILITIES: Final = b"\xff\x50"
_J2K_CODING_STYLE: Final = b"\xff\x52"
_J2K_TILE: Final = b"\xff\x90"
_COLOURS: Final = 3
_END_OF_CODESTREAM: Final = b"\xff\xd9"
_BEGIN_OF_SCAN: Final = b"\xff\xda"
_PADDING: Final = b"\x00\xff"
_LOSSLESS_FRAME, _JPEG_LS_FRAME = 0xC3, 0xF7
_FRAMES: Final = frozenset({*range(0xC0, 0xD0), _JPEG_LS_FRAME}) - {0xC4, 0xC8, 0xCC}
# ITU-T T.81 table B.2: GDCM writes 16 over values of 12.
_MOST_DCT_BITS: Final = 12
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


class Kind(StrEnum):
    """What packed a codestream."""

    JPEG = "JPEG"
    JPEG_LOSSLESS = "JPEG lossless"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    HTJ2K = "High-Throughput JPEG 2000"


@dataclass(frozen=True)
class Codestream:
    """The head of a codestream.

    Attributes:
        kind: what packed it.
        rows: of the picture; 0 where the head leaves that to the codestream's end.
        columns: of the picture.
        components: 1 for grey, 3 for colour.
        precision: bits of a value, 1 to 38.
        as_rgb: whether its components are called R, G and B, or become so when they are unpacked.
        signed: whether values may lie below 0; None where the head does not say.
    """

    kind: Kind
    rows: int
    columns: int
    components: int
    precision: int
    as_rgb: bool = False
    signed: bool | None = None


def ends_as_begun(stream: Codestream, data: bytes) -> bool:
    """Whether a codestream has its end; decoders fill up what is missing, or take a copy's zeros for values.

    A codestream ends with the marker EOI (ITU-T T.81 section B.2.1, T.87) or EOC (T.800 section A.4.4), of
    the same two bytes. Padding may follow. Of JPEG 2000 in a file format of its own nothing is told.
    """
    if stream.kind in (Kind.JPEG_2000, Kind.HTJ2K):
        return not data.startswith(_J2K) or data.rstrip(_PADDING).endswith(_END_OF_CODESTREAM)
    # No value of a scan is coded as a marker, and a thumbnail in the head ends before the last scan begins.
    return data.rfind(_END_OF_CODESTREAM) > data.rfind(_BEGIN_OF_SCAN)


def read_codestream(data: bytes) -> Codestream | None:
    """The head of a codestream; None where the bytes begin as none, or it is cut short."""
    try:
        if data.startswith(_JPEG):
            return _jpeg(data)
        if data.startswith(_JP2):
            return _jpeg_2000(data, data.index(_J2K))
        return _jpeg_2000(data, 0) if data.startswith(_J2K) else None
    except (struct.error, ValueError):
        return None


def _jpeg(data: bytes) -> Codestream | None:
    at = len(_JPEG)
    while True:
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        prefix, marker = struct.unpack_from(">BB", data, at)
        if prefix != 0xFF or marker in (_START_OF_SCAN, _END_OF_IMAGE):
            return None
        if marker in _WITHOUT_LENGTH:
            at += 2
            continue
        if marker in _FRAMES:
            return _jpeg_frame(data, at + 4, marker)
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]


def _jpeg_frame(data: bytes, at: int, marker: int) -> Codestream:
    precision, rows, columns, components = struct.unpack_from(">BHHB", data, at)
    names = bytes(data[at + 6 + 3 * each] for each in range(components) if at + 6 + 3 * each < len(data))
    kind = {_LOSSLESS_FRAME: Kind.JPEG_LOSSLESS, _JPEG_LS_FRAME: Kind.JPEG_LS}.get(marker, Kind.JPEG)
    if kind is Kind.JPEG:
        precision = min(precision, _MOST_DCT_BITS)
    return Codestream(kind, rows, columns, components, precision, names.upper() == b"RGB")


def _jpeg_2000(data: bytes, at: int) -> Codestream:
    """The SIZ segment: extent and offset of the picture, its components and the first one's bits.

    Where the COD segment of the main header names a component transformation, the components are RGB.
    """
    width, height, left, top = struct.unpack_from(">4I", data, at + 8)
    components, depth = struct.unpack_from(">HB", data, at + 40)
    after = at + 4 + int(struct.unpack_from(">H", data, at + 4)[0])
    high_throughput = data[after : after + 2] == _J2K_CAPABILITIES
    kind = Kind.HTJ2K if high_throughput else Kind.JPEG_2000
    transformed = _coding_style(data, after)[4:5] == b"\1" and components == _COLOURS
    size = height - top, width - left
    return Codestream(kind, *size, components, (depth & 0x7F) + 1, transformed, signed=bool(depth & 0x80))


def _coding_style(data: bytes, at: int) -> bytes:
    """What the COD segment of a main header holds; b'' where there is none (ITU-T T.800 section A.6.1)."""
    while data[at : at + 1] == b"\xff" and data[at : at + 2] not in (_J2K_TILE, _END_OF_CODESTREAM):
        (length,) = struct.unpack_from(">H", data, at + 2)
        if data[at : at + 2] == _J2K_CODING_STYLE:
            return data[at + 4 : at + 2 + length]
        at += 2 + max(2, length)
    return b""
