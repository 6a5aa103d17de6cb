"""How often each caution is given: on ordinary films, which is to be seldom, and on films spoilt for it.

    BONEXAGE_DATA=folder python benchmarks/cautions.py [bundle]

Ordinary films are those of the bundle's training that its network did not learn from; those of rsna-640px in
the validation part are spoilt, each in several strengths. The thresholds of `bonexage.model.quality` and
`bonexage.model.cautions` were chosen on these. No test film is read. Writes
`evaluation/cautions/cautions.json`; ends with 1 where a caution is given on more than 2% of ordinary films.
"""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from at_hand import films_folder
from bonexage.assessment import Assessment
from bonexage.disk import write_atomically
from bonexage.errors import RefusedRadiograph
from bonexage.evaluation.evaluate import measure
from bonexage.evaluation.metrics import mean_over_children
from bonexage.evaluation.result import Measured
from bonexage.learning.dataset import Part
from bonexage.learning.dealt import held_out_films
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.radiograph import Radiograph
from bonexage.reading.files import read_radiograph
from intervals import tell

OUT = Path(__file__).parents[1] / "evaluation" / "cautions"
MOST_ORDINARY = 0.02
FAR_APART_MONTHS = 18.0
CODES = (
    "low-resolution",
    "blurred",
    "compressed",
    "letters-over-hand",
    "rotated",
    "mirrored",
    "mature",
    "edge-of-training-ages",
    "outside-known-ages",
    "likely-to-disagree",
    "inverted",
)
WORDS = ("LEFT", "L 1234", "12.03.2014", "HAND PA", "L")

Spoil = Callable[[Image.Image, np.random.Generator], Image.Image]


@dataclass(frozen=True)
class Trial:
    """One way to spoil a film, at one strength, and the caution that it is to bring about."""

    code: str
    strength: str
    spoil: Spoil


@dataclass(frozen=True)
class Said:
    """How often a caution was given on films spoilt in one way."""

    code: str
    strength: str
    films: int
    refused: int
    share: float


