"""A film that was spoilt says so, in the way it was spoilt alone; one that was not says nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from bonexage.atlas.plates import read_plates
from bonexage.model import cautions
from bonexage.model.assessor import Assessor
from bonexage.model.frame import HandFrame, whole_film
from bonexage.model.hand import HandSeeker, SeenHand
from bonexage.model.likeness import pack_hands
from bonexage.model.locate import CLOSER, Finding
from bonexage.model.preprocess import HAND_PART, Preprocessing
from bonexage.model.quality import LEAST_DETAIL, LEAST_ROWS, MOST_EDGES, MOST_SEAMS, Quality, quality_of
from bonexage.radiograph import Provenance, Radiograph
from films import plate_picture
from hands import drawn_hand
from model.test_locate import at_rest, fixed_locator
from models import small_bundle

Film = NDArray[np.float32]
OF_QUALITY = {"low-resolution", "blurred", "compressed", "letters-over-hand"}
GOOD = Quality(LEAST_ROWS, LEAST_DETAIL, MOST_SEAMS, MOST_EDGES)


def film() -> Film:
    return (0.85 * drawn_hand(480, 384)).astype(np.float32)


def picture(pixels: Film) -> Image.Image:
    return Image.fromarray(np.rint(pixels * 255).astype(np.uint8))


def numbers(image: Image.Image) -> Film:
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def compressed(pixels: Film, quality: int) -> Film:
    out = io.BytesIO()
    picture(pixels).save(out, "JPEG", quality=quality)
    return numbers(Image.open(out))


def lettered(pixels: Film, x: float, y: float) -> Film:
    image = picture(pixels)
    place = (x * image.width, y * image.height)
    ImageDraw.Draw(image).text(place, "L 12.3", fill=255, font=ImageFont.load_default(24))
    return numbers(image)


@pytest.fixture(scope="module")
def assessor(tmp_path_factory: pytest.TempPathFactory) -> Assessor:
    hand = film()
    frame = HandFrame(np.eye(2) * CLOSER * hand.shape[0], np.array([hand.shape[1], hand.shape[0]]) / 2)
    bundle = small_bundle(
        tmp_path_factory.mktemp("model") / "bundle",
        preprocessing=Preprocessing("hand", 64, 64),
        locator=fixed_locator(at_rest()),
        hands=pack_hands([(hand, frame)]),
    )
    return Assessor(bundle, threads=1)


SPOILT: dict[str, tuple[Callable[[Film], Film], set[str]]] = {
    "nothing": (lambda film: film, set()),
    "slightly blurred": (lambda film: numbers(picture(film).filter(ImageFilter.GaussianBlur(0.5))), set()),
    "blurred": (lambda film: numbers(picture(film).filter(ImageFilter.GaussianBlur(7))), {"blurred"}),
    "enlarged": (
        lambda film: numbers(picture(film).resize((48, 60)).resize((384, 480), Image.Resampling.BICUBIC)),
        {"blurred"},
    ),
    "lightly compressed": (lambda film: compressed(film, 90), set()),
    "heavily compressed": (lambda film: compressed(film, 12), {"compressed"}),
    "with letters over bone": (lambda film: lettered(film, 0.4, 0.62), {"letters-over-hand"}),
    "with letters beside the hand": (lambda film: lettered(film, 0.02, 0.02), set()),
    "small": (lambda film: numbers(picture(film).resize((64, 80), Image.Resampling.BOX)), {"low-resolution"}),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_film_says_how_it_was_spoilt(assessor: Assessor, how: str) -> None:
    spoil, expected = SPOILT[how]
    pixels = np.ascontiguousarray(spoil(film()), dtype=np.float32)
    said = assessor.assess(Radiograph(pixels, Provenance("drawn", "0" * 64, pixels.shape, "png")), "F")
    assert {each.code for each in said.cautions} & OF_QUALITY == expected


def test_a_blank_film_has_no_detail_and_no_seams() -> None:
    found = quality_of(np.full((90, 70), 0.4, np.float32), whole_film((90, 70)), None)
    assert found == Quality(90.0, pytest.approx(0.0, abs=0.05), pytest.approx(0.0, abs=1e-3), None)


def test_no_plate_has_letters_over_it_and_any_plate_can_have() -> None:
    plates = [plate_picture(plate) for plate in read_plates()[::6]]
    packed = HandSeeker(fixed_locator(at_rest()), pack_hands([(p, whole_film(p.shape)) for p in plates]))
    mean_hand = packed._likeness.mean_hand
    for plate in plates:
        bare = quality_of(plate, whole_film(plate.shape), mean_hand)
        written = quality_of(lettered(plate, 0.35, 0.55), whole_film(plate.shape), mean_hand)
        assert bare.edges is not None
        assert written.edges is not None
        assert bare.edges < MOST_EDGES < written.edges


def test_the_edge_of_a_film_that_ends_in_an_overexposed_hand_is_no_letter() -> None:
    hand = np.ones((400, 320), np.float32)
    beyond = HandFrame(np.eye(2) * 500, np.array([160.0, 300.0]))  # its lower part lies outside the film
    found = quality_of(hand, beyond, np.full((96, 64), 255, np.uint8))
    assert found.edges == 0.0
    hand[200:230, 150:160] = 0.0
    found = quality_of(hand, beyond, np.full((96, 64), 255, np.uint8))
    assert found.edges == pytest.approx((2 * 30 + 2 * 10 + 4) / beyond.taking(HAND_PART).height)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, None),
        ({"rows": LEAST_ROWS - 1}, "low-resolution"),
        ({"detail": LEAST_DETAIL - 0.01}, "blurred"),
        ({"seams": MOST_SEAMS + 0.01}, "compressed"),
        ({"edges": MOST_EDGES + 0.001}, "letters-over-hand"),
        ({"edges": None}, None),
    ],
)
def test_each_measure_brings_its_own_caution(change: dict[str, float | None], code: str | None) -> None:
    hand = SeenHand(Finding(whole_film((200, 160)), True, 1.0, 0.0), 1.3, replace(GOOD, **change))
    assert [each.code for each in cautions.seen_cautions(hand)] == ([code] if code else [])


@pytest.mark.parametrize(("likeness", "said"), [(1.4, False), (0.9, True), (None, False)])
def test_a_hand_unlike_the_atlas_is_one_that_model_and_reader_may_disagree_on(
    likeness: float | None, said: bool
) -> None:
    hand = SeenHand(Finding(whole_film((200, 160)), True, 1.0, 0.0), likeness, GOOD)
    assert ("likely-to-disagree" in {each.code for each in cautions.seen_cautions(hand)}) == said
