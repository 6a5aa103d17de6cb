"""Drawn hands: pictures made in the test that look enough like a hand radiograph to read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

_WRIST = (0.98, 0.50)
_PALM = (0.66, 0.50)
# Fingers as (row, column) of knuckle and tip, and the half width of the flesh, in parts of the picture.
_FINGERS = (
    ((0.66, 0.36), (0.47, 0.15), 0.042),
    ((0.56, 0.40), (0.22, 0.31), 0.040),
    ((0.54, 0.48), (0.13, 0.46), 0.042),
    ((0.55, 0.56), (0.19, 0.61), 0.040),
    ((0.59, 0.63), (0.31, 0.75), 0.036),
)


def drawn_hand(height: int = 200, width: int = 160, seed: int = 0) -> Picture:
    """Draw a left hand as a radiograph shows it: float32 `[height, width]` in [0, 1], bone bright.

    The thumb is on the right. Background about 0.1, soft tissue about 0.4, bone about 0.8, with grain; a
    seed draws one hand.
    """
    rng = np.random.default_rng(seed)
    rows = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
    cols = (np.arange(width, dtype=np.float32)[None, :] + 0.5) / width
    grain = rng.normal(0.0, 0.012, (height, width)).astype(np.float32)
    picture = np.full((height, width), 0.08, dtype=np.float32) + 0.04 * rows * rng.random()

    wobble = rng.normal(0.0, 0.01, (5, 2))
    flesh = np.maximum(_along(rows, cols, _WRIST, _PALM, 0.13), _along(rows, cols, _PALM, (0.58, 0.50), 0.19))
    bone = np.maximum(
        _along(rows, cols, (1.02, 0.44), (0.83, 0.43), 0.045),
        _along(rows, cols, (1.02, 0.56), (0.85, 0.57), 0.035),
    )
    for (knuckle, tip, half_width), (up, aside) in zip(_FINGERS, wobble, strict=True):
        end = (tip[0] + up, tip[1] + aside)
        flesh = np.maximum(flesh, _along(rows, cols, knuckle, end, half_width))
        for start, stop in ((-0.42, -0.08), (0.02, 0.38), (0.46, 0.70), (0.77, 0.94)):
            ends = [
                (knuckle[0] + part * (end[0] - knuckle[0]), knuckle[1] + part * (end[1] - knuckle[1]))
                for part in (start, stop)
            ]
            bone = np.maximum(bone, _along(rows, cols, ends[0], ends[1], half_width * 0.42))
    for row, col in ((0.77, 0.43), (0.77, 0.50), (0.77, 0.57), (0.72, 0.44), (0.72, 0.51), (0.72, 0.58)):
        bone = np.maximum(bone, _along(rows, cols, (row, col), (row, col), 0.028))

    picture += flesh * (0.27 + 0.05 * rng.random())
    picture += bone * flesh * (0.36 + 0.06 * rng.random())
    return np.ascontiguousarray(np.clip(picture + grain, 0.0, 1.0).astype(np.float32)[:, ::-1])


def _along(
    rows: Picture, cols: Picture, start: tuple[float, float], stop: tuple[float, float], half_width: float
) -> Picture:
    """A rounded bar from start to stop: 1 inside, 0 outside, with a soft edge."""
    span = np.array([stop[0] - start[0], stop[1] - start[1]], dtype=np.float32)
    length = max(float(span @ span), 1e-9)
    part = np.clip(((rows - start[0]) * span[0] + (cols - start[1]) * span[1]) / length, 0.0, 1.0)
    away = np.hypot(rows - start[0] - part * span[0], cols - start[1] - part * span[1])
    return np.clip((half_width - away) / 0.012 + 0.5, 0.0, 1.0).astype(np.float32)
