"""Bits and signs that a header states and its own window, largest value or codestream rule out."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from bonexage.errors import UnreadableFile
from bonexage.reading.dicom_film import decode_film
from dicoms import as_bytes, dataset, hand_values, packed

LOSSLESS = (uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.RLELossless)
WINDOW = {"WindowCenter": "2048", "WindowWidth": "4096"}


def grey(made: Dataset | bytes) -> np.ndarray:
    return decode_film(made if isinstance(made, bytes) else as_bytes(made)).grey


def repacked(values: np.ndarray, syntax: str, **elements: object) -> Dataset:
    made = pydicom.dcmread(io.BytesIO(packed(dataset(values), syntax)))
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize("stated", [8, 10, 11])
@pytest.mark.parametrize("rescaled", [False, True])
def test_a_window_beyond_the_stated_bits_gives_values_the_bits_that_they_have(stated, rescaled):
    elements = WINDOW | ({"RescaleSlope": "1", "RescaleIntercept": "0"} if rescaled else {})
    made = dataset(BitsStored=stated, HighBit=stated - 1, **elements)
    assert np.array_equal(grey(made), grey(dataset(**elements)))


def test_the_largest_value_of_the_header_gives_values_the_bits_that_they_have():
    largest = int(hand_values().max())
    made = dataset(BitsStored=10, HighBit=9, LargestImagePixelValue=largest)
    assert np.array_equal(grey(made), grey(dataset()))


def test_an_overlay_in_the_pixels_is_none_of_the_values():
    values = hand_values(10)
    made = dataset(values | np.uint16(0x0800), bits=10, WindowCenter="1100", WindowWidth="2048")
    made.add_new(0x60000102, "US", 11)
    plain = dataset(values, bits=10, WindowCenter="1100", WindowWidth="2048")
    assert np.array_equal(grey(made), grey(plain))


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_no_values_are_signed_whose_window_lies_above_all_signed_ones(bits):
    values = hand_values(bits).astype(np.uint8 if bits == 8 else np.uint16)
    window = {"WindowCenter": str(2 ** (bits - 1)), "WindowWidth": str(2**bits)}
    made = dataset(values, bits=bits, PixelRepresentation=1, **window)
    assert np.array_equal(grey(made), grey(dataset(values, bits=bits, **window)))


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_packed_values_are_not_signed_either_whose_window_lies_above_all_signed_ones(syntax):
    made = repacked(hand_values(), syntax, PixelRepresentation=1, **WINDOW)
    assert np.array_equal(grey(made), grey(dataset(**WINDOW)))


@pytest.mark.parametrize("centre", ["-100", "0", "500"])
@pytest.mark.parametrize("syntax", [None, *LOSSLESS])
def test_signed_values_with_a_window_among_them_stay_signed(syntax, centre):
    signed = hand_values().astype(np.int16) - 2048
    made = dataset(signed, WindowCenter=centre, WindowWidth="4096")
    same = packed(made, syntax) if syntax else as_bytes(made)
    expected = np.clip((signed - (float(centre) - 0.5)) / 4095 + 0.5, 0, 1)
    assert grey(same) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_a_sign_that_jpeg_2000_contradicts_and_no_window_decides_is_refused(signed):
    values = hand_values().astype(np.int16) - 2048 if signed else hand_values()
    made = repacked(values, uid.JPEG2000Lossless, PixelRepresentation=int(not signed))
    with pytest.raises(UnreadableFile, match="disagree on whether its values have a sign"):
        grey(made)


def test_a_sign_that_jpeg_2000_contradicts_does_not_matter_to_values_that_have_none():
    values = hand_values() >> 1
    made = repacked(values.astype(np.uint16), uid.JPEG2000Lossless, PixelRepresentation=1)
    assert np.array_equal(grey(made), grey(dataset(values.astype(np.int16))))


def test_a_window_below_0_makes_the_values_of_jpeg_2000_signed():
    signed = hand_values().astype(np.int16) - 2048
    window = {"WindowCenter": "-300", "WindowWidth": "3000"}
    made = repacked(signed, uid.JPEG2000Lossless, PixelRepresentation=0, **window)
    assert np.array_equal(grey(made), grey(dataset(signed, **window)))


@pytest.mark.parametrize("samples", [2, 3])
def test_more_bytes_than_values_of_8_bits_are_refused(samples):
    values = hand_values(8).astype(np.uint8)
    made = dataset(values, bits=8)
    made.PixelData = np.repeat(values, samples).tobytes()
    with pytest.raises(UnreadableFile, match="disagree on how many bytes a value has"):
        grey(made)
