"""The bytes of a DICOM file become a grey picture and what its header states; runs in the child process."""

from __future__ import annotations

import importlib.util
import io
import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError
from pydicom.filereader import dcmread
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.sequence import Sequence

from bonexage.assessment import Caution
from bonexage.errors import BonexageError, RefusedRadiograph, UnreadableFile
from bonexage.radiograph import Stated
from bonexage.reading.dicom_header import numbers, spacing_of, stated_by, text, tones_of
from bonexage.reading.dicom_meta import DIRECTORY, OWN_MODEL, file_meta
from bonexage.reading.images import MAX_PIXELS, too_large
from bonexage.reading.tones import show, stored_values

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
_GREY: Final = ("MONOCHROME1", "MONOCHROME2")

VIEW_REFUSED: Final = Caution(
    "view-unusable", "The header's window or lookup table shows nothing, so it was not used."
)
FOR_PROCESSING: Final = Caution(
    "for-processing",
    "The file holds the detector's raw picture, not the one made for looking at: its tones differ from those "
    "the model learned from.",
)

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
        stated: what the header states of the film.
        cautions: what is to be known of it.
    """

    grey: NDArray[np.float32]
    bits: int
    lossy: bool
    spacing_mm: tuple[float, float] | None
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
    index = _frame_index(dataset, page)
    _check_size(dataset, most_pixels)
    grey, bits, cautions = _decoded(dataset, index)
    stated, of_subject = stated_by(dataset)
    spacing, of_spacing = spacing_of(dataset)
    raw = dataset.get("SOPClassUID") == uid.DigitalXRayImageStorageForProcessing
    return DicomFilm(
        grey=grey,
        bits=bits,
        lossy=_is_lossy(dataset),
        spacing_mm=spacing,
        stated=stated,
        cautions=(*cautions, *of_subject, *of_spacing, *((FOR_PROCESSING,) if raw else ())),
    )


def read_dataset(data: bytes) -> FileDataset:
    """Parse a DICOM file, also one without preamble.

    Raises:
        UnreadableFile: it is none, it is damaged, or it unpacks to more than `MAX_INFLATED` bytes.
    """
    meta = file_meta(data)
    if meta.transfer_syntax == uid.DeflatedExplicitVRLittleEndian:
        _check_inflated(memoryview(data)[meta.end :])
    try:
        dataset = dcmread(io.BytesIO(data), force=True)
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
    """What a DICOMDIR calls images, each as the parts of its path.

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
    return [[image] if isinstance(image, str) else [str(part) for part in image] for image in images if image]


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
    if (kind and kind not in FILM_CLASSES) or text(dataset, "Modality").upper() not in FILM_MODALITIES:
        raise RefusedRadiograph(f"this DICOM picture{_named(kind)} is no radiograph", remedy=_FILM)


def _named(kind: str) -> str:
    """The kind's name in the standard, in brackets; '' for kinds that it does not name."""
    name = uid.UID(kind).name
    return "" if name == kind else f" ({name.replace(' Storage', '')})"


def _frame_index(dataset: FileDataset, page: int | None) -> int:
    frames = int((numbers(dataset, "NumberOfFrames") or [1])[0])
    if page is None and frames > 1:
        raise UnreadableFile(
            f"the file holds {frames} frames and none was named",
            remedy=f"Name the page that shows the hand, 1 to {frames}, or give it as a file of its own",
        )
    if page is not None and not 1 <= page <= max(1, frames):
        raise UnreadableFile(f"there is no page {page}", remedy=f"Name a page from 1 to {max(1, frames)}")
    return (page or 1) - 1


def _check_size(dataset: FileDataset, most_pixels: int) -> None:
    size = [*numbers(dataset, "Rows")[:1], *numbers(dataset, "Columns")[:1]]
    if len(size) != 2 or min(size) < 1:
        raise UnreadableFile("the header does not say how large the picture is", remedy=_AGAIN)
    if size[0] * size[1] > most_pixels:
        raise too_large(most_pixels)


