"""The bytes of a picture become a radiograph: grey in [0, 1], upright, bone bright, borders left out."""

from __future__ import annotations

import hashlib
import io
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bonexage.assessment import Caution
from bonexage.errors import TooManyPixels, UnreadableFile
from bonexage.radiograph import NOTHING_STATED, Provenance, Radiograph, Stated
from bonexage.reading.framing import is_inverted, without_borders

MAX_PIXELS: Final = 100_000_000
FORMATS: Final = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
INVERTED: Final = Caution(
    "inverted", "The film is inverted (dark bone on white); it was turned round before it was read"
)
BITS_LOST: Final = Caution(
    "bits-lost", "The file holds 16 bits a colour, of which 8 were read; a grey 16-bit file keeps them all"
)
# Raised whenever the same file would be read as other pixels, so that what was kept of it is made anew.
READING: Final = 1

_ORIENTATION_TAG: Final = 274
_WHITE_IS_ZERO_TAG: Final = 262
_CONVERT: Final = "Save it anew as an 8- or 16-bit grey PNG and give that file"
_AGAIN: Final = "Export or copy it again"
_SMALLER: Final = "Give a smaller copy of it"
_opening = threading.Lock()


def decode_image(
    data: bytes, name: str, *, page: int | None = None, most_pixels: int = MAX_PIXELS
) -> Radiograph:
    """Decode the bytes of a PNG, JPEG, TIFF, BMP or WebP file.

    1, 8, 16 and 32 bit, float, palette, colour, CMYK and transparency are read. 8-bit grey is value / 255,
    exactly; what is deeper is scaled by the bits it uses (see `unit_range`). What is transparent is
    background, so black. EXIF rotation is obeyed, an inverted film is turned round with the caution
    `inverted`, borders are left out.

    Args:
        data: the whole file.
        name: what the file is called in errors and in the provenance.
        page: the page of a file with several pages, counted from 1.
        most_pixels: how many pixels it may have.

    Raises:
        TooManyPixels: it has more; they are not decoded.
        UnreadableFile: no radiograph can be read from the bytes; says why and what to do.
    """
    with _unreadable(name, most_pixels):
        if not data:
            raise UnreadableFile("the file is empty", remedy=_AGAIN, subject=name)
        picture, orientation, noted = _opened(data, name, page, most_pixels)
        kind = "jpeg" if picture.format == "MPO" else str(picture.format).lower()
        bits = _bits(picture, lost=BITS_LOST in noted)
        # Pillow turns a TIFF upright by itself when it loads it.
        grey = _upright(_grey(picture), 1 if kind == "tiff" else orientation)

    height, width = grey.shape if orientation < 5 else grey.shape[::-1]
    provenance = Provenance(name, hashlib.sha256(data).hexdigest(), (height, width), kind, bits)
    return framed(grey, provenance, blurred_seam=kind in ("jpeg", "webp"), cautions=noted)


def framed(
    grey: NDArray[np.float32],
    provenance: Provenance,
    *,
    blurred_seam: bool = False,
    spacing_mm: tuple[float, float] | None = None,
    cautions: tuple[Caution, ...] = (),
    stated: Stated = NOTHING_STATED,
) -> Radiograph:
    """The radiograph of a decoded picture in [0, 1]: borders left out, an inverted film turned round.

    Args:
        grey: float32 `[height, width]`, upright.
        provenance: the file it came from.
        blurred_seam: as in `without_borders`.
        spacing_mm: size of a pixel (row, column) in millimetres.
        cautions: what decoding gave cause for.
        stated: what the file states of the film.
    """
    film = without_borders(grey, blurred_seam=blurred_seam)
    inverted = is_inverted(film)
    return Radiograph(
        pixels=np.ascontiguousarray(_turned(film) if inverted else film),
        provenance=provenance,
        spacing_mm=spacing_mm,
        cautions=(*cautions, INVERTED) if inverted else cautions,
        stated=stated,
    )


