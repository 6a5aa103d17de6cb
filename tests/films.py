"""Films on disk and in memory, drawn in the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage.atlas.plates import Plate
from bonexage.radiograph import Provenance, Radiograph
from hands import drawn_hand


def write_film(path: Path, seed: int = 0, height: int = 120, width: int = 96) -> Path:
    """Draw a hand and save it in the format of the suffix."""
    grey = np.rint(drawn_hand(height, width, seed) * 255).astype(np.uint8)
    Image.fromarray(grey).save(path)
    return path


def radiograph(seed: int = 0, name: str = "drawn.png") -> Radiograph:
    """A drawn hand as reading would give it."""
    return Radiograph(drawn_hand(120, 96, seed), Provenance(name, "0" * 64, (120, 96), "png"))


def plate_picture(plate: Plate) -> NDArray[np.float32]:
    """A plate as it was composed, margins and all: the whole of it is the frame of its hand."""
    with Image.open(plate.path) as picture:
        return np.asarray(picture, dtype=np.float32) / np.float32(255)
