"""A film whose pixels are not square is read as the film with square pixels that it is."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

import bonexage
from bonexage.errors import RefusedRadiograph
from bonexage.radiograph import Provenance, Radiograph
from bonexage.reading import decoder
from bonexage.reading.aspect import MOST_ASPECT, aspect_of_picture
from bonexage.reading.confined import Limits
from bonexage.reading.dicom import decode_dicom
from bonexage.reading.files import read_radiograph
from bonexage.reading.images import decode_image, framed
from dicoms import as_bytes, dataset
from hands import drawn_hand

HEIGHT, WIDTH = 120, 96
PROVENANCE = Provenance("drawn", "0" * 64, (HEIGHT, WIDTH), "png", 8)


@pytest.fixture(scope="module", autouse=True)
def _children_end():
    yield
    decoder.dismiss()


def squeezed(grey: NDArray[np.float32], across: float = 1, down: float = 1) -> NDArray[np.float32]:
    """A film with so many times fewer columns and rows."""
    size = round(grey.shape[1] / across), round(grey.shape[0] / down)
    small = Image.fromarray(grey).resize(size, Image.Resampling.LANCZOS)
    return np.clip(np.asarray(small, dtype=np.float32), 0, 1)


def hand() -> NDArray[np.float32]:
    return np.asarray(drawn_hand(HEIGHT, WIDTH), dtype=np.float32)


def codes(film: Radiograph) -> list[str]:
    return [caution.code for caution in film.cautions]


def is_the_hand(film: Radiograph) -> bool:
    """Whether a film is the drawn hand, give or take a row and what was lost with its pixels."""
    height, width = film.pixels.shape
    if abs(height - HEIGHT) > 1 or abs(width - WIDTH) > 1:
        return False
    shown = Image.fromarray(film.pixels).resize((WIDTH, HEIGHT))
    return float(np.abs(np.asarray(shown) - hand()).mean()) < 0.02


@given(aspect=st.floats(1 / MOST_ASPECT, MOST_ASPECT), spacing=st.none() | st.floats(0.05, 0.5))
def test_a_film_becomes_as_high_and_wide_as_it_is(aspect, spacing):
    sides = (spacing * aspect, spacing) if spacing else None
    film = framed(hand(), PROVENANCE, aspect=aspect, spacing_mm=sides)
    height, width = film.pixels.shape
    assert height / width == pytest.approx(HEIGHT / WIDTH * aspect, rel=0.02)
    assert height >= HEIGHT
    assert width >= WIDTH
    if sides and film.spacing_mm:
        assert film.spacing_mm[0] == pytest.approx(film.spacing_mm[1], rel=0.02)
        assert film.spacing_mm[0] * height == pytest.approx(sides[0] * HEIGHT)
        assert film.spacing_mm[1] * width == pytest.approx(sides[1] * WIDTH)
    assert ("not-square" in codes(film)) == (not np.isclose(np.log(aspect), 0, atol=0.01))


def test_a_film_with_square_pixels_is_left_as_it_is():
    for aspect in (1.0, 1.009, 0.991):
        film = framed(hand(), PROVENANCE, aspect=aspect)
        assert np.array_equal(film.pixels, hand())
        assert not film.cautions


def test_a_film_that_would_have_too_many_square_pixels_has_larger_ones():
    film = framed(hand(), PROVENANCE, aspect=2.0, spacing_mm=(0.4, 0.2), most_pixels=HEIGHT * WIDTH)
    assert film.pixels.size <= HEIGHT * WIDTH * 1.02
    assert film.pixels.shape[0] / film.pixels.shape[1] == pytest.approx(2 * HEIGHT / WIDTH, rel=0.03)
    assert film.spacing_mm
    assert film.spacing_mm[0] == pytest.approx(film.spacing_mm[1], rel=0.03)


@pytest.mark.parametrize(("across", "down"), [(1.55, 1), (2, 1), (1, 2), (1, 1.55)])
@pytest.mark.parametrize(
    "keywords",
    [
        ("PixelSpacing",),
        ("ImagerPixelSpacing",),
        ("NominalScannedPixelSpacing",),
        ("PixelSpacing", "ImagerPixelSpacing"),
    ],
)
def test_a_dicom_film_is_brought_to_square_by_the_size_of_its_pixels(across, down, keywords):
    stored = np.rint(squeezed(hand(), across, down) * 4095).astype(np.uint16)
    sizes = [f"{0.3 * down:.6g}", f"{0.3 * across:.6g}"]
    film = decode_dicom(as_bytes(dataset(stored, **dict.fromkeys(keywords, sizes))), "a.dcm")
    assert is_the_hand(film)
    assert codes(film) == ["not-square"]
    assert film.provenance.original_size == stored.shape
    assert film.spacing_mm == pytest.approx((0.3, 0.3), rel=0.03)


def test_a_dicom_film_without_sizes_is_brought_to_square_by_its_ratio():
    stored = np.rint(squeezed(hand(), across=2) * 4095).astype(np.uint16)
    film = decode_dicom(as_bytes(dataset(stored, PixelAspectRatio=["1", "2"])), "a.dcm")
    assert is_the_hand(film)
    assert (codes(film), film.spacing_mm) == (["not-square"], None)


@pytest.mark.parametrize("unit", [1000.0, 0.001])
def test_sizes_in_another_unit_still_say_how_high_a_pixel_is_for_its_width(unit):
    stored = np.rint(squeezed(hand(), across=2) * 4095).astype(np.uint16)
    sizes = [f"{0.3 * unit:.6g}", f"{0.6 * unit:.6g}"]
    film = decode_dicom(as_bytes(dataset(stored, PixelSpacing=sizes)), "a.dcm")
    assert is_the_hand(film)
    assert (codes(film), film.spacing_mm) == (["spacing-unusable", "not-square"], None)


def test_pixel_spacing_counts_before_the_detector_s_and_both_before_the_ratio():
    made = dataset(PixelSpacing=["0.3", "0.3"], ImagerPixelSpacing=["0.3", "0.6"])
    made.PixelAspectRatio = ["1", "3"]
    assert decode_dicom(as_bytes(made), "a.dcm").pixels.shape == (60, 48)
    del made.PixelSpacing
    assert decode_dicom(as_bytes(made), "a.dcm").pixels.shape == (60, 96)


@pytest.mark.parametrize(
    "elements",
    [
        {"PixelSpacing": ["0.1", "1"]},
        {"PixelAspectRatio": ["1", "100"]},
        {"PixelAspectRatio": ["0", "1"]},
        {"PixelAspectRatio": ["-1", "-2"]},
        {"PixelAspectRatio": ["2"]},
    ],
)
def test_a_ratio_that_no_scanner_has_is_not_followed_and_told(elements):
    film = decode_dicom(as_bytes(dataset(**elements)), "a.dcm")
    assert film.pixels.shape == (60, 48)
    assert codes(film) == ["spacing-unusable"]


def test_a_dicom_film_is_not_enlarged_beyond_its_limit():
    film = decode_dicom(
        as_bytes(dataset(PixelSpacing=["0.2", "0.4"])), "a.dcm", limits=Limits(pixels=60 * 50)
    )
    assert film.pixels.size <= 60 * 50


def saved(picture: NDArray[np.float32], kind: str, **how: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(file, kind, **how)
    return file.getvalue()


def png_of_ratio(picture: NDArray[np.float32], across: int, down: int) -> bytes:
    """A PNG whose pHYs chunk names a ratio and no unit."""
    data = saved(picture, "PNG", dpi=(1, 1))
    at = data.index(b"pHYs")
    chunk = b"pHYs" + across.to_bytes(4, "big") + down.to_bytes(4, "big") + b"\0"
    return data[:at] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[at + 17 :]


@pytest.mark.parametrize(("across", "down"), [(2, 1), (1, 2), (1.55, 1)])
def test_a_picture_file_is_brought_to_square_by_its_two_resolutions(across, down):
    small = squeezed(hand(), across, down)
    dots = (round(310 / across), round(310 / down))
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[282], tags[283], tags[296] = (*map(float, dots), 1)  # a ratio without a unit
    files = [
        saved(small, "PNG", dpi=dots),
        png_of_ratio(small, *dots),
        saved(small, "TIFF", dpi=dots),
        saved(small, "TIFF", tiffinfo=tags),
        saved(small, "BMP", dpi=dots),
        saved(small, "JPEG", dpi=dots, quality=98),
    ]
    for data in files:
        film = decode_image(data, "a")
        assert is_the_hand(film), film.provenance.kind
        assert codes(film) == ["not-square"]


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_the_resolutions_are_those_of_the_picture_before_it_is_turned_upright(kind):
    small = squeezed(hand(), across=2)
    exif = Image.Exif()
    exif[274] = 8
    lying = np.ascontiguousarray(np.rot90(small, -1))
    if kind == "TIFF":
        file = io.BytesIO()
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[274] = 8
        Image.fromarray(np.rint(lying * 255).astype(np.uint8)).save(
            file, "TIFF", tiffinfo=tags, dpi=(300, 150)
        )
        film = decode_image(file.getvalue(), "a")
    else:
        film = decode_image(saved(lying, "JPEG", exif=exif, dpi=(300, 150), quality=98), "a")
    assert is_the_hand(film)


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"dpi": (72, 72)},
        {"dpi": (0, 0)},
        {"dpi": (300, 0)},
        {"dpi": (0, 300)},
        {"dpi": (float("nan"), 300)},
        {"dpi": (1, 300)},
        {"dpi": None},
        {"dpi": (300,)},
        {"jfif_density": (1, 1)},
    ],
)
def test_resolutions_that_say_nothing_are_left_alone(info):
    assert aspect_of_picture(info) == 1


def test_the_map_of_what_moved_an_answer_lies_on_the_square_film(data_folder: Path):
    assessor = bonexage.load(threads=1)
    film = read_radiograph(films_of(data_folder)[0])
    small = squeezed(film.pixels, across=2)
    read = framed(small, PROVENANCE, aspect=0.5)
    explained = assessor.explain(read, "F")
    assert explained.months.shape == explained.pixels.shape == read.pixels.shape
    plain = assessor.explain(film, "F")
    weights = [np.abs(each.months).sum(axis=0) for each in (plain, explained)]
    middles = [float((each * np.arange(each.size)).sum() / each.sum() / each.size) for each in weights]
    assert middles[0] == pytest.approx(middles[1], abs=0.05)


@pytest.mark.parametrize(("across", "down"), [(1.55, 1), (2, 1), (1, 1.55), (1, 2)])
def test_a_film_squeezed_in_its_file_has_the_reading_of_the_plain_film(data_folder: Path, across, down):
    assessor = bonexage.load(threads=1)
    differences = []
    for film in films_of(data_folder)[:60:10]:
        plain = read_radiograph(film)
        made = dataset(
            np.rint(squeezed(plain.pixels, across, down) * 4095).astype(np.uint16),
            PatientSex="F",
            PixelSpacing=[f"{0.2 * down:.6g}", f"{0.2 * across:.6g}"],
        )
        try:
            expected = assessor.assess(plain, "F").bone_age_months
        except RefusedRadiograph:
            continue
        differences.append(assessor.assess(decode_dicom(as_bytes(made), "a.dcm")).bone_age_months - expected)
    assert len(differences) > 3
    assert np.abs(differences).mean() < 1.5


def films_of(data_folder: Path) -> list[Path]:
    """Test films of a size at which halving the columns leaves what tells an age."""
    folder = data_folder / "rsna-640px" / "boneage-test-dataset"
    if not folder.is_dir():
        pytest.skip("no test films there")
    return sorted(folder.iterdir())
