"""The pixels of one frame of a DICOM file as they are stored, whatever header and offset table claim."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import Decoder, get_decoder

from bonexage.errors import BonexageError, UnreadableFile, how_to_install
from bonexage.reading.codestream import Codestream, Kind, ends_as_begun, read_codestream
from bonexage.reading.confined import too_large
from bonexage.reading.dicom_values import text, whole_number
from bonexage.reading.tones import stored_values

# The header as implicit little endian, the pixels as big endian words: dcm4che and GDCM read it so.
GE_PRIVATE: Final = "1.2.840.113619.5.2"
GREY: Final = ("MONOCHROME1", "MONOCHROME2")
PALETTE: Final = "PALETTE COLOR"
_NATIVE: Final = frozenset(
    {
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
    }
)
_LOSSY_JPEG: Final = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
# The transfer syntaxes that a codestream may be called by; the first where the header names none of them.
_SYNTAXES: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.JPEG: _LOSSY_JPEG,
    Kind.JPEG_LOSSLESS: (uid.JPEGLossless, uid.JPEGLosslessSV1),
    Kind.JPEG_LS: (uid.JPEGLSLossless, uid.JPEGLSNearLossless),
    Kind.JPEG_2000: (uid.JPEG2000Lossless, uid.JPEG2000),
    Kind.HTJ2K: (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K),
}
# The photometric interpretations of colour that a kind of codestream may have (PS3.5 section 8.2).
_YBR_FULL: Final = "YBR_FULL"
_COLOURS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.JPEG: ("RGB", _YBR_FULL, "YBR_FULL_422"),
    Kind.JPEG_LOSSLESS: ("RGB", _YBR_FULL),
    Kind.JPEG_LS: ("RGB", _YBR_FULL),
    Kind.JPEG_2000: ("RGB", _YBR_FULL, "YBR_RCT", "YBR_ICT"),
    Kind.HTJ2K: ("RGB", _YBR_FULL, "YBR_RCT", "YBR_ICT"),
}
_SIXTEENTH_BITS: Final = 4
_ITEM: Final = b"\xfe\xff\x00\xe0"
_AGAIN: Final = "Export the film again, or convert it to PNG"


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """One frame as it is stored.

    Attributes:
        cells: integers `[height, width]`, or `[height, width, 3]` as RGB.
        bits: of a value.
        stated_bits: the same as the header states it.
        high_bit: the highest bit of a value in its cell, counted from 0.
        signed: whether the values are two's complement.
        kind: the photometric interpretation of the cells.
        lossy: whether they were packed with loss.
        packed_signed: the same as `signed`, as the codestream says it; None where it does not.
    """

    cells: NDArray[Any]
    bits: int
    stated_bits: int
    high_bit: int
    signed: bool
    kind: str
    lossy: bool
    packed_signed: bool | None = None


@dataclass(frozen=True)
class _Layout:
    """How a header, or a codestream in its place, says that the pixels are laid out; high bit -1: unsaid."""

    rows: int
    columns: int
    samples: int
    allocated: int
    bits: int
    high_bit: int
    signed: bool
    kind: str
    planar: int

    def options(self) -> dict[str, Any]:
        """The same as pydicom's decoders are told it, of one frame."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "samples_per_pixel": self.samples,
            "bits_allocated": self.allocated,
            "bits_stored": self.bits,
            "pixel_representation": int(self.signed),
            "photometric_interpretation": self.kind,
            "planar_configuration": self.planar,
            "number_of_frames": 1,
            "pixel_keyword": "PixelData",
        }


def stored_pixels(dataset: FileDataset, index: int, frames: int, most_pixels: int) -> StoredPixels:
    """Decode one frame.

    A codestream is believed before the header: it says how it is packed, how large the picture is, how many
    components it has, and its bits where the values need more than the header gives them.

    Args:
        dataset: the file.
        index: of the frame, from 0.
        frames: how many there are.
        most_pixels: how many pixels a frame may have.

    Raises:
        TooManyPixels: the frame has more.
        UnreadableFile: it cannot be decoded.
    """
    layout = _stated_layout(dataset)
    if layout.rows * layout.columns > most_pixels:
        raise too_large(most_pixels)
    syntax = str(dataset.file_meta.get("TransferSyntaxUID") or _plain_syntax(dataset))
    try:
        frame = _packed_frame(dataset, syntax, index, frames)
        if frame is None:
            return _native(dataset, index, frames, syntax, layout)
        return _unpacked(frame, syntax, layout, most_pixels)
    except (MemoryError, BonexageError):
        raise
    except Exception as error:  # decoders raise nearly everything on damaged pixels
        raise UnreadableFile(
            f"the pixels are damaged, cut short or not as the header says ({type(error).__name__})",
            remedy=_AGAIN,
        ) from None


