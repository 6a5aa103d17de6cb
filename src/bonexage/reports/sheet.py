"""The sheet that every figure is drawn on: Matplotlib by its objects alone, with no global state."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI: Final = 160
INK: Final = "#1a1a1a"
FAINT: Final = "#8a8a8a"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def as_png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG; the same figure gives the same bytes."""
    for axes in figure.axes:
        axes.tick_params(labelsize=9)
        axes.spines[["top", "right"]].set_linewidth(0.6)
        axes.spines[["bottom", "left"]].set_linewidth(0.8)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()
