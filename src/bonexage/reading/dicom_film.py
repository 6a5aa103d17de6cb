"""The bytes of a DICOM file become a grey picture and what its header states; runs in the child process."""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.sequence import Sequence

from bonexage.assessment import Caution
from bonexage.errors import RefusedRadiograph, UnreadableFile
from bonexage.radiograph import Stated
from bonexage.reading.confined import MAX_PIXELS
from bonexage.reading.dicom_contradictions import settled
from bonexage.reading.dicom_header import aspect_of, spacing_of, stated_by, tones_of
from bonexage.reading.dicom_meta import DIRECTORY, MAGIC, OWN_MODEL, PREAMBLE, file_meta
from bonexage.reading.dicom_pixels import GREY, PALETTE, StoredPixels, stored_pixels
from bonexage.reading.dicom_tables import palette_grey
from bonexage.reading.dicom_values import text, whole_number
from bonexage.reading.tones import Tones, show, stored_values

MOST_NESTED: Final = 32
"""Sequences in one another; the standard's films need fewer than ten."""

# A film of MAX_PIXELS at 16 bits, and room for its header.
MAX_INFLATED: Final = 256_000_000

FILM_CLASSES: Final = frozenset(
    {
        uid.ComputedRadiographyImageStorage,
        uid.DigitalXRayImageStorageForPresentation,
        uid.DigitalXRayImageStorageForProcessing,
        uid.SecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    }
)
# Modality (0008,0060) of radiographs, of what was captured from them, and what some scanners write.
FILM_MODALITIES: Final = frozenset({"", "CR", "DX", "DR", "RG", "OT", "SC"})
# Any of these makes a data set of what was parsed without a preamble.
_SIGNS: Final = ("SOPClassUID", "Rows", "PatientID", "DirectoryRecordSequence")
_PIXEL_DATA: Final = 0x7FE00010
_END_OF_ITEMS: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"

VIEW_REFUSED: Final = Caution(
    "view-unusable", "The header's window or lookup table shows nothing, so it was not used."
)
FOR_PROCESSING: Final = Caution(
    "for-processing",
    "The file holds the detector's raw picture, not the one made for looking at: its tones differ from those "
    "the model learned from.",
)

# A hand takes up more than a tenth of a film.
_BRIGHT: Final = 90.0
_MODALITY: Final = re.compile(r"[A-Z]{2,4}")
_FILM: Final = "Give the film itself, a CR, DX or Secondary Capture image of the hand"
_AGAIN: Final = "Export the film again, or convert it to PNG"


@dataclass(frozen=True, eq=False)
class DicomFilm:
    """A decoded film.

    Attributes:
        grey: float32 `[height, width]` in [0, 1], as it is to be shown.
        bits: bits of a stored value.
        lossy: whether the picture was ever packed with loss.
        spacing_mm: size of a pixel (row, column), or None.
        aspect: height of a pixel over its width.
        stated: what the header states of the film.
        cautions: what is to be known of it.
    """

    grey: NDArray[np.float32]
    bits: int
    lossy: bool
    spacing_mm: tuple[float, float] | None
    aspect: float
    stated: Stated
    cautions: tuple[Caution, ...]


def decode_film(data: bytes, *, page: int | None = None, most_pixels: int = MAX_PIXELS) -> DicomFilm:
    """Decode the bytes of a DICOM film.

    Args:
        data: the whole file.
        page: the frame of a picture with several frames, counted from 1.
        most_pixels: how many pixels it may have.

    Raises:
        TooManyPixels: it has more.
        UnreadableFile: it holds no picture that can be decoded.
        RefusedRadiograph: the picture is no radiograph.
    """
    dataset = read_dataset(data)
    _check_kind(dataset)
    index, frames = _frame_index(dataset, page)
    stored = stored_pixels(dataset, index, frames, most_pixels)
    grey, bits, cautions = _picture(dataset, stored)
    stated, of_subject = stated_by(dataset)
    spacing, of_spacing = spacing_of(dataset)
    aspect, of_aspect = aspect_of(dataset, spacing)
    raw = dataset.get("SOPClassUID") == uid.DigitalXRayImageStorageForProcessing
    return DicomFilm(
        grey=grey,
        bits=bits,
        lossy=stored.lossy or _is_lossy(dataset),
        spacing_mm=spacing,
        aspect=aspect,
        stated=stated,
        cautions=(*cautions, *of_subject, *(of_spacing or of_aspect), *((FOR_PROCESSING,) if raw else ())),
    )


