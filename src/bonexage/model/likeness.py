"""How like a hand it is where a hand was found: the film is held against composite hands of all ages."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bonexage.errors import BundleError
from bonexage.model.frame import HandFrame
from bonexage.model.preprocess import Preprocessing, place

HAND_SIZE: Final = (96, 64)
"""Height and width at which hands are compared."""

LEAST_LIKENESS: Final = 0.75
"""Below it a film is refused; `benchmarks/refusal.py` measures what passes."""

_HOW: Final = Preprocessing("hand", *HAND_SIZE)
_COARSE: Final = (48, 32)
_FINE_BLUR: Final = 1.0
_WIDE_BLUR: Final = 6.0
_CELLS: Final = (12, 8)
_LEAST_DEVIATION: Final = 0.03
_WEIGHT_OF_DETAIL: Final = 0.5
_MOST_HANDS: Final = 512
_NEAR_BLUR: Final = 3.0
_MEAN_BLUR: Final = 2.0
_NEAR_GREY: Final = 0.06  # of the mean hand, blurred: where hands and what lies between their fingers are
_LEVELS: Final = (2.0, 97.0)

Floats = NDArray[np.float32]


class Likeness:
    """Composite hands to hold a film against; may be used by several threads at once.

    Attributes:
        mean_hand: their mean, a little blurred, uint8 `[96, 64]`.
    """

    def __init__(self, hands: bytes) -> None:
        """Read the composite hands that `pack_hands` wrote; raises BundleError where they are none."""
        composites = _unpack(hands)
        mean = Image.fromarray(np.rint(composites.mean(axis=0)).astype(np.uint8))
        self._near = _numbers(mean.filter(ImageFilter.GaussianBlur(_NEAR_BLUR))) > _NEAR_GREY
        self.mean_hand: NDArray[np.uint8] = np.asarray(mean.filter(ImageFilter.GaussianBlur(_MEAN_BLUR)))
        shapes, details = zip(*(_looks(hand, self._near) for hand in composites), strict=True)
        self._shapes, self._details = np.stack(shapes), np.stack(details)

    def of(self, pixels: NDArray[np.float32], frame: HandFrame) -> float:
        """How like the most alike of the hands a film is where its own was found.

        The correlation of the coarse pictures and half that of the details, whose contrast is evened out
        first: at most 1.5; about 0 for what has nothing of a hand. Only what lies near the hand counts, so
        that markers and the edge of the film do not.

        Args:
            pixels: a film `[height, width]` in [0, 1], bone bright.
            frame: where its hand was found.
        """
        shape, detail = _looks(place(pixels, _HOW, frame), self._near)
        return float((self._shapes @ shape + _WEIGHT_OF_DETAIL * (self._details @ detail)).max())


def pack_hands(films: Sequence[tuple[NDArray[np.float32], HandFrame]]) -> bytes:
    """Films and where their hands lie, as a bundle holds them: PNG, one hand below the other."""
    stacked = np.concatenate([place(pixels, _HOW, frame) for pixels, frame in films])
    out = io.BytesIO()
    Image.fromarray(stacked).save(out, "PNG", optimize=True)
    return out.getvalue()


def _unpack(hands: bytes) -> NDArray[np.uint8]:
    """Hands uint8 `[n, 96, 64]`."""
    height, width = HAND_SIZE
    try:
        with Image.open(io.BytesIO(hands), formats=["PNG"]) as picture:
            number, rest = divmod(picture.height, height)
            if picture.mode == "L" and picture.width == width and not rest and 1 <= number <= _MOST_HANDS:
                return np.asarray(picture).reshape(number, height, width)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass
    raise BundleError("its composite hands cannot be read", remedy="Fetch or export the bundle again")


def _looks(hand: NDArray[np.uint8], near: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """A hand's coarse picture and its details, each of mean 0 and length 1 over what is near the hand."""
    levels = _numbers(Image.fromarray(hand))
    low, high = np.percentile(levels[near], _LEVELS)
    levels = np.clip((levels - low) / max(float(high - low), 0.02), 0, 1).astype(np.float32)
    picture = Image.fromarray(np.rint(levels * 255).astype(np.uint8))
    coarse, weight = (
        np.asarray(Image.fromarray(each).resize(_COARSE[::-1], Image.Resampling.BOX))
        for each in (levels, near.astype(np.float32))
    )
    fine, wide = (
        _numbers(picture.filter(ImageFilter.GaussianBlur(radius))) for radius in (_FINE_BLUR, _WIDE_BLUR)
    )
    detail = fine - wide
    power = Image.fromarray(detail * detail).resize(_CELLS[::-1], Image.Resampling.BOX)
    spread = np.sqrt(np.maximum(np.asarray(power.resize(picture.size, Image.Resampling.BILINEAR)), 0))
    return _unit(coarse, weight), _unit(detail / (spread + np.float32(_LEAST_DEVIATION)), near)


def _numbers(picture: Image.Image) -> Floats:
    return np.asarray(picture, dtype=np.float32) / np.float32(255)


def _unit(values: NDArray[np.floating], weight: NDArray[np.generic]) -> Floats:
    """Values less their weighted mean, times the roots of their weights, made 1 long."""
    share = weight.astype(np.float64) / max(float(weight.sum()), 1.0)
    centred = ((values - (values * share).sum()) * np.sqrt(share)).ravel()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6), dtype=np.float32)
