"""A radiograph becomes the array a network reads: one function, in training and in use alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage.model.frame import HandFrame, cut

# Raised whenever the same film would be placed as other pixels, so that what was kept of it is made anew.
PLACING: Final = 3

Geometry = Literal["hand", "keep-aspect", "squash"]

LEAST_SIDE: Final = 32
LARGEST_SIDE: Final = 4096
"""Rows and columns in pixels that a network's input may have."""

HAND_PART: Final = 0.94
"""Part of the input's height that the frame of a hand takes."""

_LEVELS: Final = ((2.0, 0.0), (97.0, 0.85))  # percentiles of a hand's surroundings, and the grey they get
_OUTSIDE: Final = -1.0  # what is not of the film, and has no say in its levels


@dataclass(frozen=True)
class Preprocessing:
    """How a radiograph is brought to the network's input, as a bundle describes it.

    Attributes:
        geometry: 'hand' brings the hand, wherever it lies in the film, to one size and position, upright and
            its thumb on the right, and its tones to one range; 'keep-aspect' fits the film into the input
            and leaves black margins; 'squash' fills the input and loses the aspect ratio, as first published.
        height: rows of the input in pixels.
        width: columns of the input in pixels.
        mean: subtracted from the pixels in [0, 1]; one number for a grey input, or three for a network
            that wants its three channels normalised apart (as ImageNet's are).
        std: divides what remains; as many numbers.
    """

    geometry: Geometry = "keep-aspect"
    height: int = 512
    width: int = 512
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        if self.geometry not in get_args(Geometry):
            raise ValueError(f"no such geometry: {self.geometry!r}")
        if type(self.height) is not int or type(self.width) is not int:
            raise ValueError(f"the input's size must be whole pixels: {self.height!r} x {self.width!r}")
        if self.height < LEAST_SIDE or self.width < LEAST_SIDE:
            raise ValueError(f"an input of {self.height} x {self.width} pixels is too small")
        if self.height > LARGEST_SIDE or self.width > LARGEST_SIDE:
            raise ValueError(f"an input of {self.height} x {self.width} pixels is too large")
        numbers = len(self.mean) in (1, 3) and len(self.std) == len(self.mean)
        if not (numbers and all(map(math.isfinite, (*self.mean, *self.std))) and min(self.std) > 0):
            raise ValueError(f"mean and std must be one or three numbers: {self.mean}, {self.std}")


def preprocessing_from_json(stored: Mapping[str, Any]) -> Preprocessing:
    """A preprocessing from its fields; raises ValueError or TypeError where they are not its own."""
    numbers = {key: tuple(float(each) for each in stored[key]) for key in ("mean", "std") if key in stored}
    return Preprocessing(**{**stored, **numbers})


@dataclass(frozen=True)
class Placement:
    """Where in the input a film lies, in input pixels."""

    top: int
    left: int
    height: int
    width: int


def placement(film_size: tuple[int, int], how: Preprocessing) -> Placement:
    """Where a film of `film_size` (height, width) comes to lie in the input."""
    if how.geometry == "squash":
        return Placement(0, 0, how.height, how.width)
    film_height, film_width = film_size
    scale = min(how.height / film_height, how.width / film_width)
    height = min(how.height, max(1, round(film_height * scale)))
    width = min(how.width, max(1, round(film_width * scale)))
    return Placement((how.height - height) // 2, (how.width - width) // 2, height, width)


def place(
    pixels: NDArray[np.float32], how: Preprocessing, frame: HandFrame | None = None
) -> NDArray[np.uint8]:
    """Fit `[height, width]` pixels in [0, 1] into the input: uint8 `[how.height, how.width]`.

    Scaling is bilinear with a support that grows when shrinking (antialiased); margins are black.

    Args:
        pixels: a film, bone bright.
        how: as the bundle describes it.
        frame: where the hand lies in the film; the geometry 'hand' needs it, the others pass it over.
    """
    if how.geometry == "hand":
        if frame is None:
            raise ValueError("the geometry 'hand' needs to know where the hand is")
        # The frame stands in the middle of a picture of the input's shape.
        return _grey(_levelled(cut(pixels, frame.taking(HAND_PART), how.height, how.width, outside=_OUTSIDE)))
    spot = placement((pixels.shape[0], pixels.shape[1]), how)
    film = Image.fromarray(np.ascontiguousarray(pixels))
    scaled = film.resize((spot.width, spot.height), Image.Resampling.BILINEAR)
    canvas = np.zeros((how.height, how.width), dtype=np.uint8)
    canvas[spot.top : spot.top + spot.height, spot.left : spot.left + spot.width] = _grey(np.asarray(scaled))
    return canvas


def _levelled(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """A film whose ground is black and whose brightest bone is bright, however it was exposed."""
    film = pixels[pixels > _OUTSIDE]
    low, high = (np.percentile(film, percent) if film.size else 0.0 for percent, _ in _LEVELS)
    (_, dark), (_, bright) = _LEVELS
    slope = (bright - dark) / max(float(high - low), 1e-3)
    return np.asarray((pixels - low) * slope + dark, dtype=np.float32)


def _grey(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(pixels, 0.0, 1.0) * 255.0), dtype=np.uint8)


def normalise(placed: NDArray[np.uint8], how: Preprocessing) -> NDArray[np.float32]:
    """Placed films uint8 `[n, height, width]` to network input float32 `[n, channels, height, width]`."""
    mean = np.array(how.mean, dtype=np.float32)[:, np.newaxis, np.newaxis]
    std = np.array(how.std, dtype=np.float32)[:, np.newaxis, np.newaxis]
    normalised: NDArray[np.float32] = (placed[:, np.newaxis] * np.float32(1 / 255) - mean) / std
    return normalised
