"""The bytes of a picture become grey levels, upright; runs in the process that `reading.decoder` holds.

NumPy is loaded for deep pictures alone, so that the process is ready soon.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Final

# Each is named, so that none of Pillow's other readers is loaded, such as those that start programs.
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from bonexage.assessment import Caution
from bonexage.errors import UnreadableFile
from bonexage.reading import tiff
from bonexage.reading.aspect import aspect_of_picture
from bonexage.reading.confined import MAX_PIXELS, too_large
from bonexage.reading.kinds import HEIC, kind_of

FORMATS: Final = tuple(
    each.format
    for each in (
        PngImagePlugin.PngImageFile,
        JpegImagePlugin.JpegImageFile,
        TiffImagePlugin.TiffImageFile,
        BmpImagePlugin.BmpImageFile,
        WebPImagePlugin.WebPImageFile,
        AvifImagePlugin.AvifImageFile,
    )
)
BITS_LOST: Final = Caution(
    "bits-lost", "The file holds 16 bits a colour, of which 8 were read; a grey 16-bit file keeps them all"
)

_ORIENTATION_TAG: Final = 274
# What brings a picture upright that EXIF says lies so.
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTER_TURNS: Final = frozenset({5, 6, 7, 8})
_HEIF: Final = "HEIF"
_KINDS: Final = {"MPO": "jpeg", _HEIF: HEIC}
_CONVERT: Final = "Save it anew as an 8- or 16-bit grey PNG and give that file"
_AGAIN: Final = "Export or copy it again"

tiff.prepare()
# One thread, as the process has limits of address space and computing.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclass(frozen=True, eq=False)
class PictureFilm:
    """A decoded picture.

    Attributes:
        levels: row by row, upright.
        type: of each level: 'u1', of which 255 is white, or '<f4' in [0, 1].
        size: height and width of the levels.
        stored_size: height and width as stored.
        kind: the file format.
        bits: of a value as the file holds it, as far as Pillow tells.
        aspect: height of one of the levels over its width, by the file's resolutions.
        cautions: what decoding gave cause for.
    """

    levels: bytes
    type: str
    size: tuple[int, int]
    stored_size: tuple[int, int]
    kind: str
    bits: int
    aspect: float
    cautions: tuple[Caution, ...]


def decode_picture(data: bytes, *, page: int | None = None, most_pixels: int = MAX_PIXELS) -> PictureFilm:
    """Decode the bytes of a picture, as `images.decode_image` describes.

    Raises:
        TooManyPixels, UnreadableFile: as `decode_image`.
        MemoryError: there is not enough memory.
    """
    with _unreadable(most_pixels):
        picture, orientation, cautions = _opened(data, page, most_pixels)
        kind = _KINDS.get(str(picture.format), str(picture.format).lower())
        bits = _bits(picture, lost=BITS_LOST in cautions)
        upright: Image.Image = picture
        if kind != "tiff" and orientation in _TURNS:  # Pillow turns a TIFF by itself when it loads it
            upright = picture.transpose(_TURNS[orientation])
        levels = tiff.deep_levels(picture, upright)
        size = (upright.height, upright.width)
        aspect, stored_size = aspect_of_picture(picture.info), size
        if orientation in _QUARTER_TURNS:
            aspect, stored_size = 1 / aspect, size[::-1]
        kept, depth = (_grey(upright).tobytes(), "u1") if levels is None else (levels, "<f4")
        return PictureFilm(kept, depth, size, stored_size, kind, bits, aspect, cautions)


def _grey(picture: Image.Image) -> Image.Image:
    """A picture of 8 bits a colour as grey, what is transparent as black."""
    if picture.has_transparency_data:
        layered = picture.convert("RGBA")
        black = Image.new("RGBA", layered.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, layered)
    if picture.mode not in ("1", "L", "RGB"):
        picture = picture.convert("RGB")
    return picture.convert("L")


def _bits(picture: Image.Image, *, lost: bool) -> int:
    if lost or picture.mode.startswith("I;16") or tiff.is_deep_with_layer(picture):
        return 16
    return 32 if picture.mode in ("I", "F") else 1 if picture.mode == "1" else 8


def _opened(data: bytes, page: int | None, most_pixels: int) -> tuple[Image.Image, int, tuple[Caution, ...]]:
    """The decoded picture as Pillow has it, its EXIF orientation, and what is to be known of the file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        picture = _page(data, page)
        tiff.check_layers(picture)
        if picture.width * picture.height > most_pixels:
            raise too_large(most_pixels)
        lost = picture.mode[0] not in "IF" and any(";16" in str(tile) for tile in picture.tile)
        if picture.format == "PNG":  # its EXIF may come after its pixels
            picture.load()
        orientation = int(picture.getexif().get(_ORIENTATION_TAG, 1))
        picture.load()
    damage = (
        Caution("damaged-header", f"The header is damaged in part: {warning}")
        for warning in dict.fromkeys(_one_line(each.message) for each in caught if _is_of_damage(each))
    )
    return picture, orientation, (*damage, *((BITS_LOST,) if lost else ()))


def _page(data: bytes, page: int | None) -> ImageFile.ImageFile:
    """The picture, not yet decoded, at the page that is asked for."""
    starts = tiff.page_starts(data)
    if starts:  # in Pillow, the time that pages take grows with the square of their number
        at = _chosen(len(starts), page)
        return _picture(tiff.single_page(data, starts[at]) if len(starts) > 1 else data)
    picture = _picture(data)
    at = _chosen(1 if picture.format == "MPO" else getattr(picture, "n_frames", 1), page)
    if at:
        picture.seek(at)
    return picture


def _picture(data: bytes) -> ImageFile.ImageFile:
    if kind_of(data) != HEIC:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    heif = import_module("pi_heif")
    heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    return Image.open(io.BytesIO(data), formats=(_HEIF,))


def _chosen(pages: int, page: int | None) -> int:
    """The page to read, from 0."""
    if page is None and pages > 1:
        raise UnreadableFile(
            f"the file holds {pages} pages and none was named",
            remedy=f"Name the page that shows the hand, 1 to {pages}, or give it as a file of its own",
        )
    if page is not None and not 1 <= page <= pages:
        raise UnreadableFile(f"there is no page {page}", remedy=f"Name a page from 1 to {pages}")
    return (page or 1) - 1


@contextmanager
def _unreadable(most_pixels: int) -> Iterator[None]:
    """Turn whatever a picture's decoder raises into an UnreadableFile."""
    try:
        yield
    except (UnreadableFile, MemoryError):
        raise
    except UnidentifiedImageError:
        raise UnreadableFile(
            "this is not a PNG, JPEG, TIFF, BMP, WebP, AVIF or HEIC picture that can be read", remedy=_CONVERT
        ) from None
    except Image.DecompressionBombError:
        raise too_large(most_pixels) from None
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        raise UnreadableFile(
            f"the picture is damaged or cut short ({_one_line(error)})", remedy=_AGAIN
        ) from None


def _is_of_damage(warning: warnings.WarningMessage) -> bool:
    return not issubclass(warning.category, Image.DecompressionBombWarning | DeprecationWarning)


def _one_line(thing: object) -> str:
    return " ".join(str(thing).split())[:200] or type(thing).__name__
