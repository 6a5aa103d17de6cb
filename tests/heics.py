"""HEIC pictures made in the test: HEVC whose blocks hold plain samples, in the boxes that a phone writes.

No encoder is needed, and no value is lost: each block of 16 x 16 pixels is coded as PCM (H.265, 7.3.8.7).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BLOCK = 16
# What the least probable symbol takes of the arithmetic coder's range, in the quarter of it that PCM leaves.
_LPS = (
    *(240, 227, 216, 205, 195, 185, 175, 166, 158, 150, 142, 135, 128, 122, 116, 110, 104, 99, 94, 89, 85),
    *(80, 76, 72, 69, 65, 62, 59, 56, 53, 50, 48, 45, 43, 41, 39, 37, 35, 33, 31, 30, 28, 27, 25, 24, 23),
    *(22, 21, 20, 19, 18, 17, 16, 15, 14, 14, 13, 12, 12, 11, 11, 10, 9),
)


def heic(
    grey: NDArray[np.uint8], *, quarter_turns: int = 0, mirror: int | None = None, exif: bytes = b""
) -> bytes:
    """A HEIC file of a grey picture `[height, width]`.

    Args:
        grey: its values, as stored.
        quarter_turns: how often a viewer turns it by 90 degrees, against the clock (`irot`).
        mirror: 0 where a viewer then turns it upside down, 1 left to right (`imir`); None for neither.
        exif: EXIF data, from its TIFF header on.
    """
    height, width = grey.shape
    parameters, slice_ = _hevc(grey)
    properties = [
        _box(b"hvcC", _configuration(parameters)),
        _box(b"ispe", struct.pack(">III", 0, width, height)),
    ]
    if quarter_turns:
        properties.append(_box(b"irot", bytes([quarter_turns])))
    if mirror is not None:
        properties.append(_box(b"imir", bytes([mirror])))
    of_picture = bytes([at + 1 | (0x80 if at != 1 else 0) for at in range(len(properties))])
    items = [struct.pack(">I", len(slice_)) + slice_]
    kinds = [b"hvc1"]
    if exif:
        items.append(struct.pack(">I", 0) + exif)
        kinds.append(b"Exif")
    entries = b"".join(
        _box(b"infe", struct.pack(">IHH4sx", 2 << 24, at, 0, kind)) for at, kind in enumerate(kinds, start=1)
    )
    start = _box(b"ftyp", b"heic" + struct.pack(">I", 0) + b"mif1heic")
    meta = b""
    for _ in range(2):  # the first time to learn where the items will lie
        places, at = b"", len(start) + len(meta) + 8
        for number, item in enumerate(items, start=1):
            places += struct.pack(">HHHII", number, 0, 1, at, len(item))
            at += len(item)
        meta = _box(
            b"meta",
            struct.pack(">I", 0)
            + _box(b"hdlr", struct.pack(">II4s12xx", 0, 0, b"pict"))
            + _box(b"pitm", struct.pack(">IH", 0, 1))
            + _box(b"iloc", struct.pack(">IBBH", 0, 0x44, 0, len(items)) + places)
            + _box(b"iinf", struct.pack(">IH", 0, len(items)) + entries)
            + (
                _box(b"iref", struct.pack(">I", 0) + _box(b"cdsc", struct.pack(">HHH", 2, 1, 1)))
                if exif
                else b""
            )
            + _box(
                b"iprp",
                _box(b"ipco", b"".join(properties))
                + _box(b"ipma", struct.pack(">IIHB", 0, 1, 1, len(of_picture)) + of_picture),
            ),
        )
    return start + meta + _box(b"mdat", b"".join(items))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _configuration(parameters: Sequence[bytes]) -> bytes:
    """`hvcC`: what a decoder has to know before the picture comes."""
    head = struct.pack(">BBIHIBHBBBBHB", 1, 4, 0, 0, 0, 93, 0xF000, 0xFC, 0xFC, 0xF8, 0xF8, 0, 0x0F)
    arrays = [
        struct.pack(">BHH", 0x80 | kind, 1, len(unit)) + unit
        for kind, unit in zip((32, 33, 34), parameters, strict=True)
    ]
    return head + bytes([len(arrays)]) + b"".join(arrays)


class _Bits:
    """Bits one after the other, as H.265 writes its syntax."""

    def __init__(self) -> None:
        self.text = ""

    def u(self, length: int, value: int) -> _Bits:
        """An unsigned number of so many bits."""
        self.text += f"{value:0{length}b}"
        return self

    def ue(self, *values: int) -> _Bits:
        """Numbers in Exp-Golomb code."""
        for value in values:
            coded = f"{value + 1:b}"
            self.text += "0" * (len(coded) - 1) + coded
        return self

    def unit(self, kind: int, data: bytes = b"") -> bytes:
        """All of them, aligned after a 1, with data behind, as a unit of this kind."""
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        plain = int(text, 2).to_bytes(len(text) // 8, "big") + data
        safe = bytearray()
        for byte in plain:
            if byte <= 3 and safe[-2:] == b"\0\0":
                safe.append(3)
            safe.append(byte)
        return bytes([kind << 1, 1]) + bytes(safe)


def _profile(bits: _Bits) -> _Bits:
    return bits.u(8, 4).u(32, 1 << 27).u(48, 0).u(8, 93)


def _hevc(grey: NDArray[np.uint8]) -> tuple[list[bytes], bytes]:
    """The three sets of parameters, and the slice with the whole picture."""
    height, width = grey.shape
    padded = np.pad(grey, ((0, -height % _BLOCK), (0, -width % _BLOCK)))
    rows, columns = padded.shape
    video = _profile(_Bits().u(4, 0).u(2, 3).u(6, 0).u(3, 0).u(1, 1).u(16, 0xFFFF))
    video.u(1, 1).ue(0, 0, 0).u(6, 0).ue(0).u(2, 0)
    sequence = _profile(_Bits().u(4, 0).u(3, 0).u(1, 1)).ue(0, 0, columns, rows)
    sequence.u(1, 1).ue(0, columns - width, 0, rows - height)  # the window that is shown
    sequence.ue(0, 0, 0).u(1, 1).ue(0, 0, 0)
    sequence.ue(0, 1, 0, 2, 0, 0)  # blocks of 8 to 16 pixels, transforms of 4 to 16
    sequence.u(3, 0).u(1, 1).u(4, 7).u(4, 7).ue(1, 0).u(1, 1)  # PCM of 8 bits in blocks of 16, not filtered
    sequence.ue(0).u(5, 0)
    picture = _Bits().ue(0, 0).u(7, 0).ue(0, 0, 0).u(3, 0).ue(0, 0).u(7, 0)
    picture.u(1, 1).u(1, 0).u(1, 1).u(2, 0).ue(0).u(2, 0)  # no deblocking
    parameters = [video.unit(32), sequence.unit(33), picture.unit(34)]
    blocks = [
        padded[row : row + _BLOCK, column : column + _BLOCK].tobytes()
        for row in range(0, rows, _BLOCK)
        for column in range(0, columns, _BLOCK)
    ]
    data = b"".join(_before_samples(number, first=number == 0) + block for number, block in enumerate(blocks))
    head = _Bits().u(1, 1).u(1, 0).ue(0, 2, 0)
    return parameters, head.unit(20, data + _terminated(510))


def _before_samples(number: int, *, first: bool) -> bytes:
    """What the arithmetic coder writes before a block's samples: not the end, not split, PCM."""
    span = 510 if first else 508
    return _terminated(span - _LPS[min(number, len(_LPS) - 1)])


def _terminated(span: int) -> bytes:
    """The arithmetic coder (H.265, 9.3.5), ended by a terminating 1 at a range of `span`."""
    low, span, text, waiting = span - 2, 2, "", 0
    while span < 256:
        if 256 <= low < 512:
            low, waiting = low - 256, waiting + 1
        else:
            bit = low >= 512
            text += str(int(bit)) + str(int(not bit)) * waiting
            low, waiting = low - 512 * bit, 0
        low, span = low << 1, span << 1
    bit = low >> 9 & 1
    text += str(bit) + str(1 - bit) * waiting + f"{low >> 7 & 3 | 1:02b}"
    text = text[1:]  # the first bit is never written
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")
