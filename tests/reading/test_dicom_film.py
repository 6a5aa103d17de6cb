"""A DICOM film is decoded from any transfer syntax to the same picture, and what is no film is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from bonexage.errors import RefusedRadiograph, UnreadableFile
from bonexage.reading import dicom_film
from bonexage.reading.confined import MAX_PIXELS
from bonexage.reading.dicom_film import decode_film
from dicoms import CR, DX, SC, as_bytes, dataset, hand_values, htj2k, packed

PLAIN = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
)
LOSSLESS = (
    uid.RLELossless,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
)
LEVEL = 1 / 255


def stored(bits: int, signed: bool) -> np.ndarray:
    values = hand_values(bits).astype(np.int64) - (2 ** (bits - 1) if signed else 0)
    return values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def grey(made: Dataset) -> np.ndarray:
    return decode_film(as_bytes(made)).grey


@pytest.mark.parametrize("syntax", PLAIN, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_every_uncompressed_syntax_gives_the_same_picture(syntax, bits):
    values = stored(bits, signed=False)
    shown = grey(dataset(values, bits=bits, syntax=syntax))
    assert shown == pytest.approx(values / (2**bits - 1), abs=2e-7)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_every_lossless_syntax_gives_the_picture_of_the_uncompressed_file(syntax, bits, signed):
    values = stored(bits, signed)
    read = decode_film(packed(dataset(values, bits=bits), syntax))
    assert np.array_equal(read.grey, grey(dataset(values, bits=bits)))
    assert not read.lossy


@pytest.mark.parametrize("syntax", [uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K])
def test_high_throughput_jpeg_2000_is_decoded(syntax):
    made, values = htj2k(syntax)
    assert np.array_equal(grey(made), grey(dataset(values, bits=16)))


@pytest.mark.parametrize(
    ("syntax", "bits"), [(uid.JPEGBaseline8Bit, 8), (uid.JPEGExtended12Bit, 8), (uid.JPEGExtended12Bit, 12)]
)
def test_lossy_jpeg_is_decoded_to_within_what_it_loses(syntax, bits):
    values = stored(bits, signed=False)
    read = decode_film(packed(dataset(values, bits=bits), syntax))
    exact = grey(dataset(values, bits=bits))
    assert read.lossy
    assert np.abs(read.grey - exact).mean() < 2 * LEVEL
    assert np.corrcoef(read.grey.ravel(), exact.ravel())[0, 1] > 0.995


@pytest.mark.parametrize("sop_class", [CR, DX, SC, uid.DigitalXRayImageStorageForProcessing])
def test_each_kind_of_film_is_read_and_a_raw_one_with_a_caution(sop_class):
    read = decode_film(as_bytes(dataset(sop_class=sop_class)))
    raw = sop_class == uid.DigitalXRayImageStorageForProcessing
    assert ("for-processing" in [caution.code for caution in read.cautions]) == raw


@pytest.mark.parametrize("shape", [None, "IDENTITY", "INVERSE"])
@pytest.mark.parametrize("inverse", [False, True])
def test_polarity_is_obeyed_once_and_a_contradiction_is_a_caution(shape, inverse):
    values = hand_values()
    made = dataset(
        (4095 - values) if inverse else values,
        PhotometricInterpretation="MONOCHROME1" if inverse else "MONOCHROME2",
    )
    if shape:
        made.PresentationLUTShape = shape
    read = decode_film(as_bytes(made))
    assert read.grey == pytest.approx(values / 4095, abs=2e-7)
    contradicts = shape is not None and (shape == "INVERSE") != inverse
    assert [caution.code for caution in read.cautions] == (["polarity-unclear"] if contradicts else [])


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_a_header_s_window_table_rescaling_and_padding_are_obeyed_together(syntax, signed):
    values = stored(12, signed).astype(np.int16 if signed else np.uint16)
    padding = -2048 if signed else 4095
    values[0] = padding
    table = np.linspace(0, 4095, 300).astype(np.uint16)
    item = Dataset()
    first = -150 if signed else 1900
    item.add_new("LUTDescriptor", "SS" if signed else "US", [300, first, 12])
    item.add_new("LUTData", "OW", table.astype("<u2").tobytes())
    made = dataset(values, syntax=syntax, VOILUTSequence=Sequence([item]))
    made.WindowCenter, made.WindowWidth = ["2000", "100"], ["4000", "100"]
    made.add_new("PixelPaddingValue", "SS" if signed else "US", padding)
    expected = table[np.clip(values.astype(int) - first, 0, 299)] / 4095
    expected[0] = 0
    assert grey(made) == pytest.approx(expected, abs=1e-6)
    del made.VOILUTSequence
    made.RescaleSlope, made.RescaleIntercept = "2", "-100"
    expected = np.clip((values.astype(float) * 2 - 100 - 1999.5) / 3999 + 0.5, 0, 1)
    expected[0] = 0
    assert grey(made) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("described", [[300, 0, 12], [0, 0, 16], [4, 0, 99], [2], []])
def test_a_lookup_table_that_makes_no_sense_is_passed_over(described):
    item = Dataset()
    if described:
        item.add_new("LUTDescriptor", "US", described)
    item.add_new("LUTData", "OW", b"\1\0\2\0")
    made = dataset(VOILUTSequence=Sequence([item, Dataset()]))
    assert np.array_equal(grey(made), grey(dataset()))


def test_a_table_of_8_bits_may_be_packed_two_entries_a_word():
    table = np.arange(255, -1, -1, dtype=np.uint8)
    values = hand_values(8).astype(np.uint8)
    shown = []
    for kind, data in (("OW", table.tobytes()), ("US", table.view("<u2").tolist())):
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [256, 0, 8])
        item.add_new("LUTData", kind, data)
        shown.append(grey(dataset(values, bits=8, VOILUTSequence=Sequence([item]))))
    for picture in shown:
        assert picture == pytest.approx(1 - values / 255, abs=1e-6)


@given(centre=st.text(max_size=12), width=st.text(max_size=12), shape=st.text(max_size=12))
def test_no_nonsense_in_a_window_keeps_a_film_from_being_read(centre, width, shape):
    made = dataset(hand_values(height=16, width=12))
    for keyword, value, kind in (
        ("WindowCenter", centre, "LO"),
        ("WindowWidth", width, "LO"),
        ("VOILUTFunction", shape, "LO"),
    ):
        made.add_new(keyword, kind, value.encode("ascii", "replace").decode())
    assert decode_film(as_bytes(made)).grey.max() > 0


def test_values_above_the_stored_bits_are_an_overlay_and_do_not_show():
    values = hand_values()
    marked = values | np.uint16(0xA000)
    assert np.array_equal(grey(dataset(marked)), grey(dataset(values)))


def test_values_that_lie_high_in_their_cells_are_found():
    values = hand_values()
    assert np.array_equal(grey(dataset(values << 4, HighBit=15)), grey(dataset(values)))


@pytest.mark.parametrize("high", [15, 16, 31])
def test_a_high_bit_above_all_values_or_beyond_their_cells_is_not_followed(high):
    assert np.array_equal(grey(dataset(hand_values(), HighBit=high)), grey(dataset(hand_values())))


@pytest.mark.parametrize("planar", [0, 1])
def test_a_colour_capture_is_read_as_its_grey(planar):
    values = hand_values(8).astype(np.uint8)
    colour = np.repeat(values[..., None], 3, axis=2)
    made = dataset(colour, sop_class=SC, bits=8)
    if planar:
        made.PlanarConfiguration = 1
        made.PixelData = np.ascontiguousarray(np.moveaxis(colour, 2, 0)).tobytes()
    assert np.array_equal(grey(made), values.astype(np.float32) / np.float32(255))


def test_a_palette_is_looked_up():
    values = hand_values(8).astype(np.uint8)
    made = dataset(values, sop_class=SC, bits=8, PhotometricInterpretation="PALETTE COLOR")
    entries = (np.arange(255, -1, -1).astype(np.uint16) * 257).tobytes()
    for colour in ("Red", "Green", "Blue"):
        made.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [256, 0, 16])
        made.add_new(f"{colour}PaletteColorLookupTableData", "OW", entries)
    assert grey(made) == pytest.approx(1 - values / 255, abs=1e-6)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
@pytest.mark.parametrize("described", [8, 16])
@pytest.mark.parametrize("top", [255, 4095, 65535])
@pytest.mark.parametrize("kind", ["OW", "US"])
def test_a_palette_s_entries_say_how_many_bits_they_have(syntax, described, top, kind):
    values = hand_values(8).astype(np.uint8)
    made = dataset(values, sop_class=SC, bits=8, PhotometricInterpretation="PALETTE COLOR", syntax=syntax)
    entries = np.rint(np.linspace(0, top, 256)).astype(np.uint16)
    order = ">u2" if syntax == uid.ExplicitVRBigEndian else "<u2"
    for colour in ("Red", "Green", "Blue"):
        made.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [256, 0, described])
        data = entries.astype(order).tobytes() if kind == "OW" else entries.tolist()
        made.add_new(f"{colour}PaletteColorLookupTableData", kind, data)
    assert grey(made) == pytest.approx(values / 255, abs=2e-3)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_a_palette_of_bytes_is_two_entries_a_word(syntax):
    values = hand_values(8).astype(np.uint8)
    made = dataset(values, sop_class=SC, bits=8, PhotometricInterpretation="PALETTE COLOR", syntax=syntax)
    entries = np.arange(255, -1, -1, dtype=np.uint8).view("<u2")
    order = ">u2" if syntax == uid.ExplicitVRBigEndian else "<u2"
    for colour in ("Red", "Green", "Blue"):
        made.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [256, 0, 8])
        made.add_new(f"{colour}PaletteColorLookupTableData", "OW", entries.astype(order).tobytes())
    assert grey(made) == pytest.approx(1 - values / 255, abs=1e-6)


def test_a_palette_in_colour_is_read_as_its_grey():
    values = hand_values(8).astype(np.uint8)
    made = dataset(values, sop_class=SC, bits=8, PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        made.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [256, 0, 16])
        entries = (np.arange(256) * 257 * (colour == "Red")).astype("<u2").tobytes()
        made.add_new(f"{colour}PaletteColorLookupTableData", "OW", entries)
    assert grey(made) == pytest.approx(values / 255 * 0.299, abs=1e-6)


def in_palette(
    values: np.ndarray, segments: bytes, *, entries: int = 256, first: int = 0, bits: int = 16
) -> Dataset:
    made = dataset(values, sop_class=SC, bits=8, PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        described = [entries, first, bits]
        made.add_new(f"{colour}PaletteColorLookupTableDescriptor", "SS" if first < 0 else "US", described)
        made.add_new(f"Segmented{colour}PaletteColorLookupTableData", "OW", segments)
    return made


# A value, then a line to another; the same in two lines; in bytes; a run; a line that is repeated.
@pytest.mark.parametrize(
    ("segments", "repeats"),
    [
        (np.array([0, 1, 0, 1, 255, 65535], dtype="<u2").tobytes(), 1),
        (np.array([0, 1, 0, 1, 127, 127 * 257, 1, 128, 65535], dtype="<u2").tobytes(), 1),
        (bytes([0, 1, 0, 1, 255, 255]), 1),
        (np.array([0, 256, *range(256)], dtype="<u2").tobytes(), 1),
        (np.array([0, 1, 0, 1, 127, 127, 2, 2, 0, 0], dtype="<u2").tobytes(), 2),
        (bytes([0, 1, 0, 1, 127, 127, 2, 2, 0, 0, 0, 0]), 2),
    ],
    ids=["line", "two-lines", "bytes", "run", "repeated", "repeated-bytes"],
)
@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_in_segments_is_looked_up_by_bytes_or_words_whatever_its_descriptor_says(
    segments, repeats, bits
):
    values = hand_values(8).astype(np.uint8)
    expected = values / 255 if repeats == 1 else values % 128 / 255
    assert grey(in_palette(values, segments, bits=bits)) == pytest.approx(expected, abs=LEVEL)


def test_a_palette_in_segments_may_begin_below_0():
    values = hand_values(8).astype(np.uint8)
    signed = (values.astype(np.int16) - 128).astype(np.int8)
    line = np.array([0, 1, 0, 1, 255, 65535], dtype="<u2").tobytes()
    assert grey(in_palette(signed, line, first=-128)) == pytest.approx(values / 255, abs=LEVEL)


@pytest.mark.parametrize(("signed", "first"), [(False, -128), (False, 65408), (True, 0)])
def test_a_palette_for_values_of_the_other_sign_is_refused(signed, first):
    values = hand_values(8).astype(np.uint8)
    stored = (values.astype(np.int16) - 128).astype(np.int8) if signed else values
    line = np.array([0, 1, 0, 1, 255, 65535], dtype="<u2").tobytes()
    with pytest.raises(UnreadableFile, match="missing or make no sense"):
        grey(in_palette(stored, line, first=first))


@pytest.mark.parametrize(
    "segments",
    [
        [1, 256, 65535],
        [0, 1, 0, 1, 254, 65535],
        [0, 1, 0, 1, 255],
        [0, 1, 0] + [1, 65535, 65535] * 9999,
        [2, 1, 0, 0],
        [0, 1, 0, 2, 9999, 6, 0],
        [9, 9, 9],
    ],
    ids=["no-begin", "too-few", "cut", "too-many", "repeats-itself", "repeats-more", "unknown"],
)
def test_a_palette_whose_segments_are_not_its_entries_is_refused(segments):
    made = in_palette(hand_values(8).astype(np.uint8), np.array(segments, dtype="<u2").tobytes())
    with pytest.raises(UnreadableFile, match="the tables of its palette"):
        grey(made)


def test_a_palette_without_its_tables_is_told():
    made = dataset(sop_class=SC, PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(UnreadableFile, match="the tables of its palette are missing"):
        grey(made)


@pytest.mark.parametrize("kind", ["OW", "US", "OB"])
@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_table_in_big_endian_is_the_same_table(keyword, kind):
    values = hand_values()
    table = np.linspace(4095, 0, 4096).astype(np.uint16)
    shown = []
    for syntax, order in ((uid.ExplicitVRLittleEndian, "<u2"), (uid.ExplicitVRBigEndian, ">u2")):
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [4096, 0, 12])
        data = table.astype("<u2" if kind == "OB" else order).tobytes()
        item.add_new("LUTData", kind, table.tolist() if kind == "US" else data)
        shown.append(grey(dataset(values, syntax=syntax, **{keyword: Sequence([item])})))
    assert shown[0] == pytest.approx(1 - values / 4095, abs=0.01)
    assert np.array_equal(*shown)


@pytest.mark.parametrize(
    ("centre", "width"), [("2047,5", "4096,0"), (" 2047.5", "4096"), ("2047.5", "4096\\0")]
)
def test_a_window_is_read_with_a_decimal_comma_and_blanks(centre, width):
    film = as_bytes(dataset(WindowCenter="1234.567", WindowWidth="6543.210"))
    for place, text in ((b"1234.567", centre), (b"6543.210", width)):
        assert place in film
        film = film.replace(place, text.encode().ljust(8))
    read = decode_film(film)
    expected = np.clip((hand_values() - 2047.0) / 4095 + 0.5, 0, 1)
    assert read.grey == pytest.approx(expected, abs=1e-6)
    assert not read.cautions


def test_a_file_that_lacks_its_preamble_but_not_its_mark_is_read():
    assert np.array_equal(decode_film(as_bytes(dataset())[128:]).grey, grey(dataset()))


def test_a_file_without_preamble_is_read():
    whole = as_bytes(dataset())
    bare = whole[whole.index(b"\x08\x00\x16\x00UI") :]
    assert np.array_equal(decode_film(bare).grey, grey(dataset()))


def test_a_frame_must_be_named_where_there_are_several():
    one, two = hand_values(seed=1), hand_values(seed=2)
    made = dataset(one, NumberOfFrames=2, sop_class=uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage)
    made.PixelData = one.tobytes() + two.tobytes()
    with pytest.raises(UnreadableFile, match="holds 2 frames and none was named"):
        decode_film(as_bytes(made))
    assert np.array_equal(decode_film(as_bytes(made), page=2).grey, grey(dataset(two)))
    with pytest.raises(UnreadableFile, match="there is no page 3"):
        decode_film(as_bytes(made), page=3)


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"PixelData": None}, UnreadableFile, "holds no picture"),
        ({"Modality": "CT"}, RefusedRadiograph, "is no radiograph: its Modality is CT"),
        ({"Modality": "XR"}, RefusedRadiograph, "its Modality is XR"),
        ({"Modality": "RF"}, RefusedRadiograph, "its Modality is RF"),
        ({"Modality": "XC"}, RefusedRadiograph, "its Modality is XC"),
        ({"Modality": "ERIKA_MUSTER"}, RefusedRadiograph, "its Modality is none that is known"),
        ({"SOPClassUID": uid.CTImageStorage}, RefusedRadiograph, r"\(CT Image\) is no radiograph"),
        ({"Rows": 40_000, "Columns": 40_000}, UnreadableFile, "more than 100 million pixels"),
        ({"Rows": None}, UnreadableFile, "does not say how large"),
        ({"Rows": 600}, UnreadableFile, "not as the header says"),
        ({"BitsStored": 0}, UnreadableFile, "header"),
        ({"BitsStored": 17}, UnreadableFile, "header"),
        ({"HighBit": 3}, UnreadableFile, "where in a pixel"),
        ({"PhotometricInterpretation": "HSV"}, UnreadableFile, "header"),
        ({"SamplesPerPixel": 7}, UnreadableFile, "header"),
    ],
)
def test_what_is_no_film_is_told_in_one_sentence(changes, kind, said):
    made = dataset()
    for keyword, value in changes.items():
        if value is None:
            del made[keyword]
        else:
            setattr(made, keyword, value)
    with pytest.raises(kind, match=said):
        decode_film(as_bytes(made))


def test_a_document_and_a_report_are_told_by_what_they_are():
    letter = dataset(sop_class=uid.EncapsulatedPDFStorage, EncapsulatedDocument=b"%PDF-1.4  ")
    del letter.PixelData
    with pytest.raises(UnreadableFile, match="a PDF in a DICOM file, not a film"):
        decode_film(as_bytes(letter))
    report = dataset(sop_class=uid.Comprehensive3DSRStorage)
    del report.PixelData
    with pytest.raises(UnreadableFile, match=r"\(Comprehensive 3D SR\) holds no picture"):
        decode_film(as_bytes(report))


def test_a_picture_that_needs_an_unknown_decoder_says_so():
    made = dataset()
    film = as_bytes(made).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.8\0", 1)
    with pytest.raises(UnreadableFile, match="packed in a way that is not known"):
        decode_film(film)


def test_a_deflated_file_is_not_unpacked_beyond_what_a_film_can_be(monkeypatch):
    bomb = as_bytes(dataset(np.zeros((4000, 4000), np.uint16), syntax=uid.DeflatedExplicitVRLittleEndian))
    assert len(bomb) < 100_000
    assert decode_film(bomb).grey.shape == (4000, 4000)
    monkeypatch.setattr(dicom_film, "MAX_INFLATED", 30_000_000)
    with pytest.raises(UnreadableFile, match="unpacks to more than 30 MB"):
        decode_film(bomb)


def test_the_most_a_file_may_unpack_to_holds_the_largest_film():
    assert dicom_film.MAX_INFLATED > 2 * MAX_PIXELS


def test_sequences_400_deep_are_refused_though_the_parser_may_go_as_deep():
    levels = b"".join(
        b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" for _ in range(400)
    )
    ends = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * 400
    film = as_bytes(dataset())
    at = film.index(b"\x7f\xe0"[::-1])
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        with pytest.raises(UnreadableFile, match="too deep"):
            decode_film(film[:at] + levels + ends + film[at:])
    finally:
        sys.setrecursionlimit(before)


@given(cut=st.floats(0, 1), flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6))
def test_a_damaged_file_is_read_or_refused_but_never_anything_else(cut, flips):
    film = bytearray(as_bytes(dataset(hand_values(height=16, width=12))))
    for place, value in flips:
        film[int(place * (len(film) - 1))] = value
    try:
        read = decode_film(bytes(film[: max(1, int(cut * len(film)))]))
    except (UnreadableFile, RefusedRadiograph):
        return
    assert 0 <= read.grey.min() <= read.grey.max() <= 1