def unit_range(values: NDArray[Any]) -> NDArray[np.float32]:
    """Bring the values of a 16-bit, 32-bit or float picture to [0, 1]: float32 of the same shape.

    Floats that lie in [0, 1] stay as they are. Otherwise the values are divided by the largest number of
    as many bits as the picture uses, at least 8: 4095 for a 12-bit film in a 16-bit file, 255 for 8 bits.
    A picture that uses only the upper half of its values, or goes below 0, is first moved down to 0.
    What it uses is taken between the 0.1 and 99.9 percentiles, so that a few dead pixels do not matter.

    Raises:
        ValueError: no value is finite.
    """
    sample = values.ravel()[:: max(1, values.size // 1_000_000)].astype(np.float64)
    low, span = used_range(sample, whole=not np.issubdtype(values.dtype, np.floating))
    # float32 holds 16-bit integers exactly, and large films are of that kind.
    with np.errstate(invalid="ignore", over="ignore"):  # a pixel without a value is background
        exact: NDArray[np.floating[Any]] = np.asarray(
            values, dtype=np.float32 if values.dtype == np.uint16 else np.float64
        )
        scaled = np.clip((exact - low) / span, 0.0, 1.0)
    return np.asarray(np.nan_to_num(scaled, nan=0.0), dtype=np.float32)


def used_range(sample: NDArray[np.float64], *, whole: bool) -> tuple[float, float]:
    """What is to become 0, and how far above it 1 lies, by the rules of `unit_range`.

    Args:
        sample: values of the picture; what is not finite does not count.
        whole: whether they are whole numbers.

    Raises:
        ValueError: no value is finite.
    """
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        raise ValueError("no pixel has a value")
    if not whole and sample.min() >= 0 and sample.max() <= 1:
        return 0.0, 1.0
    bottom, top = (float(value) for value in np.percentile(sample, (0.1, 99.9)))
    low = 0.0 if 0 <= bottom <= top / 2 else bottom
    bits = max(8 if whole else 1, math.ceil(math.log2(max(top - low, 1.0) + 1)))
    return low, 2.0**bits - 1


def _grey(picture: Image.Image) -> NDArray[np.float32]:
    """The decoded picture as grey in [0, 1], as stored."""
    if picture.mode.startswith(("I", "F")):
        grey = unit_range(np.asarray(picture))
        white_is_zero = getattr(picture, "tag_v2", {}).get(_WHITE_IS_ZERO_TAG) == 0
        return _turned(grey) if white_is_zero else grey
    if picture.has_transparency_data:
        layered = picture.convert("RGBA")
        black = Image.new("RGBA", layered.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, layered)
    if picture.mode not in ("1", "L", "RGB"):
        picture = picture.convert("RGB")
    return np.asarray(picture.convert("L"), dtype=np.float32) / np.float32(255)


def _bits(picture: Image.Image, *, lost: bool) -> int:
    """Bits of a value as the file holds it, as far as Pillow tells."""
    if lost or picture.mode.startswith("I;16"):
        return 16
    return 32 if picture.mode in ("I", "F") else 1 if picture.mode == "1" else 8


def _turned(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """White for black."""
    return np.subtract(np.float32(1), grey, dtype=np.float32)


def _upright(grey: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Turn and mirror as the EXIF orientation (1 to 8) asks; any other number asks for nothing."""
    if orientation in (5, 6, 7, 8):
        grey = grey.T
    if orientation in (2, 3, 6, 7):
        grey = grey[:, ::-1]
    if orientation in (3, 4, 7, 8):
        grey = grey[::-1]
    return grey


def _opened(
    data: bytes, name: str, page: int | None, most_pixels: int
) -> tuple[Image.Image, int, tuple[Caution, ...]]:
    """The decoded picture as Pillow has it, its EXIF orientation, and what is to be known of the file."""
    with _noting_warnings() as noted:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        _choose_page(picture, name, page)
    if picture.width * picture.height > most_pixels:
        raise too_large(most_pixels, name)
    lost = picture.mode[0] not in "IF" and any(";16" in str(tile) for tile in picture.tile)
    if picture.format == "PNG":  # its EXIF may come after its pixels
        picture.load()
    with _noting_warnings() as noted_too:
        orientation = int(picture.getexif().get(_ORIENTATION_TAG, 1))
    picture.load()
    damage = (
        Caution("damaged-header", f"The header is damaged in part: {warning}")
        for warning in dict.fromkeys(noted + noted_too)
    )
    return picture, orientation, (*damage, *((BITS_LOST,) if lost else ()))


def _choose_page(picture: Image.Image, name: str, page: int | None) -> None:
    pages = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
    if page is None and pages > 1:
        raise UnreadableFile(
            f"the file holds {pages} pages and none was named",
            remedy=f"Name the page that shows the hand, 1 to {pages}, or give it as a file of its own",
            subject=name,
        )
    if page is not None and not 1 <= page <= pages:
        raise UnreadableFile(
            f"there is no page {page}", remedy=f"Name a page from 1 to {pages}", subject=name
        )
    if page is not None and pages > 1:
        picture.seek(page - 1)


def too_large(most_pixels: int, name: str | None = None) -> TooManyPixels:
    """The error of a picture that has more pixels than it may."""
    return TooManyPixels(
        f"the picture has more than {most_pixels / 1e6:g} million pixels", remedy=_SMALLER, subject=name
    )


@contextmanager
def _unreadable(name: str, most_pixels: int) -> Iterator[None]:
    """Turn whatever a picture's decoder raises into an UnreadableFile."""
    try:
        yield
    except UnreadableFile:
        raise
    except UnidentifiedImageError:
        raise UnreadableFile(
            "this is not a PNG, JPEG, TIFF, BMP or WebP picture", remedy=_CONVERT, subject=name
        ) from None
    except Image.DecompressionBombError:
        raise too_large(most_pixels, name) from None
    except MemoryError:
        raise UnreadableFile("the picture does not fit into memory", remedy=_SMALLER, subject=name) from None
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        raise UnreadableFile(
            f"the picture is damaged or cut short ({_one_line(error)})", remedy=_AGAIN, subject=name
        ) from None


@contextmanager
def _noting_warnings() -> Iterator[list[str]]:
    """Collect what Pillow warns of meanwhile; what others warn of goes its usual way.

    One at a time, because Python's warning filters belong to the whole process; only headers are read inside.
    """
    noted: list[str] = []
    with _opening:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield noted
        for warning in caught:
            if Path(warning.filename).parent.name != "PIL":
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
            elif not issubclass(warning.category, Image.DecompressionBombWarning):
                noted.append(_one_line(warning.message))


def _one_line(thing: object) -> str:
    return " ".join(str(thing).split())[:200] or type(thing).__name__
