"""A radiograph as every later step sees it: grey, upright in value, bone bright."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from bonexage.assessment import Caution
from bonexage.subject import Subject


@dataclass(frozen=True)
class Provenance:
    """Where a radiograph came from.

    Attributes:
        name: the path or name it was read under, as given.
        sha256: hash of the file's bytes, 64 hex digits.
        original_size: height and width in pixels as stored in the file.
        kind: the file format, in lower case ('png', 'jpeg', 'tiff', 'dicom', ...).
        bits: of a grey or colour value as stored (1, 8, 12, 16, 32, ...), or None where that is not known.
        decoded: hash of the picture that a DICOM file decodes to, the same however it is packed; '' for other
            files.
    """

    name: str
    sha256: str
    original_size: tuple[int, int]
    kind: str
    bits: int | None = None
    decoded: str = ""


NOBODY: Final = Subject()


@dataclass(frozen=True)
class Stated:
    """What the header of a film states of it; nothing of it has been held against the picture.

    Attributes:
        subject: sex and age, as far as they are given.
        age_slack_months: how many months older than stated the child may be: 12 for an age in whole years.
        laterality: 'L', 'R', 'B' for both, or '' where nothing is stated.
        view: 'PA', 'AP', 'other', or ''.
        body_part: 'hand', 'other', or ''.
    """

    subject: Subject = NOBODY
    age_slack_months: float = 0.0
    laterality: Literal["L", "R", "B", ""] = ""
    view: Literal["PA", "AP", "other", ""] = ""
    body_part: Literal["hand", "other", ""] = ""


NOTHING_STATED: Final = Stated()


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One radiograph.

    Attributes:
        pixels: float32 `[height, width]` in [0, 1], bone bright, pixels square, borders left out.
        spacing_mm: size of a pixel (row, column) in millimetres, or None where unknown.
        provenance: the file it came from.
        cautions: what had to be mended or should be known, found while reading.
        stated: what its header states of it; nothing where it has no such header.
    """

    pixels: NDArray[np.float32]
    provenance: Provenance
    spacing_mm: tuple[float, float] | None = None
    cautions: tuple[Caution, ...] = ()
    stated: Stated = NOTHING_STATED

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.float32 or self.pixels.size == 0:
            raise ValueError("pixels must be a float32 array [height, width] that is not empty")
        low, high = float(self.pixels.min()), float(self.pixels.max())
        if not 0.0 <= low <= high <= 1.0:
            raise ValueError(f"pixels must lie in [0, 1], not [{low:g}, {high:g}]")
