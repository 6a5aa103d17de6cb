"""What is found has to look like a hand: composite hands do, however exposed, and other pictures do not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bonexage.atlas.plates import read_plates
from bonexage.errors import BundleError
from bonexage.model.frame import HandFrame, whole_film
from bonexage.model.likeness import HAND_SIZE, LEAST_LIKENESS, Likeness, pack_hands
from films import plate_picture

Film = NDArray[np.float32]


@pytest.fixture(scope="module")
def plates() -> list[Film]:
    return [plate_picture(plate) for plate in read_plates()]


def packed(films: list[Film]) -> bytes:
    return pack_hands([(film, whole_film(film.shape)) for film in films])


def test_a_hand_is_most_like_itself_and_like_others_of_its_age(plates: list[Film]) -> None:
    likeness = Likeness(packed(plates))
    own = [likeness.of(film, whole_film(film.shape)) for film in plates]
    assert own == pytest.approx([1.5] * len(plates), abs=1e-3)
    for number, film in enumerate(plates):
        others = Likeness(packed(plates[:number] + plates[number + 1 :]))
        assert LEAST_LIKENESS < others.of(film, whole_film(film.shape)) < 1.5


def test_exposure_and_a_small_turn_leave_a_hand_a_hand(plates: list[Film]) -> None:
    likeness = Likeness(packed(plates[::2]))
    angle = np.deg2rad(6)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for film in plates[1::2]:
        height, width = film.shape
        frame = HandFrame(1.05 * height * turn, np.array([width / 2 + 4, height / 2 - 4]))
        assert likeness.of((0.2 + 0.3 * film**1.4).astype(np.float32), frame) > LEAST_LIKENESS


def noise() -> Film:
    return np.random.default_rng(0).random((192, 156), dtype=np.float32)


def ramp() -> Film:
    return np.tile(np.linspace(0, 1, 156, dtype=np.float32), (192, 1))


def page() -> Film:
    picture = Image.new("L", (156, 192), 230)
    draw = ImageDraw.Draw(picture)
    for row in range(8, 180, 9):
        draw.text((8, row), "Bone age of the left hand", fill=20)
    return np.asarray(picture, dtype=np.float32) / 255


@pytest.mark.parametrize("other", [noise, ramp, page, lambda: np.full((192, 156), 0.5, np.float32)])
def test_other_pictures_are_not_like_a_hand(plates: list[Film], other: object) -> None:
    assert callable(other)
    film = other()
    assert Likeness(packed(plates)).of(film, whole_film(film.shape)) < LEAST_LIKENESS


def test_a_hand_cut_up_and_put_together_otherwise_is_none(plates: list[Film]) -> None:
    likeness = Likeness(packed(plates))
    for film in plates[::4]:
        upper, lower = film[:96, :78], film[96:, 78:]
        shuffled = np.block([[lower, film[96:, :78]], [film[:96, 78:], upper]]).astype(np.float32)
        assert likeness.of(shuffled, whole_film(film.shape)) < LEAST_LIKENESS


def png(shape: tuple[int, int], mode: str = "L") -> bytes:
    out = io.BytesIO()
    Image.new(mode, shape[::-1]).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"no picture",
        png((HAND_SIZE[0] + 1, HAND_SIZE[1])),
        png((HAND_SIZE[0], HAND_SIZE[1] + 1)),
        png(HAND_SIZE, "RGB"),
        png(HAND_SIZE)[:-30],
    ],
)
def test_what_are_no_composite_hands_is_a_broken_bundle(damaged: bytes) -> None:
    with pytest.raises(BundleError, match="composite hands"):
        Likeness(damaged)
