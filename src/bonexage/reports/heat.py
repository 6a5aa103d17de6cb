"""A picture of what moved an answer: the film, and the film with the map laid over it and a bar in months."""

from __future__ import annotations

from dataclasses import dataclass
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


_BAR_STEPS: Final = 33


@dataclass(frozen=True)
class Overlay:
    """A map as a picture to lay over its film, clear where it is weak.

    Attributes:
        png: red, green, blue and opacity; of the film's shape.
        most_months: what its strongest colours stand for, in months a cell.
        colours: those of its bar, from towards younger to towards older, each as '#rrggbb'.
        across: where it is strongest, as a share of the width from the left.
        down: the same of the height from the top.
        older: whether it moves the answer towards an older hand there.
    """

    png: bytes
    most_months: float
    colours: tuple[str, ...]
    across: float
    down: float
    older: bool


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


def overlay(months: NDArray[np.float32], side: int) -> Overlay:
    """A map alone, to be laid over its film by whoever shows both.

    Args:
        months: as `heat_picture` takes them.
        side: pixels of the longer side of the film as it is shown; the map has no more than it needs.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    height, width = months.shape
    times = min(1.0, min(side, _SIDE) / max(height, width))
    size = max(1, round(width * times)), max(1, round(height * times))
    laid = np.asarray(Image.fromarray(np.ascontiguousarray(months)).resize(size, Image.Resampling.BILINEAR))
    most = max(float(np.abs(laid).max()), _LEAST_MONTHS)
    figure = sheet.new_figure(size[0] / sheet.DPI, size[1] / sheet.DPI)
    figure.set_facecolor("none")
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1), frameon=False)
    _draw_map(axes, laid, most)
    colours = tuple(to_hex(each) for each in colormaps[COLOURS](np.linspace(0, 1, _BAR_STEPS)))
    return Overlay(sheet.as_png(figure), most, colours, *_strongest(months))


def strongest_in_words(months: NDArray[np.float32]) -> str:
    """Where a map is strongest and which way it moves the answer there, for who cannot see it."""
    across, down, older = _strongest(months)
    return (
        f"Map over the film: it is strongest {across:.0%} of the width from the left and "
        f"{down:.0%} of the height from the top, where it moves the answer towards "
        f"{'an older' if older else 'a younger'} hand."
    )


def _strongest(months: NDArray[np.float32]) -> tuple[float, float, bool]:
    """Where a map is strongest, as shares of width and height, and whether it goes towards older there."""
    row, column = np.unravel_index(np.abs(months).argmax(), months.shape)
    height, width = months.shape
    return float(column + 0.5) / width, float(row + 0.5) / height, bool(months[row, column] > 0)


def _lay_map(figure: Figure, axes: Axes, film: Grey, months: NDArray[np.float32]) -> None:
    """A film with the map over it, clear where it is weak, and its bar."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    size = film.shape[1], film.shape[0]
    laid = np.asarray(Image.fromarray(np.ascontiguousarray(months)).resize(size, Image.Resampling.BILINEAR))
    most = max(float(np.abs(laid).max()), _LEAST_MONTHS)
    axes.imshow(film, cmap="gray", vmin=0, vmax=255)
    _draw_map(axes, laid, most)
    bar = figure.colorbar(ScalarMappable(Normalize(-most, most), COLOURS), ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("towards younger  ·  months a cell  ·  towards older", fontsize=9)


def _draw_map(axes: Axes, laid: NDArray[np.float32], most: float) -> None:
    """A map, clear where it is weak; `most` months have its strongest colours."""
    opacity = _STRONGEST * np.abs(laid) / most
    axes.imshow(laid, cmap=COLOURS, vmin=-most, vmax=most, alpha=opacity)
    for level, line in ((-most / 2, "dashed"), (most / 2, "solid")):  # its direction, without colours too
        if laid.min() < level < laid.max():
            axes.contour(laid, [level], colors="white", linestyles=line, linewidths=1.1)
    axes.set(xticks=[], yticks=[])