def _stated_layout(dataset: FileDataset) -> _Layout:
    rows, columns = whole_number(dataset, "Rows", 0), whole_number(dataset, "Columns", 0)
    if rows < 1 or columns < 1:
        raise UnreadableFile("the header does not say how large the picture is", remedy=_AGAIN)
    samples = whole_number(dataset, "SamplesPerPixel", 1)
    allocated, high = whole_number(dataset, "BitsAllocated", 16), whole_number(dataset, "HighBit", -1)
    return _Layout(
        rows=rows,
        columns=columns,
        samples=samples,
        allocated=allocated,
        bits=whole_number(dataset, "BitsStored", (high + 1) or allocated),
        high_bit=high,
        signed=whole_number(dataset, "PixelRepresentation", 0) == 1,
        kind=text(dataset, "PhotometricInterpretation").upper() or ("RGB" if samples == 3 else GREY[1]),
        planar=whole_number(dataset, "PlanarConfiguration", 0),
    )


def _plain_syntax(dataset: FileDataset) -> str:
    """How a file without file meta information is written, by what the parser found."""
    implicit, little = dataset.original_encoding
    if implicit:
        return uid.ImplicitVRLittleEndian
    return uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian


# Frames that are not packed.


def _native(dataset: FileDataset, index: int, frames: int, syntax: str, layout: _Layout) -> StoredPixels:
    data, known = bytes(dataset.PixelData), syntax
    layout = _by_length(layout, len(data), frames)
    if syntax == GE_PRIVATE:
        data, known = _swapped(data) if layout.allocated == 16 else data, uid.ImplicitVRLittleEndian
    elif syntax not in _NATIVE:
        _decoder(syntax)  # it is known to be called packed, and is not
        known = uid.ExplicitVRLittleEndian
    # What lies in a cell beside the value is taken off later.
    options = {"number_of_frames": frames, "correct_unused_bits": False, "pixel_vr": dataset["PixelData"].VR}
    cells, how = _decoder(known).as_array(data, index=index, **{**layout.options(), **options})
    kind = str(how["photometric_interpretation"])
    high = _true_high_bit(cells, layout)
    return StoredPixels(cells, layout.bits, layout.bits, high, layout.signed, kind, lossy=False)


def _true_high_bit(cells: NDArray[Any], layout: _Layout) -> int:
    """The header's high bit, unless it lies outside the cell or leaves the film a sixteenth of its greys."""
    lowest, cell = layout.bits - 1, cells.dtype.itemsize * 8
    if layout.high_bit < 0 or layout.high_bit >= cell:
        return lowest
    if cells.ndim == 2 and layout.high_bit - lowest >= _SIXTEENTH_BITS:
        highest = int(cells.view(f"u{cells.dtype.itemsize}").max()).bit_length() - 1
        return lowest if highest <= lowest else layout.high_bit
    return layout.high_bit


def _by_length(layout: _Layout, length: int, frames: int) -> _Layout:
    """The layout with cells of one or two bytes where the data has exactly as many, whatever is allocated.

    Raises:
        UnreadableFile: a value of 8 bits has two or three bytes: words of a deeper picture, or colours.
    """
    values = layout.rows * layout.columns * layout.samples * frames
    if layout.allocated == 8 and layout.bits > 8 and length == 2 * values:
        return replace(layout, allocated=16)
    if layout.allocated == 16 and layout.bits <= 8 and length == values + values % 2:
        return replace(layout, allocated=8)
    if layout.allocated == layout.bits == 8 and layout.samples == 1 and length in (2 * values, 3 * values):
        raise UnreadableFile("header and pixels disagree on how many bytes a value has", remedy=_AGAIN)
    return layout


def _swapped(data: bytes) -> bytes:
    """Big endian words as little endian ones."""
    return np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()


# Frames that are packed.


def _packed_frame(dataset: FileDataset, syntax: str, index: int, frames: int) -> bytes | None:
    """A frame as it is packed, by how the pixels are written; None where they are not packed."""
    element = dataset["PixelData"]
    data = bytes(element.value)
    native = syntax in _NATIVE or syntax == GE_PRIVATE
    if not element.is_undefined_length and not data.startswith(_ITEM):
        return data if not native and read_codestream(data) else None
    if native and not element.is_undefined_length and not _begins_with_codestream(data):
        return None  # the first pixels only look like an item
    fragments = list(_fragments(data))
    if frames == 1:
        return b"".join(fragments)
    if len(fragments) == frames:
        return fragments[index]
    return get_frame(data, index, number_of_frames=frames, extended_offsets=_extended_offsets(dataset))


def _fragments(data: bytes) -> Iterator[bytes]:
    """The fragments after the Basic Offset Table, which is known to be wrong and, at times, not there.

    Raises:
        UnreadableFile: the last fragment is cut short.
    """
    at = 0
    while data[at : at + 4] == _ITEM:
        (length,) = struct.unpack_from("<I", data, at + 4)
        fragment = data[at + 8 : at + 8 + length]
        if len(fragment) < length:
            raise UnreadableFile("the file is cut short: a part of its pixels is missing", remedy=_AGAIN)
        if at or read_codestream(fragment):
            yield fragment
        at += 8 + length


def _begins_with_codestream(data: bytes) -> bool:
    with suppress(UnreadableFile):
        return bool(read_codestream(next(_fragments(data), b"")))
    return False


