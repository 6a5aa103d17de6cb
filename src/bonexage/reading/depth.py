"""Pictures of more than 8 bits: what of their range is used becomes [0, 1]."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# Values that are scaled at once, so that a large picture takes no more memory than itself and its result.
_AT_ONCE: Final = 1 << 20


def unit_range(values: NDArray[Any]) -> NDArray[np.float32]:
    """Bring the values of a 16-bit, 32-bit or float picture to [0, 1]: float32 of the same shape.

    Floats that lie in [0, 1] stay as they are. Otherwise the values are divided by the largest number of
    as many bits as the picture uses, at least 8: 4095 for a 12-bit film in a 16-bit file, 255 for 8 bits.
    A picture that uses only the upper half of its values, or goes below 0, is first moved down to 0.
    What it uses is taken between the 0.1 and 99.9 percentiles, so that a few dead pixels do not matter.

    Raises:
        ValueError: no value is finite.
    """
    sample = values.ravel()[:: max(1, values.size // 1_000_000)].astype(np.float64)
    low, span = used_range(sample, whole=not np.issubdtype(values.dtype, np.floating))
    # float32 holds 16-bit integers exactly, and large films are of that kind.
    exact = np.float32 if values.dtype == np.uint16 else np.float64
    flat, scaled = values.reshape(-1), np.empty(values.size, dtype=np.float32)
    for start in range(0, flat.size, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        numbers: NDArray[np.floating[Any]] = flat[part].astype(exact)
        with np.errstate(invalid="ignore", over="ignore"):
            units = np.clip((numbers - low) / span, 0.0, 1.0)
        scaled[part] = np.nan_to_num(units, nan=0.0)  # a pixel without a value is background
    return scaled.reshape(values.shape)


def used_range(sample: NDArray[np.float64], *, whole: bool) -> tuple[float, float]:
    """What is to become 0, and how far above it 1 lies, by the rules of `unit_range`.

    Args:
        sample: values of the picture; what is not finite does not count.
        whole: whether they are whole numbers.

    Raises:
        ValueError: no value is finite.
    """
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        raise ValueError("no pixel has a value")
    if not whole and sample.min() >= 0 and sample.max() <= 1:
        return 0.0, 1.0
    bottom, top = (float(value) for value in np.percentile(sample, (0.1, 99.9)))
    low = 0.0 if 0 <= bottom <= top / 2 else bottom
    bits = max(8 if whole else 1, math.ceil(math.log2(max(top - low, 1.0) + 1)))
    return low, 2.0**bits - 1
