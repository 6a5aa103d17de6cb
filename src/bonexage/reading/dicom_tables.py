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
# Opcodes of the segments of a palette.
_RUN, _LINE, _REPEATED = 0, 1, 2
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
    values: NDArray[np.integer[Any]], dataset: Dataset, *, bits: int, signed: bool
) -> NDArray[np.float32] | None:
    """The grey in [0, 1] of each value of a palette picture; None where a table is missing or makes no sense.

    Descriptors are known to claim 8 bits over words of 16 and 16 over bytes, so the bits are those that the
    entries of all three colours need, at least 8.

    Args:
        values: stored values `[height, width]`.
        dataset: the header.
        bits: of a stored value.
        signed: whether stored values may lie below 0.
    """
    tables = {
        colour: _lut(
            dataset,
            f"{colour}PaletteColorLookupTableDescriptor",
            f"{colour}PaletteColorLookupTableData",
            signed=signed,
            segmented=f"Segmented{colour}PaletteColorLookupTableData",
        )
        for colour in _LUMA
    }
    found = {colour: table for colour, table in tables.items() if table is not None}
    fitting = [_fits(table, values, bits, signed=signed) for table in found.values()]
    if len(found) < len(_LUMA) or not all(fitting):
        return None
    top = 2.0 ** max(table.bits_used for table in found.values()) - 1
    numbered = values.astype(np.float64)
    grey = sum(_LUMA[colour] * table.looked_up(numbered) for colour, table in found.items())
    return np.clip(np.asarray(grey) / top, 0.0, 1.0).astype(np.float32)


def _fits(table: Lut, values: NDArray[np.integer[Any]], bits: int, *, signed: bool) -> bool:
    """Whether a palette is for values of this sign: one that begins below 0 is for signed ones alone.

    One that reaches beyond all signed values is not for values below its first.
    """
    if not signed:
        return 0 <= table.first < 1 << bits
    return table.end <= 1 << (bits - 1) or int(values.min()) >= table.first


def _lut(dataset: Dataset, descriptor: str, keyword: str, *, signed: bool, segmented: str = "") -> Lut | None:
    """A table by its descriptor (entries, first value, bits) and its data; None where it makes no sense."""
    described, data = numbers(dataset, descriptor), _entry_bytes(dataset, keyword)
    segments = _entry_bytes(dataset, segmented) if segmented and not data else None
    if len(described) != 3 or (data is None and segments is None):
        return None
    count, first, bits = (int(number) for number in described)
    count = count % MOST_ENTRIES or MOST_ENTRIES  # 0 stands for 65,536, and some write it as a signed number
    if signed and first >= MOST_ENTRIES // 2:
        first -= MOST_ENTRIES
    if segments:
        expanded = _of_segments(segments, count, bits)
        return None if expanded is None else Lut(first, expanded)
    if data is None or len(data) < count or not 8 <= bits <= 16:
        return None
    entries = np.frombuffer(data, "<u2" if len(data) >= 2 * count else np.uint8, count=count)
    return Lut(first, entries.astype(np.uint16))


def _of_segments(data: bytes, count: int, bits: int) -> NDArray[np.uint16] | None:
    """The entries that the segments of a table stand for; None where they are not as many as it has.

    They are bytes or words as the descriptor says, or the other way round where only that gives as many.
    """
    for cell in ("<u1", "<u2") if bits <= 8 else ("<u2", "<u1"):
        try:
            return _Segments(data, np.dtype(cell), count).entries()
        except (IndexError, ValueError):
            continue
    return None


class _Segments:
    """The segments of a table (PS3.3 C.7.9.2): runs of entries, straight lines, and repeated segments."""

    def __init__(self, data: bytes, cell: np.dtype[Any], count: int) -> None:
        self._width, self._count = cell.itemsize, count
        self._numbers = np.frombuffer(data[: len(data) // self._width * self._width], cell).tolist()
        self._entries: list[int] = []

    def entries(self) -> NDArray[np.uint16]:
        """All entries; IndexError or ValueError where the segments do not give exactly so many."""
        at = 0
        while len(self._entries) < self._count:
            at = self._repeated(at) if self._numbers[at] == _REPEATED else self._taken(at)
        if len(self._entries) > self._count or any(self._numbers[at:]):
            raise ValueError("the segments give more entries than the table has")
        return np.array(self._entries, dtype=np.uint16)

    def _taken(self, at: int) -> int:
        """Add the run or line that begins at a number; where the next segment begins."""
        kind, length = int(self._numbers[at]), int(self._numbers[at + 1])
        if kind == _RUN:
            self._entries += self._numbers[at + 2 : at + 2 + length]
            return at + 2 + length
        if kind != _LINE or length == 0:
            raise ValueError("there is no such segment")
        begin, end = self._entries[-1], self._numbers[at + 2]
        line = np.linspace(begin, end, length + 1)[1:]
        self._entries += np.rint(line).astype(int).tolist()
        return at + 3

    def _repeated(self, at: int) -> int:
        """Add segments that came before: how many, and at which byte the first of them lies."""
        words = 4 // self._width
        offset = self._numbers[at + 2 : at + 2 + words]
        if len(offset) < words:
            raise IndexError("the segment is cut short")
        again = sum(number << (8 * self._width * place) for place, number in enumerate(offset)) // self._width
        for _ in range(self._numbers[at + 1]):
            if again >= at or len(self._entries) > self._count:
                raise ValueError("it does not repeat what came before")
            again = self._taken(again)
        return at + 2 + words


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
