"""Pixels that are not square, as film scanners and faxes make them: a film is brought to square ones."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage.assessment import Caution

NOT_SQUARE: Final = Caution(
    "not-square", "The pixels of the film are not square; it was brought to square pixels before it was read."
)


def with_square_pixels(grey: NDArray[np.float32], aspect: float, *, most_pixels: int) -> NDArray[np.float32]:
    """A picture with square pixels, each as high and wide as the shorter side of one was.

    Args:
        grey: float32 `[height, width]` in [0, 1].
        aspect: height over width of a pixel, as `aspect.is_possible` allows.
        most_pixels: how many pixels it may have then; where it would have more, it has larger ones.

    Returns:
        Float32 `[height, width]` in [0, 1].
    """
    height, width = grey.shape[0] * max(aspect, 1.0), grey.shape[1] * max(1 / aspect, 1.0)
    fit = min(1.0, math.sqrt(most_pixels / (height * width)))
    size = (max(1, int(width * fit + 0.5)), max(1, int(height * fit + 0.5)))
    film = Image.fromarray(np.ascontiguousarray(grey, dtype=np.float32))
    square = np.asarray(film.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    return np.clip(square, 0.0, 1.0)
