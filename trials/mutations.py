"""Small films of every kind that is read, and edits that damage their bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from bonexage.atlas.plates import read_plates

SIDE: Final = 96
Kind = Literal["flip", "overwrite", "delete", "repeat", "insert", "cut", "extreme"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_EXTREMES: Final = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\xff\xff")
_ROOT: Final = "1.2.826.0.1.3680043.8.498.2"


@dataclass(frozen=True)
class Edit:
    """One damage.

    Attributes:
        kind: what is done.
        place: where, as a share of the file's length (0 to 1).
        length: how many bytes it is about.
        content: bytes that are written or inserted.
    """

    kind: Kind
    place: float
    length: int
    content: bytes


def damaged(data: bytes, edits: Sequence[Edit]) -> bytes:
    """The bytes after all edits, one after another."""
    for edit in edits:
        data = _after(data, edit)
    return data


def _after(data: bytes, edit: Edit) -> bytes:
    at = min(int(edit.place * len(data)), max(0, len(data) - 1))
    end = at + edit.length
    number = _EXTREMES[edit.length % len(_EXTREMES)]
    put, after = {
        "flip": (bytes(byte ^ 0xFF for byte in data[at:end]), end),
        "overwrite": (edit.content, at + len(edit.content)),
        "delete": (b"", end),
        "repeat": (2 * data[at:end], end),
        "insert": (edit.content, at),
        "cut": (b"", len(data)),
        "extreme": (number, at + len(number)),
    }[edit.kind]
    return data[:at] + put + data[after:]


def drawn(chance: Random) -> list[Edit]:
    """One to four edits by chance; half of them in the first two hundredths, where headers are."""
    return [
        Edit(
            chance.choice(KINDS),
            chance.random() * chance.choice((0.02, 1.0)),
            chance.randint(1, 64),
            chance.randbytes(chance.randint(1, 16)),
        )
        for _ in range(chance.randint(1, 4))
    ]


def sound_films() -> dict[str, bytes]:
    """A composite hand in every kind of file that is read, by a name with its suffix."""
    plate = read_plates()[-1]
    with Image.open(plate.path) as picture:
        grey = picture.convert("L").resize((SIDE, SIDE))
    deep = np.asarray(grey).astype(np.uint16) * 16
    pictures = {
        "hand.png": (grey, "PNG"),
        "palette.png": (grey.convert("P"), "PNG"),
        "deep.png": (Image.fromarray(deep), "PNG"),
        "hand.jpg": (grey, "JPEG"),
        "hand.tif": (grey, "TIFF"),
        "hand.bmp": (grey, "BMP"),
        "hand.webp": (grey.convert("RGB"), "WEBP"),
    }
    films = {name: _saved(picture, kind) for name, (picture, kind) in pictures.items()}
    syntaxes: dict[str, str | None] = {
        "plain": None,
        "deflated": uid.DeflatedExplicitVRLittleEndian,
        "rle": uid.RLELossless,
        "jpegls": uid.JPEGLSLossless,
        "jpeg2000": uid.JPEG2000Lossless,
    }
    return films | {f"{name}.dcm": dicom(deep, syntax) for name, syntax in syntaxes.items()}


def _saved(picture: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


def dicom(values: NDArray[np.uint16], syntax: str | None = None, **elements: Any) -> bytes:
    """A DX film of 12-bit values as the bytes of a file, packed as wished; keywords set elements."""
    film = Dataset()
    film.file_meta = FileMetaDataset()
    packed_later = syntax is not None and syntax != uid.DeflatedExplicitVRLittleEndian
    film.file_meta.TransferSyntaxUID = uid.UID(
        uid.ExplicitVRLittleEndian if syntax is None or packed_later else syntax
    )
    kind = uid.DigitalXRayImageStorageForPresentation
    film.SOPClassUID, film.file_meta.MediaStorageSOPClassUID = kind, kind
    film.SOPInstanceUID = f"{_ROOT}.3"
    film.file_meta.MediaStorageSOPInstanceUID = uid.UID(f"{_ROOT}.3")
    film.StudyInstanceUID, film.SeriesInstanceUID = f"{_ROOT}.1", f"{_ROOT}.2"
    film.Modality, film.PatientSex, film.PatientAge = "DX", "F", "010Y"
    film.Rows, film.Columns = values.shape
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 12, 11, 0
    film.PixelData = values.tobytes()
    film["PixelData"].VR = "OW"
    for keyword, value in elements.items():
        setattr(film, keyword, value)
    if syntax is not None and packed_later:
        film.compress(syntax, generate_instance_uid=False)
    out = io.BytesIO()
    film.save_as(out, enforce_file_format=True)
    return out.getvalue()
