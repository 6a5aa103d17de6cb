"""A hand's frame says where it lies, and a film looks the same in it however the hand was placed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bonexage.model.frame import FRAME_WIDTH, HandFrame, cut, smaller, views_of, whole_film, without_hand
from hands import drawn_hand


def _frame(degrees: float, height: float, x: float, y: float, *, mirrored: bool) -> HandFrame:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return HandFrame(height * turn @ np.diag([-1.0 if mirrored else 1.0, 1.0]), np.array([x, y]))


frames = st.builds(
    _frame,
    st.floats(-179, 179),
    st.floats(60, 400),
    st.floats(-50, 300),
    st.floats(-50, 300),
    mirrored=st.booleans(),
)


@given(frames)
def test_a_frame_tells_its_size_turn_and_mirror(frame: HandFrame) -> None:
    u, v = frame.matrix[:, 0], frame.matrix[:, 1]
    assert frame.height == pytest.approx(np.linalg.norm(v))
    assert frame.turned_degrees == pytest.approx(np.rad2deg(np.arctan2(-v[0], v[1])))
    assert frame.mirrored == (u[0] * v[1] - u[1] * v[0] < 0)
    sides = np.linalg.norm(np.diff(frame.corners, axis=0), axis=1)
    assert sides == pytest.approx(frame.height * np.array([FRAME_WIDTH, 1, FRAME_WIDTH]))
    assert frame.corners.mean(axis=0) == pytest.approx(frame.middle)


@given(frames, frames, st.tuples(st.floats(-1, 1), st.floats(-1, 1)))
def test_a_frame_within_a_frame_maps_as_one_after_the_other(
    inner: HandFrame, outer: HandFrame, point: tuple[float, float]
) -> None:
    told = inner.within(outer)
    in_outer = inner.matrix @ point + inner.middle
    assert told.matrix @ point + told.middle == pytest.approx(
        outer.matrix @ in_outer + outer.middle, abs=1e-6
    )


def test_the_whole_film_is_seen_letterboxed() -> None:
    film = drawn_hand(300, 240)
    seen = cut(film, whole_film(film.shape), 300, 300)
    assert np.abs(seen[:, 30:270] - film).max() < 1e-5
    assert not seen[:, :29].any()
    assert not seen[:, 271:].any()


def _turned(film: NDArray[np.float32], frame: HandFrame, size: int) -> NDArray[np.float32]:
    """A picture in which the film's own whole frame lies as `frame`, drawn by Pillow alone."""
    start = whole_film(film.shape)
    back = start.matrix @ np.linalg.inv(frame.matrix)
    corner = start.middle - back @ frame.middle
    data = (*back[0], corner[0], *back[1], corner[1])
    picture = Image.fromarray(film).transform(
        (size, size), Image.Transform.AFFINE, data, Image.Resampling.BICUBIC
    )
    return np.asarray(picture, dtype=np.float32)


@given(st.floats(-180, 180), st.floats(150, 260), st.floats(-20, 20), st.booleans())
@settings(max_examples=25)
def test_a_hand_looks_the_same_in_its_frame_wherever_it_lies(
    degrees: float, height: float, aside: float, mirrored: bool
) -> None:
    film = drawn_hand(200, 160)
    frame = _frame(degrees, height, 200 + aside, 200 - aside, mirrored=mirrored)
    seen = cut(_turned(film, frame, 400), frame, 200, 160)
    inner = np.s_[8:-8, 8:-8]
    assert np.corrcoef(seen[inner].ravel(), film[inner].ravel())[0, 1] > 0.985


def test_a_film_with_more_pixels_is_shrunk_without_aliasing() -> None:
    """Stripes finer than what is read come out as their mean, not as coarser stripes."""
    stripes = np.tile(np.array([0.0, 1.0], dtype=np.float32), (800, 400))
    seen = cut(stripes, whole_film(stripes.shape), 96, 96)
    assert seen[4:-4, 4:-4].std() < 0.03
    assert seen[4:-4, 4:-4].mean() == pytest.approx(0.5, abs=0.02)


@given(angle=st.floats(-3, 3), height=st.floats(40, 120), x=st.floats(30, 90), y=st.floats(40, 110))
@settings(max_examples=30, deadline=None)
def test_a_hand_is_painted_over_and_the_rest_of_the_film_left_alone(
    angle: float, height: float, x: float, y: float
) -> None:
    film = np.random.default_rng(0).random((150, 120), dtype=np.float32) * 0.2 + 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    frame = HandFrame(height * turn, np.array([x, y]))
    painted = without_hand(film, frame)
    inside = cut(painted, frame, 40, 32)[2:-2, 2:-2]
    assert np.unique(inside[inside > 0]).size == 1
    far = np.hypot(*(np.indices(film.shape)[::-1] + 0.5 - np.array([x, y])[:, None, None])) > height
    assert np.array_equal(painted[far], film[far])


def test_a_film_made_smaller_shows_the_same_hand_in_its_frame() -> None:
    film = drawn_hand(500, 400)
    frame = HandFrame(np.eye(2) * 400.0, np.array([190.0, 260.0]))
    small, there = smaller(film, frame, 250)
    assert small.shape == (250, 200)
    assert np.abs(cut(small, there, 96, 78) - cut(film, frame, 96, 78)).mean() < 0.02
    assert smaller(small, there, 250)[0] is small


@given(st.integers(2, 40))
def test_views_lie_near_the_hand_s_own_and_apart_from_each_other(count: int) -> None:
    frame = HandFrame(np.array([[90.0, -30.0], [30.0, 90.0]]), np.array([70.0, 80.0]))
    first, *others = views_of(frame, count)
    assert first is frame
    assert len(others) == count - 1
    for view in others:
        assert abs(view.turned_degrees - frame.turned_degrees) <= 6
        assert 1 / 1.06 <= view.height / frame.height <= 1.06
        assert np.linalg.norm(view.middle - frame.middle) <= 0.015 * frame.height * 2**0.5 + 1e-9
    places = np.array([[*view.matrix.ravel(), *view.middle] for view in (first, *others)])
    apart = np.abs(places[:, np.newaxis] - places).max(axis=-1)
    assert apart[~np.eye(count, dtype=bool)].min() > 0


def test_fewer_views_are_the_first_of_more() -> None:
    frame = whole_film((100, 80))
    few, many = views_of(frame, 3), views_of(frame, 9)
    assert all(np.array_equal(one.matrix, other.matrix) for one, other in zip(few, many, strict=False))
