"""Packed pixels are read by what their codestream says of itself, whatever header and offset table claim."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from functools import cache

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from openjpeg.utils import encode_array
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_fragments

from bonexage.errors import TooManyPixels, UnreadableFile
from bonexage.reading.codestream import Kind, read_codestream
from bonexage.reading.dicom_film import DicomFilm, decode_film
from dicoms import as_bytes, dataset, hand_values, htj2k, packed

LEVEL = 1 / 255
LOSSLESS = (uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless)
KINDS = {
    uid.JPEGLosslessSV1: Kind.JPEG_LOSSLESS,
    uid.JPEGLSLossless: Kind.JPEG_LS,
    uid.JPEG2000Lossless: Kind.JPEG_2000,
}


def values(bits: int) -> NDArray[np.uint16 | np.uint8]:
    return hand_values(bits).astype(np.uint8 if bits <= 8 else np.uint16)


@cache
def frame(syntax: str, bits: int) -> bytes:
    """The codestream of the drawn hand in so many bits."""
    if syntax == uid.JPEG2000Lossless:
        return bytes(encode_array(values(bits), bits_stored=bits))
    made = pydicom.dcmread(io.BytesIO(packed(dataset(values(bits), bits=bits), syntax)))
    return b"".join(list(generate_fragments(made.PixelData))[1:])


def jpeg(**how: object) -> bytes:
    """The drawn hand as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(values(8)).save(file, "JPEG", quality=98, **how)
    return file.getvalue()


def wrapped(pixels: bytes, syntax: str, **header: object) -> Dataset:
    """A film with packed pixels as they are given, and a header of its own."""
    made = dataset(values(8), bits=8, **header)
    made.PixelData = pixels
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = syntax
    return made


def read(made: Dataset | bytes) -> DicomFilm:
    return decode_film(made if isinstance(made, bytes) else as_bytes(made))


def shows_the_hand(film: DicomFilm, within: float = 1.5 * LEVEL) -> bool:
    exact = values(8) / 255
    return film.grey.shape == exact.shape and np.abs(film.grey - exact).max() < within


@given(
    syntax=st.sampled_from(LOSSLESS),
    bits=st.sampled_from([8, 12, 16]),
    stated=st.integers(6, 16),
    allocated=st.sampled_from([8, 16]),
    windowed=st.booleans(),
)
def test_a_codestream_with_more_bits_than_its_header_states_is_the_same_film(
    syntax, bits, stated, allocated, windowed
):
    made = wrapped(encapsulate([frame(syntax, bits)]), syntax)
    made.BitsAllocated, made.BitsStored, made.HighBit = allocated, stated, stated - 1
    if windowed and stated <= bits:
        made.WindowCenter, made.WindowWidth = 2 ** (stated - 1), 2**stated
    within = max(1.5 * LEVEL, 2.0**-stated * 2) if stated < 8 else 1.5 * LEVEL
    assert shows_the_hand(read(made), within)


@pytest.mark.parametrize("syntax", [uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K])
@pytest.mark.parametrize("stated", [8, 12])
def test_a_codestream_of_high_throughput_jpeg_2000_wins_too(syntax, stated):
    made, whole = htj2k(syntax)
    made.BitsStored, made.HighBit = stated, stated - 1
    assert np.abs(read(made).grey - read(dataset(whole, bits=16)).grey).max() < 1e-6


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_signed_values_keep_their_sign_where_the_header_states_fewer_bits_than_the_codestream(syntax):
    signed = hand_values(12).astype(np.int16) - 2048
    plain = read(dataset(signed, bits=12))
    made = pydicom.dcmread(io.BytesIO(packed(dataset(signed, bits=16), syntax)))
    made.BitsStored, made.HighBit = 12, 11
    assert np.array_equal(read(made).grey, plain.grey)


@pytest.mark.parametrize("stated", [10, 12, 16])
def test_lossy_jpeg_of_12_bits_is_read_as_12_bits(stated):
    made = wrapped(encapsulate([frame(uid.JPEGExtended12Bit, 12)]), uid.JPEGExtended12Bit)
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, stated, stated - 1
    made.WindowCenter, made.WindowWidth = "2048", "4096"
    assert shows_the_hand(read(made), 12 * LEVEL)


