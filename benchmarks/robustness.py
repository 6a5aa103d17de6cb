"""How far a reading moves when its film is turned, scaled, mirrored, exposed or saved otherwise.

    BONEXAGE_DATA=folder python benchmarks/robustness.py [bundle]

Each of the test films of rsna-640px is changed, saved, read and assessed anew; no label is used. Writes
`evaluation/robustness/robustness.json` and a curve for each change, `robustness.png`; ends with 1 where a
mild change moves readings by more than is allowed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from at_hand import films_folder
from bonexage.assessment import DISCLAIMER, Assessment, Failure
from bonexage.disk import write_atomically
from bonexage.model.assessor import Assessor, assess_many
from bonexage.model.bundle import load_bundle
from bonexage.reading.files import read_radiograph
from bonexage.reading.folder import LabelledFilm, read_split
from bonexage.reports import sheet
from bonexage.subject import Sex, Subject

OUT = Path(__file__).parents[1] / "evaluation" / "robustness"
MOST_MEDIAN_MONTHS = 2.0
MOST_95TH_MONTHS = 6.0
COLUMNS_OF_CURVES = 4

Change = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Trial:
    """One change at one strength: what is done to a film, how it is saved, and whether it counts as mild."""

    change: str
    strength: float
    apply: Change
    mild: bool = False
    jpeg_quality: int | None = None


@dataclass(frozen=True)
class Shift:
    """What a change did to the readings of many films; shifts are absolute, in months."""

    change: str
    strength: float
    mild: bool
    films: int
    refused: int
    median_months: float
    percentile_95_months: float

    @property
    def too_much(self) -> bool:
        """Whether a mild change moves readings by more than is allowed."""
        return self.mild and (
            self.median_months > MOST_MEDIAN_MONTHS or self.percentile_95_months > MOST_95TH_MONTHS
        )


def trials() -> Iterator[Trial]:
    """Every change, gentle and strong."""
    for degrees in (-90, -45, -30, -15, -8, 8, 15, 30, 45, 90, 180):
        yield Trial("rotation, degrees", degrees, partial(turned, degrees=degrees), abs(degrees) <= 15)
    for factor in (0.5, 0.7, 0.85, 0.93, 1.07, 1.15, 1.3):
        yield Trial("scale", factor, partial(scaled, factor=factor), 0.85 <= factor <= 1.15)
    for share in (-0.3, -0.15, -0.08, 0.08, 0.15, 0.3):
        yield Trial("shift on a larger film", share, partial(moved, share=share))
    yield Trial("mirror", 1, ImageOps.mirror, mild=True)
    yield Trial("inversion", 1, ImageOps.invert, mild=True)
    for gamma in (0.5, 0.7, 0.85, 1.2, 1.4, 2.0):
        yield Trial("gamma", gamma, partial(bent, gamma=gamma), 0.7 <= gamma <= 1.4)
    for factor in (0.5, 0.7, 0.85, 1.2, 1.5, 2.0):
        yield Trial("contrast", factor, partial(contrasted, factor=factor))
    for deviation in (0.01, 0.03, 0.06, 0.1):
        yield Trial("noise, standard deviation", deviation, partial(noisy, deviation=deviation))
    for quality in (90, 60, 30, 15):
        yield Trial("JPEG quality", quality, Image.Image.copy, quality >= 60, quality)
    for side in (480, 320, 200, 128, 96, 64):
        yield Trial("resolution, longer side in pixels", side, partial(coarse, side=side))
    for share in (0.05, 0.1, 0.2):
        yield Trial("white border", share, partial(bordered, share=share, grey=255), share <= 0.1)
        yield Trial("black border", share, partial(bordered, share=share, grey=0), share <= 0.1)
    yield Trial("padded to twice its size", 2, partial(bordered, share=0.5, grey=0))
    for share in (0.02, 0.04, 0.08):
        yield Trial("collimation, part of each side", share, partial(collimated, share=share))


def turned(film: Image.Image, degrees: float) -> Image.Image:
    """Turned anticlockwise, the film growing so that nothing is lost."""
    return film.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=0)


def scaled(film: Image.Image, factor: float) -> Image.Image:
    """The picture larger or smaller on a film of the same size."""
    size = round(film.width * factor), round(film.height * factor)
    smaller = film.resize(size, Image.Resampling.BICUBIC)
    left, top = (film.width - size[0]) // 2, (film.height - size[1]) // 2
    ground = Image.new("L", film.size)
    ground.paste(smaller, (left, top))
    return ground


def moved(film: Image.Image, share: float) -> Image.Image:
    """On a film half as large again, off its middle by a share of the old one's sides."""
    ground = Image.new("L", (film.width * 3 // 2, film.height * 3 // 2))
    left = ground.width / 2 - film.width / 2 + share * film.width / 2
    top = ground.height / 2 - film.height / 2 + share * film.height / 2
    ground.paste(film, (round(left), round(top)))
    return ground


def bent(film: Image.Image, gamma: float) -> Image.Image:
    """Every grey value to the power of `gamma`."""
    return film.point([round(255 * (level / 255) ** gamma) for level in range(256)])


def contrasted(film: Image.Image, factor: float) -> Image.Image:
    """Grey values nearer to or further from the film's mean."""
    mean = float(np.asarray(film).mean())
    return film.point([round(min(255, max(0, mean + (level - mean) * factor))) for level in range(256)])


def noisy(film: Image.Image, deviation: float) -> Image.Image:
    """Gaussian noise added, its standard deviation a share of the whole range."""
    levels = np.asarray(film, dtype=np.float32)
    noise = np.random.default_rng(0).standard_normal(levels.shape, dtype=np.float32) * 255 * deviation
    return Image.fromarray(np.clip(levels + noise, 0, 255).astype(np.uint8))


def coarse(film: Image.Image, side: int) -> Image.Image:
    """With fewer pixels."""
    small = film.copy()
    small.thumbnail((side, side), Image.Resampling.BOX)
    return small


def bordered(film: Image.Image, share: float, grey: int) -> Image.Image:
    """With a margin all around, a share of the longer side."""
    return ImageOps.expand(film, round(share * max(film.size)), fill=grey)


def collimated(film: Image.Image, share: float) -> Image.Image:
    """Black at all four sides, a share of each, as a collimator leaves it."""
    across, down = round(share * film.width), round(share * film.height)
    inner = film.crop((across, down, film.width - across, film.height - down))
    ground = Image.new("L", film.size)
    ground.paste(inner, (across, down))
    return ground


@dataclass(frozen=True, eq=False)
class Bare:
    """A film as it is read: its id, whose it is, and its picture without a border of its own."""

    id: str
    sex: Sex
    picture: Image.Image


def bare(film: LabelledFilm) -> Bare:
    """Read a film once for all trials."""
    pixels = read_radiograph(film.path).pixels
    return Bare(film.id, film.sex, Image.fromarray(np.rint(pixels * 255).astype(np.uint8)))


def readings(assessor: Assessor, films: Sequence[Bare], trial: Trial, folder: Path) -> list[float | None]:
    """The bone age of each changed film in months, None where it is refused."""
    with ThreadPoolExecutor() as pool:
        paths = list(pool.map(partial(save_changed, trial=trial, folder=folder), films))
    sex = dict(zip(paths, (film.sex for film in films), strict=True))
    outcomes = assess_many(assessor, paths, lambda path: Subject(sex[path]))
    return [months_of(outcome) for outcome in outcomes]


def save_changed(film: Bare, trial: Trial, folder: Path) -> str:
    """A film changed and saved: where it lies."""
    changed = trial.apply(film.picture)
    path = folder / f"{film.id}.{'jpg' if trial.jpeg_quality else 'png'}"
    if trial.jpeg_quality:
        changed.save(path, quality=trial.jpeg_quality)
    else:
        changed.save(path, compress_level=1)
    return str(path)


def months_of(outcome: Assessment | Failure) -> float | None:
    """The reading, where there is one."""
    return outcome.bone_age_months if isinstance(outcome, Assessment) else None


def shift_of(trial: Trial, before: Sequence[float | None], after: Sequence[float | None]) -> Shift:
    """How far the readings of the same films lie apart."""
    both = [(a, b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    apart = np.abs(np.array([b - a for a, b in both])) if both else np.array([np.nan])
    refused = sum(b is None for a, b in zip(before, after, strict=True) if a is not None)
    median, high = float(np.median(apart)), float(np.percentile(apart, 95))
    return Shift(trial.change, trial.strength, trial.mild, len(both), refused, median, high)


def draw(shifts: Sequence[Shift], model: str) -> bytes:
    """A curve for each change: median and 95th percentile against its strength, PNG."""
    changes = list(dict.fromkeys(shift.change for shift in shifts))
    rows = -(-len(changes) // COLUMNS_OF_CURVES)
    figure = sheet.new_figure(3.1 * COLUMNS_OF_CURVES, 2.5 * rows)
    panels = figure.subplots(rows, COLUMNS_OF_CURVES, sharey=True, squeeze=False).ravel()
    for axes, change in zip(panels, changes, strict=False):
        of_change = sorted((s for s in shifts if s.change == change), key=lambda shift: shift.strength)
        strengths = [shift.strength for shift in of_change]
        axes.plot(strengths, [s.percentile_95_months for s in of_change], "s--", color="#d55e00", ms=4)
        axes.plot(strengths, [s.median_months for s in of_change], "o-", color="#0072b2", ms=4)
        mild = [shift for shift in of_change if shift.mild]
        axes.plot([s.strength for s in mild], [s.median_months for s in mild], "o", mfc="none", mec="k", ms=9)
        axes.axhline(MOST_MEDIAN_MONTHS, color=sheet.FAINT, lw=0.7)
        axes.set_title(change, fontsize=9.5)
        axes.set_ylim(0, 20)
    for axes in panels[len(changes) :]:
        axes.set_axis_off()
    figure.supylabel("absolute shift, months", fontsize=9.5)
    figure.supxlabel(
        "Blue, round: median; orange, square: 95th percentile; ringed: mild changes; line: what these may "
        f"move the median.\n{model}. {DISCLAIMER}",
        fontsize=8.5,
    )
    return sheet.as_png(figure)


def main() -> int:
    data = films_folder("rsna-640px")
    if data is None:
        return 0
    assessor = Assessor(load_bundle(*sys.argv[1:2]))
    with ThreadPoolExecutor() as pool:
        films = list(pool.map(bare, read_split(data / "rsna-640px", "test")[0]))
    shifts: list[Shift] = []
    with TemporaryDirectory() as folder:
        before = readings(assessor, films, Trial("nothing", 0, Image.Image.copy), Path(folder))
        print(f"{'change':36}{'strength':>9}{'median':>9}{'95th':>9}{'refused':>9}  months, {assessor.model}")
        for trial in trials():
            shift = shift_of(trial, before, readings(assessor, films, trial, Path(folder)))
            shifts.append(shift)
            print(
                f"{shift.change:36}{shift.strength:9g}{shift.median_months:9.2f}"
                f"{shift.percentile_95_months:9.2f}{shift.refused:9d}"
                f"  {'mild' if shift.mild else ''}{': TOO MUCH' if shift.too_much else ''}",
                flush=True,
            )
    found: dict[str, Any] = {
        "model": assessor.model,
        "films": len(films),
        "refused_unchanged": sum(months is None for months in before),
        "shifts": [asdict(shift) | {"too_much": shift.too_much} for shift in shifts],
    }
    write_atomically(OUT / "robustness.json", (json.dumps(found, indent=1) + "\n").encode())
    write_atomically(OUT / "robustness.png", draw(shifts, assessor.model))
    return int(any(shift.too_much for shift in shifts))


if __name__ == "__main__":
    raise SystemExit(main())
