"""The carried model finds a hand wherever it lies, and reads it there as it does upright."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import bonexage
from bonexage.atlas.plates import Plate, read_plates
from bonexage.errors import RefusedRadiograph
from bonexage.model.assessor import Assessor
from bonexage.model.frame import HandFrame
from bonexage.model.locate import Locator, distance
from bonexage.radiograph import Provenance, Radiograph
from films import plate_picture

CANVAS = (400, 360)
NEAR = 0.15
"""In frame heights: a tenth of the hand's length is about the width of two fingers."""


@pytest.fixture(scope="module")
def assessor() -> Assessor:
    return bonexage.load()


def laid(plate: NDArray[np.float32], frame: HandFrame) -> NDArray[np.float32]:
    """A plate as it lies in a frame on a dark film."""
    height = plate.shape[0]
    back = np.linalg.inv(frame.matrix) * height
    corner = np.array([plate.shape[1], height]) / 2 - back @ frame.middle
    data = (*back[0], corner[0], *back[1], corner[1])
    picture = Image.fromarray(plate).transform(
        CANVAS[::-1], Image.Transform.AFFINE, data, Image.Resampling.BILINEAR
    )
    return np.clip(np.asarray(picture, dtype=np.float32), 0, 1)


def moved_with(found: HandFrame, plate: NDArray[np.float32], frame: HandFrame) -> HandFrame:
    """Where what was found on a plate lies when the plate is laid with its own frame at `frame`."""
    height = plate.shape[0]
    from_middle = (found.middle - np.array([plate.shape[1], height]) / 2) / height
    return HandFrame(frame.matrix @ found.matrix / height, frame.matrix @ from_middle + frame.middle)


def poses(plates: tuple[Plate, ...]) -> Iterator[tuple[Plate, HandFrame]]:
    """Each plate small or large, turned up to 40 degrees, off the middle, mirrored or not."""
    rng = np.random.default_rng(2017)
    for plate in plates:
        angle, size = np.deg2rad(rng.uniform(-40, 40)), rng.uniform(160, 280)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        flip = np.diag([rng.choice([-1.0, 1.0]), 1.0])
        middle = np.array(CANVAS[::-1]) / 2 + rng.uniform(-30, 30, 2)
        yield plate, HandFrame(size * turn @ flip, middle)


def as_radiograph(pixels: NDArray[np.float32]) -> Radiograph:
    return Radiograph(pixels, Provenance("laid", "0" * 64, pixels.shape[:2], "png"))


def test_plates_are_found_wherever_they_lie(assessor: Assessor) -> None:
    assert assessor.bundle.locator is not None
    locator = Locator(assessor.bundle.locator, threads=1)
    off, elsewhere, sides = [], [], []
    for plate, frame in poses(read_plates()):
        pixels = plate_picture(plate)
        finding = locator.find(laid(pixels, frame))
        off.append(distance(finding.frame, frame))
        elsewhere.append(distance(finding.frame, moved_with(locator.find(pixels).frame, pixels, frame)))
        sides.append(finding.frame.mirrored == frame.mirrored)
        assert finding.found, f"{plate.path.stem} at {frame}"
    assert np.median(elsewhere) < NEAR / 2
    assert np.mean(np.array(off) < NEAR) >= 0.9
    assert np.mean(sides) >= 0.9


def test_a_plate_is_read_alike_wherever_it_lies(assessor: Assessor) -> None:
    moved = []
    for plate, frame in poses(read_plates()):
        pixels = plate_picture(plate)
        here = assessor.assess(as_radiograph(pixels), plate.sex)
        there = assessor.assess(as_radiograph(laid(pixels, frame)), plate.sex)
        moved.append(abs(here.bone_age_months - there.bone_age_months))
    assert np.median(moved) < 4


def test_what_moved_an_answer_lies_on_the_hand_wherever_that_is(assessor: Assessor) -> None:
    for plate, frame in list(poses(read_plates()))[::5]:
        found = assessor.explain(as_radiograph(laid(plate_picture(plate), frame)), plate.sex)
        assert found.months.shape == CANVAS
        rows, columns = np.indices(CANVAS) + 0.5
        apart = np.stack([columns - frame.middle[0], rows - frame.middle[1]], axis=-1)
        near = np.hypot(*np.moveaxis(apart, -1, 0)) < 0.75 * frame.height
        weight = np.abs(found.months)
        assert weight[near].sum() > 0.95 * weight.sum() > 0


def test_what_is_no_single_hand_is_refused(assessor: Assessor) -> None:
    plates = [plate_picture(plate) for plate in read_plates()[::4]]
    rows, columns = plates[0].shape
    others = {
        "blank": [np.full((300, 240), 0.3, dtype=np.float32)],
        "noise": [np.random.default_rng(0).random((300, 240), dtype=np.float32)],
        "upper half": [plate[: rows // 2] for plate in plates],
        "fingers": [plate[: rows // 3] for plate in plates],
        "two hands": [np.hstack([plate, plate[:, ::-1]]) for plate in plates],
        "upside down and cut": [plate[: rows // 2][::-1, : columns // 2] for plate in plates],
    }
    passed = [kind for kind, pictures in others.items() for each in pictures if is_read(assessor, each)]
    assert passed == []


def is_read(assessor: Assessor, pixels: NDArray[np.float32]) -> bool:
    try:
        assessor.place(as_radiograph(np.ascontiguousarray(pixels)))
    except RefusedRadiograph:
        return False
    return True
