"""How the error grows as films lose pixels: one model for every resolution, from thumbnails to whole films.

    BONEXAGE_DATA=folder python benchmarks/resolution.py [bundle]

Each of the test films of rsna-640px is made smaller in two ways, evenly (antialiased) and squeezed to a
square by taking single pixels. Writes `evaluation/resolution/resolution.json` and `resolution.png`. Where
`resolution.json` is of another model, it becomes `before.json`; the picture shows the curves of both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from at_hand import films_folder
from bonexage.assessment import DISCLAIMER
from bonexage.disk import write_atomically
from bonexage.errors import RefusedRadiograph
from bonexage.evaluation.metrics import Agreement, agreement
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.numbers import with_interval
from bonexage.radiograph import Radiograph
from bonexage.reading.files import read_radiograph
from bonexage.reading.folder import LabelledFilm, read_split
from bonexage.reports import sheet
from thumbnails import squeezed

OUT = Path(__file__).parents[1] / "evaluation" / "resolution"
SIDES = (64, 80, 100, 128, 160, 200, 256, 320, 480, 640)
Way = Literal["even", "square"]
WAYS: dict[Way, str] = {
    "even": "made smaller evenly",
    "square": "squeezed to a square, single pixels taken",
}


@dataclass(frozen=True)
class Point:
    """The error at one resolution: longer side (or side of the square) in pixels."""

    way: Way
    side: int
    refused: int
    found: Agreement


def smaller(film: Image.Image, side: int, way: Way) -> Image.Image:
    """A film with fewer pixels; one that has no more than `side` stays as it is."""
    if way == "square":
        return squeezed(film, side)
    scale = min(1.0, side / max(film.size))
    size = round(film.width * scale), round(film.height * scale)
    return film.resize(size, Image.Resampling.BILINEAR)


def point(assessor: Assessor, films: Sequence[tuple[LabelledFilm, Radiograph]], side: int, way: Way) -> Point:
    """Assess all films at one resolution."""
    pairs = []
    for film, radiograph in films:
        pixels = np.clip(np.asarray(smaller(Image.fromarray(radiograph.pixels), side, way)), 0, 1)
        try:
            said = assessor.assess(replace(radiograph, pixels=pixels), sex=film.sex)
        except RefusedRadiograph:
            continue
        pairs.append((said.bone_age_months, film.bone_age_months))
    predicted, labelled = zip(*pairs, strict=True)
    return Point(way, side, len(films) - len(pairs), agreement(predicted, labelled))


def draw(found: Mapping[str, Any], before: Mapping[str, Any] | None) -> bytes:
    """Error against resolution with its interval, a curve for each way, dashed for the model before: PNG."""
    figure = sheet.new_figure(7.2, 4.6)
    axes = figure.add_subplot()
    models = [(found, "-", 0.15)] + ([(before, "--", 0.0)] if before else [])
    for measured, line, shade in models:
        for (way, name), colour, marker in zip(WAYS.items(), ("#0072b2", "#d55e00"), "os", strict=True):
            of_way = [one for one in measured["points"] if one["way"] == way]
            sides = [one["side"] for one in of_way]
            errors = [one["mae_months"] for one in of_way]
            label = name if measured is found else f"{name}, the model before"
            middle = [error["value"] for error in errors]
            axes.plot(sides, middle, f"{marker}{line}", color=colour, ms=5, label=label)
            low, high = ([error[end] for error in errors] for end in ("low", "high"))
            axes.fill_between(sides, low, high, color=colour, alpha=shade, lw=0)
    names = found["model"] + (f"; before: {before['model']}" if before else "")
    axes.set_xscale("log")
    axes.set_xticks(SIDES, [str(side) for side in SIDES])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"longer side, pixels\n{names}\n{DISCLAIMER}", fontsize=8.5)
    axes.set_ylabel("mean absolute difference, months")
    axes.legend(frameon=False, fontsize=9)
    return sheet.as_png(figure)


def model_before(model: str) -> dict[str, Any] | None:
    """What was measured of the model before this one, if any; kept as `before.json`."""
    for name in ("resolution.json", "before.json"):
        path = OUT / name
        if path.is_file():
            kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if kept["model"] != model:
                write_atomically(OUT / "before.json", path.read_bytes())
                return kept
    return None


def main() -> None:
    data = films_folder("rsna-640px")
    if data is None:
        return
    assessor = Assessor(load_bundle(*sys.argv[1:2]))
    labelled, _ = read_split(data / "rsna-640px", "test")
    films = [(film, read_radiograph(film.path)) for film in labelled]
    points: list[Point] = []
    for way, said in WAYS.items():
        for side in SIDES:
            points.append(point(assessor, films, side, way))
            error = with_interval(points[-1].found.mae_months.as_dict(), unit=" months")
            print(f"{side:4} pixels, {said}: {error}, {points[-1].refused} refused", flush=True)
    found: dict[str, Any] = {
        "model": assessor.model,
        "films": len(films),
        "points": [
            {"way": one.way, "side": one.side, "refused": one.refused, **one.found.as_dict()}
            for one in points
        ],
    }
    before = model_before(assessor.model)
    write_atomically(OUT / "resolution.json", (json.dumps(found, indent=1) + "\n").encode())
    write_atomically(OUT / "resolution.png", draw(found, before))


if __name__ == "__main__":
    main()
