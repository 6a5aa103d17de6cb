"""A map of what moved an answer lies on the film where the network saw it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonexage.model.frame import HandFrame, cut
from bonexage.model.preprocess import HAND_PART, Preprocessing, placement
from bonexage.model.relevance import lay_on_film

CELLS = (1 + np.arange(10)[:, None] + 2.5 * np.arange(8)).astype(np.float32)


@given(
    degrees=st.floats(-180, 180),
    size=st.floats(120, 180),
    x=st.floats(150, 210),
    y=st.floats(170, 230),
    mirrored=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_seen_in_the_hands_frame_again_it_is_the_map(
    degrees: float, size: float, x: float, y: float, mirrored: bool
) -> None:
    how = Preprocessing("hand", 320, 256)
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    frame = HandFrame(size * turn @ np.diag([-1.0 if mirrored else 1.0, 1.0]), np.array([x, y]))
    laid = lay_on_film(CELLS, (400, 360), how, frame)
    seen = cut(laid, frame.taking(HAND_PART), 10, 8)
    assert (seen - CELLS)[1:-1, 1:-1] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("geometry", ["keep-aspect", "squash"])
def test_it_covers_a_film_that_is_seen_whole(geometry: str) -> None:
    how = Preprocessing(geometry, 320, 256)  # type: ignore[arg-type]
    laid = lay_on_film(np.ones((10, 8), dtype=np.float32), (300, 500), how)
    assert laid.shape == (300, 500)
    assert laid == pytest.approx(1)


def test_one_cell_lies_where_the_film_was_put() -> None:
    how = Preprocessing("keep-aspect", 320, 256)
    film_size = (100, 160)
    spot = placement(film_size, how)
    cells = np.zeros((10, 8), dtype=np.float32)
    row, column = 4, 6
    cells[row, column] = 3
    laid = lay_on_film(cells, film_size, how)
    peak = np.unravel_index(laid.argmax(), laid.shape)
    expected_row = ((row + 0.5) * 32 - spot.top) * film_size[0] / spot.height
    expected_column = ((column + 0.5) * 32 - spot.left) * film_size[1] / spot.width
    assert abs(float(peak[0]) + 0.5 - expected_row) <= 1
    assert abs(float(peak[1]) + 0.5 - expected_column) <= 1
    assert laid.max() == pytest.approx(3, rel=0.1)


def test_beyond_the_frame_nothing_moved_the_answer() -> None:
    how = Preprocessing("hand", 320, 256)
    laid = lay_on_film(CELLS, (400, 400), how, HandFrame(np.eye(2) * 100, np.array([200.0, 200.0])))
    rows, columns = np.nonzero(laid)
    assert rows.max() - rows.min() == pytest.approx(100 / HAND_PART, abs=2)
    assert columns.max() - columns.min() == pytest.approx(100 / HAND_PART * 256 / 320, abs=2)


def test_the_geometry_hand_needs_a_frame() -> None:
    with pytest.raises(ValueError, match="where the hand is"):
        lay_on_film(CELLS, (100, 100), Preprocessing("hand", 320, 256))