@pytest.mark.parametrize("window", [None, ("2048", "4096")])
def test_a_window_beyond_the_bits_of_the_header_is_one_for_the_codestream(window):
    made = wrapped(encapsulate([frame(uid.JPEG2000Lossless, 12)]), uid.JPEG2000Lossless)
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 10, 9
    if window:
        made.WindowCenter, made.WindowWidth = window
    assert shows_the_hand(read(made))


@pytest.mark.parametrize(("allocated", "stored"), [(16, 8), (16, 12), (16, 16), (32, 8)])
def test_jpeg_of_8_bits_is_read_whatever_cells_the_header_allocates(allocated, stored):
    made = wrapped(encapsulate([jpeg()]), uid.JPEGBaseline8Bit)
    made.BitsAllocated, made.BitsStored, made.HighBit = allocated, stored, stored - 1
    assert shows_the_hand(read(made), 12 * LEVEL)


@pytest.mark.parametrize("rows", [20, 60, 200])
@pytest.mark.parametrize("columns", [20, 48, 200])
@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, *LOSSLESS])
def test_the_size_of_the_picture_is_that_of_the_codestream(syntax, rows, columns):
    made = wrapped(encapsulate([frame(syntax, 8)]), syntax, Rows=rows, Columns=columns)
    assert shows_the_hand(read(made), 12 * LEVEL)


def test_a_codestream_larger_than_the_header_says_is_held_to_the_limit_too():
    made = wrapped(encapsulate([frame(uid.JPEG2000Lossless, 8)]), uid.JPEG2000Lossless, Rows=2, Columns=2)
    with pytest.raises(TooManyPixels):
        decode_film(as_bytes(made), most_pixels=1000)


@pytest.mark.parametrize("name", [uid.JPEGBaseline8Bit, uid.RLELossless, uid.ExplicitVRLittleEndian, "1.2.3"])
@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, *LOSSLESS])
def test_a_codestream_is_decoded_by_its_kind_whatever_the_transfer_syntax_calls_it(syntax, name):
    film = as_bytes(wrapped(encapsulate([frame(syntax, 8)]), uid.ExplicitVRLittleEndian))
    assert shows_the_hand(read(called(film, name)), 12 * LEVEL)


def test_progressive_and_colour_jpeg_are_read_under_a_header_of_plain_grey():
    colour = io.BytesIO()
    Image.fromarray(np.repeat(values(8)[..., None], 3, axis=2)).save(colour, "JPEG", quality=98)
    for pixels in (jpeg(progressive=True), colour.getvalue()):
        assert shows_the_hand(read(wrapped(encapsulate([pixels]), uid.JPEGBaseline8Bit)), 12 * LEVEL)


def coloured() -> NDArray[np.uint8]:
    """The drawn hand in three colours that differ."""
    grey = values(8)
    return np.stack([grey, grey // 2, 255 - grey], axis=-1).astype(np.uint8)


def colour_frame(syntax: str) -> bytes:
    if syntax == uid.JPEG2000Lossless:
        return bytes(encode_array(coloured(), bits_stored=8, photometric_interpretation=1, use_mct=True))
    if syntax == uid.JPEGBaseline8Bit:
        file = io.BytesIO()
        Image.fromarray(coloured()).save(file, "JPEG", quality=98, subsampling=0)
        return file.getvalue()
    made = pydicom.dcmread(io.BytesIO(packed(dataset(coloured(), bits=8), syntax)))
    return b"".join(list(generate_fragments(made.PixelData))[1:])


@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL_422", "YBR_ICT", "YBR_PARTIAL_420", "MONOCHROME2", ""])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, *LOSSLESS])
def test_a_colour_codestream_says_itself_how_its_colours_lie(syntax, planar, samples, kind):
    made = wrapped(encapsulate([colour_frame(syntax)]), syntax, SamplesPerPixel=samples)
    made.PlanarConfiguration, made.PhotometricInterpretation = planar, kind
    plain = read(dataset(coloured(), bits=8))
    assert np.abs(read(made).grey - plain.grey).max() < 12 * LEVEL


@pytest.mark.parametrize("kind", ["YBR_FULL", "YBR_RCT"])
def test_colours_that_jpeg_2000_transforms_are_not_transformed_twice(kind):
    made = wrapped(encapsulate([colour_frame(uid.JPEG2000Lossless)]), uid.JPEG2000Lossless)
    made.SamplesPerPixel, made.PhotometricInterpretation = 3, kind
    assert np.array_equal(read(made).grey, read(dataset(coloured(), bits=8)).grey)


def items(*contents: bytes) -> bytes:
    return b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(each)) + each for each in contents)


