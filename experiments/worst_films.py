"""The forty validation films that a model reads worst: a contact sheet, and a table to note causes in.

    BONEXAGE_DATA=folder python experiments/worst_films.py [RUN or BUNDLE] [--out FOLDER]

Without a run or bundle the carried model is taken. Writes `worst.png` and `worst.csv` to `runs/worst/NAME`,
which git ignores: they show children's films, and are never committed. The column `guess` holds what can be
measured; `cause` is for whoever looks at the films, and is kept when the command is run again. Whether a
label is likely wrong is asked of other networks: what the experiments in `runs/experiments` said of the film.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from held_out import kept_readings
from numpy.typing import NDArray

from bonexage.assessment import DISCLAIMER
from bonexage.disk import write_atomically
from bonexage.errors import RefusedRadiograph
from bonexage.learning.dataset import Part, TrainingFilm
from bonexage.learning.dealt import held_out_films
from bonexage.learning.export import export_run
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import Bundle, load_bundle
from bonexage.model.cautions import TURNED_DEGREES
from bonexage.model.frame import FRAME_WIDTH, HandFrame, cut
from bonexage.model.locate import Locator
from bonexage.model.preprocess import normalise
from bonexage.model.runtime import Runtime
from bonexage.numbers import signed
from bonexage.reading.files import read_radiograph
from bonexage.reports import sheet
from bonexage.subject import Sex

ROOT = Path(__file__).parents[1]
WORST: Final = 40
ACROSS: Final = 8
NEIGHBOURS: Final = 15

# From here on a film counts as what the guess says: beyond what 95% of 250 held-out films show.
LEAST_SCORE: Final = 0.99
MOST_UNREST: Final = 0.05
MOST_OUTSIDE: Final = 0.32
LEAST_CONTRAST: Final = 0.22
# A label is likely wrong where at least so many other networks, on the median, and the films that look alike
# to this one lie so far from it, and near the reading.
OTHER_NETWORKS: Final = 3
LABEL_APART_MONTHS: Final = 18.0
SIDE_WITH_READING_MONTHS: Final = 9.0

COLUMNS: Final = (
    *("rank", "id", "folder", "sex", "labelled_months", "read_months", "difference_months"),
    *("cause", "guess", "turned_degrees", "outside", "contrast", "score", "unrest"),
    *("neighbours_months", "other_networks_months", "other_film_read_months"),
)


@dataclass(frozen=True, eq=False)
class Seen:
    """A held-out film as the model sees it; `months` is None where it refuses it, for the reason given."""

    film: TrainingFilm
    months: float | None
    pixels: NDArray[np.uint8] | None = None
    embedding: NDArray[np.float32] | None = None
    reason: str = ""

    @property
    def difference(self) -> float:
        """Read minus labelled, months."""
        return (self.months or 0.0) - self.film.film.bone_age_months


@dataclass(frozen=True)
class Signs:
    """What can be measured of a film that was read badly; None where it cannot be.

    Attributes:
        turned_degrees: how far the hand was turned.
        outside: share of the hand's frame that lies outside the film.
        contrast: range of grey between the 2nd and the 97th percentile in the frame, 0 to 1.
        score: how sure the locator is that this is a hand.
        unrest: how far its frame still moved, in frame heights.
        neighbours_months: median label of the films of the same sex that look most alike to the model.
        others_months: median of what other networks read from it.
        other_film_months: what it reads from the same child's film in another folder.
    """

    turned_degrees: float | None = None
    outside: float | None = None
    contrast: float | None = None
    score: float | None = None
    unrest: float | None = None
    neighbours_months: float | None = None
    others_months: float | None = None
    other_film_months: float | None = None


def look(bundle: Bundle, films: Sequence[TrainingFilm]) -> Iterator[Seen]:
    """What the model says of each film, as in use."""
    assessor, runtime = Assessor(bundle), Runtime(bundle.onnx)
    for film in films:
        try:
            placed = assessor.place(read_radiograph(film.film.path))
        except RefusedRadiograph as refusal:
            yield Seen(film, None, reason=refusal.problem)
            continue
        male = np.array([[film.film.sex is Sex.MALE]], dtype=np.float32)
        said = runtime.run(normalise(placed.pixels, assessor.preprocessing), male)
        embedding = None if said.embedding is None else said.embedding[0]
        yield Seen(film, float(said.months[0]), placed.pixels[0], embedding)


def worst(seen: Sequence[Seen], number: int = WORST) -> list[Seen]:
    """The validation films that were read, the largest error first."""
    read = [each for each in seen if each.film.part is Part.VALIDATION and each.months is not None]
    return sorted(read, key=lambda each: -abs(each.difference))[:number]


def signs_of(
    each: Seen,
    seen: Sequence[Seen],
    locator: Locator | None,
    others: Mapping[tuple[str, str], Sequence[float]],
) -> Signs:
    """What can be measured of a film, beside the others held out and what `others`, networks, say of it."""
    said = others.get(_key(each), ())
    elsewhere = [
        other.months
        for other in seen
        if other.film.film.id == each.film.film.id and other.film.folder != each.film.folder
    ]
    signs = Signs(
        neighbours_months=neighbours_months(each, seen),
        others_months=float(np.median(said)) if len(said) >= OTHER_NETWORKS else None,
        other_film_months=next(iter(elsewhere), None),
    )
    if locator is None:
        return signs
    pixels = read_radiograph(each.film.film.path).pixels
    finding = locator.find(pixels)
    return replace(
        signs,
        turned_degrees=finding.frame.turned_degrees,
        outside=outside(finding.frame, (pixels.shape[0], pixels.shape[1])),
        contrast=float(np.ptp(np.percentile(cut(pixels, finding.frame, 96, 78), (2, 97)))),
        score=finding.score,
        unrest=finding.unrest,
    )


def outside(frame: HandFrame, size: tuple[int, int]) -> float:
    """The share of a hand's frame that lies outside its film of `size` (height, width)."""
    across, down = np.meshgrid(np.linspace(-0.5, 0.5, 33) * FRAME_WIDTH, np.linspace(-0.5, 0.5, 41))
    points = np.stack([across.ravel(), down.ravel()], axis=1) @ frame.matrix.T + frame.middle
    inside = ((points >= 0) & (points <= np.array(size)[::-1])).all(axis=1)
    return float(1 - inside.mean())