def _decoded(dataset: FileDataset, index: int) -> tuple[NDArray[np.float32], int, tuple[Caution, ...]]:
    """The picture in [0, 1], its bits, and what is to be known of it."""
    try:
        syntax = dataset.file_meta.get("TransferSyntaxUID") or _plain_syntax(dataset)
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise UnreadableFile("its pixels are packed in a way that is not known", remedy=_AGAIN) from None
    deep = syntax == uid.JPEGExtended12Bit and numbers(dataset, "BitsStored") > [8]
    if not (_has_gdcm() if deep else decoder.is_available):
        raise UnreadableFile(
            f"there is no decoder for its pixels ({uid.UID(syntax).name})",
            remedy="Install it with: pip install 'bonexage[dicom]'",
        )
    try:
        if deep:
            pixels, how = _extended(dataset, index)
        else:
            # What lies in a cell beside the value is taken off below, wherever it lies.
            only = {"correct_unused_bits": False}
            pixels, how = decoder.as_array(dataset, index=index, **only)  # type: ignore[arg-type]
        return _shown(dataset, pixels, how, encapsulated=uid.UID(syntax).is_encapsulated)
    except (MemoryError, BonexageError):
        raise
    except Exception as error:  # decoders raise nearly everything on damaged pixels
        raise UnreadableFile(
            f"the pixels are damaged, cut short or not as the header says ({type(error).__name__})",
            remedy=_AGAIN,
        ) from None


def _has_gdcm() -> bool:
    return importlib.util.find_spec("gdcm") is not None


def _extended(dataset: FileDataset, index: int) -> tuple[NDArray[Any], dict[str, Any]]:
    """A frame of JPEG Extended with 12 bits, which GDCM decodes and pydicom's plugin for it refuses."""
    import gdcm

    runner = DecodeRunner(uid.JPEGExtended12Bit)
    runner.set_source(dataset)
    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(get_frame(dataset.PixelData, index, number_of_frames=runner.number_of_frames))
    fragments.AddFragment(fragment)
    pixels = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    pixels.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(pixels)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    packed = gdcm.TransferSyntax.GetTSType(str(runner.transfer_syntax))
    image.SetTransferSyntax(gdcm.TransferSyntax(packed))
    bits, signed = runner.bits_stored, runner.pixel_representation
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, signed))
    buffer = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM gives bytes as text
    cells = np.frombuffer(buffer, "<u2").reshape(runner.rows, runner.columns)
    return cells, runner.pixel_properties(as_frame=True)


def _plain_syntax(dataset: FileDataset) -> str:
    """How a file without file meta information is written, by what the parser found."""
    implicit, little = dataset.original_encoding
    if implicit:
        return uid.ImplicitVRLittleEndian
    return uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian


def _shown(
    dataset: FileDataset, pixels: NDArray[Any], how: dict[str, Any], *, encapsulated: bool
) -> tuple[NDArray[np.float32], int, tuple[Caution, ...]]:
    bits = int(how["bits_stored"])
    kind = str(how["photometric_interpretation"])
    if kind == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        bits = pixels.dtype.itemsize * 8
    if pixels.ndim == 3:
        eight = pixels if pixels.dtype == np.uint8 else (pixels >> max(0, bits - 8)).astype(np.uint8)
        grey = np.asarray(Image.fromarray(eight[..., :3]).convert("L"), dtype=np.float32)
        return grey / np.float32(255), bits, ()
    if kind not in _GREY:
        raise UnreadableFile("the header does not say how its values are to be shown", remedy=_AGAIN)
    signed = bool(how["pixel_representation"])
    high = bits - 1 if encapsulated else int((numbers(dataset, "HighBit") or [bits - 1])[0])
    cell = pixels.dtype.itemsize * 8
    if not 1 <= bits <= high + 1 <= cell:
        raise UnreadableFile("the header does not say where in a pixel its value lies", remedy=_AGAIN)
    values = stored_values(pixels, bits, high, signed=signed)
    tones, cautions = tones_of(dataset, bits_stored=bits, signed=signed)
    shown = show(values, tones)
    return shown.grey, bits, (*cautions, *((VIEW_REFUSED,) if shown.view_refused else ()))


def _is_lossy(dataset: FileDataset) -> bool:
    syntax = dataset.file_meta.get("TransferSyntaxUID", "")
    lossy = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K}
    return syntax in lossy or text(dataset, "LossyImageCompression") == "01"
