"""The door for pictures: their bytes go to a process with limits, and a radiograph comes back."""

from __future__ import annotations

import hashlib
import importlib.util
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bonexage.assessment import Caution
from bonexage.errors import MissingExtra, UnreadableFile
from bonexage.radiograph import NOTHING_STATED, Provenance, Radiograph, Stated
from bonexage.reading.aspect import is_square
from bonexage.reading.confined import DEFAULT_LIMITS, MAX_PIXELS, Limits
from bonexage.reading.decoder import asked, unforeseen
from bonexage.reading.framing import is_inverted, without_borders
from bonexage.reading.kinds import HEIC, kind_of
from bonexage.reading.squares import NOT_SQUARE, with_square_pixels

INVERTED: Final = Caution(
    "inverted", "The film is inverted (dark bone on white); it was turned round before it was read"
)
# Raised whenever the same file would be read as other pixels, so that what was kept of it is made anew.
READING: Final = 3

_TYPES: Final[dict[str, np.dtype[Any]]] = {"u1": np.dtype("u1"), "<f4": np.dtype("<f4")}
_BLURRED: Final = frozenset({"jpeg", "webp", "avif", "heic"})


def readable_pictures() -> tuple[str, ...]:
    """The kinds of pictures that can be read with what is installed, for people."""
    return ("PNG", "JPEG", "TIFF", "BMP", "WebP", "AVIF", *(("HEIC",) if _reads_heic() else ()))


def _reads_heic() -> bool:
    return importlib.util.find_spec("pi_heif") is not None


def decode_image(
    data: bytes, name: str, *, page: int | None = None, limits: Limits = DEFAULT_LIMITS
) -> Radiograph:
    """Decode the bytes of a PNG, JPEG, TIFF, BMP, WebP, AVIF or HEIC file.

    1, 8, 16 and 32 bit, signed or not, float, palette, colour, CMYK and transparency are read. 8-bit grey is
    value / 255, exactly; what is deeper is scaled by the bits it uses (see `depth.unit_range`). What is
    transparent is background, so black. EXIF rotation is obeyed, borders are left out, pixels that are not
    square by the file's resolutions become so with the caution `not-square`, and an inverted film is turned
    round with the caution `inverted`.

    Args:
        data: the whole file.
        name: what the file is called in errors and in the provenance.
        page: the page of a file with several pages, counted from 1.
        limits: what decoding may take.

    Raises:
        MissingExtra: it is HEIC, and what reads that is not installed.
        TooManyPixels: it has more pixels than the limits allow; they are not decoded.
        UnreadableFile: no radiograph can be read from the bytes, within the limits; says why and what to do.
    """
    if not data:
        raise UnreadableFile("the file is empty", remedy="Export or copy it again", subject=name)
    if kind_of(data) == HEIC and not _reads_heic():
        raise MissingExtra("Reading HEIC", "heic")
    facts, body = asked({"want": "picture", "page": page, "pixels": limits.pixels}, data, name, limits)
    try:
        height, width = facts["size"]
        levels: NDArray[Any] = np.frombuffer(body, dtype=_TYPES[facts["type"]]).reshape(height, width)
        stored_height, stored_width = facts["stored_size"]
        kind, bits, aspect = str(facts["kind"]), int(facts["bits"]), float(facts["aspect"])
        cautions = tuple(Caution(str(code), str(sentence)) for code, sentence in facts["cautions"])
    except (KeyError, TypeError, ValueError):
        raise unforeseen(name) from None
    white = np.float32(255 if levels.dtype == np.uint8 else 1)
    grey = np.divide(levels, white, dtype=np.float32)
    provenance = Provenance(name, hashlib.sha256(data).hexdigest(), (stored_height, stored_width), kind, bits)
    return framed(
        grey,
        provenance,
        blurred_seam=kind in _BLURRED,
        aspect=aspect,
        most_pixels=limits.pixels,
        cautions=cautions,
    )


def framed(
    grey: NDArray[np.float32],
    provenance: Provenance,
    *,
    blurred_seam: bool = False,
    spacing_mm: tuple[float, float] | None = None,
    aspect: float = 1.0,
    most_pixels: int = MAX_PIXELS,
    cautions: tuple[Caution, ...] = (),
    stated: Stated = NOTHING_STATED,
) -> Radiograph:
    """The radiograph of a decoded picture in [0, 1]: borders left out, square pixels, not inverted.

    Args:
        grey: float32 `[height, width]`, upright.
        provenance: the file it came from.
        blurred_seam: as in `without_borders`.
        spacing_mm: size of a pixel (row, column) in millimetres.
        aspect: height of a pixel over its width.
        most_pixels: how many the film may have when it is brought to square pixels.
        cautions: what decoding gave cause for.
        stated: what the file states of the film.
    """
    film = without_borders(grey, blurred_seam=blurred_seam)
    if not is_square(aspect):
        square = with_square_pixels(film, aspect, most_pixels=most_pixels)
        if spacing_mm:
            rows, columns = (before / after for before, after in zip(film.shape, square.shape, strict=True))
            spacing_mm = spacing_mm[0] * rows, spacing_mm[1] * columns
        film, cautions = square, (*cautions, NOT_SQUARE)
    inverted = is_inverted(film)
    return Radiograph(
        pixels=np.ascontiguousarray(np.float32(1) - film if inverted else film),
        provenance=provenance,
        spacing_mm=spacing_mm,
        cautions=(*cautions, INVERTED) if inverted else cautions,
        stated=stated,
    )
