"""The stored values of a DICOM picture become grey in [0, 1], as its header asks: PS3.3 C.11.1 and C.11.2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bonexage.reading.depth import used_range

# A curve that brings all of a film to nearly one grey shows nothing: a level of 8 bits.
FLAT: Final = 1 / 255
# A window of so many values has one grey between black and white at most.
_TWO_GREYS: Final = 2
# As many stored values are looked up in a table; deeper ones are worked out one by one.
TABLE_BITS: Final = 16

Numbers = NDArray[np.float64]


class Shape(StrEnum):
    """VOI LUT Function (0028,1056)."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True)
class Window:
    """Window Center and Width, in values as the modality transformation leaves them."""

    centre: float
    width: float
    shape: Shape = Shape.LINEAR

    @property
    def end(self) -> float:
        """The value above which all is shown alike."""
        return self.centre + self.width / 2

    @property
    def usable(self) -> bool:
        """Whether the standard allows such a width."""
        least = 1.0 if self.shape is Shape.LINEAR else np.nextafter(0, 1)
        return bool(np.isfinite(self.centre) and np.isfinite(self.width) and self.width >= least)

    def grey(self, values: Numbers) -> Numbers:
        """The values in [0, 1] (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
        if self.shape is Shape.SIGMOID:
            steep = np.clip(-4 * (values - self.centre) / self.width, -700, 700)
            return np.asarray(1 / (1 + np.exp(steep)))
        if self.shape is Shape.LINEAR_EXACT:
            return np.clip((values - self.centre) / self.width + 0.5, 0.0, 1.0)
        if self.width == 1:
            return np.asarray(values > self.centre - 0.5, dtype=np.float64)
        return np.asarray(np.clip((values - (self.centre - 0.5)) / (self.width - 1) + 0.5, 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class Lut:
    """A lookup table: its entries, and the value that the first of them is for."""

    first: int
    entries: NDArray[np.uint16]

    @property
    def end(self) -> float:
        """The value above which all is shown alike."""
        return float(self.first + self.entries.size)

    @property
    def usable(self) -> bool:
        """Whether there is anything to look up."""
        return self.entries.size > 0

    @property
    def bits_used(self) -> int:
        """The bits that the entries need, at least 8: descriptors claim more and fewer than that."""
        return max(8, int(self.entries.max()).bit_length())

    def looked_up(self, values: Numbers) -> Numbers:
        """The entry of each value; below the first value the first entry, above the last the last."""
        at = np.clip(np.floor(values) - self.first, 0, self.entries.size - 1)
        found: Numbers = self.entries[np.nan_to_num(at).astype(np.intp)].astype(np.float64)
        return found

    def grey(self, values: Numbers) -> Numbers:
        """The entries in [0, 1]: parts of the largest number of the bits that they use."""
        return np.clip(self.looked_up(values) / (2.0**self.bits_used - 1), 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Tones:
    """What a header says of how stored values are to be shown.

    Attributes:
        bits_stored: bits of a stored value, 1 to 32.
        signed: whether they are two's complement.
        slope: Rescale Slope.
        intercept: Rescale Intercept.
        modality: the Modality LUT, in place of slope and intercept; or None.
        views: the VOI LUTs and windows, in the order in which they are to be tried.
        padding: the lowest and the highest stored value that is no picture; or None.
        inverse: whether the lowest value is white.
    """

    bits_stored: int
    signed: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    modality: Lut | None = None
    views: Sequence[Window | Lut] = field(default=())
    padding: tuple[int, int] | None = None
    inverse: bool = False

    @property
    def range_stored(self) -> tuple[int, int]:
        """The lowest and the highest value that can be stored."""
        if self.signed:
            return -(2 ** (self.bits_stored - 1)), 2 ** (self.bits_stored - 1) - 1
        return 0, 2**self.bits_stored - 1

    @property
    def reach(self) -> float | None:
        """The stored value above which the tables and windows show all alike; None where there is none."""
        if self.modality is not None:
            return self.modality.end
        ends = [(view.end - self.intercept) / self.slope for view in self.views if view.usable]
        return max(ends) if ends and self.slope > 0 else None


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture as it is to be shown.

    Attributes:
        grey: float32 `[height, width]` in [0, 1], what is padding 0.
        view_refused: whether the header gave a window or VOI LUT that shows nothing.
    """

    grey: NDArray[np.float32]
    view_refused: bool


