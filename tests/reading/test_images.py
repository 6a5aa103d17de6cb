"""A picture becomes grey in [0, 1], upright, bone bright; what is none is one typed error."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bonexage.errors import MissingExtra, TooManyPixels, UnreadableFile
from bonexage.radiograph import Radiograph
from bonexage.reading import decoder_child, image_film
from bonexage.reading.confined import Limits
from bonexage.reading.depth import unit_range
from bonexage.reading.images import decode_image
from hands import drawn_hand
from heics import heic
from tiffs import of_directories, tiff

HAND = drawn_hand(120, 90, seed=1)
HAND_8 = np.rint(HAND * 255).astype(np.uint8)


def encoded(picture: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def codes(film: Radiograph) -> list[str]:
    return [caution.code for caution in film.cautions]


def assert_same(film: Radiograph, levels: np.ndarray, within: float = 0.0) -> None:
    assert film.pixels.shape == levels.shape
    assert np.abs(film.pixels * 255 - levels.astype(np.float32)).max() <= within + 1e-4


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_8_bit_grey_is_value_over_255_exactly(kind):
    film = decode_image(encoded(HAND_8, kind), "hand")
    np.testing.assert_array_equal(film.pixels, HAND_8.astype(np.float32) / np.float32(255))
    assert film.pixels.flags.c_contiguous
    assert codes(film) == []


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95}), ("AVIF", {"quality": 95})]
)
def test_lossy_kinds_are_read(kind, options):
    assert_same(decode_image(encoded(HAND_8, kind, **options), "hand"), HAND_8, within=25)


def test_a_heic_picture_is_read_as_the_plain_one():
    pytest.importorskip("pi_heif")
    film = decode_image(heic(HAND_8), "hand.heic")
    assert_same(film, HAND_8)
    assert (film.provenance.kind, film.provenance.original_size) == ("heic", (120, 90))


@pytest.mark.parametrize("stated", [1, 3, 6, 8])
@pytest.mark.parametrize(("turns", "mirror"), [(0, None), (1, None), (3, None), (2, 1), (0, 0)])
def test_a_heic_picture_is_turned_once_by_its_container_whatever_its_exif_says(turns, mirror, stated):
    pytest.importorskip("pi_heif")
    stored = np.rot90(HAND_8 if mirror is None else np.flip(HAND_8, mirror), -turns)
    exif = Image.Exif()
    exif[274] = stated
    data = heic(np.ascontiguousarray(stored), quarter_turns=turns, mirror=mirror, exif=exif.tobytes()[6:])
    assert_same(decode_image(data, "hand.heic"), HAND_8)


def test_a_heic_picture_names_the_extra_where_what_reads_it_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"Reading HEIC.*heic"):
        decode_image(heic(HAND_8), "hand.heic")


def test_webp_without_loss_is_read():
    film = decode_image(encoded(Image.fromarray(HAND_8).convert("RGB"), "WEBP", lossless=True), "hand")
    assert_same(film, HAND_8)


def test_provenance_tells_the_file():
    data = encoded(HAND_8)
    film = decode_image(data, "a/hand.png")
    assert film.provenance.name == "a/hand.png"
    assert film.provenance.sha256 == hashlib.sha256(data).hexdigest()
    assert film.provenance.original_size == (120, 90)
    assert film.provenance.kind == "png"
    assert film.spacing_mm is None


def test_1_bit_is_read():
    film = decode_image(encoded(Image.fromarray(HAND_8).convert("1")), "hand")
    assert set(np.unique(film.pixels)) == {0.0, 1.0}


@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK", "YCbCr"])
def test_colour_and_palette_become_grey(mode):
    kind = {"CMYK": "TIFF", "YCbCr": "TIFF"}.get(mode, "PNG")
    assert_same(decode_image(encoded(Image.fromarray(HAND_8).convert(mode), kind), "hand"), HAND_8, within=3)


def test_a_cmyk_jpeg_is_not_inverted():
    data = encoded(Image.fromarray(HAND_8).convert("CMYK"), "JPEG", quality=95)
    film = decode_image(data, "hand")
    assert_same(film, HAND_8, within=25)
    assert codes(film) == []


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_is_background(mode):
    layered = Image.fromarray(HAND_8).convert(mode)
    alpha = np.full(HAND_8.shape, 255, np.uint8)
    alpha[40:50, 40:50] = 0
    alpha[60:70, 40:50] = 128
    layered.putalpha(Image.fromarray(alpha))
    film = decode_image(encoded(layered), "hand")
    assert np.all(film.pixels[40:50, 40:50] == 0)
    assert_same(film, np.rint(HAND_8 * (alpha / 255.0)), within=1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("multiplied", [False, True])
def test_grey_of_16_bits_with_transparency_is_read_from_a_tiff(order, deflated, multiplied):
    deep = HAND_8.astype(np.uint16) * 257
    alpha = np.full(HAND_8.shape, 65535, np.uint16)
    alpha[40:50, 40:50] = 0
    stored = np.stack([deep * (alpha > 0) if multiplied else deep, alpha], axis=2).astype(np.uint16)
    data = tiff(stored, order=order, deflated=deflated, layer=1 if multiplied else 2)
    film = decode_image(data, "hand.tif")
    assert film.provenance.bits == 16
    np.testing.assert_allclose(film.pixels, HAND_8 / 255 * (alpha > 0), atol=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("layer", [1, 2])
def test_grey_and_transparency_in_planes_are_not_mistaken(kind, layer):
    data = tiff(np.stack([HAND_8, np.full_like(HAND_8, 255)], axis=2).astype(kind), planar=True, layer=layer)
    with pytest.raises(UnreadableFile, match="Save it anew as an 8- or 16-bit grey PNG"):
        decode_image(data, "hand.tif")


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_transparent_grey_or_palette_entry_is_background(mode):
    marked = np.minimum(HAND_8, 250)
    marked[10:14, 10:14] = 254
    picture = Image.fromarray(marked).convert(mode)
    data = encoded(picture, transparency=picture.getpixel((11, 11)))
    film = decode_image(data, "hand")
    assert np.all(film.pixels[10:14, 10:14] == 0)
    marked[10:14, 10:14] = 0
    assert_same(film, marked)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_16_bit_keeps_its_range_however_many_bits_it_uses(kind, bits):
    most = 2**bits - 1
    stored = np.rint(HAND / HAND.max() * most).astype(np.uint16)
    film = decode_image(encoded(stored, kind), "hand")
    np.testing.assert_allclose(film.pixels, stored / most, atol=1e-6)
    assert len(np.unique(film.pixels)) == len(np.unique(stored))


def test_an_8_bit_film_saved_as_16_bits_reads_the_same():
    bright = np.minimum(HAND_8.astype(np.uint16) * 5 // 4, 255)
    film = decode_image(encoded(bright * np.uint16(257)), "hand")
    np.testing.assert_allclose(film.pixels, bright / 255, atol=1e-6)


def test_a_few_dead_pixels_do_not_darken_a_12_bit_film():
    stored = np.rint(HAND / HAND.max() * 4095).astype(np.uint16)
    stored[5, 5] = 65535
    film = decode_image(encoded(stored), "hand")
    np.testing.assert_allclose(film.pixels[20:], stored[20:] / 4095, atol=1e-6)


def test_a_film_stored_with_an_offset_keeps_its_contrast():
    stored = np.rint(HAND * 4095).astype(np.uint16) + np.uint16(32768)
    film = decode_image(encoded(stored), "hand")
    assert film.pixels.max() - film.pixels.min() > 0.5


def test_32_bit_integers_with_negative_values_are_read():
    stored = np.rint(HAND * 4000).astype(np.int32) - 1024
    film = decode_image(encoded(stored, "TIFF"), "hand")
    assert np.corrcoef(film.pixels.ravel(), HAND.ravel())[0, 1] > 0.999
    assert film.pixels.max() > 0.5


FULL = HAND.astype(np.float64) / HAND.max()
DEEP = {
    "u2": FULL * 65535,
    "i2": HAND * 32000,
    "i2 below 0": HAND * 60000 - 30000,
    "u4": FULL * (2**32 - 1),
    "u4 below 2^31": FULL * (2**31 - 1),
    "i4": FULL * (2**31 - 1),
    "i4 below 0": HAND * 4000 - 1024,
    "f2": HAND,
    "f4": HAND * 1000,
    "f8": HAND * 1000,
    "i1": HAND * 250 - 125,
}


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("values", DEEP)
def test_grey_tiffs_of_every_depth_are_read_as_their_values(values, order, white_is_zero, tiled, deflated):
    kind = np.dtype(values.split()[0])
    stored = (DEEP[values] if kind.kind == "f" else np.rint(DEEP[values])).astype(kind)
    data = tiff(stored, order=order, white_is_zero=white_is_zero, tiled=tiled, deflated=deflated)
    film = decode_image(data, "hand.tif")
    wanted = unit_range(stored.astype(np.float32) if kind == "f8" else stored)
    if not white_is_zero or "inverted" in codes(film):
        np.testing.assert_allclose(film.pixels, wanted, atol=1e-6)
    else:
        np.testing.assert_allclose(film.pixels, 1 - wanted, atol=1e-6)
    assert np.corrcoef(film.pixels.ravel(), HAND.ravel())[0, 1] > 0.99


def test_an_unsigned_tiff_of_32_bits_needs_no_sample_format():
    stored = np.rint(FULL * (2**32 - 1)).astype(np.uint32)
    film = decode_image(tiff(stored, unstated=True), "hand.tif")
    np.testing.assert_allclose(film.pixels, FULL, atol=1e-6)


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("depth", ["u1", "u2"])
def test_colour_tiffs_are_read_in_planes_and_tiles(depth, order, planar, tiled, deflated):
    levels = np.dstack([HAND_8, np.minimum(HAND_8, 200), HAND_8 // 2 + 60])
    stored = levels if depth == "u1" else levels.astype(np.uint16) * 257
    film = decode_image(tiff(stored, order=order, planar=planar, tiled=tiled, deflated=deflated), "hand.tif")
    assert_same(film, np.asarray(Image.fromarray(levels).convert("L")))
    assert codes(film) == (["bits-lost"] if depth == "u2" else [])


@pytest.mark.parametrize("order", "<>")
def test_each_page_of_a_tiff_is_read_at_its_own_depth(order):
    pages = [
        np.ascontiguousarray(HAND_8[::-1]),
        np.rint(FULL * 65535).astype(np.uint16),
        np.rint(FULL * (2**32 - 1)).astype(np.uint32),
    ]
    data = tiff(*pages, order=order)
    assert_same(decode_image(data, "hand.tif", page=1), HAND_8[::-1])
    for page in (2, 3):
        film = decode_image(data, "hand.tif", page=page)
        np.testing.assert_allclose(film.pixels, FULL, atol=1e-5)


def test_a_bigtiff_is_read_page_by_page():
    data = tiff(np.ascontiguousarray(HAND_8[::-1]), HAND_8, big=True)
    with pytest.raises(UnreadableFile, match="holds 2 pages"):
        decode_image(data, "hand.tif")
    assert_same(decode_image(data, "hand.tif", page=2), HAND_8)


def test_pages_that_come_again_or_lie_outside_the_file_end_a_tiff():
    data = bytearray(of_directories(2))
    assert data.endswith(bytes(4))
    data[-4:] = data[4:8]
    with pytest.raises(UnreadableFile, match="holds 2 pages"):
        decode_image(bytes(data), "loop.tif")
    data[-4:] = b"\xff\xff\xff\x7f"
    with pytest.raises(UnreadableFile, match="holds 3 pages"):
        decode_image(bytes(data), "outside.tif")
    assert decode_image(bytes(data), "outside.tif", page=2).pixels.shape == (1, 1)


def test_floats_in_the_unit_range_stay_as_they_are():
    np.testing.assert_array_equal(decode_image(encoded(HAND, "TIFF"), "hand").pixels, HAND)


def test_floats_of_any_range_are_read_and_missing_values_are_background():
    stored = HAND * 900 - 100
    stored[3, 3], stored[4, 4], stored[5, 5] = np.nan, np.inf, -np.inf
    film = decode_image(encoded(stored, "TIFF"), "hand")
    assert film.pixels[3, 3] == 0
    assert film.pixels[4, 4] == 1
    assert film.pixels[5, 5] == 0
    assert np.corrcoef(film.pixels[20:].ravel(), HAND[20:].ravel())[0, 1] > 0.999


def test_floats_without_any_value_are_an_error():
    with pytest.raises(UnreadableFile, match="no pixel has a value"):
        decode_image(encoded(np.full((20, 20), np.nan, np.float32), "TIFF"), "hand")


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["u2", "i4", "f4"]),
    st.floats(-1e30, 1e30),
    st.floats(1e-3, 1e30),
)
@settings(max_examples=60, deadline=None)
def test_unit_range_keeps_order_and_bounds(seed, kind, offset, scale):
    values = np.random.default_rng(seed).normal(offset, scale, (7, 9))
    limits = (-1e38, 1e38) if kind == "f4" else (np.iinfo(kind).min, np.iinfo(kind).max)
    values = np.clip(values, *limits).astype(kind)
    unit = unit_range(values)
    assert unit.dtype == np.float32
    assert unit.min() >= 0
    assert unit.max() <= 1
    order = np.argsort(values, axis=None)
    assert np.all(np.diff(unit.ravel()[order]) >= 0)


def test_16_bit_colour_says_that_bits_were_lost():
    film = decode_image(rgb16_png(HAND_8), "hand")
    assert_same(film, HAND_8)
    assert codes(film) == ["bits-lost"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_exif_rotation_is_obeyed(kind, orientation):
    stored = {
        1: HAND_8,
        2: HAND_8[:, ::-1],
        3: HAND_8[::-1, ::-1],
        4: HAND_8[::-1],
        5: HAND_8.T,
        6: np.rot90(HAND_8),
        7: HAND_8[::-1, ::-1].T,
        8: np.rot90(HAND_8, -1),
    }[orientation]
    options: dict[str, Any] = {"tiffinfo": {274: orientation}} if kind == "TIFF" else {}
    if kind != "TIFF":
        exif = Image.Exif()
        exif[274] = orientation
        options = {"exif": exif, "quality": 95} if kind != "PNG" else {"exif": exif}
    film = decode_image(encoded(np.ascontiguousarray(stored), kind, **options), "hand")
    assert film.pixels.shape == HAND_8.shape
    assert np.corrcoef(film.pixels.ravel(), HAND.ravel())[0, 1] > 0.98
    assert film.provenance.original_size == stored.shape


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_tiff_that_stores_white_as_zero_is_not_taken_for_inverted(depth):
    most = np.iinfo(depth).max
    levels = np.rint(HAND / HAND.max() * most).astype(depth)
    data = white_is_zero_tiff(most - levels)
    film = decode_image(data, "hand")
    np.testing.assert_allclose(film.pixels, levels / most, atol=1e-4)
    assert codes(film) == []


def test_an_inverted_film_is_turned_round_with_a_caution():
    film = decode_image(encoded(255 - HAND_8), "hand")
    assert_same(film, HAND_8)
    assert codes(film) == ["inverted"]
    assert "turned round" in film.cautions[0].sentence


def test_borders_are_left_out_and_the_original_size_is_told():
    bordered = np.pad(np.pad(HAND_8, 7, constant_values=255), ((0, 0), (30, 20)))
    film = decode_image(encoded(bordered), "hand")
    assert_same(film, HAND_8)
    assert film.provenance.original_size == (134, 154)


# What cannot be read.


def test_several_pages_are_refused_unless_one_is_named():
    pages = [Image.fromarray(255 - HAND_8), Image.fromarray(HAND_8)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with pytest.raises(UnreadableFile, match=r"holds 2 pages and none was named.*Name the page"):
        decode_image(data, "hand.tif")
    assert codes(decode_image(data, "hand.tif", page=1)) == ["inverted"]
    assert codes(decode_image(data, "hand.tif", page=2)) == []
    with pytest.raises(UnreadableFile, match="there is no page 3"):
        decode_image(data, "hand.tif", page=3)


def test_the_only_page_may_be_named():
    assert_same(decode_image(encoded(HAND_8), "hand", page=1), HAND_8)
    with pytest.raises(UnreadableFile, match="no page 0"):
        decode_image(encoded(HAND_8), "hand", page=0)


def test_nothing_is_an_error():
    with pytest.raises(UnreadableFile, match="hand: the file is empty"):
        decode_image(b"", "hand")


@pytest.mark.parametrize("data", [b"\x00" * 500, b"id,boneage,male\n1,2,True\n", b"%PDF-1.7 ...", b"GIF89a"])
def test_what_is_no_picture_is_an_error(data):
    with pytest.raises(UnreadableFile, match=r"x: this is not a PNG.*Save it anew"):
        decode_image(data, "x")


@pytest.mark.parametrize("kind", image_film.FORMATS)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_truncated_picture_is_an_error(kind, part):
    data = encoded(HAND_8, kind)
    with pytest.raises(UnreadableFile, match="hand: ") as caught:
        decode_image(data[: int(len(data) * part)], "hand")
    assert caught.value.remedy
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("side", [9_900, 10_100, 60_000])
def test_a_decompression_bomb_is_an_error_before_it_is_decoded(side):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TooManyPixels, match=r"more than 90 million pixels.*smaller copy"):
            decode_image(png_of_size(side, side), "bomb.png", limits=Limits(pixels=90_000_000))


def test_a_large_film_is_read_without_a_caution(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HAND_8.size - 1)
    film = image_film.decode_picture(encoded(HAND_8))
    assert (film.type, film.levels) == ("u1", HAND_8.tobytes())
    assert film.cautions == ()


def test_no_memory_is_an_answer_after_which_the_process_is_not_used_again(monkeypatch):
    def none_left(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(image_film, "_grey", none_left)
    head, _ = decoder_child._handled({"want": "picture", "page": None, "pixels": 10**6}, encoded(HAND_8))
    assert head["problem"] == "it takes more memory than one film may"
    assert head["shaken"]


def test_a_damaged_header_is_a_caution_where_the_pixels_can_be_read():
    data = encoded(HAND_8, "JPEG", quality=95, exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\x00")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        film = decode_image(data, "hand")
    assert_same(film, HAND_8, within=25)
    assert codes(film) in ([], ["damaged-header"])


SEEDS = [
    encoded(drawn_hand(40, 32, seed=2), "TIFF"),
    encoded(np.rint(drawn_hand(40, 32, seed=2) * 255).astype(np.uint8), "TIFF", compression="tiff_lzw"),
    *(
        encoded(np.rint(drawn_hand(40, 32, seed=2) * 255).astype(np.uint8), kind)
        for kind in image_film.FORMATS
    ),
    encoded(np.rint(drawn_hand(40, 32, seed=2) * 65535).astype(np.uint16), "PNG"),
    encoded(Image.fromarray(HAND_8).resize((32, 40)).convert("P"), "PNG", transparency=3),
]


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_a_radiograph_or_the_one_error(data):
    assert_radiograph_or_error(data)


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=6),
    st.floats(0, 1),
)
@settings(max_examples=400, deadline=None)
def test_any_damaged_picture_gives_a_radiograph_or_the_one_error(data, changes, kept):
    damaged = bytearray(data)
    for place, put in changes:
        start = int(place * len(damaged))
        damaged[start : start + len(put)] = put
    assert_radiograph_or_error(bytes(damaged[: max(1, int(len(damaged) * min(1.0, 2 * kept)))]))


def assert_radiograph_or_error(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = None
        try:
            film = decode_image(data, "fuzz")
        except UnreadableFile as raised:
            error = raised
    if error is None:
        assert 0 <= film.pixels.min() <= film.pixels.max() <= 1
    else:
        assert error.subject == "fuzz"
        assert "\n" not in str(error)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises that many pixels."""
    return png(struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), zlib.compress(b"\x00" * 1000))


def rgb16_png(levels: np.ndarray) -> bytes:
    height, width = levels.shape
    deep = np.repeat((levels.astype(">u2") * 257)[:, :, None], 3, axis=2)
    rows = b"".join(b"\x00" + deep[row].tobytes() for row in range(height))
    return png(struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0), zlib.compress(rows))


def png(header: bytes, content: bytes) -> bytes:
    chunks = ((b"IHDR", header), (b"IDAT", content), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def white_is_zero_tiff(values: np.ndarray) -> bytes:
    """An uncompressed little-endian TIFF of these values under photometric interpretation 0."""
    height, width = values.shape
    bits = values.dtype.itemsize * 8
    content = values.astype(values.dtype.newbyteorder("<")).tobytes()
    tags = (
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, 0),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(content)),
    )
    directory = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags
    )
    return struct.pack("<2sHI", b"II", 42, 8 + len(content)) + content + directory + b"\x00" * 4