def halves(pixels: bytes) -> tuple[bytes, bytes]:
    middle = len(pixels) // 4 * 2
    return pixels[:middle], pixels[middle:]


@pytest.mark.parametrize(
    "table",
    [b"", b"\0\0\0\0", b"\x10\0\0\0", b"\xff\xff\xff\xff", bytes(8), b"\0\0\0\0\x99\0\0\0", None],
    ids=["empty", "right", "beyond-0", "beyond-the-end", "two", "two-wrong", "none"],
)
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.JPEG2000Lossless])
def test_an_offset_table_says_nothing_where_there_is_one_frame(table, split, syntax):
    pixels = frame(syntax, 8)
    pixels += b"\0" * (len(pixels) % 2)
    parts = halves(pixels) if split else (pixels,)
    made = wrapped(items(*(() if table is None else (table,)), *parts), syntax)
    assert shows_the_hand(read(made), 12 * LEVEL)


def test_a_wrong_offset_table_is_passed_over_where_each_frame_has_a_fragment_of_its_own():
    one = bytes(encode_array(values(8), bits_stored=8))
    two = bytes(encode_array(255 - values(8), bits_stored=8))
    made = wrapped(items(b"\x08\0\0\0\x99\0\0\0", one, two), uid.JPEG2000Lossless, NumberOfFrames=2)
    made.SOPClassUID = uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage
    assert shows_the_hand(decode_film(as_bytes(made), page=1))
    second = decode_film(as_bytes(made), page=2)
    assert np.abs(second.grey - (1 - values(8) / 255)).max() < LEVEL


def test_frames_of_several_fragments_are_found_by_their_offset_table():
    both = [bytes(encode_array(each, bits_stored=8)) for each in (255 - values(8), values(8))]
    made = wrapped(encapsulate(both, fragments_per_frame=2), uid.JPEG2000Lossless, NumberOfFrames=2)
    assert shows_the_hand(decode_film(as_bytes(made), page=2))


@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.RLELossless, *LOSSLESS])
def test_only_the_end_of_the_items_may_be_missing(syntax):
    if syntax == uid.RLELossless:
        whole = packed(dataset(values(8), bits=8), syntax)
    else:
        whole = as_bytes(wrapped(encapsulate([frame(syntax, 8)]), syntax))
    for missing in (4, 8):
        assert shows_the_hand(read(whole[:-missing]), 12 * LEVEL)
    for missing in (10, 100, 1000):
        with pytest.raises(UnreadableFile, match="cut short: a part of its pixels is missing"):
            read(whole[:-missing])


@given(tail=st.binary(max_size=300))
def test_what_follows_the_pixels_is_left_alone(tail):
    whole = as_bytes(dataset(values(8), bits=8))
    assert shows_the_hand(read(whole + tail))


def test_pixels_that_begin_as_an_item_does_are_pixels():
    cells = hand_values(16)
    cells[0, :2] = 0xFFFE, 0xE000
    assert np.array_equal(read(dataset(cells, bits=16)).grey * 65535, cells)


def test_pixels_that_are_called_packed_and_are_not_are_read():
    plain = as_bytes(dataset(values(8), bits=8))
    assert shows_the_hand(read(called(plain, uid.JPEGLosslessSV1)))


