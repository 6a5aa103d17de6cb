"""A folder of reports: one page a film, the same as PDF where that is wanted, and the page of all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path, PurePath
from typing import Any, Final
from urllib.parse import quote

from bonexage.atlas.plates import Plate
from bonexage.reports.film import film_report
from bonexage.reports.film_page import film_page
from bonexage.reports.item import ReportItem
from bonexage.reports.page import write_report
from bonexage.reports.pdf import check_pdf, film_pdf
from bonexage.reports.writing import write_whole

INDEX: Final = "report.html"
FILMS: Final = "films"
# Of a film's files, in characters; and in bytes, with room for a number and a suffix in the 255 of a name.
_LONGEST_NAME: Final = 80
_MOST_BYTES: Final = 200


@dataclass(frozen=True)
class Made:
    """What reports are made with.

    Attributes:
        model: name and hash of the model.
        figures: as its bundle describes them.
        plates: the atlas.
        pdf: whether each film's report is written as PDF too.
        day: to print.
    """

    model: str
    figures: Mapping[str, Any]
    plates: tuple[Plate, ...]
    pdf: bool
    day: date


def write_reports(items: Iterable[ReportItem], folder: Path, made: Made) -> None:
    """Write `films/NAME.html`, perhaps `films/NAME.pdf`, for each film assessed, then `report.html` of all.

    Items are taken one after another, so memory does not grow with their pictures.

    Raises:
        WrongUse: a file cannot be written.
        MissingExtra: PDFs are wanted and their package is not installed.
    """
    if made.pdf:
        check_pdf()
    write_report(_written(items, folder, made), folder / INDEX, model=made.model, made=made.day)


def _written(items: Iterable[ReportItem], folder: Path, made: Made) -> Iterator[ReportItem]:
    taken: set[str] = set()
    for item in items:
        if item.assessment is None:
            yield item
            continue
        name = _free_name(item.title, taken)
        report = film_report(
            item.assessment, item.picture, made.plates, made.figures, made=made.day, months=item.months
        )
        write_whole(folder / FILMS / f"{name}.html", film_page(report))
        if made.pdf:
            write_whole(folder / FILMS / f"{name}.pdf", film_pdf(report))
        address = quote(f"{FILMS}/{name}")
        yield replace(item, page=f"{address}.html", pdf=f"{address}.pdf" if made.pdf else "")


def _free_name(title: str, taken: set[str]) -> str:
    """A name for a film's files that no other film has, on any file system; it is then taken."""
    whole = re.sub(r"[^\w.-]+", "-", PurePath(title).stem).strip("-.")[:_LONGEST_NAME]
    stem = whole.encode()[:_MOST_BYTES].decode(errors="ignore") or "film"
    name, number = stem, 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.casefold())
    return name
