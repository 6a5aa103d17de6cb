"""The demo: the carried model reads the plates of the carried atlas."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bonexage.atlas.plates import read_plates
from bonexage.cli.outcomes import say, screen
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.reading.files import read_radiograph
from bonexage.reports.batch import INDEX
from bonexage.reports.figures import readings_against_ages
from bonexage.reports.item import ReportItem
from bonexage.reports.page import write_report
from bonexage.reports.text import footer, table
from bonexage.reports.writing import write_whole

PICTURE: Final = "readings.png"
OWN_AGE: Final = "Plate's own age"
NOTE: Final = (
    "Plates of the composite atlas, as the model reads them. A plate is the median of many children's films "
    "of one sex and about one bone age; it shows no child."
)
PLAIN_WIDTH: Final = 120


def show_plates(model: Path | None, out: Path) -> None:
    """Assess every plate: a table on the standard output, a page and a picture in the folder `out`."""
    assessor = Assessor(load_bundle(model))
    items = []
    for plate in read_plates():
        radiograph = read_radiograph(plate.path)
        assessment = assessor.assess(radiograph, plate.sex)
        items.append(ReportItem(assessment, radiograph.pixels, plate.mean_months, plate.path.stem))
    shown = table(
        [item.outcome for item in items],
        names=[item.title for item in items],
        known_months=[item.known_age_months or 0.0 for item in items],
        film="Plate",
        known=OWN_AGE,
    )
    screen(PLAIN_WIDTH).print(shown)
    page, picture = out / INDEX, out / PICTURE
    write_report(items, page, model=assessor.model, title="The atlas plates, read", note=NOTE, known=OWN_AGE)
    write_whole(picture, readings_against_ages(items))
    say(
        f"\n{footer(assessor.model)}\n"
        f"Page of all plates: {page}\n"
        f"Readings against ages: {picture}\n"
        "Next: your own films with `make demo FILMS=folder` or `bonexage predict FILM --sex F`, "
        "and `bonexage --help`."
    )