def read_dataset(data: bytes) -> FileDataset:
    """Parse a DICOM file, also one without preamble, and one whose packed pixels lack their end.

    Raises:
        UnreadableFile: it is none, it is damaged, or it unpacks to more than `MAX_INFLATED` bytes.
    """
    if data.startswith(MAGIC):
        data = bytes(PREAMBLE) + data
    meta = file_meta(data)
    if meta.transfer_syntax == uid.DeflatedExplicitVRLittleEndian:
        _check_inflated(memoryview(data)[meta.end :])
    try:
        # pydicom gives nothing of a file that ends before the fragments of its pixels do.
        dataset = _parsed(data) or _parsed(data + _END_OF_ITEMS)
        known = any(keyword in dataset for keyword in _SIGNS)
        too_deep = _is_too_deep(dataset)
    except InvalidDicomError:
        known = too_deep = False
    except RecursionError:
        too_deep = True
    except MemoryError:
        raise
    except Exception as error:
        raise UnreadableFile(
            f"the DICOM header is damaged or cut short ({type(error).__name__})", remedy=_AGAIN
        ) from None
    if too_deep:
        raise UnreadableFile("the header's sequences lie too deep in one another", remedy=_AGAIN)
    if not known:
        raise UnreadableFile("this is not a DICOM file, or its header is damaged", remedy=_AGAIN)
    return dataset


def _parsed(data: bytes) -> FileDataset:
    """What pydicom reads up to the pixels; what follows them, padding or rubbish, is left alone."""
    return read_partial(io.BytesIO(data), stop_when=lambda tag, _vr, _length: tag > _PIXEL_DATA, force=True)


def _is_too_deep(dataset: FileDataset) -> bool:
    """Whether parsed sequences lie more than `MOST_NESTED` deep, however deep the parser could go."""
    level: list[Dataset] = [dataset]
    for _ in range(MOST_NESTED + 1):
        level = [
            item
            for each in level
            for element in each.elements()
            if isinstance(element.value, Sequence)
            for item in element.value
        ]
        if not level:
            return False
    return True


def files_of_disc(data: bytes) -> list[list[str]]:
    """What a DICOMDIR calls images, each as the parts of its path; some write a path into one part.

    Blanks round a part say nothing (PS3.5 section 6.2, CS).

    Raises:
        UnreadableFile: it is none, or damaged.
    """
    dataset = read_dataset(data)
    try:
        images = [
            item.get("ReferencedFileID")
            for item in dataset.get("DirectoryRecordSequence") or ()
            if text(item, "DirectoryRecordType") == "IMAGE"
        ]
    except Exception as error:  # as in read_dataset
        raise UnreadableFile(
            f"the disc's index is damaged ({type(error).__name__})", remedy="Give the films themselves"
        ) from None
    files = [_parts([image] if isinstance(image, str) else list(image)) for image in images if image]
    return [parts for parts in files if parts]


def _parts(written: list[Any]) -> list[str]:
    parts = [part.strip(" ") for each in written for part in str(each).replace("\\", "/").split("/")]
    return [part for part in parts if part != "."]


def _check_inflated(packed: memoryview) -> None:
    inflater, size, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, bytes(packed)
    try:
        while rest and not inflater.eof:
            size += len(inflater.decompress(rest, 1 << 22))
            rest = inflater.unconsumed_tail
            if size > MAX_INFLATED:
                raise UnreadableFile(
                    f"the file unpacks to more than {MAX_INFLATED // 1_000_000} MB",
                    remedy="Give a smaller copy of it",
                )
    except zlib.error:
        raise UnreadableFile("the packed DICOM file is damaged or cut short", remedy=_AGAIN) from None


def _check_kind(dataset: FileDataset) -> None:
    """Refuse what is no picture, and pictures that are no radiographs, each with its own sentence."""
    kind = text(dataset, "SOPClassUID") or str(dataset.file_meta.get("MediaStorageSOPClassUID", ""))
    if text(dataset, "ManufacturerModelName") == OWN_MODEL:
        raise UnreadableFile("this is a result of bonexage, not a film", remedy=_FILM)
    if kind == DIRECTORY:
        raise UnreadableFile(
            "this is the index of a disc, not a film", remedy="Give the disc's folder, or the film itself"
        )
    if "EncapsulatedDocument" in dataset:
        what = "a PDF" if kind == uid.EncapsulatedPDFStorage else "a document"
        raise UnreadableFile(f"this is {what} in a DICOM file, not a film", remedy=_FILM)
    if "PixelData" not in dataset:
        if any(keyword in dataset for keyword in ("FloatPixelData", "DoubleFloatPixelData")):
            raise RefusedRadiograph("the picture holds measured values, not a radiograph", remedy=_FILM)
        raise UnreadableFile(f"this DICOM file{_named(kind)} holds no picture", remedy=_FILM)
    if kind and kind not in FILM_CLASSES:
        raise RefusedRadiograph(f"this DICOM picture{_named(kind)} is no radiograph", remedy=_FILM)
    modality = text(dataset, "Modality").upper()
    if modality not in FILM_MODALITIES:
        raise RefusedRadiograph(
            f"this DICOM picture{_named(kind)} is no radiograph: its Modality is {modality_name(modality)}",
            remedy="If it is a radiograph of a hand, set its Modality to DX or CR, or convert it to PNG",
        )


