"""What a header states of its values and its own window, largest value or codestream contradicts.

The smoothness of a picture is never judged: what nothing in the file decides is refused, or stays as stated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from numpy.typing import NDArray
from pydicom.dataset import Dataset

from bonexage.errors import UnreadableFile
from bonexage.reading.dicom_header import tones_of
from bonexage.reading.dicom_pixels import GREY, StoredPixels
from bonexage.reading.dicom_values import whole_number
from bonexage.reading.tones import Window

_OVERLAY_BIT: Final = 0x0102


def settled(dataset: Dataset, stored: StoredPixels) -> StoredPixels:
    """Grey pixels with the bits and the sign that the rest of the file leaves no doubt about.

    Args:
        dataset: the header.
        stored: pixels whose values lie within their cells.

    Raises:
        UnreadableFile: header and codestream contradict each other in the sign, and nothing decides.
    """
    if stored.kind not in GREY:
        return stored
    centre = _centre_stored(dataset, stored)
    return _with_sign(_with_bits(dataset, stored, centre), centre)


def _centre_stored(dataset: Dataset, stored: StoredPixels) -> float | None:
    """The stored value at the centre of the first usable window; None where none can be told."""
    tones, _ = tones_of(dataset, bits_stored=stored.bits, signed=stored.signed)
    windows = [view for view in tones.views if isinstance(view, Window) and view.usable]
    if not windows or tones.modality is not None or tones.slope <= 0:
        return None
    return (windows[0].centre - tones.intercept) / tones.slope


def _with_bits(dataset: Dataset, stored: StoredPixels, centre: float | None) -> StoredPixels:
    """Unsigned values with the bits that they and the window or Largest Image Pixel Value need.

    What lies above the stated bits may be an overlay (Overlay Bit Position); then it is none of the values.
    """
    most = int(_raw(stored).max())
    if stored.signed or stored.high_bit != stored.bits - 1 or most.bit_length() <= stored.bits:
        return stored
    needed = (centre or 0) >= 2**stored.bits or whole_number(dataset, "LargestImagePixelValue", 0) == most
    if not needed or _has_overlay_in_pixels(dataset):
        return stored
    bits = most.bit_length() + most.bit_length() % 2
    return replace(stored, bits=bits, high_bit=bits - 1)


def _with_sign(stored: StoredPixels, centre: float | None) -> StoredPixels:
    """The values with the sign that they can have: no window has its centre above all of them."""
    above = centre is not None and 2 ** (stored.bits - 1) <= centre < 2**stored.bits
    agreed = stored.packed_signed in (None, stored.signed)
    if (agreed and not (stored.signed and above)) or not _has_sign_bits(stored):
        return stored
    if above:
        return replace(stored, signed=False)
    if centre is not None and centre < 0:
        return replace(stored, signed=True)
    raise UnreadableFile(
        "header and packed pixels disagree on whether its values have a sign",
        remedy="Export the film again, or convert it to PNG",
    )


def _has_sign_bits(stored: StoredPixels) -> bool:
    """Whether the highest bit of any value is set, so that its sign matters."""
    return bool((_raw(stored) & (1 << stored.high_bit)).any())


def _raw(stored: StoredPixels) -> NDArray[Any]:
    """The cells as unsigned numbers."""
    return stored.cells.view(f"u{stored.cells.dtype.itemsize}")


def _has_overlay_in_pixels(dataset: Dataset) -> bool:
    """Whether an overlay (groups 6000 to 601E) lies in bits of the pixels."""
    return any((group, _OVERLAY_BIT) in dataset for group in range(0x6000, 0x6020, 2))
