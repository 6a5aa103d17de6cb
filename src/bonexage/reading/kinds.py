"""What kind of film a file is, by its first bytes: this decides, and never its name."""

from __future__ import annotations

import struct
from typing import Final

from bonexage.reading.dicom_meta import HEAD_BYTES, is_dicom

DICOM: Final = "dicom"
AVIF: Final = "avif"
HEIC: Final = "heic"

_STARTS: Final = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)
# Sizes of the header that follows a BMP's first 14 bytes; text may begin with BM as well.
_BMP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
# Bytes that steer no line, tab, page or colour of a text.
_NO_TEXT: Final = frozenset(range(32)) - frozenset(b"\t\n\v\f\r\x1b")
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_EITHER_BRANDS: Final = frozenset({b"mif1", b"msf1", b"mif2", b"miaf", b"1pic"})


def kind_of(data: bytes) -> str:
    """What kind of file begins so.

    Args:
        data: its first `HEAD_BYTES`, or more of it.

    Returns:
        'dicom', 'png', 'jpeg', 'tiff', 'bmp', 'webp', 'avif' or 'heic', or '' for none of them.
    """
    head = data[:HEAD_BYTES]
    if is_dicom(head):
        return DICOM
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in _BMP_HEADERS:
        return "bmp"
    return _kind_of_boxes(head) if head[4:8] == b"ftyp" else ""


def is_text(head: bytes) -> bool:
    """Whether a file that begins so is text, in whatever encoding of one byte; an empty file is none."""
    return bool(head) and not set(head) & _NO_TEXT


def _kind_of_boxes(head: bytes) -> str:
    """AVIF or HEIC by the brands that the file's first box names; '' for others, such as MP4."""
    (length,) = struct.unpack_from(">I", head)
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(length, len(head)) - 3, 4))]
    if brands[0] in _AVIF_BRANDS or (brands[0] in _EITHER_BRANDS and _AVIF_BRANDS & set(brands)):
        return AVIF
    return HEIC if brands[0] in _HEIC_BRANDS | _EITHER_BRANDS else ""
