"""One film and what is said of it on one sheet: the picture that goes to the archive, and it as a PDF."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from bonexage.assessment import DISCLAIMER, MAX_BONE_AGE_MONTHS, Assessment, Failure, months_in_words
from bonexage.clinic.sentence import plain_sentence
from bonexage.reports.item import thumbnail
from bonexage.reports.numbers import interval_name, span
from bonexage.reports.sheet import FAINT, INK, new_figure
from bonexage.subject import Sex

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bonexage.reports.item import Picture

WIDTH, HEIGHT, DPI = 11.0, 8.0, 120
FILM_SIDE: Final = 900
LETTERS: Final = 52
MOST_LINES: Final = 30


def draw_capture(outcome: Assessment | Failure, picture: Picture | None) -> Figure:
    """Film on the left; on the right the bone age, its interval on a scale, cautions, model and disclaimer.

    Args:
        outcome: the assessment, or why there is none.
        picture: the film, float `[height, width]` in [0, 1]; None where it may not or cannot be shown.
    """
    figure = new_figure(WIDTH, HEIGHT)
    film, facts = figure.subplots(1, 2, width_ratios=(1.0, 1.0))
    film.set_axis_off()
    if picture is None:
        film.text(0.5, 0.5, "No picture of the film", ha="center", va="center", color=FAINT)
    else:
        film.imshow(thumbnail(picture, FILM_SIDE), cmap="gray", vmin=0, vmax=255)
    facts.set_axis_off()
    facts.set_xlim(0, 1)
    facts.set_ylim(0, 1)
    if isinstance(outcome, Assessment):
        _headline(facts, months_in_words(outcome.bone_age_months), "Bone age")
        _scale(facts.inset_axes((0.0, 0.79, 1.0, 0.05)), outcome)
    else:
        _headline(facts, "No bone age is given", "Bone age")
    facts.text(
        0, 0.70, "\n".join(_lines(outcome)[:MOST_LINES]), va="top", fontsize=9, color=INK, linespacing=1.4
    )
    facts.text(
        0, 0.0, f"Model {outcome.model}\n{DISCLAIMER}", va="bottom", fontsize=9, weight="bold", color=INK
    )
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


def _headline(facts: Axes, value: str, name: str) -> None:
    facts.text(0, 0.98, name, va="top", fontsize=11, color=FAINT)
    facts.text(0, 0.93, value, va="top", fontsize=17, color=INK, weight="bold")


def _scale(axes: Axes, said: Assessment) -> None:
    """The bone age as a stroke and its interval as a bar, on the scale of all bone ages in years."""
    axes.set_xlim(0, MAX_BONE_AGE_MONTHS / 12)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_xticks(range(0, 21, 2))
    axes.tick_params(labelsize=8, colors=INK)
    axes.set_xlabel("years", fontsize=8, color=INK)
    axes.spines[["top", "left", "right"]].set_visible(False)
    if said.interval:
        low, high = said.interval.low_months / 12, said.interval.high_months / 12
        axes.barh(0.5, high - low, left=low, height=0.6, color="#b9c4d0")
    axes.axvline(said.bone_age_months / 12, color=INK, linewidth=2)
    if said.subject.age_months is not None:
        axes.plot([said.subject.age_months / 12], [0.5], marker="^", color=INK, markersize=6)


def _lines(outcome: Assessment | Failure) -> list[str]:
    """What is told beside the picture, wrapped."""
    if isinstance(outcome, Failure):
        return _wrapped(
            f"{outcome.error.problem[:1].upper()}{outcome.error.problem[1:]}. {outcome.error.remedy}."
        )
    subject = outcome.subject
    lines = []
    if outcome.interval:
        lines.append(f"{interval_name(outcome.interval)}: {span(outcome.interval)} months (the bar)")
    lines.append(f"Assessed as: {'a girl and a boy' if subject.sex is Sex.UNKNOWN else subject.sex.word}")
    if subject.age_months is not None:
        lines.append(f"Age: {months_in_words(subject.age_months)} (the triangle)")
    if outcome.sds:
        lines += _wrapped(f"SDS: {outcome.sds.value:+.1f}, {outcome.sds.norm}")
    lines += ["", *_wrapped(plain_sentence(outcome))]
    for caution in outcome.cautions:
        lines += ["", *_wrapped(f"Caution: {caution.sentence}")]
    return lines


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, LETTERS)