def neighbours_months(each: Seen, seen: Sequence[Seen]) -> float | None:
    """The median label of the films that look most alike to the model: same sex, other children."""
    others = [
        other
        for other in seen
        if other.embedding is not None
        and other.film.film.sex is each.film.film.sex
        and other.film.film.id != each.film.film.id
    ]
    if each.embedding is None or len(others) < NEIGHBOURS:
        return None
    stack = np.stack([other.embedding for other in others if other.embedding is not None])
    lengths = np.linalg.norm(stack, axis=1) * np.linalg.norm(each.embedding)
    nearest = np.argsort(-(stack @ each.embedding) / np.maximum(lengths, 1e-9))[:NEIGHBOURS]
    return float(np.median([others[place].film.film.bone_age_months for place in nearest]))


def guess(each: Seen, signs: Signs) -> str:
    """The causes that the signs speak for, the film's own before the label's; empty where none does."""
    found = []
    if _below(signs.score, LEAST_SCORE) or _above(signs.unrest, MOST_UNREST):
        found.append("hand not found for certain")
    if signs.turned_degrees is not None and abs(signs.turned_degrees) > TURNED_DEGREES:
        found.append("rotation")
    if _above(signs.outside, MOST_OUTSIDE):
        found.append("cropping")
    if _below(signs.contrast, LEAST_CONTRAST):
        found.append("low contrast")
    if _against_label(signs.neighbours_months, each) and _against_label(signs.others_months, each):
        found.append("likely wrong label")
    return "; ".join(found)


def _against_label(months: float | None, each: Seen) -> bool:
    """Whether an age lies far from the film's label, and near what was read from it."""
    if months is None or each.months is None:
        return False
    apart = abs(months - each.film.film.bone_age_months) >= LABEL_APART_MONTHS
    return apart and abs(months - each.months) <= SIDE_WITH_READING_MONTHS


def _below(value: float | None, least: float) -> bool:
    return value is not None and value < least


def _above(value: float | None, most: float) -> bool:
    return value is not None and value > most