def stored_values(
    raw: NDArray[np.integer[Any]], bits_stored: int, high_bit: int, *, signed: bool
) -> NDArray[np.integer[Any]]:
    """The values that stand in bits `high_bit` downwards of each cell; the other bits may hold anything.

    Args:
        raw: integers of 8, 16 or 32 bits.
        bits_stored: 1 to the bits of a cell.
        high_bit: the highest bit of a value, counted from 0.
        signed: whether the values are two's complement.
    """
    cell = raw.dtype.itemsize * 8
    values = raw.view(np.dtype(f"{raw.dtype.byteorder}{'i' if signed else 'u'}{cell // 8}"))
    up = cell - 1 - high_bit
    return np.asarray(np.right_shift(np.left_shift(values, up), cell - bits_stored))


def show(values: NDArray[np.integer[Any]], tones: Tones) -> Shown:
    """Bring stored values `[height, width]` to grey in [0, 1].

    The modality transformation comes first, then the first window or VOI LUT that shows something, then the
    polarity. Where there is no such view, 8 bits and fewer are parts of their largest value, as in a picture
    file, and deeper values are scaled by the bits that they use (`used_range`).

    Raises:
        ValueError: all of it is padding, or no value is finite.
    """
    padded = _padded(values, tones.padding)
    if padded is not None and padded.all():
        raise ValueError("no pixel has a value")
    seen = values if padded is None else values[~padded]
    ends = np.array([seen.min(), seen.max()], dtype=np.int64)
    plain = ends[0] == ends[1]
    refused = False
    for view in tones.views:
        if view.usable and not _has_two_greys(view, tones):
            grey = _mapped(values, tones, view)
            shown = grey if padded is None else grey[~padded]
            if plain or float(shown.max()) - float(shown.min()) > FLAT:
                return Shown(_finished(grey, padded, inverse=tones.inverse), refused)
        refused = True
    return Shown(_finished(_unwindowed(values, seen, tones), padded, inverse=tones.inverse), refused)


def _has_two_greys(view: Window | Lut, tones: Tones) -> bool:
    """Whether a window is so narrow that it parts stored values in black and white, which shows no film."""
    step = abs(tones.slope) if tones.modality is None else 1.0
    return isinstance(view, Window) and tones.bits_stored > 1 and view.width <= _TWO_GREYS * step


def _padded(values: NDArray[np.integer[Any]], padding: tuple[int, int] | None) -> NDArray[np.bool_] | None:
    if padding is None:
        return None
    padded = (values >= padding[0]) & (values <= padding[1])
    return padded if padded.any() else None


def _mapped(values: NDArray[np.integer[Any]], tones: Tones, view: Window | Lut) -> NDArray[np.float32]:
    if tones.bits_stored > TABLE_BITS:
        return view.grey(_rescaled(values.astype(np.float64), tones)).astype(np.float32)
    low, high = tones.range_stored
    curve = view.grey(_rescaled(np.arange(low, high + 1, dtype=np.float64), tones)).astype(np.float32)
    return curve[values.astype(np.int32) - low if low else values]


def _unwindowed(
    values: NDArray[np.integer[Any]], seen: NDArray[np.integer[Any]], tones: Tones
) -> NDArray[np.float32]:
    if tones.bits_stored <= 8 and not tones.signed and tones.modality is None and tones.slope > 0:
        return values.astype(np.float32) / np.float32(tones.range_stored[1])
    sample = _rescaled(seen.ravel()[:: max(1, seen.size // 1_000_000)].astype(np.float64), tones)
    step = abs(tones.slope) if tones.modality is None else 1.0
    low, span = (end * step for end in used_range(sample / step, whole=True))
    return _mapped(values, tones, Window(low + span / 2, span, Shape.LINEAR_EXACT))


def _rescaled(values: Numbers, tones: Tones) -> Numbers:
    """The modality transformation (PS3.3 C.11.1)."""
    if tones.modality is not None:
        return tones.modality.looked_up(values)
    return values * tones.slope + tones.intercept


def _finished(
    grey: NDArray[np.float32], padded: NDArray[np.bool_] | None, *, inverse: bool
) -> NDArray[np.float32]:
    finished = np.subtract(np.float32(1), grey, dtype=np.float32) if inverse else grey
    if padded is not None:
        finished[padded] = 0
    return finished
