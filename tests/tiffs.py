"""TIFF files written byte by byte, in forms that Pillow itself does not write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KINDS = {"u": 1, "i": 2, "f": 3}
_TILE = 16


def tiff(
    *pages: NDArray[Any],
    order: str = "<",
    big: bool = False,
    deflated: bool = False,
    tiled: bool = False,
    planar: bool = False,
    white_is_zero: bool = False,
    unstated: bool = False,
    layer: int | None = None,
) -> bytes:
    """A TIFF of these pages, `[height, width]` grey or `[height, width, samples]` colour, of their own types.

    Args:
        pages: their values; the type gives bits and sample format.
        order: '<' or '>', the order of bytes.
        big: whether it is BigTIFF, of 64-bit offsets.
        deflated: whether the pixels are packed.
        tiled: whether they lie in tiles rather than in one strip.
        planar: whether each sample lies in planes of its own.
        white_is_zero: whether 0 is white.
        unstated: whether the sample format is left out, so that it is unsigned.
        layer: what the second of two samples is: transparency that grey was multiplied with (1) or not (2).
    """
    offset, count = ("Q", "Q") if big else ("I", "H")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    head += struct.pack(order + "HH", 8, 0) if big else b""
    out = bytearray(head + struct.pack(order + offset, 0))
    pointer = len(head)
    for page in pages:
        samples = page.shape[2] if page.ndim == 3 else 1
        planes = [page[..., at] for at in range(samples)] if planar and samples > 1 else [page]
        parts = [part for plane in planes for part in (_tiles(plane) if tiled else [plane])]
        contents = [part.astype(part.dtype.newbyteorder(order)).tobytes() for part in parts]
        contents = [zlib.compress(content) for content in contents] if deflated else contents
        starts = []
        for content in contents:
            starts.append(len(out))
            out += content
        tags = {
            256: [page.shape[1]],
            257: [page.shape[0]],
            258: [8 * page.itemsize] * samples,
            259: [8 if deflated else 1],
            262: [2 if samples > 1 else 0 if white_is_zero else 1],
            277: [samples],
            284: [2 if planar else 1],
            339: [_KINDS[page.dtype.kind]] * samples,
        }
        lengths = [len(content) for content in contents]
        tags |= (
            {322: [_TILE], 323: [_TILE], 324: starts, 325: lengths}
            if tiled
            else {273: starts, 278: [page.shape[0]], 279: lengths}
        )
        if unstated:
            del tags[339]
        if layer is not None:
            tags |= {262: [1], 338: [layer]}
        fields = [(tag, *_field(values, order, offset)) for tag, values in sorted(tags.items())]
        places = []
        for _, _, content in fields:
            out += b"\0" * (len(out) % 2)
            places.append(len(out))
            out += content if len(content) > struct.calcsize(offset) else b""
        struct.pack_into(order + offset, out, pointer, len(out))
        out += struct.pack(order + count, len(fields))
        for (tag, number, content), place in zip(fields, places, strict=True):
            out += struct.pack(order + "HH" + offset, tag, 4, number)
            room = struct.calcsize(offset)
            out += content.ljust(room, b"\0") if len(content) <= room else struct.pack(order + offset, place)
        pointer = len(out)
        out += struct.pack(order + offset, 0)
    return bytes(out)


def of_directories(number: int) -> bytes:
    """A TIFF of so many pages of one grey pixel, which all share their bytes."""
    one = tiff(np.full((1, 1), 7, np.uint8))
    (start,) = struct.unpack_from("<I", one, 4)
    directory, size = one[start:-4], len(one) - start
    out = bytearray(one[:start])
    for at in range(1, number + 1):
        out += directory + struct.pack("<I", start + at * size if at < number else 0)
    return bytes(out)


def _field(values: Sequence[int], order: str, offset: str) -> tuple[int, bytes]:
    """A tag's number of values and their bytes, each a LONG."""
    return len(values), struct.pack(f"{order}{len(values)}I", *values)


def _tiles(plane: NDArray[Any]) -> list[NDArray[Any]]:
    height, width = plane.shape[:2]
    padding = ((0, -height % _TILE), (0, -width % _TILE), *([(0, 0)] * (plane.ndim - 2)))
    padded = np.pad(plane, padding)
    return [
        padded[row : row + _TILE, column : column + _TILE]
        for row in range(0, padded.shape[0], _TILE)
        for column in range(0, padded.shape[1], _TILE)
    ]
