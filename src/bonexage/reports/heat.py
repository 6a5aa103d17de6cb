"""A picture of what moved an answer: the film, and the film with the map laid over it and a bar in months."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage.assessment import DISCLAIMER, Assessment
from bonexage.reports import sheet
from bonexage.reports.item import Grey, Picture, thumbnail

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = "berlin"  # perceptually uniform, dark in the middle (Crameri 2018): blue younger, red older
_MAP_INCHES: Final = 4.2  # height of the map where it stands alone
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
    film = thumbnail(pixels, _SIDE)
    figure = sheet.new_figure(8.4, 5.4)
    left, right = figure.subplots(1, 2)
    left.imshow(film, cmap="gray", vmin=0, vmax=255)
    left.set(xticks=[], yticks=[])
    _lay_map(figure, right, film, months)
    left.set_title(assessment.age_in_words, fontsize=10.5, parse_math=False)
    right.set_title("what moved the answer (first order)", fontsize=10.5)
    figure.supxlabel(f"{assessment.model}. {DISCLAIMER}", fontsize=8, color=sheet.FAINT, parse_math=False)
    return sheet.as_png(figure)


def map_picture(film: Picture, months: NDArray[np.float32]) -> bytes:
    """Draw the map of what moved an answer over its film, with a bar in months: PNG.

    Args:
        film: `[height, width]`, as a `ReportItem` holds it.
        months: as `heat_picture` takes them.
    """
    small = thumbnail(film, _SIDE)
    height, width = small.shape
    figure = sheet.new_figure(_MAP_INCHES * width / height + 0.8, _MAP_INCHES)
    _lay_map(figure, figure.add_subplot(), small, months)
    return sheet.as_png(figure)


def strongest_in_words(months: NDArray[np.float32]) -> str:
    """Where a map is strongest and which way it moves the answer there, for who cannot see it."""
    row, column = np.unravel_index(np.abs(months).argmax(), months.shape)
    height, width = months.shape
    return (
        f"Map over the film: it is strongest {(column + 0.5) / width:.0%} of the width from the left and "
        f"{(row + 0.5) / height:.0%} of the height from the top, where it moves the answer towards "
        f"{'an older' if months[row, column] > 0 else 'a younger'} hand."
    )


def _lay_map(figure: Figure, axes: Axes, film: Grey, months: NDArray[np.float32]) -> None:
    """A film with the map over it, clear where it is weak, and its bar."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    size = film.shape[1], film.shape[0]
    laid = np.asarray(Image.fromarray(np.ascontiguousarray(months)).resize(size, Image.Resampling.BILINEAR))
    most = max(float(np.abs(laid).max()), _LEAST_MONTHS)
    scale = Normalize(-most, most)
    axes.imshow(film, cmap="gray", vmin=0, vmax=255)
    axes.imshow(laid, cmap=COLOURS, norm=scale, alpha=_STRONGEST * np.abs(laid) / most)
    for level, line in ((-most / 2, "dashed"), (most / 2, "solid")):  # its direction, without colours too
        if laid.min() < level < laid.max():
            axes.contour(laid, [level], colors="white", linestyles=line, linewidths=1.1)
    axes.set(xticks=[], yticks=[])
    bar = figure.colorbar(ScalarMappable(scale, COLOURS), ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("towards younger  ·  months a cell  ·  towards older", fontsize=9)
