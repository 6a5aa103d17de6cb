"""All that goes to the archive for one film: structured report, picture and PDF, each a DICOM file."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from bonexage.errors import MissingExtra

if TYPE_CHECKING:
    from bonexage.reports.item import Picture
    from bonexage.reports.result import FilmResult


def check_dicom_installed() -> None:
    """Say before any work whether DICOM results can be written.

    Raises:
        MissingExtra: highdicom is not installed.
    """
    if importlib.util.find_spec("highdicom") is None:
        raise MissingExtra("Writing DICOM results", "dicom")


def dicom_files(result: FilmResult, picture: Picture | None) -> dict[str, bytes]:
    """The files of one film by their names, which are their SOP Instance UIDs.

    Args:
        result: what was found, and the film it is about.
        picture: the film, `[height, width]`; None where there is none or it may not go out: then there is no
            Secondary Capture, and the PDF is without it.
    """
    from bonexage.reports.capture import as_pdf, as_rgb, draw_capture
    from bonexage.reports.dicom_objects import encapsulated_pdf, secondary_capture
    from bonexage.reports.dicom_sr import structured_report

    shown = picture if result.may_show_picture else None
    made = {
        "structured report": structured_report(result),
        "document": encapsulated_pdf(result, as_pdf(draw_capture(result.outcome, shown))),
    }
    if shown is not None:
        made["secondary capture"] = secondary_capture(result, as_rgb(draw_capture(result.outcome, shown)))
    return {f"{result.uid(kind)}.dcm": content for kind, content in made.items()}
