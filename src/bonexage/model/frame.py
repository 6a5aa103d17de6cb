"""The frame of a hand in a radiograph, and the film as it looks in that frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FRAME_WIDTH: Final = 156 / 192
"""Width of the frame of a hand over its height: that of the atlas plates."""

_SHARPER: Final = (
    1.25  # a film is shrunk (antialiased) first, to at most so many of its pixels for one that is read
)

# How far other views of a hand may lie from its own: turned, enlarged, shifted by a part of its height.
_VIEW_DEGREES: Final = 6.0
_VIEW_ZOOM: Final = 1.06
_VIEW_SHIFT: Final = 0.015
_VIEW_STEPS: Final = 0.8566749 ** np.arange(1, 5)  # 1 / g, the root of g^5 = g + 1

_COVERED: Final = 1.1  # part of a frame that is painted over with its hand
_GROUND: Final = 20.0  # percentile of the rest of the film that is taken for its ground


@dataclass(frozen=True, eq=False)
class HandFrame:
    """Where the frame of a hand lies in a picture: that of the atlas plates, fingers up and thumb right.

    A point of the frame, (u, v) in frame heights from its middle, v downwards, lies in the picture at
    `matrix @ (u, v) + middle`: (x, y) in pixels from the upper left corner.

    Attributes:
        matrix: float64 `[2, 2]`; its determinant is negative where the hand is mirrored.
        middle: float64 `[2]`.
    """

    matrix: NDArray[np.float64]
    middle: NDArray[np.float64]

    @property
    def mirrored(self) -> bool:
        """Whether it is a right hand, or the film is mirrored: the two look the same."""
        return bool(np.linalg.det(self.matrix) < 0)

    @property
    def height(self) -> float:
        """The frame's height in pixels of the picture (the geometric mean over all directions)."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    @property
    def turned_degrees(self) -> float:
        """How far the hand is turned clockwise from upright, from -180 to 180."""
        return float(np.rad2deg(np.arctan2(-self.matrix[0, 1], self.matrix[1, 1])))

    @property
    def corners(self) -> NDArray[np.float64]:
        """Where its four corners lie, clockwise from the upper left, `[4, 2]`."""
        half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([FRAME_WIDTH, 1]) / 2
        return np.asarray(half @ self.matrix.T + self.middle)

    def within(self, other: HandFrame) -> HandFrame:
        """This frame, told in the picture in which `other` is the frame that this one is told in."""
        return HandFrame(other.matrix @ self.matrix, other.matrix @ self.middle + other.middle)

    def moved(self, turn: float, zoom: float, shift: NDArray[np.float64]) -> HandFrame:
        """Another view of the hand; what each is moved by is told from -1 to 1."""
        angle = np.deg2rad(turn * _VIEW_DEGREES)
        cos, sin = np.cos(angle), np.sin(angle)
        turned = np.array([[cos, -sin], [sin, cos]]) * _VIEW_ZOOM**zoom
        return HandFrame(self.matrix @ turned, self.middle + self.matrix @ (shift * _VIEW_SHIFT))

    def taking(self, part: float) -> HandFrame:
        """The frame in which this one takes up that part of the height."""
        return HandFrame(self.matrix / part, self.middle)


def whole_film(shape: tuple[int, ...]) -> HandFrame:
    """The upright frame, as high as the film's longer side, around the middle of a film."""
    height, width = shape[:2]
    return HandFrame(np.eye(2) * float(max(height, width)), np.array([width / 2, height / 2]))


def cut(
    pixels: NDArray[np.float32], frame: HandFrame, rows: int, columns: int, *, outside: float = 0.0
) -> NDArray[np.float32]:
    """A film `[height, width]` as it looks in a frame that is `rows` high: float32 `[rows, columns]`.

    What lies outside the film is `outside`. Bilinear; where the film has more pixels, it is shrunk first.
    """
    step = HandFrame(frame.matrix / rows, frame.middle)  # of one of the pixels that are to be seen
    pixels, step = _shrunk(pixels, step, frame.height / rows / _SHARPER)
    corner = step.middle - step.matrix @ np.array([columns / 2, rows / 2])
    data = (*step.matrix[0], corner[0], *step.matrix[1], corner[1])
    film = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
    seen = film.transform(
        (columns, rows), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR, fillcolor=outside
    )
    return np.asarray(seen, dtype=np.float32)


def smaller(
    pixels: NDArray[np.float32], frame: HandFrame, side: int
) -> tuple[NDArray[np.float32], HandFrame]:
    """A film whose longer side has at most `side` pixels, and the frame of its hand there."""
    return _shrunk(pixels, frame, max(pixels.shape) / side)


def _shrunk(
    pixels: NDArray[np.float32], frame: HandFrame, shrink: float
) -> tuple[NDArray[np.float32], HandFrame]:
    """A film with so many times fewer pixels along each side (antialiased), and its frame; never more."""
    if shrink <= 1:
        return pixels, frame
    film = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
    size = max(1, round(film.width / shrink)), max(1, round(film.height / shrink))
    scale = np.array(size) / np.array(film.size)
    smaller_film = np.asarray(film.resize(size, Image.Resampling.BILINEAR))
    return smaller_film, HandFrame(scale[:, np.newaxis] * frame.matrix, scale * frame.middle)


def views_of(frame: HandFrame, count: int) -> tuple[HandFrame, ...]:
    """A frame, and others a little turned, enlarged or made smaller, and shifted: `count` in all.

    The others are always the same, and spread evenly however many they are: an additive recurrence in four
    dimensions (Roberts M. The unreasonable effectiveness of quasirandom sequences. 2018).
    """
    places = 2 * (np.arange(1, count)[:, np.newaxis] * _VIEW_STEPS % 1) - 1
    return (frame, *(frame.moved(turn, zoom, np.array(shift)) for turn, zoom, *shift in places))


def without_hand(pixels: NDArray[np.float32], frame: HandFrame) -> NDArray[np.float32]:
    """A film in which the hand in a frame, and a little around it, is painted over with the film's ground."""
    rows, columns = np.indices(pixels.shape) + 0.5
    u, v = np.linalg.inv(frame.matrix) @ (
        np.stack([columns.ravel(), rows.ravel()]) - frame.middle[:, np.newaxis]
    )
    covered = (np.abs(u) < _COVERED * FRAME_WIDTH / 2) & (np.abs(v) < _COVERED / 2)
    covered = covered.reshape(pixels.shape)
    rest = pixels[~covered]
    ground = np.percentile(rest, _GROUND) if rest.size else 0.0
    return np.where(covered, np.float32(ground), pixels)
