"""How good the picture of a hand is: pixels, finest detail, traces of compression, letters over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bonexage.model.frame import HandFrame, cut, smaller
from bonexage.model.preprocess import HAND_PART

# What fewer than about one in fifty of the held-out films of the training fall short of, and what films that
# were spoilt on purpose do: `benchmarks/cautions.py`.
LEAST_ROWS: Final = 75.0
LEAST_DETAIL: Final = 0.28
MOST_SEAMS: Final = 0.5
MOST_EDGES: Final = 0.015

_ROWS_FOR_DETAIL: Final = 128
_ROWS_FOR_LETTERS: Final = 800
_SIDE_FOR_SEAMS: Final = 1024
_BLOCK: Final = 8  # pixels of a side of what JPEG codes as one (ITU-T T.81)
_WIDTH: Final = 2 / 3  # of what is looked at, over its height: that of `bonexage.model.likeness`
_FINE: Final = (0.5, 1.0)
_COARSE: Final = (2.0, 4.0)
_WHITE: Final = 242  # of 255: letters are burnt in as white as the film goes
_STEP: Final = 80  # levels from a letter to what lies within two pixels of it
_OVER_HAND: Final = 0.2  # of the mean composite hand: where hands are

Film = NDArray[np.float32]


@dataclass(frozen=True)
class Quality:
    """How good the picture of a hand is.

    Attributes:
        rows: pixels of the film along the frame of the hand.
        detail: strength of the finest detail that so many pixels (at most 128) can hold, over that of detail
            four times as coarse; about 0.45, and below 0.3 where the film is blurred.
        seams: how much steeper the film is at the seams of blocks of 8 x 8 pixels than beside them, over its
            mean steepness; about 0.2 or less, and from 0.5 where JPEG took much away.
        edges: pixels that are white beside what is much darker, over the hand, for each row of its picture;
            None where it is not known where hands are.
    """

    rows: float
    detail: float
    seams: float
    edges: float | None


def quality_of(pixels: Film, frame: HandFrame, mean_hand: NDArray[np.uint8] | None) -> Quality:
    """Look at the picture of a hand in a film.

    Args:
        pixels: the film, `[height, width]` in [0, 1], bone bright.
        frame: where its hand was found.
        mean_hand: the mean of composite hands, as `bonexage.model.likeness` holds films against it.
    """
    return Quality(
        frame.height,
        _detail(_looked_at(pixels, frame)),
        _seams(_around(pixels, frame)),
        None if mean_hand is None else _edges(pixels, frame, mean_hand),
    )


def _looked_at(pixels: Film, frame: HandFrame) -> Film:
    """The hand in as many rows as the film has along it, or fewer."""
    rows = int(np.clip(round(frame.height), 16, _ROWS_FOR_DETAIL))
    return cut(pixels, frame.taking(HAND_PART), rows, round(rows * _WIDTH))


def _around(pixels: Film, frame: HandFrame) -> Film:
    """The film about the middle of the hand, pixel by pixel."""
    top, left = (
        int(np.clip(round(middle) - _SIDE_FOR_SEAMS // 2, 0, max(0, side - _SIDE_FOR_SEAMS)))
        for middle, side in zip(frame.middle[::-1], pixels.shape, strict=True)
    )
    return pixels[top : top + _SIDE_FOR_SEAMS, left : left + _SIDE_FOR_SEAMS]


def _detail(hand: Film) -> float:
    fine, coarse = (_strength(_blurred(hand, less) - _blurred(hand, more)) for less, more in (_FINE, _COARSE))
    return fine / max(coarse, 1e-6)


def _strength(band: Film) -> float:
    """Root of the mean square, the rim left out."""
    height, width = band.shape
    inner = band[height // 10 : height - height // 10, width // 8 : width - width // 8]
    return float(np.sqrt(np.mean(np.square(inner))))


def _blurred(picture: Film, deviation: float) -> Film:
    """Gaussian blur of a small picture, in floats, the rim repeated outwards."""
    reach = max(1, round(3 * deviation))
    weights = np.exp(-np.square(np.arange(-reach, reach + 1) / deviation) / 2).astype(np.float32)
    weights /= weights.sum()
    for _ in range(2):
        padded = np.pad(picture, ((reach, reach), (0, 0)), mode="edge")
        rows = len(picture)
        picture = sum(
            (weight * padded[at : at + rows] for at, weight in enumerate(weights)), np.zeros_like(picture)
        ).T
    return picture


def _seams(film: Film) -> float:
    """The weaker of both directions, at whichever of the 8 places for the seams they show most."""
    return min(_seams_across(film), _seams_across(film.T))


def _seams_across(film: Film) -> float:
    if film.shape[0] < 4 * _BLOCK:
        return 0.0
    steps = np.abs(np.diff(film, axis=0)).mean(axis=1)
    steeper = steps[1:-1] - (steps[:-2] + steps[2:]) / 2
    places = [float(steeper[start::_BLOCK].mean()) for start in range(_BLOCK)]
    return max(places) / (float(steps.mean()) + 1e-4)


def _edges(pixels: Film, frame: HandFrame, mean_hand: NDArray[np.uint8]) -> float:
    """White pixels with a steep edge over the hand; the film is not resampled, so that edges stay sharp."""
    pixels, frame = smaller(pixels, frame, round(max(pixels.shape) * _ROWS_FOR_LETTERS / frame.height))
    levels = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    white = levels >= _WHITE
    if not white.any():
        return 0.0
    steep = levels - _darkest_beside(levels) >= _STEP  # never below 0
    rows, columns = np.nonzero(white & steep)
    seen = frame.taking(HAND_PART)
    u, v = np.linalg.inv(seen.matrix) @ (np.stack([columns, rows]) + 0.5 - seen.middle[:, np.newaxis])
    height, width = mean_hand.shape
    row, column = ((place * height + side / 2).astype(np.intp) for place, side in ((v, height), (u, width)))
    within = (abs(v) < 0.5) & (abs(u) < width / height / 2)
    over = mean_hand[row[within], column[within]] > _OVER_HAND * 255
    return int(over.sum()) / seen.height


def _darkest_beside(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The least of each pixel and the eight about it."""
    for _ in range(2):
        padded = np.pad(levels, ((1, 1), (0, 0)), mode="edge")
        levels = np.minimum(np.minimum(padded[:-2], padded[2:]), padded[1:-1]).T
    return levels
