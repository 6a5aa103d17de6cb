"""Stored values become grey as the standard says, and as pydicom, written apart from this, works it out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut, apply_windowing

from bonexage.reading.depth import unit_range
from bonexage.reading.tones import Lut, Shape, Tones, Window, show, stored_values
from hands import drawn_hand

BITS = st.integers(min_value=2, max_value=16)
SEEDS = st.integers(min_value=0, max_value=2**32 - 1)


def random_values(bits: int, signed: bool, seed: int, size: tuple[int, int] = (6, 7)) -> np.ndarray:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    kind = np.int16 if signed else np.uint16
    return np.random.default_rng(seed).integers(low, high, size, dtype=np.int64).astype(kind)


def header(bits: int, signed: bool) -> Dataset:
    made = Dataset()
    made.PhotometricInterpretation = "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.PixelRepresentation = 16, bits, int(signed)
    return made


def unit(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((np.asarray(values, dtype=np.float64) - low) / (high - low), 0, 1)


@given(bits=BITS, signed=st.booleans(), seed=SEEDS, garbage=st.booleans(), spare=st.integers(0, 14))
def test_values_are_found_at_any_high_bit_and_the_other_bits_do_not_matter(
    bits, signed, seed, garbage, spare
):
    up = min(spare, 16 - bits)
    values = random_values(bits, signed, seed)
    cells = (values.astype(np.int64) & (2**bits - 1)) << up
    if garbage:
        rest = 0xFFFF & ~((2**bits - 1) << up)
        cells |= np.random.default_rng(seed + 1).integers(0, 2**16, values.shape) & rest
    for kind in ("<u2", ">u2", "<i2", ">i2"):
        found = stored_values(cells.astype(np.uint16).astype(kind), bits, up + bits - 1, signed=signed)
        assert np.array_equal(found, values)


@given(
    bits=BITS,
    signed=st.booleans(),
    seed=SEEDS,
    slope=st.sampled_from([1.0, 2.0, 0.5, -1.0]),
    intercept=st.sampled_from([0.0, -1024.0, 0.25]),
    centre=st.floats(-3000, 3000),
    width=st.floats(4.5, 5000),
    shape=st.sampled_from(list(Shape)),
)
def test_a_window_gives_what_pydicom_gives(bits, signed, seed, slope, intercept, centre, width, shape):
    values = random_values(bits, signed, seed)
    about = header(bits, signed)
    about.RescaleSlope, about.RescaleIntercept = slope, intercept
    about.WindowCenter, about.WindowWidth = f"{centre:.5f}", f"{width:.5f}"
    about.VOILUTFunction = shape.value
    window = Window(float(about.WindowCenter), float(about.WindowWidth), shape)
    ours = show(values, Tones(bits, signed, slope, intercept, views=(window,)))
    theirs = apply_windowing(apply_modality_lut(values, about), about)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    ends = low * slope + intercept, high * slope + intercept
    if not ours.view_refused:
        assert ours.grey == pytest.approx(unit(theirs, *ends), abs=2e-5)
    else:
        assert np.ptp(unit(theirs, *ends)) < 0.01


def test_a_sigmoid_is_the_formula_of_the_standard():
    values = np.arange(0, 4096, 7, dtype=np.uint16).reshape(2, -1)
    ours = show(values, Tones(12, views=(Window(2000, 900, Shape.SIGMOID),))).grey
    assert ours == pytest.approx(1 / (1 + np.exp(-4 * (values.astype(float) - 2000) / 900)), abs=1e-6)


@given(
    bits=st.integers(8, 16),
    seed=SEEDS,
    signed=st.booleans(),
    first=st.integers(-300, 300),
    entries=st.integers(2, 400),
)
def test_a_voi_lut_gives_what_pydicom_gives(bits, seed, signed, first, entries):
    first = first if signed else abs(first)
    data = np.sort(np.random.default_rng(seed).integers(0, 2**12, entries)).astype(np.uint16)
    data[-1] = 2**12 - 1
    values = random_values(bits, signed, seed)
    about = header(bits, signed)
    about.VOILUTSequence = [Dataset()]
    item = about.VOILUTSequence[0]
    item.add_new("LUTDescriptor", "SS" if signed else "US", [entries, first, 12])
    item.add_new("LUTData", "US", data.tolist())
    ours = show(values, Tones(bits, signed, views=(Lut(first, data),)))
    theirs = apply_voi_lut(values, about)
    if not ours.view_refused:
        assert ours.grey == pytest.approx(unit(theirs, 0, 4095), abs=1e-6)


@given(seed=SEEDS, bits=st.integers(8, 16))
def test_a_modality_lut_is_looked_up_before_the_window(seed, bits):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 2**14, 2**8).astype(np.uint16)
    values = random_values(bits, False, seed)
    about = header(bits, False)
    about.ModalityLUTSequence = [Dataset()]
    item = about.ModalityLUTSequence[0]
    item.add_new("LUTDescriptor", "US", [2**8, 3, 16])
    item.add_new("LUTData", "US", data.tolist())
    window = Window(8000, 9000, Shape.LINEAR_EXACT)
    ours = show(values, Tones(bits, modality=Lut(3, data), views=(window,)))
    theirs = window.grey(apply_modality_lut(values, about).astype(np.float64))
    if not ours.view_refused:
        assert ours.grey == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_lut_is_shown_by_the_bits_that_its_entries_need(bits):
    entries = np.linspace(0, 2**bits - 1, 256).astype(np.uint16)
    values = np.array([[0, 128, 255]], dtype=np.uint8)
    shown = show(values, Tones(8, views=(Lut(0, entries),))).grey
    assert shown == pytest.approx(values / 255, abs=1 / 255)
    assert shown[0, -1] == 1


@given(seed=SEEDS, bits=BITS, signed=st.booleans())
def test_inverse_turns_every_tone_round(seed, bits, signed):
    values = random_values(bits, signed, seed)
    for views in ((), (Window(100, 400),)):
        plain = show(values, Tones(bits, signed, views=views)).grey
        turned = show(values, Tones(bits, signed, views=views, inverse=True)).grey
        assert turned == pytest.approx(1 - plain, abs=1e-7)


@given(seed=SEEDS, bits=st.integers(9, 16), inverse=st.booleans())
def test_padding_is_black_whatever_the_polarity_and_does_not_move_the_tones(seed, bits, inverse):
    values = random_values(bits, False, seed, (20, 20))
    values[:, :10] = 2**bits // 4 + np.arange(200).reshape(20, 10) % 50
    low, high = 2**bits - 3, 2**bits - 1
    values = np.minimum(values, low - 1)
    plain = show(values, Tones(bits, padding=(low, high), inverse=inverse)).grey
    padded = values.copy()
    padded[0, :] = (low, high) * 10
    shown = show(padded, Tones(bits, padding=(low, high), inverse=inverse)).grey
    assert not shown[0].any()
    assert shown[1:] == pytest.approx(
        show(values[1:], Tones(bits, padding=(low, high), inverse=inverse)).grey, abs=1e-6
    )
    assert plain.shape == shown.shape


def test_a_picture_that_is_all_padding_has_no_value():
    with pytest.raises(ValueError, match="no pixel has a value"):
        show(np.full((4, 4), 7, np.uint16), Tones(12, padding=(7, 7)))


@given(seed=st.integers(0, 40), deep=st.booleans())
def test_without_a_view_a_film_looks_as_the_same_values_in_a_picture_file_do(seed, deep):
    hand = drawn_hand(40, 32, seed)
    if deep:
        values = np.rint(hand * 4095).astype(np.uint16)
        assert show(values, Tones(12)).grey == pytest.approx(unit_range(values), abs=1e-6)
        assert show(values, Tones(16)).grey == pytest.approx(unit_range(values), abs=1e-6)
    else:
        values = np.rint(hand * 255).astype(np.uint8)
        assert np.array_equal(show(values, Tones(8)).grey, values.astype(np.float32) / np.float32(255))


def test_the_first_view_that_shows_something_is_taken():
    values = np.rint(drawn_hand(40, 32) * 4095).astype(np.uint16)
    good, other = Window(2000, 4000), Window(2500, 1000)
    black, unusable = Window(90_000, 10), Window(2000, 0)
    alone = show(values, Tones(12, views=(good,)))
    assert not alone.view_refused
    for views in ((good, other), (black, good), (unusable, good, other)):
        shown = show(values, Tones(12, views=views))
        assert np.array_equal(shown.grey, alone.grey)
        assert shown.view_refused == (views[0] is not good)
    refused = show(values, Tones(12, views=(black, unusable)))
    assert refused.view_refused
    assert np.array_equal(refused.grey, show(values, Tones(12)).grey)


@given(seed=SEEDS, signed=st.booleans())
def test_values_of_32_bits_are_shown_as_those_of_16_are(seed, signed):
    values = random_values(16, signed, seed)
    for views in ((), (Window(1000, 20_000),), (Window(0, 9000, Shape.SIGMOID),)):
        narrow = show(values, Tones(16, signed, views=views)).grey
        wide = show(values.astype(np.int32 if signed else np.uint32), Tones(32, signed, views=views)).grey
        assert wide == pytest.approx(narrow, abs=1e-6)


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize(("slope", "width"), [(1.0, 1), (1.0, 2), (0.5, 1), (4.0, 8)])
def test_a_window_of_black_and_white_is_passed_over(slope, width, shape):
    values = random_values(12, False, 1)
    narrow, good = Window(2000, width, shape), Window(2000, 4000)
    alone = show(values, Tones(12, slope=slope, views=(narrow,)))
    assert alone.view_refused
    assert np.array_equal(alone.grey, show(values, Tones(12, slope=slope)).grey)
    both = show(values, Tones(12, slope=slope, views=(narrow, good))).grey
    assert np.array_equal(both, show(values, Tones(12, slope=slope, views=(good,))).grey)


def test_a_picture_of_one_bit_may_have_a_window_of_black_and_white():
    values = random_values(12, False, 1) % 2
    assert not show(
        values.astype(np.uint8), Tones(1, views=(Window(0.5, 1, Shape.LINEAR_EXACT),))
    ).view_refused


@pytest.mark.parametrize("slope", [1e-9, 1e-4, 0.1, 0.5, 3.0, 1000.0])
@pytest.mark.parametrize("bits", [8, 12])
def test_a_film_without_a_window_looks_the_same_whatever_the_unit_of_its_values(bits, slope):
    values = random_values(bits, False, 1)
    plain, scaled = show(values, Tones(bits)).grey, show(values, Tones(bits, slope=slope)).grey
    assert scaled == pytest.approx(plain, abs=1e-5)
    mirrored = show(values, Tones(bits, slope=-slope, intercept=slope * (2**bits - 1))).grey
    assert mirrored == pytest.approx(1 - plain, abs=1e-5)
