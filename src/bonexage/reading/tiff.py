"""What Pillow has to be told of TIFF: one page at a time, and grey values of any depth as they are stated."""

from __future__ import annotations

import struct
from typing import Final

from PIL import Image, TiffImagePlugin, UnidentifiedImageError, features

# Pages that are counted; a file with more holds at least so many.
MOST_PAGES: Final = 100_000

_BITS_TAG: Final = 258
_WHITE_IS_ZERO_TAG: Final = 262
_SAMPLES_TAG: Final = 277
_PLANES_TAG: Final = 284
_EXTRA_TAG: Final = 338
_FORMAT_TAG: Final = 339
# What a second sample beside grey may be: transparency that grey has been multiplied with, or has not.
_MULTIPLIED, _NOT_MULTIPLIED = 1, 2
_IN_PLANES: Final = 2
# The type of values by what the sample format says (1 unsigned, 2 signed, 3 float, 4 unknown) and their bits.
_TYPES: Final = {
    (1, 16): "u2",
    (2, 16): "i2",
    (3, 16): "f2",
    (4, 16): "u2",
    (1, 32): "u4",
    (2, 32): "i4",
    (3, 32): "f4",
    (4, 32): "u4",
    (2, 8): "i1",
}


def prepare() -> None:
    """Let Pillow read grey pages of every depth, byte order and polarity, all of them by libtiff.

    libtiff gives values in the machine's own order; Pillow's own reader of plain pages takes colours of
    16 bits that lie in planes for others, and its table lacks kinds of grey or swaps their bytes.
    """
    if not features.check("libtiff"):
        return
    TiffImagePlugin.READ_LIBTIFF = True
    grey = {(each, 16): ("I;16", "I;16N") for each in (1, 2, 3, 4)}
    grey |= {(each, 32): ("I", "I;32N") for each in (1, 2, 3, 4)}
    grey |= {(1, 12): ("I;16", "I;12"), (3, 64): ("F", "F;64NF"), (2, 8): ("L", "L")}
    for order in (b"II", b"MM"):
        for photometric in (0, 1):
            for (kind, bits), modes in grey.items():
                TiffImagePlugin.OPEN_INFO[order, photometric, (kind,), 1, (bits,), ()] = modes
        for extra in (_MULTIPLIED, _NOT_MULTIPLIED):  # two values of 16 bits as if they were one of 32
            TiffImagePlugin.OPEN_INFO[order, 1, (1,), 1, (16, 16), (extra,)] = ("I", "I;32N")


def check_layers(picture: Image.Image) -> None:
    """Raise UnidentifiedImageError for grey and transparency in planes of their own: Pillow mistakes them."""
    if _layers(picture) and picture.tag_v2.get(_PLANES_TAG) == _IN_PLANES:  # type: ignore[attr-defined]
        raise UnidentifiedImageError("grey and transparency lie in planes")


def is_deep_with_layer(picture: Image.Image) -> bool:
    """Whether each pixel is a grey value of 16 bits and its transparency."""
    return picture.mode == "I" and bool(_layers(picture))


def _layers(picture: Image.Image) -> int:
    """What the second sample of a grey TIFF is, if it is transparency; 0 for other pictures."""
    tags = getattr(picture, "tag_v2", {})
    extra = tags.get(_EXTRA_TAG, ())
    return extra[0] if tags.get(_SAMPLES_TAG) == 2 and extra in ((_MULTIPLIED,), (_NOT_MULTIPLIED,)) else 0


def deep_levels(picture: Image.Image, upright: Image.Image) -> bytes | None:
    """The grey of a picture of another depth than 8 bits, of any format; None of one with 8 bits or colours.

    Args:
        picture: as Pillow decoded it; a TIFF says what type its values have.
        upright: the same, turned.

    Returns:
        float32 in [0, 1], row by row.
    """
    tags = getattr(picture, "tag_v2", {})
    kind, bits = (next(iter(tags.get(tag, (1,))), 1) for tag in (_FORMAT_TAG, _BITS_TAG))
    if not picture.mode.startswith(("I", "F")) and (picture.mode, kind) != ("L", 2):
        return None
    import numpy as np

    from bonexage.reading.depth import unit_range

    values = np.asarray(upright)
    of_file = np.dtype(_TYPES.get((kind, bits), values.dtype))
    alpha = None
    if is_deep_with_layer(picture):
        values, alpha = np.moveaxis(values.view(np.uint16).reshape(*values.shape, 2), 2, 0)
    grey = unit_range(values.view(of_file) if of_file.itemsize == values.itemsize else values)
    if tags.get(_WHITE_IS_ZERO_TAG) == 0:
        grey = np.subtract(np.float32(1), grey)
    if alpha is not None and _layers(picture) == _NOT_MULTIPLIED:
        grey *= alpha / np.float32(65535)
    return grey.astype("<f4").tobytes()


def page_starts(data: bytes) -> list[int]:
    """Where the directory of each page of a TIFF begins, `MOST_PAGES` at most, each once."""
    form = _Form.of(data)
    if form is None:
        return []
    starts: dict[int, None] = {}
    (start,) = form.number.unpack_from(data, form.first)
    while start and start not in starts and len(starts) < MOST_PAGES:
        starts[start] = None
        try:
            (start,) = form.number.unpack_from(data, form.end_of(data, start))
        except struct.error:  # cut short: what follows is not to be had
            break
    return list(starts)


def single_page(data: bytes, start: int) -> bytes:
    """The same TIFF with one page alone, that whose directory begins at `start`."""
    form = _Form.of(data)
    if form is None:
        return data
    alone = bytearray(data)
    form.number.pack_into(alone, form.first, start)
    form.number.pack_into(alone, form.end_of(data, start), 0)
    return bytes(alone)


class _Form:
    """How numbers are written in a TIFF: their order, and whether it is BigTIFF."""

    def __init__(self, order: str, *, big: bool) -> None:
        self.first = 8 if big else 4
        self.number = struct.Struct(order + ("Q" if big else "I"))
        self._count = struct.Struct(order + ("Q" if big else "H"))
        self._entry = 20 if big else 12

    @classmethod
    def of(cls, data: bytes) -> _Form | None:
        """That of a file; None where it is no TIFF, or ends before its first page."""
        order = {b"II": "<", b"MM": ">"}.get(data[:2])
        if order is None or len(data) < 16:
            return None
        (version,) = struct.unpack_from(order + "H", data, 2)
        return cls(order, big=version == 43)

    def end_of(self, data: bytes, start: int) -> int:
        """Where the directory at `start` names the next one; struct.error where that is outside the file."""
        if start > len(data):
            raise struct.error("a directory lies outside the file")
        (entries,) = self._count.unpack_from(data, start)
        end = start + self._count.size + entries * self._entry
        if end > len(data):
            raise struct.error("a directory lies outside the file")
        return int(end)
