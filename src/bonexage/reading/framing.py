"""What surrounds the hand on a film: borders and bars found and left out, an inverted film recognised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TOLERANCE = 2 / 255


def without_borders(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Leave out plain bars of any grey at the four sides of `[height, width]`, however many lie in one another.

    A picture that is plain all over comes back as it is.
    """
    film = grey
    while True:
        top, bottom = _film_lines(film)
        left, right = _film_lines(film.T)
        if top >= bottom or left >= right:
            return grey
        if (bottom - top, right - left) == film.shape:
            return film
        film = film[top:bottom, left:right]


def _film_lines(film: NDArray[np.float32]) -> tuple[int, int]:
    """The first line that is not part of a plain bar, and the one past the last."""
    low, high = film.min(axis=1), film.max(axis=1)
    top = _bar(low, high)
    return top, len(low) - _bar(low[::-1], high[::-1])


def _bar(low: NDArray[np.float32], high: NDArray[np.float32]) -> int:
    plain = (high - low <= _TOLERANCE) & (np.abs(low - low[0]) <= _TOLERANCE)
    return len(plain) if plain.all() else int(np.argmin(plain))


def is_inverted(film: NDArray[np.float32]) -> bool:
    """Whether bone is dark on a bright ground in `[height, width]` of [0, 1]."""
    height, width = film.shape
    if min(height, width) < 16:
        return False
    small = film[:: max(1, height // 100), :: max(1, width // 100)]
    height, width = small.shape
    rim = max(1, height // 12), max(1, width // 12)
    edge = np.concatenate([small[: rim[0]].ravel(), small[:, : rim[1]].ravel(), small[:, -rim[1] :].ravel()])
    middle = small[height * 3 // 10 : height * 8 // 10, width * 3 // 10 : width * 7 // 10]
    return bool(np.median(edge) > np.median(middle))