def modality_name(modality: str) -> str:
    """A Modality (0008,0060) as it may be shown: where it is no short code, anything may stand there."""
    return modality if _MODALITY.fullmatch(modality) else "none that is known"


def _named(kind: str) -> str:
    """The kind's name in the standard, in brackets; '' for kinds that it does not name."""
    name = uid.UID(kind).name
    return "" if name == kind else f" ({name.replace(' Storage', '')})"


def _frame_index(dataset: FileDataset, page: int | None) -> tuple[int, int]:
    """The frame that is asked for, from 0, and how many there are."""
    frames = max(1, whole_number(dataset, "NumberOfFrames", 1))
    if page is None and frames > 1:
        raise UnreadableFile(
            f"the file holds {frames} frames and none was named",
            remedy=f"Name the page that shows the hand, 1 to {frames}, or give it as a file of its own",
        )
    if page is not None and not 1 <= page <= frames:
        raise UnreadableFile(f"there is no page {page}", remedy=f"Name a page from 1 to {frames}")
    return (page or 1) - 1, frames


def _picture(
    dataset: FileDataset, stored: StoredPixels
) -> tuple[NDArray[np.float32], int, tuple[Caution, ...]]:
    """The picture in [0, 1], its bits, and what is to be known of it."""
    pixels, bits = stored.cells, stored.bits
    if pixels.ndim == 3:
        return _grey_of_colour(pixels, bits), bits, ()
    if stored.kind not in (*GREY, PALETTE):
        raise UnreadableFile("the header does not say how its values are to be shown", remedy=_AGAIN)
    cell = pixels.dtype.itemsize * 8
    if not 1 <= bits <= stored.high_bit + 1 <= cell:
        raise UnreadableFile("the header does not say where in a pixel its value lies", remedy=_AGAIN)
    stored = settled(dataset, stored)
    bits = stored.bits
    values = stored_values(pixels, bits, stored.high_bit, signed=stored.signed)
    if stored.kind == PALETTE:
        grey = palette_grey(values, dataset, bits=bits, signed=stored.signed)
        if grey is None:
            raise UnreadableFile("the tables of its palette are missing or make no sense", remedy=_AGAIN)
        return grey, bits, ()
    tones, cautions = tones_of(dataset, bits_stored=bits, signed=stored.signed)
    deeper = bits - stored.stated_bits
    if deeper > 0 and not stored.signed and _are_beyond(values, tones, stored.stated_bits):
        values, tones = values >> deeper, replace(tones, bits_stored=stored.stated_bits)
    shown = show(values, tones)
    return shown.grey, bits, (*cautions, *((VIEW_REFUSED,) if shown.view_refused else ()))


def _are_beyond(values: NDArray[Any], tones: Tones, stated_bits: int) -> bool:
    """Whether a header's views are for values of the bits that it states, and the values have more.

    A window for 12 bits would leave white what a codestream of 16 bits holds.
    """
    reach = tones.reach
    if reach is None or reach > 2**stated_bits:
        return False
    return bool(np.percentile(values, _BRIGHT) >= 2**stated_bits)


def _grey_of_colour(pixels: NDArray[Any], bits: int) -> NDArray[np.float32]:
    """RGB `[height, width, 3]` as grey, by its upper 8 bits."""
    eight = pixels if pixels.dtype == np.uint8 else (pixels >> max(0, bits - 8)).astype(np.uint8)
    grey = np.asarray(Image.fromarray(eight[..., :3]).convert("L"), dtype=np.float32)
    return grey / np.float32(255)


def _is_lossy(dataset: FileDataset) -> bool:
    syntax = dataset.file_meta.get("TransferSyntaxUID", "")
    return (
        syntax in (uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K)
        or text(dataset, "LossyImageCompression") == "01"
    )