def _extended_offsets(dataset: FileDataset) -> tuple[bytes, bytes] | None:
    offsets, lengths = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    return (offsets, lengths) if offsets and lengths else None


def _unpacked(frame: bytes, syntax: str, layout: _Layout, most_pixels: int) -> StoredPixels:
    stream, data = read_codestream(frame), encapsulate([frame], has_bot=False)
    if stream is None:
        cells, how = _decoder(syntax).as_array(data, index=0, **layout.options())
        kind, bits = str(how["photometric_interpretation"]), layout.bits
        return StoredPixels(cells, bits, bits, bits - 1, layout.signed, kind, lossy=False)
    if stream.rows * stream.columns > most_pixels:
        raise too_large(most_pixels)
    if not ends_as_begun(stream, frame):
        raise UnreadableFile("the file is cut short: a part of its pixels is missing", remedy=_AGAIN)
    known = _syntax_of(stream, syntax)
    true = _true_layout(stream, layout, known)
    if known == uid.JPEGExtended12Bit and stream.precision > 8:
        cells, kind = _extended(frame, true), true.kind
    else:
        cells, how = _decoder(known).as_array(data, index=0, **true.options())
        kind = str(how["photometric_interpretation"])
    bits = true.bits
    if cells.ndim == 2:
        bits = _needed_bits(cells, layout.bits, stream.precision, signed=true.signed)
    lossy = known in _LOSSY_JPEG
    return StoredPixels(cells, bits, layout.bits, bits - 1, true.signed, kind, lossy, stream.signed)


def _syntax_of(stream: Codestream, syntax: str) -> str:
    """The transfer syntax that a codestream is decoded by: the header's if it can be."""
    if stream.kind is Kind.JPEG and stream.precision > 8:
        return uid.JPEGExtended12Bit
    known = _SYNTAXES[stream.kind]
    return syntax if syntax in known else known[0]


def _true_layout(stream: Codestream, stated: _Layout, syntax: str) -> _Layout:
    """The layout of a codestream: the header's kind of picture where it may have that, and all else its own.

    Decoders give the components of a pixel side by side, whatever the planar configuration says.
    """
    kind = stated.kind
    if stream.components == 1:
        kind = kind if kind in (*GREY, PALETTE) else GREY[1]
    elif stream.as_rgb or stated.samples != stream.components or kind not in _COLOURS[stream.kind]:
        as_rgb = stream.as_rgb or stream.kind is not Kind.JPEG
        kind = "RGB" if as_rgb else "YBR_FULL_422" if syntax == uid.JPEGBaseline8Bit else _YBR_FULL
    return replace(
        stated,
        rows=stream.rows or stated.rows,
        columns=stream.columns,
        samples=stream.components,
        allocated=8 if stream.precision <= 8 else 16 if stream.precision <= 16 else 32,
        bits=stream.precision,
        kind=kind,
        planar=0,
    )


def _needed_bits(cells: NDArray[Any], stated: int, precision: int, *, signed: bool) -> int:
    """The bits of a value: as the header states, or as many of the codestream's as the values need.

    Encoders are known to pack values of 12 bits as if they had 16, so precision alone says nothing.
    """
    if not 1 <= stated < precision:
        return precision if stated < 1 or not signed else min(stated, cells.dtype.itemsize * 8)
    needed = int(cells.view(f"u{cells.dtype.itemsize}").max()).bit_length()
    if needed <= stated:
        return stated
    if not signed:
        return min(precision, needed + needed % 2)  # 11 bits of a film that has 12 are none of 11
    half = 1 << (stated - 1)
    values = stored_values(cells, precision, precision - 1, signed=True)
    return stated if -half <= values.min() <= values.max() < half else precision


def _decoder(syntax: str) -> Decoder:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise UnreadableFile("its pixels are packed in a way that is not known", remedy=_AGAIN) from None
    if not decoder.is_available:
        raise _missing(syntax)
    return decoder


def _missing(syntax: str) -> UnreadableFile:
    return UnreadableFile(
        f"the packages that decode its pixels are not installed ({uid.UID(syntax).name})",
        remedy=how_to_install("dicom"),
    )


def _extended(frame: bytes, layout: _Layout) -> NDArray[Any]:
    """A frame of JPEG with 12 bits, which GDCM decodes and pydicom's plugin for it refuses."""
    if importlib.util.find_spec("gdcm") is None:
        raise _missing(uid.JPEGExtended12Bit)
    import gdcm

    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(frame)
    fragments.AddFragment(fragment)
    pixels = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    pixels.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((layout.columns, layout.rows, 1))
    image.SetDataElement(pixels)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    packed = gdcm.TransferSyntax.GetTSType(str(uid.JPEGExtended12Bit))
    image.SetTransferSyntax(gdcm.TransferSyntax(packed))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, layout.bits, layout.bits - 1, int(layout.signed)))
    buffer = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM gives bytes as text
    return np.frombuffer(buffer, "<u2").reshape(layout.rows, layout.columns)
