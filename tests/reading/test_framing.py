"""Plain borders are left out to the pixel, hands are never cut into, and inverted films are recognised."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bonexage.reading.files import read_radiograph
from bonexage.reading.folder import read_films, read_split
from bonexage.reading.framing import brightness_of_bone, is_inverted, without_borders
from hands import drawn_hand
from thumbnails import squeezed

BARS = st.tuples(*[st.integers(0, 40)] * 4)


def barred(film: np.ndarray, bars: tuple[int, int, int, int], grey: float) -> np.ndarray:
    top, bottom, left, right = bars
    return np.pad(film, ((top, bottom), (left, right)), constant_values=np.float32(grey))


@given(st.integers(0, 50), BARS, BARS, st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=60, deadline=None)
def test_plain_bars_of_any_grey_are_left_out_also_in_one_another(seed, inner, outer, grey, outer_grey):
    film = drawn_hand(120, 100, seed=seed)
    picture = barred(barred(film, inner, grey), outer, outer_grey)
    np.testing.assert_array_equal(without_borders(picture), film)


def test_bars_in_one_another_without_end_are_left_out_as_far_as_twenty():
    picture = drawn_hand(120, 100, seed=1)
    for at in range(60):
        picture = barred(picture, (1, 1, 1, 1), at % 2)
    assert without_borders(picture).shape == (120 + 80, 100 + 80)


@pytest.mark.parametrize("grey", [0, 255])
def test_bars_of_a_jpeg_are_left_out_up_to_its_blurred_seam(grey):
    film = np.rint(drawn_hand(400, 320, seed=1) * 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(barred(film, (50, 31, 22, 77), grey).astype(np.uint8)).save(out, "JPEG", quality=85)
    picture = np.asarray(Image.open(out), dtype=np.float32) / np.float32(255)
    height, width = without_borders(picture, blurred_seam=True).shape
    assert 0 <= height - film.shape[0] <= 14
    assert 0 <= width - film.shape[1] <= 14
    if grey == 255:
        assert (height, width) == film.shape


def test_a_film_without_bars_stays_whole():
    film = drawn_hand(100, 80, seed=4)
    assert without_borders(film) is film


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (40, 1), (60, 60)])
def test_a_plain_picture_stays_whole_and_is_not_inverted(shape):
    plain = np.full(shape, 0.7, np.float32)
    assert without_borders(plain).shape == shape
    assert not is_inverted(plain)


def test_a_dot_on_paper_is_no_film_in_a_frame():
    paper = np.ones((200, 200), np.float32)
    paper[90:95, 90:95] = 0
    assert without_borders(paper).shape == paper.shape


def test_a_fingertip_three_levels_above_the_ground_is_kept():
    film = np.full((100, 100), 20 / 255, np.float32)
    film[30:, 40:45] = 23 / 255
    film[60:, 30:60] = np.linspace(60, 90, 30, dtype=np.float32) / 255
    assert without_borders(film).shape == (70, 30)


@given(st.integers(0, 200), st.floats(0.05, 1.0), st.floats(0.7, 1.6))
@settings(max_examples=30, deadline=None)
def test_an_inverted_hand_is_recognised_and_an_upright_one_is_not(seed, contrast, gamma):
    film = (drawn_hand(140, 110, seed=seed) ** np.float32(gamma) * np.float32(contrast)).astype(np.float32)
    assert not is_inverted(film)
    assert is_inverted(np.float32(1) - film)


@given(st.integers(0, 200), st.sampled_from([20, 50, 100, 150, 199, 640]))
@settings(max_examples=15, deadline=None)
def test_turning_a_film_round_turns_the_sign_of_its_score(seed, height):
    film = drawn_hand(height, height * 3 // 4, seed=seed)
    assert brightness_of_bone(np.float32(1) - film) == pytest.approx(-brightness_of_bone(film), abs=1e-3)


def test_real_films_are_not_taken_for_inverted_and_turned_ones_are_recognised(data_folder):
    films, _ = read_split(data_folder / "rsna-299px", "training")
    wrong = missed = 0
    for film in films[::40]:
        picture = Image.open(film.path)
        for shown in (picture, squeezed(picture)):
            pixels = np.asarray(shown, dtype=np.float32) / np.float32(255)
            wrong += is_inverted(without_borders(pixels))
            missed += not is_inverted(without_borders(np.float32(1) - pixels))
    assert wrong == 0
    assert missed <= 0.01 * 2 * len(films[::40])  # of all training films 0.7% are missed, large or small


def test_films_of_another_scanner_are_read_as_they_are(data_folder):
    folder = data_folder / "other-scanner"
    films, _ = read_films(folder / "films", folder / "films.csv")
    assert len(films) == 27
    for film in films:
        radiograph = read_radiograph(film.path)
        assert radiograph.cautions == ()
        assert radiograph.pixels.shape == radiograph.provenance.original_size


def test_bars_about_a_real_film_are_undone(data_folder):
    films, _ = read_split(data_folder / "rsna-299px", "training")
    for film in films[::100]:
        picture = Image.open(film.path)
        for shown in (picture, squeezed(picture)):
            pixels = np.asarray(shown, dtype=np.float32) / np.float32(255)
            for grey in (0.0, 0.4, 1.0):
                framed = barred(pixels, (20, 7, 3, 15), grey)
                assert without_borders(framed).shape == without_borders(pixels).shape
