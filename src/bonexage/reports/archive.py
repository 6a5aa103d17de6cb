"""All that goes to the archive for one film: structured report, picture and PDF, each a DICOM file."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bonexage.errors import MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bonexage.atlas.plates import Plate
    from bonexage.reports.item import Picture
    from bonexage.reports.result import FilmResult


@dataclass(frozen=True)
class Beside:
    """What the report of a film shows beside it: the atlas, and the figures of the model's bundle."""

    plates: tuple[Plate, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


def check_dicom_installed() -> None:
    """Say before any work whether DICOM results can be written.

    Raises:
        MissingExtra: highdicom or reportlab is not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in ("highdicom", "reportlab")):
        raise MissingExtra("Writing DICOM results", "dicom")


def dicom_files(
    result: FilmResult, picture: Picture | None, beside: Beside, months: NDArray[np.float32] | None = None
) -> dict[str, bytes]:
    """The files of one film by their names, which are their SOP Instance UIDs.

    Args:
        result: what was found, and the film it is about.
        picture: the film, `[height, width]`; None where there is none or it may not go out: then there is no
            Secondary Capture, and the PDF is without it.
        beside: what the report shows beside the film.
        months: what each place of the picture moved the answer by, for the PDF; None where it is not known.
    """
    from bonexage.reports.capture import as_rgb, draw_capture
    from bonexage.reports.dicom_objects import encapsulated_pdf, secondary_capture
    from bonexage.reports.dicom_sr import structured_report

    shown = picture if result.may_show_picture else None
    made = {
        "structured report": structured_report(result),
        "document": encapsulated_pdf(result, _pdf(result, shown, beside, months)),
    }
    if shown is not None:
        made["secondary capture"] = secondary_capture(result, as_rgb(draw_capture(result.outcome, shown)))
    return {f"{result.uid(kind)}.dcm": content for kind, content in made.items()}


def _pdf(
    result: FilmResult, picture: Picture | None, beside: Beside, months: NDArray[np.float32] | None
) -> bytes:
    """The film's report under the film's UID; for a refusal the sheet that says why.

    It names no day, so that it is the same whenever it is made.
    """
    from bonexage.reports.capture import ON_PAPER, as_pdf, draw_capture
    from bonexage.reports.film import film_report
    from bonexage.reports.pdf import film_pdf

    if result.assessment is None:
        return as_pdf(draw_capture(result.outcome, picture, ON_PAPER))
    said = replace(result.assessment, file=f"film {result.film.sop_uid}")
    return film_pdf(film_report(said, picture, beside.plates, beside.figures, made=None, months=months))
