"""Films that were squeezed to squares of one size, brought back to the mean aspect ratio of hand films."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage.reading.files import read_radiograph

ASPECT: Final = 0.80
"""Mean width over height of the 886 films of the RSNA training set at hand that kept it (0.801)."""

_LOOKED_AT: Final = 12


def sizes_of(films: Sequence[Path]) -> list[tuple[int, int]]:
    """Height and width in pixels of a dozen of the films, evenly spaced; raises as `read_radiograph`."""
    some = films[:: max(1, len(films) // _LOOKED_AT)][:_LOOKED_AT]
    return [read_radiograph(path).provenance.original_size for path in some]


def are_squeezed(sizes: Sequence[tuple[int, int]]) -> bool:
    """Whether films of these sizes lost their aspect ratio: all are squares of one size."""
    return len(set(sizes)) == 1 and sizes[0][0] == sizes[0][1]


def restored(pixels: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    """A squeezed film `[height, width]` in [0, 1] at the mean aspect ratio, with so many rows."""
    size = (max(1, round(pixels.shape[1] * rows / pixels.shape[0] * ASPECT)), rows)
    stretched = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(stretched, dtype=np.float32), 0, 1)


def read_restored(path: Path, *, squeezed: bool) -> NDArray[np.float32]:
    """A film's pixels, at the mean aspect ratio if it was squeezed; raises as `read_radiograph`."""
    pixels = read_radiograph(path).pixels
    return restored(pixels, pixels.shape[0]) if squeezed else pixels
