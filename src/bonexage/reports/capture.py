"""One film and what is said of it on one sheet: the picture that goes to the archive, or a PDF."""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from bonexage.assessment import DISCLAIMER, Assessment, Failure, months_in_words
from bonexage.clinic.sentence import plain_sentence
from bonexage.numbers import interval_name, score, span
from bonexage.reports import scale
from bonexage.reports.item import thumbnail
from bonexage.reports.sheet import INK, new_figure
from bonexage.subject import Sex

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bonexage.reports.item import Picture

WIDTH, HEIGHT, DPI = 11.0, 8.0, 120
FILM_SIDE: Final = 900
# Left, bottom, width and height in parts of the sheet.
_FILM: Final = (0.02, 0.03, 0.46, 0.94)
_FACTS: Final = (0.52, 0.05, 0.46, 0.91)
_SCALE_BELOW, _SCALE_ABOVE = 0.71, 0.83
_TEXT_TOP: Final = 0.65
# Points, letters a line and lines that fit between the scale and the foot: as large as the text allows.
_SIZES: Final = ((11.0, 54, 19), (9.0, 66, 23), (7.5, 80, 27))


@dataclass(frozen=True)
class Tones:
    """The colours of a sheet: what it is drawn on, its ink, its soft ink and what marks the answer."""

    paper: str
    ink: str
    soft: str
    mark: str


ON_SCREEN: Final = Tones("#000000", "#f0f0f0", "#a8a8a8", "#7cc3f2")
ON_PAPER: Final = Tones("#ffffff", INK, "#565656", "#00558c")


def draw_capture(outcome: Assessment | Failure, picture: Picture | None, tones: Tones = ON_SCREEN) -> Figure:
    """Film on the left; on the right the bone age, its interval on a scale, cautions, model and disclaimer.

    Args:
        outcome: the assessment, or why there is none.
        picture: the film, float `[height, width]` in [0, 1]; None where it may not or cannot be shown.
        tones: dark for who reads films in the dark, or for paper.
    """
    figure = new_figure(WIDTH, HEIGHT)
    figure.set_layout_engine("none")
    figure.set_facecolor(tones.paper)
    film, facts = figure.add_axes(_FILM), figure.add_axes(_FACTS)
    for axes in (film, facts):
        axes.set_axis_off()
    if picture is None:
        film.text(0.5, 0.5, "No picture of the film", ha="center", va="center", color=tones.soft)
    else:
        film.imshow(thumbnail(picture, FILM_SIDE), cmap="gray", vmin=0, vmax=255)
    facts.set(xlim=(0, 1), ylim=(0, 1))
    facts.text(0, 1, "Bone age", va="top", fontsize=12, color=tones.soft)
    if isinstance(outcome, Assessment):
        said = months_in_words(outcome.bone_age_months)
        _draw_scale(facts, outcome, tones)
    else:
        said = "No bone age is given"
    facts.text(0, 0.95, said, va="top", fontsize=18, color=tones.ink, weight="bold")
    top = _TEXT_TOP if isinstance(outcome, Assessment) else _SCALE_ABOVE
    size, lines = _fitting(outcome)
    facts.text(
        0, top, "\n".join(lines), va="top", fontsize=size, color=tones.ink, linespacing=1.4, parse_math=False
    )
    facts.text(0, 0.03, DISCLAIMER, va="bottom", fontsize=13, weight="bold", color=tones.ink)
    facts.text(0, 0, f"Model {outcome.model}", va="bottom", fontsize=9, color=tones.soft, parse_math=False)
    return figure


def as_rgb(figure: Figure) -> NDArray[np.uint8]:
    """The figure as a picture, uint8 `[height, width, 3]`; the same figure gives the same picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.array(np.asarray(canvas.buffer_rgba())[..., :3])  # type: ignore[no-untyped-call]


def as_pdf(figure: Figure) -> bytes:
    """The figure as the bytes of a PDF; the same figure gives the same bytes."""
    out = io.BytesIO()
    figure.savefig(out, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return out.getvalue()


def _draw_scale(facts: Axes, said: Assessment, tones: Tones) -> None:
    """The marks of `reports.scale`, across the column, and what they stand for."""
    from matplotlib.patches import Polygon

    axes = facts.inset_axes((0, _SCALE_BELOW, 1, _SCALE_ABOVE - _SCALE_BELOW))
    axes.set_axis_off()
    axes.set(xlim=(0, scale.WIDTH), ylim=(scale.HEIGHT, 0))
    times = WIDTH * _FACTS[2] * 72 / scale.WIDTH  # points for each of the scale's units
    for mark in scale.marks(said):
        if isinstance(mark, scale.Label):
            axes.text(mark.x, mark.y, mark.text, ha="center", color=tones.soft, fontsize=9)
            continue
        colour = tones.mark if mark.marked else tones.ink
        look: dict[str, Any] = {"alpha": mark.tone, "linewidth": times * mark.width, "clip_on": False}
        if mark.fill == "none":
            axes.plot(*zip(*mark.points, strict=True), color=colour, solid_capstyle="butt", **look)
        else:
            face = tones.ink if mark.fill == "ink" else tones.paper
            edge = colour if mark.width else "none"
            axes.add_patch(Polygon(mark.points, facecolor=face, edgecolor=edge, **look))
    facts.text(0, _SCALE_BELOW - 0.01, scale.legend(said), va="top", fontsize=8.5, color=tones.soft)


def _fitting(outcome: Assessment | Failure) -> tuple[float, list[str]]:
    """The text in the largest size in which all of it fits; cut, and said to be, where none will do."""
    told = _paragraphs(outcome)
    for size, letters, most in _SIZES:
        lines = [line for each in told for line in textwrap.wrap(each, letters) or [""]]
        if len(lines) <= most:
            return size, lines
    return size, [*lines[: most - 1], "… The structured report says the rest."]


def _paragraphs(outcome: Assessment | Failure) -> list[str]:
    """What is told beside the picture; '' is a gap."""
    if isinstance(outcome, Failure):
        problem, remedy = outcome.error.problem, outcome.error.remedy
        return [f"{problem[:1].upper()}{problem[1:]}.", "", f"{remedy}."]
    subject = outcome.subject
    told = []
    if outcome.interval:
        told.append(f"{interval_name(outcome.interval)}: {span(outcome.interval)} months")
    told.append(f"Assessed as: {'a girl and a boy' if subject.sex is Sex.UNKNOWN else subject.sex.word}")
    if subject.age_months is not None:
        told.append(f"Age: {months_in_words(subject.age_months)}")
    if outcome.sds:
        told.append(f"SDS: {score(outcome.sds)}, {outcome.sds.norm}")
    told += ["", plain_sentence(outcome), ""]
    return [*told, *(f"Caution: {caution.sentence}" for caution in outcome.cautions)]
