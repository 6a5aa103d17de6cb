"""What moved an answer, laid back on the film: the activation map at the film's own scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage.assessment import Assessment
from bonexage.model.frame import HandFrame
from bonexage.model.preprocess import HAND_PART, Preprocessing, placement

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Explanation:
    """An assessment, and what moved it.

    Attributes:
        assessment: the answer.
        pixels: the film as it was read, `[height, width]` in [0, 1].
        months: what each place of the film moved the answer by, to first order, in months a cell of the map
            that the network gives; `[height, width]`, 0 where the network did not look. Above zero moves it
            towards an older hand. Where several views are read, it is the mean over them.
        cells: the map as the network gives it, `[rows, columns]`; of several views their mean.
    """

    assessment: Assessment
    pixels: Floats
    months: Floats
    cells: Floats


def lay_on_film(
    cells: Floats, film_size: tuple[int, int], how: Preprocessing, frame: HandFrame | None = None
) -> Floats:
    """An activation map, laid back on the film it is of.

    Args:
        cells: months of each cell, `[rows, columns]`; together they cover the network's input.
        film_size: height and width of the film in pixels.
        how: how the film was brought to the input.
        frame: where its hand was found, for the geometry 'hand'.

    Returns:
        Float32 `[height, width]`: bilinear between the middles of cells; 0 where the network did not look.
    """
    height, width = film_size
    corner, across, down = _film_to_input(film_size, how, frame)
    rows, columns = cells.shape
    # Beyond the middles of the outermost cells their values go on: each is given once more around the map.
    ringed = np.pad(cells, 1, mode="edge")
    scale = np.array([columns / how.width, rows / how.height])
    corner, across, down = (scale * each for each in (corner, across, down))
    data = (across[0], down[0], corner[0] + 1, across[1], down[1], corner[1] + 1)
    laid = np.asarray(
        Image.fromarray(ringed.astype(np.float32)).transform(
            (width, height), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR
        )
    )
    x, y = np.arange(width) + 0.5, (np.arange(height) + 0.5)[:, np.newaxis]
    at_x, at_y = (corner[n] + across[n] * x + down[n] * y for n in (0, 1))
    seen = (at_x >= 0) & (at_x <= columns) & (at_y >= 0) & (at_y <= rows)
    return np.where(seen, laid, np.float32(0))


def _film_to_input(
    film_size: tuple[int, int], how: Preprocessing, frame: HandFrame | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Where in the input the film's upper left corner lies, and what a step of a pixel right or down adds."""
    if how.geometry == "hand":
        if frame is None:
            raise ValueError("the geometry 'hand' needs to know where the hand is")
        looking = frame.taking(HAND_PART)
        back = np.asarray(np.linalg.inv(looking.matrix) * how.height, dtype=np.float64)
        corner = np.array([how.width, how.height]) / 2 - back @ looking.middle
        return corner, back[:, 0], back[:, 1]
    spot = placement(film_size, how)
    right, below = spot.width / film_size[1], spot.height / film_size[0]
    corner = np.array([spot.left, spot.top], dtype=np.float64)
    return corner, np.array([right, 0.0]), np.array([0.0, below])
