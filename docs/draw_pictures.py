"""Draw the documents' pictures with the carried model: hands, plates, what goes to an archive, curves.

Usage: python docs/draw_pictures.py [METRICS_CSV]

`docs/hands.png`, `docs/plates.png` and `docs/capture.png` show plates of the carried atlas, which are
composites and no child's film. With the `metrics.csv` of the training run that the carried model came from,
`docs/training.csv` is replaced by it; `docs/curves.png` is drawn from that file.
"""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

import bonexage
from bonexage.assessment import DISCLAIMER
from bonexage.atlas.plates import read_plates
from bonexage.reports.capture import as_rgb, draw_capture
from bonexage.reports.curves import learning_curves
from bonexage.reports.figures import readings_against_ages
from bonexage.reports.item import ReportItem
from bonexage.subject import Sex

DOCS = Path(__file__).parent
HANDS = 5


def read_items() -> list[ReportItem]:
    """Every carried plate as the carried model reads it, girls first, youngest first."""
    assessor = bonexage.load()
    items = []
    for plate in sorted(read_plates(), key=lambda plate: (plate.sex, plate.mean_months)):
        radiograph = bonexage.read_radiograph(plate.path)
        said = assessor.assess(radiograph, sex=plate.sex)
        items.append(ReportItem(said, radiograph.pixels, plate.mean_months, plate.path.stem))
    return items


def spread(items: Sequence[ReportItem], number: int) -> list[ReportItem]:
    """`number` of the items, evenly from the first to the last."""
    return [items[round(at * (len(items) - 1) / (number - 1))] for at in range(number)]


def hands(items: Sequence[ReportItem]) -> bytes:
    """A row of hands, each over its reading: PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.1 * len(items), 3.5), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    for axes, item in zip(figure.subplots(1, len(items)), items, strict=True):
        said = item.assessment
        if said is None or item.picture is None:
            raise ValueError(f"{item.title} has no reading to show")
        axes.imshow(item.picture, cmap="gray", vmin=0, vmax=1)
        words, months = said.age_in_words.split(" (")
        lines = [words, months.rstrip(")")]
        if said.interval:
            low, high = said.interval.low_months, said.interval.high_months
            lines.append(f"{said.interval.coverage:.0%}: {low:.0f} to {high:.0f} months")
        axes.set_title(f"{said.subject.sex.word}, plate of {item.known_age_months:.0f} months", fontsize=10)
        axes.set_xlabel("\n".join(lines), fontsize=9.5)
        axes.set(xticks=[], yticks=[])
    figure.supxlabel(f"Plates of the composite atlas. {DISCLAIMER}", fontsize=8, color="#555555")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return out.getvalue()


def capture(item: ReportItem) -> bytes:
    """The Secondary Capture of a plate, with its own age as the chronological age: PNG."""
    sex, age = item.outcome.subject.sex, item.known_age_months
    said = bonexage.load().assess(bonexage.read_radiograph(item.outcome.file), sex=sex, age_months=age)
    out = io.BytesIO()
    Image.fromarray(as_rgb(draw_capture(said, item.picture))).save(out, "PNG", optimize=True)
    return out.getvalue()


def main() -> None:
    """Draw what there is to draw, and name each file."""
    training = DOCS / "training.csv"
    if len(sys.argv) > 1:
        shutil.copyfile(sys.argv[1], training)
    items = read_items()
    girls = [item for item in items if item.outcome.subject.sex is Sex.FEMALE]
    drawn = {"hands.png": hands(spread(girls, HANDS)), "plates.png": readings_against_ages(items)}
    drawn["capture.png"] = capture(spread(girls, HANDS)[2])
    if training.is_file():
        with training.open(encoding="utf-8", newline="") as opened:
            drawn["curves.png"] = learning_curves(csv.DictReader(opened))
    for name, png in drawn.items():
        (DOCS / name).write_bytes(png)
        print(DOCS / name)


if __name__ == "__main__":
    main()