def write_table(ranked: Sequence[tuple[Seen, Signs]], refused: Sequence[Seen], out: Path) -> None:
    """Write `worst.csv`: the worst films, then those refused; causes noted in it before are kept."""
    noted = _noted(out)
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS, restval="")
    table.writeheader()
    for rank, (each, signs) in enumerate(ranked, start=1):
        table.writerow(
            _film_cells(each)
            | {
                "rank": rank,
                "read_months": _cell(each.months),
                "difference_months": _cell(each.difference),
                "cause": noted.get(_key(each), ""),
                "guess": guess(each, signs),
                "turned_degrees": _cell(signs.turned_degrees),
                "outside": _cell(signs.outside, 3),
                "contrast": _cell(signs.contrast, 3),
                "score": _cell(signs.score, 3),
                "unrest": _cell(signs.unrest, 3),
                "neighbours_months": _cell(signs.neighbours_months),
                "other_networks_months": _cell(signs.others_months),
                "other_film_read_months": _cell(signs.other_film_months),
            }
        )
    for each in refused:
        table.writerow(
            _film_cells(each) | {"cause": noted.get(_key(each), ""), "guess": f"refused: {each.reason}"}
        )
    write_atomically(out, text.getvalue().encode())


def _film_cells(each: Seen) -> dict[str, str]:
    film = each.film.film
    return {
        "id": film.id,
        "folder": each.film.folder.name,
        "sex": film.sex.value,
        "labelled_months": _cell(film.bone_age_months),
    }


def _key(each: Seen) -> tuple[str, str]:
    return each.film.film.id, each.film.folder.name


def _noted(table: Path) -> dict[tuple[str, str], str]:
    """The causes that someone has noted, by id and folder."""
    if not table.exists():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        return {(row["id"], row["folder"]): row["cause"] for row in csv.DictReader(file)}


def _cell(value: float | None, decimals: int = 1) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def draw(ranked: Sequence[tuple[Seen, Signs]], model: str) -> bytes:
    """The films as the model sees them, the worst first, each over what it is: PNG."""
    down = -(-len(ranked) // ACROSS)
    figure = sheet.new_figure(1.9 * ACROSS, 2.9 * down + 0.4)
    panels = figure.subplots(down, ACROSS, squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    for axes, (rank, (each, signs)) in zip(panels.flat, enumerate(ranked, start=1), strict=False):
        film = each.film.film
        axes.imshow(each.pixels, cmap="gray", vmin=0, vmax=255)
        lines = [
            f"{rank}. {film.id} {film.sex.value}",
            f"label {film.bone_age_months:.0f}, read {each.months:.0f} ({signed(each.difference, 0)})",
            *guess(each, signs).split("; "),
        ]
        axes.set_title("\n".join(line for line in lines if line), fontsize=7)
    figure.supxlabel(f"Never to be committed or passed on. {model}. {DISCLAIMER}", fontsize=8)
    return sheet.as_png(figure)


def chosen_bundle(named: Path | None) -> Bundle:
    """A bundle, or that of a run, which is exported into the run folder first; the carried one by default."""
    if named is None or not (named / "recipe.json").exists():
        return load_bundle(named)
    made = named / "bundle"
    return load_bundle(made) if made.exists() else export_run(named, made)


def main() -> None:
    """Look at the films, and say where the sheet and the table lie."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, help="a run folder or a bundle; the carried model")
    parser.add_argument("--out", type=Path, help="a folder that git ignores")
    asked = parser.parse_args()
    data = os.environ.get("BONEXAGE_DATA")
    if not data:
        sys.exit("Set BONEXAGE_DATA to the folder that holds the data folders.")
    bundle = chosen_bundle(asked.model)
    out = asked.out or ROOT / "runs" / "worst" / bundle.description.name
    if out.resolve().is_relative_to(ROOT) and not out.resolve().is_relative_to(ROOT / "runs"):
        sys.exit(f"{out} might be committed: films may be written only to runs/, or outside the checkout.")
    films = held_out_films(bundle, Path(data))
    seen = []
    for each in look(bundle, films):
        seen.append(each)
        if len(seen) % 200 == 0 or len(seen) == len(films):
            print(f"{len(seen)} of {len(films)} held-out films read", flush=True)
    locator = Locator(bundle.locator) if bundle.locator else None
    others = kept_readings(ROOT / "runs" / "experiments")
    ranked = [(each, signs_of(each, seen, locator, others)) for each in worst(seen)]
    refused = [each for each in seen if each.months is None and each.film.part is Part.VALIDATION]
    write_table(ranked, refused, out / "worst.csv")
    write_atomically(out / "worst.png", draw(ranked, bundle.model))
    print(f"{out / 'worst.png'} and worst.csv: the {len(ranked)} worst, and {len(refused)} refused.")


if __name__ == "__main__":
    main()
