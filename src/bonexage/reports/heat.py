"""A picture of what moved an answer: the film, and the film with the map laid over it and a bar in months."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage.assessment import DISCLAIMER, Assessment
from bonexage.reports import sheet
from bonexage.reports.item import thumbnail

COLOURS: Final = "berlin"  # perceptually uniform, dark in the middle (Crameri 2018): blue younger, red older
_SIDE: Final = 700  # pixels of the longer side of what is drawn
_STRONGEST: Final = 0.75  # opacity of the map where it is strongest
_LEAST_MONTHS: Final = 0.1  # a map that moves less than this is drawn faint, not stretched to full colour


def heat_picture(pixels: NDArray[np.float32], months: NDArray[np.float32], assessment: Assessment) -> bytes:
    """Draw a film beside the map of what moved its answer: PNG.

    Args:
        pixels: the film `[height, width]` in [0, 1].
        months: what each place moved the answer by, in months a cell of the map; `[height, width]`.
        assessment: the answer.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    film = thumbnail(pixels, _SIDE)
    size = film.shape[1], film.shape[0]
    laid = np.asarray(Image.fromarray(np.ascontiguousarray(months)).resize(size, Image.Resampling.BILINEAR))
    most = max(float(np.abs(laid).max()), _LEAST_MONTHS)
    figure = sheet.new_figure(8.4, 5.4)
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        axes.imshow(film, cmap="gray", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[])
    scale = Normalize(-most, most)
    right.imshow(laid, cmap=COLOURS, norm=scale, alpha=_STRONGEST * np.abs(laid) / most)
    bar = figure.colorbar(ScalarMappable(scale, COLOURS), ax=right, fraction=0.046, pad=0.03)
    bar.set_label("towards younger  ·  months a cell  ·  towards older", fontsize=9)
    left.set_title(assessment.age_in_words, fontsize=10.5, parse_math=False)
    right.set_title("what moved the answer (first order)", fontsize=10.5)
    figure.supxlabel(f"{assessment.model}. {DISCLAIMER}", fontsize=8, color=sheet.FAINT, parse_math=False)
    return sheet.as_png(figure)