def test_a_picture_file_in_place_of_fragments_is_read():
    made = dataset(values(8), bits=8)
    made.PixelData = jpeg() + b"\0" * (len(jpeg()) % 2)
    assert shows_the_hand(read(called(as_bytes(made), uid.JPEGBaseline8Bit)), 12 * LEVEL)


def called(film: bytes, syntax: str) -> bytes:
    """A file that is written as explicit little endian and says something else."""
    at = film.index(b"1.2.840.10008.1.2.1\0")
    name = syntax.encode() + b"\0" * (len(syntax) % 2)
    group = film.index(b"\x02\0\0\0UL\x04\0") + 8
    (length,) = struct.unpack_from("<I", film, group)
    head = film[:group] + struct.pack("<I", length + len(name) - 20) + film[group + 4 : at - 2]
    return head + struct.pack("<H", len(name)) + name + film[at + 20 :]


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_ge_s_private_syntax_has_its_pixels_in_big_endian_words_and_its_header_in_little_endian(bits):
    cells = values(bits)
    plain = dataset(cells, bits=bits, syntax=uid.ImplicitVRLittleEndian)
    plain.PixelData = cells.astype(cells.dtype.newbyteorder(">")).tobytes()
    film = as_bytes(plain).replace(b"1.2.840.10008.1.2\0", b"1.2.840.113619.5.2", 1)
    assert np.array_equal(read(film).grey, read(dataset(cells, bits=bits)).grey)


@pytest.mark.parametrize(
    ("bits", "allocated", "stored"),
    [(12, 8, 12), (12, 8, 16), (8, 16, 8)],
    ids=["12-in-8", "16-in-8", "8-in-16"],
)
def test_cells_are_as_large_as_the_data_has_room_for(bits, allocated, stored):
    made = dataset(values(bits), bits=bits, BitsAllocated=allocated, BitsStored=stored, HighBit=stored - 1)
    assert shows_the_hand(read(made))


@pytest.mark.parametrize(
    "keyword",
    [
        "PhotometricInterpretation",
        "SamplesPerPixel",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
    ],
)
def test_an_element_that_follows_from_the_others_may_be_missing(keyword):
    made = dataset(hand_values(12), bits=12)
    del made[keyword]
    assert np.array_equal(read(made).grey, read(dataset(hand_values(12), bits=12)).grey)


@pytest.mark.parametrize("frames", ["0", "", "1"])
def test_a_number_of_frames_that_is_none_is_one_frame(frames):
    made = wrapped(encapsulate([jpeg()]), uid.JPEGBaseline8Bit)
    made.add_new("NumberOfFrames", "IS", frames)
    assert shows_the_hand(read(made), 12 * LEVEL)


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("bits", [8, 16])
def test_the_head_of_a_codestream_says_what_it_is(syntax, bits):
    head = read_codestream(frame(syntax, bits))
    assert head
    assert (head.kind, head.rows, head.columns, head.components) == (KINDS[syntax], 60, 48, 1)
    assert head.precision == bits


@given(data=st.binary(max_size=200), begin=st.sampled_from([b"", b"\xff\xd8", b"\xff\x4f\xff\x51"]))
def test_bytes_of_any_kind_have_a_head_or_none(data, begin):
    read_codestream(begin + data)


@pytest.mark.parametrize(("option", "within"), [("+ee", 12 * LEVEL), ("+e1", 1.5 * LEVEL)])
def test_what_dcmtk_packs_under_a_header_of_fewer_bits_is_read(tmp_path, option, within):
    if not shutil.which("dcmcjpeg"):
        pytest.skip("dcmcjpeg (dcmtk) is not installed")
    (tmp_path / "plain.dcm").write_bytes(as_bytes(dataset(hand_values(12), PatientID="1")))
    subprocess.run(["dcmcjpeg", option, tmp_path / "plain.dcm", tmp_path / "packed.dcm"], check=True)
    made = pydicom.dcmread(tmp_path / "packed.dcm")
    made.BitsStored, made.HighBit = 10, 9
    made.WindowCenter, made.WindowWidth = "2048", "4096"
    assert shows_the_hand(read(made), within)
