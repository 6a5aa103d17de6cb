"""Height over width of a pixel: what is square, what no scanner makes, and what a picture file says of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

# Sizes are rounded where they are written; below this a reading is the same to a small part of a month.
SQUARE_WITHIN: Final = 0.01
# A ratio beyond that of any scanner is a slip of who wrote it.
MOST_ASPECT: Final = 5.0
# Where Pillow puts the pixels a unit of length, across and down; the unit does not matter.
_DENSITIES: Final = ("dpi", "resolution", "aspect", "jfif_density")


def is_possible(aspect: float) -> bool:
    """Whether pixels may have this height over their width."""
    return math.isfinite(aspect) and 1 / MOST_ASPECT <= aspect <= MOST_ASPECT


def is_square(aspect: float) -> bool:
    """Whether pixels of this height over their width are square to within what is rounded away."""
    return abs(math.log(aspect)) <= SQUARE_WITHIN


def aspect_of_picture(info: Mapping[Any, Any]) -> float:
    """Height over width of a pixel by the densities that Pillow names; 1 where it names no usable ones."""
    for key in _DENSITIES:
        try:
            across, down = (float(each) for each in info[key])
            aspect = across / down
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            continue
        return aspect if aspect > 0 and is_possible(aspect) else 1.0
    return 1.0
