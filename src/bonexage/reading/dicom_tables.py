"""The lookup tables of a DICOM header, whatever their descriptors claim: VOI, modality and palette."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from bonexage.reading.dicom_values import numbers, value_of
from bonexage.reading.tones import Lut

MOST_ENTRIES: Final = 65_536
# ITU-R BT.601, by which picture files become grey too.
_LUMA: Final = {"Red": 0.299, "Green": 0.587, "Blue": 0.114}


def luts_of(dataset: Dataset, keyword: str, *, signed: bool) -> Iterator[Lut]:
    """The tables of a sequence that make sense, in their order.

    Args:
        dataset: the header.
        keyword: of the sequence.
        signed: whether the values that are looked up may lie below 0.
    """
    for item in value_of(dataset, keyword) or ():
        lut = _lut(item, "LUTDescriptor", "LUTData", signed=signed)
        if lut:
            yield lut


def palette_grey(
    values: NDArray[np.integer[Any]], dataset: Dataset, *, signed: bool
) -> NDArray[np.float32] | None:
    """The grey in [0, 1] of each value of a palette picture; None where a table is missing.

    Descriptors are known to claim 8 bits over words of 16 and 16 over bytes, so the bits are those that the
    entries of all three colours need, at least 8.

    Args:
        values: stored values `[height, width]`.
        dataset: the header.
        signed: whether stored values may lie below 0.
    """
    tables = {
        colour: _lut(
            dataset,
            f"{colour}PaletteColorLookupTableDescriptor",
            f"{colour}PaletteColorLookupTableData",
            signed=signed,
        )
        for colour in _LUMA
    }
    found = {colour: table for colour, table in tables.items() if table is not None}
    if len(found) < len(_LUMA):
        return None
    top = 2.0 ** max(table.bits_used for table in found.values()) - 1
    numbered = values.astype(np.float64)
    grey = sum(_LUMA[colour] * table.looked_up(numbered) for colour, table in found.items())
    return np.clip(np.asarray(grey) / top, 0.0, 1.0).astype(np.float32)


def _lut(dataset: Dataset, descriptor: str, keyword: str, *, signed: bool) -> Lut | None:
    """A table by its descriptor (entries, first value, bits) and its data; None where it makes no sense."""
    described, data = numbers(dataset, descriptor), _entry_bytes(dataset, keyword)
    if len(described) != 3 or data is None:
        return None
    count, first, bits = (int(number) for number in described)
    count = count % MOST_ENTRIES or MOST_ENTRIES  # 0 stands for 65,536, and some write it as a signed number
    if signed and first >= MOST_ENTRIES // 2:
        first -= MOST_ENTRIES
    if len(data) < count or not 8 <= bits <= 16:
        return None
    entries = np.frombuffer(data, "<u2" if len(data) >= 2 * count else np.uint8, count=count)
    return Lut(first, entries.astype(np.uint16))


def _entry_bytes(dataset: Dataset, keyword: str) -> bytes | None:
    """A table's data as little endian words, two entries of 8 bits in each, or as bytes."""
    data = value_of(dataset, keyword)
    if isinstance(data, bytes):
        big = dataset.original_encoding[1] is False
        words = big and dataset[keyword].VR != "OB"
        return np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes() if words else data
    if data is None:
        return None
    try:
        return (np.array(data, dtype=np.int64) & 0xFFFF).astype("<u2").tobytes()
    except (TypeError, ValueError, OverflowError):
        return None
