"""What lies round the hand on a film: plain borders are left out, an inverted film is recognised.

The numbers below were chosen on the 10,411 training films of the RSNA challenge at 100 px;
`benchmarks/reading_rules.py` says how often the rules are right.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

# How far a line of a plain bar may stray from its grey: a level of 8 bits. No more, because the skin of a
# fingertip can differ from the ground by as little as three levels.
PLAIN: Final = 1.1 / 255
# JPEG codes blocks of 8 x 8, so the seam of bar and film may be blurred for up to 8 lines ...
SEAM_LINES: Final = 8
# ... there the bar's grey holds within RINGING, and then the film begins with a STEP.
RINGING: Final = 20 / 255
STEP: Final = 24 / 255
# So many bars in one another are left out, however many there are, for each costs a look at the whole film.
MOST_BARS: Final = 20
# A hand takes up more of a picture than this in height and in width.
LEAST_PART: Final = 1 / 8

# What the two signs of bone brighter than its surroundings come to on the median training film ...
MEDIAN_CENTRE: Final = 0.47
MEDIAN_RIDGES: Final = 0.11
# ... and the sum of their parts below which a film is inverted.
INVERTED_BELOW: Final = -0.25


def without_borders(picture: Pixels, *, blurred_seam: bool = False) -> Pixels:
    """Leave out plain bars of any grey round the film, also several in one another, as on a screenshot.

    A line belongs to a bar where all of it has one grey, the same as the outermost line: no part of a hand
    can lie there. A picture in which hardly anything would remain is no film in a frame and comes back whole.

    Args:
        picture: `[height, width]` in [0, 1].
        blurred_seam: whether the file is of a kind, such as JPEG, that blurs the seam of bar and film.

    Returns:
        A view into the picture.
    """
    film = picture
    for _ in range(MOST_BARS):
        top, bottom = _bars(film, blurred_seam)
        left, right = _bars(film.T, blurred_seam)
        if top == bottom == left == right == 0:
            return film
        film = film[top : film.shape[0] - bottom, left : film.shape[1] - right]
        if film.shape[0] < picture.shape[0] * LEAST_PART or film.shape[1] < picture.shape[1] * LEAST_PART:
            return picture
    return film


def is_inverted(film: Pixels) -> bool:
    """Whether bone is dark on a bright ground in a film `[height, width]` of [0, 1]."""
    return brightness_of_bone(film) < INVERTED_BELOW


def brightness_of_bone(film: Pixels) -> float:
    """How much brighter than its surroundings bone is: 1.5 on many films, as far below 0 if inverted.

    The sum of two signs, each in parts of what the median film shows and held within bounds, so that neither
    alone decides: the middle of the film against a ring about it (up to 0.5), and bones and fingers as narrow
    ridges against what is right beside them, wherever they lie (up to 1). Turning a film round turns the
    sign of both.
    """
    rows, cols = (np.linspace(0, size - 1, 100).astype(np.intp) for size in film.shape)
    small = film[np.ix_(rows, cols)]
    low, high = np.percentile(small, (2, 98))  # lettering and dead corners do not count
    if high - low < 1 / 255:
        return 0.0
    small = (np.clip(small, low, high) - low) / (high - low)

    ring = np.concatenate(
        [small[16:26, 16:84].ravel(), small[16:84, 16:26].ravel(), small[16:84, 74:84].ravel()]
    )
    centre = float(np.median(small[30:80, 30:70]) - np.median(ring))

    beside = small - _blurred(small)
    contrast = np.sqrt(_blurred(beside * beside)) + 0.02  # so that grain does not count
    ridges = float(np.mean((beside / contrast)[16:84, 16:84] ** 3))
    return float(np.clip(centre / MEDIAN_CENTRE, -0.5, 0.5) + np.clip(ridges / MEDIAN_RIDGES, -1, 1))


def _bars(film: Pixels, blurred_seam: bool) -> tuple[int, int]:
    """How many of the first and of the last rows are a plain bar."""
    low, high = film.min(axis=1), film.max(axis=1)
    return _bar(film, low, high, blurred_seam), _bar(film[::-1], low[::-1], high[::-1], blurred_seam)


def _bar(film: Pixels, low: Pixels, high: Pixels, blurred_seam: bool) -> int:
    """How many of the first rows are a plain bar, by the least and the most of each row."""
    grey = (low[0] + high[0]) / 2
    plain = (low >= grey - PLAIN) & (high <= grey + PLAIN)
    if plain.all() or not plain[0]:
        return 0
    lines = int(np.argmin(plain))
    return lines + (_seam(film[lines : lines + SEAM_LINES + 1], grey) if blurred_seam else 0)


def _seam(film: Pixels, grey: float) -> int:
    """How many of the first rows are the blurred end of a bar of this grey: those before a clear step."""
    rows = np.median(film, axis=1)
    steps = np.abs(np.diff(rows, prepend=grey))
    step = int(np.argmax(steps))
    sharp = steps[step] >= STEP and bool(np.all(np.abs(rows[:step] - grey) <= RINGING))
    return step if sharp else 0


def _blurred(square: Pixels, size: int = 9) -> Pixels:
    """The mean over `size` x `size` pixels about each one, the rim repeated outwards."""
    for _ in range(2):
        rows = np.clip(np.arange(-(size // 2) - 1, len(square) + size // 2), 0, len(square) - 1)
        sums = np.cumsum(square[rows], axis=0, dtype=np.float64)
        square = ((sums[size:] - sums[:-size]) / size).astype(np.float32).T
    return square