def trials() -> Iterator[Trial]:
    """Every way, mild and strong; strengths are in parts of the film's longer side."""
    for side in (96, 80, 64, 48):
        yield Trial("low-resolution", f"{side} pixels", partial(fewer_pixels, side=side))
    for percent in (0.25, 0.5, 1.0, 2.0):
        yield Trial("blurred", f"by {percent}%", partial(blurred, percent=percent))
    for side in (100, 64):
        yield Trial("blurred", f"enlarged from {side} pixels", partial(enlarged, side=side))
    for quality in (90, 60, 40, 30, 15, 5):
        yield Trial("compressed", f"JPEG {quality}", partial(compressed, quality=quality))
    for percent in (2.0, 4.0, 8.0):
        yield Trial("letters-over-hand", f"{percent}% high", partial(lettered, percent=percent))
    for degrees in (15, 40, 90, 180):
        yield Trial("rotated", f"{degrees} degrees", partial(turned, degrees=degrees))
    yield Trial("mirrored", "", lambda film, rng: film.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


def fewer_pixels(film: Image.Image, rng: np.random.Generator, side: int) -> Image.Image:
    small = film.copy()
    small.thumbnail((side, side), Image.Resampling.BOX)
    return small


def enlarged(film: Image.Image, rng: np.random.Generator, side: int) -> Image.Image:
    return fewer_pixels(film, rng, side).resize(film.size, Image.Resampling.BICUBIC)


def blurred(film: Image.Image, rng: np.random.Generator, percent: float) -> Image.Image:
    return film.filter(ImageFilter.GaussianBlur(max(film.size) * percent / 100))


def compressed(film: Image.Image, rng: np.random.Generator, quality: int) -> Image.Image:
    out = io.BytesIO()
    film.save(out, "JPEG", quality=quality)
    return Image.open(out)


def lettered(film: Image.Image, rng: np.random.Generator, percent: float) -> Image.Image:
    """White letters somewhere about the middle of the film, where the hand is."""
    written = film.copy()
    place = film.width * rng.uniform(0.3, 0.5), film.height * rng.uniform(0.3, 0.7)
    font = ImageFont.load_default(max(film.size) * percent / 100)
    ImageDraw.Draw(written).text(place, str(rng.choice(WORDS)), fill=255, font=font)
    return written


def turned(film: Image.Image, rng: np.random.Generator, degrees: int) -> Image.Image:
    return film.rotate(degrees, Image.Resampling.BICUBIC, expand=True)


def said_of(assessor: Assessor, trial: Trial, films: Sequence[Radiograph]) -> Said:
    """Spoil the films and count on how many the caution is given, of those that are not refused."""
    rng = np.random.default_rng(0)
    said = refused = 0
    for film in films:
        spoilt = trial.spoil(Image.fromarray(np.rint(film.pixels * 255).astype(np.uint8)), rng)
        pixels: NDArray[np.float32] = np.asarray(spoilt, dtype=np.float32) / np.float32(255)
        try:
            cautions = assessor.place(replace(film, pixels=pixels)).cautions
        except RefusedRadiograph:
            refused += 1
            continue
        said += trial.code in {caution.code for caution in cautions}
    read = len(films) - refused
    return Said(trial.code, trial.strength, len(films), refused, said / read if read else 0.0)


def ordinary(read: Sequence[Measured]) -> dict[str, float]:
    """The share of films on which each caution is given."""
    counted = Counter(
        code
        for one in read
        if isinstance(one.outcome, Assessment)
        for code in {caution.code for caution in one.outcome.cautions}
    )
    return {code: counted[code] / len(read) for code in CODES}


def far_apart(read: Sequence[Measured]) -> dict[str, Any]:
    """How far readings lie from labels with and without the caution that they may, and how often far."""
    found: dict[str, Any] = {}
    for given in (True, False):
        apart = [
            (abs(one.outcome.bone_age_months - one.film.bone_age_months), one.film.id)
            for one in read
            if isinstance(one.outcome, Assessment)
            and given == any(caution.code == "likely-to-disagree" for caution in one.outcome.cautions)
        ]
        if apart:
            errors, children = np.array([error for error, _ in apart]), [child for _, child in apart]
            found["with" if given else "without"] = {
                "films": len(apart),
                "mae_months": mean_over_children(errors, children).as_dict(),
                "far_apart": mean_over_children(errors > FAR_APART_MONTHS, children).as_dict(),
            }
    return found


def main() -> int:
    data = films_folder("the data folders")
    if data is None:
        return 0
    assessor = Assessor(load_bundle(*sys.argv[1:2]))
    films = held_out_films(assessor.bundle, data)
    read = measure(assessor, [each.film for each in films], progress=tell)
    shares = ordinary(read)
    for code, share in shares.items():
        print(f"{code:24}{share:6.1%} of ordinary films{': TOO MANY' if share > MOST_ORDINARY else ''}")
    spoilt = [
        read_radiograph(each.film.path)
        for each in films
        if each.part is Part.VALIDATION and each.folder.name == "rsna-640px"
    ]
    found = []
    for trial in trials():
        found.append(said_of(assessor, trial, spoilt))
        print(f"{trial.code:24}{trial.strength:28}{found[-1].share:6.1%}", flush=True)
    content = {
        "model": assessor.model,
        "films": len(films),
        "spoilt_films": len(spoilt),
        "ordinary": shares,
        "spoilt": [asdict(each) for each in found],
        "far_apart_months": FAR_APART_MONTHS,
        "likely_to_disagree": far_apart(read),
    }
    write_atomically(OUT / "cautions.json", (json.dumps(content, indent=1) + "\n").encode())
    return int(any(share > MOST_ORDINARY for share in shares.values()))


if __name__ == "__main__":
    raise SystemExit(main())
