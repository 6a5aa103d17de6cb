"""Drawn hands that lie each in its own way, so that no two films are nearly the same picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hands import Picture, drawn_hand

POSES = 16
_TILTS = (-18, -6, 6, 18)


def posed_hand(seed: int, height: int = 150, width: int = 120) -> Picture:
    """One of sixteen hands: mirrored or not, tilted, near or far; float32 `[height, width]` in [0, 1]."""
    hand = Image.fromarray(drawn_hand(height, width, seed))
    if seed % 2:
        hand = hand.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    tilted = hand.rotate(_TILTS[seed // 2 % 4], Image.Resampling.BILINEAR, fillcolor=0.1)
    left, top = (width // 8, height // 8) if seed // 8 % 2 else (0, 0)
    near = tilted.resize(
        (width, height), Image.Resampling.BILINEAR, box=(left, top, width - left, height - top)
    )
    return np.clip(np.asarray(near, dtype=np.float32), 0.0, 1.0)


def save(picture: Picture, path: Path) -> Path:
    """Write a picture in [0, 1] as 8-bit grey in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(path)
    return path


def resaved(picture: Picture) -> Picture:
    """As another export of the same film: smaller and brighter."""
    height, width = picture.shape
    smaller = Image.fromarray(picture).resize((width * 3 // 4, height * 3 // 4), Image.Resampling.BILINEAR)
    return np.clip(np.asarray(smaller, dtype=np.float32), 0, 1) ** np.float32(0.8)


def cropped(picture: Picture) -> Picture:
    """As the same film with 3% of each side cut off."""
    height, width = picture.shape
    rows, columns = height * 3 // 100, width * 3 // 100
    return picture[rows : height - rows, columns : width - columns]


def noisy(picture: Picture) -> Picture:
    """As the same film with a little more grain."""
    grain = np.random.default_rng(0).normal(0, 0.02, picture.shape)
    return np.clip(picture + grain, 0, 1).astype(np.float32)


COPIES: dict[str, Callable[[Picture], Picture]] = {"resaved": resaved, "cropped": cropped, "noisy": noisy}
