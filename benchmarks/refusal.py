"""What is let through and what is refused: real hands of every folder, and pictures that show none, by kind.

    BONEXAGE_DATA=folder python benchmarks/refusal.py [bundle]

Hands: the test films of the RSNA folders, those of rsna-299px as thumbnails as well, the films of
other-scanner, the plates of the atlas. Others: the kinds of not-a-hand, what packages at hand ship, and
pictures made here: halves of hands, fingers alone, two hands, tiles exchanged, a hand too small to read,
limbs, text, noise. The locator learned from the pictures of not-a-hand, so those rows flatter it; of the
kinds that are made here it saw halves and exchanged tiles.
Writes `evaluation/refusal/refusal.json`; ends with 1 where fewer hands pass than should.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from scipy.stats import binomtest  # type: ignore[import-untyped]

from at_hand import films_folder
from bonexage.atlas.plates import read_plates
from bonexage.disk import write_atomically
from bonexage.errors import RefusedRadiograph
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.radiograph import Provenance, Radiograph
from bonexage.reading.files import list_films, read_radiograph
from thumbnails import SIDE, squeezed

OUT = Path(__file__).parents[1] / "evaluation" / "refusal"
HANDS = {
    "rsna-299px": "rsna-299px/boneage-test-dataset",
    "rsna-640px": "rsna-640px/boneage-test-dataset",
    "rsna-original": "rsna-original/boneage-test-dataset",
    "other-scanner": "other-scanner/films",
}
LEAST_PASSING = {"rsna": 0.99, "other-scanner": 1.0, "plates": 1.0}
MADE_OF_EACH = 40

Film = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """One kind of picture: how many, and how many of them were read, with an exact 95% interval."""

    kind: str
    hands: bool
    pictures: int
    passed: int
    share: float
    low: float
    high: float


def row(kind: str, pictures: Iterable[Radiograph], assessor: Assessor, *, hands: bool) -> Row:
    """Show all pictures of a kind to the assessor; a hand is to pass, anything else to be refused."""
    passed = [is_read(assessor, picture) for picture in pictures]
    good = sum(passed) if hands else len(passed) - sum(passed)
    interval = binomtest(good, len(passed)).proportion_ci(0.95, method="exact")
    return Row(kind, hands, len(passed), sum(passed), good / len(passed), interval.low, interval.high)


def is_read(assessor: Assessor, picture: Radiograph) -> bool:
    """Whether it is brought to the network."""
    try:
        assessor.place(picture)
    except RefusedRadiograph:
        return False
    return True


def films_in(folder: Path) -> Iterator[Radiograph]:
    """All pictures in a folder."""
    return (read_radiograph(name) for name in list_films([str(folder)]))


def as_radiograph(pixels: Film, name: str) -> Radiograph:
    """A picture made here."""
    clipped = np.clip(np.ascontiguousarray(pixels, dtype=np.float32), 0, 1)
    digest = sha256(clipped.tobytes()).hexdigest()
    return Radiograph(clipped, Provenance(name, digest, (clipped.shape[0], clipped.shape[1]), "made"))


Maker = Callable[[Film, Film, np.random.Generator], Film]


def upper_half(film: Film, other: Film, rng: np.random.Generator) -> Film:
    return film[: film.shape[0] // 2]


def fingers(film: Film, other: Film, rng: np.random.Generator) -> Film:
    return film[: film.shape[0] // 3]


def quarter(film: Film, other: Film, rng: np.random.Generator) -> Film:
    rows, columns = film.shape[0] // 2, film.shape[1] // 2
    top, left = int(rng.integers(film.shape[0] - rows)), int(rng.integers(film.shape[1] - columns))
    return film[top : top + rows, left : left + columns]


def two_hands(film: Film, other: Film, rng: np.random.Generator) -> Film:
    size = film.shape[1], film.shape[0]
    beside = np.asarray(Image.fromarray(other).resize(size, Image.Resampling.BILINEAR))
    return np.hstack([film, beside[:, ::-1]])


def exchanged(film: Film, other: Film, rng: np.random.Generator) -> Film:
    tiles = int(rng.integers(2, 5))
    rows, columns = film.shape[0] // tiles, film.shape[1] // tiles
    cells = [
        film[y * rows : (y + 1) * rows, x * columns : (x + 1) * columns]
        for y in range(tiles)
        for x in range(tiles)
    ]
    order = np.roll(np.arange(len(cells)), int(rng.integers(1, len(cells))))
    shuffled = [cells[each] for each in order]
    return np.vstack([np.hstack(shuffled[y * tiles : (y + 1) * tiles]) for y in range(tiles)])


def too_small(film: Film, other: Film, rng: np.random.Generator) -> Film:
    small = Image.fromarray(film)
    small.thumbnail((36, 36))
    ground = np.zeros((400, 400), dtype=np.float32)
    top, left = (int(each) for each in rng.integers(0, 360, 2))
    ground[top : top + small.height, left : left + small.width] = np.asarray(small)
    return ground


def limb(film: Film, other: Film, rng: np.random.Generator) -> Film:
    width, height = (int(each) for each in rng.integers(150, 400, 2))
    picture = Image.new("L", (width, height), 12)
    draw = ImageDraw.Draw(picture)
    middle, reach = width * rng.uniform(0.35, 0.65), width * rng.uniform(0.12, 0.3)
    draw.rectangle((middle - reach, 0, middle + reach, height), fill=int(rng.integers(60, 110)))
    for side in (-1, 1)[: int(rng.integers(1, 3))]:
        bone = middle + side * reach * rng.uniform(0.3, 0.6)
        thick = reach * rng.uniform(0.12, 0.3)
        draw.rectangle((bone - thick, 0, bone + thick, height), fill=int(rng.integers(150, 230)))
    turned = picture.rotate(float(rng.uniform(-30, 30))).filter(ImageFilter.GaussianBlur(2))
    return np.asarray(turned, dtype=np.float32) / np.float32(255)


def text_page(film: Film, other: Film, rng: np.random.Generator) -> Film:
    picture = Image.new("L", (300, 400), int(rng.integers(200, 256)))
    draw = ImageDraw.Draw(picture)
    words = ("hand", "wrist", "bone", "age", "of", "the", "left", "and", "months", "12", "years", "a")
    for line in range(12, 380, int(rng.integers(12, 20))):
        draw.text((20, line), " ".join(rng.choice(words, int(rng.integers(3, 9)))), fill=20)
    return np.asarray(picture, dtype=np.float32) / np.float32(255)


def noise(film: Film, other: Film, rng: np.random.Generator) -> Film:
    side = int(rng.choice([4, 8, 16, 64, 200]))
    grain = Image.fromarray(rng.random((side, side), dtype=np.float32))
    return np.asarray(grain.resize((200, 200), Image.Resampling.BICUBIC))


def blank(film: Film, other: Film, rng: np.random.Generator) -> Film:
    return np.full((200, 160), rng.random(), dtype=np.float32)


MADE: dict[str, Maker] = {
    "upper half of a hand": upper_half,
    "fingers alone": fingers,
    "a quarter of a film": quarter,
    "two hands": two_hands,
    "tiles exchanged": exchanged,
    "a hand too small": too_small,
    "drawn limbs": limb,
    "pages of text": text_page,
    "noise": noise,
    "blank": blank,
}


def thumbnails(films: Iterable[Radiograph]) -> Iterator[Radiograph]:
    """The films as squares of few pixels."""
    for film in films:
        pixels = np.asarray(squeezed(Image.fromarray(film.pixels)))
        yield as_radiograph(pixels, film.provenance.name)


def made(maker: Maker, films: list[Film], name: str) -> Iterator[Radiograph]:
    """Pictures of one kind, each from two films or from none."""
    rng = np.random.default_rng(0)
    for number in range(MADE_OF_EACH):
        one, other = (films[int(each)] for each in rng.choice(len(films), 2, replace=False))
        yield as_radiograph(maker(one, other, rng), f"{name} {number}")


def shipped() -> Iterator[Radiograph]:
    """Photographs and maps that Matplotlib ships."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "sample_data"
    for path in sorted(folder.glob("*.[jp][pn]g")):
        yield read_radiograph(path)


def rows_of(assessor: Assessor, data: Path) -> Iterator[Row]:
    """Every kind, hands first."""
    for kind, folder in HANDS.items():
        yield row(kind, films_in(data / folder), assessor, hands=True)
    small = thumbnails(films_in(data / HANDS["rsna-299px"]))
    yield row(f"rsna-299px at {SIDE} px", small, assessor, hands=True)
    yield row("plates", (read_radiograph(plate.path) for plate in read_plates()), assessor, hands=True)
    names = list(list_films([str(data / "not-a-hand")]))
    for kind in sorted({Path(name).name.split("-")[0] for name in names}):
        of_kind = [name for name in names if Path(name).name.startswith(f"{kind}-")]
        yield row(f"not-a-hand: {kind}", map(read_radiograph, of_kind), assessor, hands=False)
    yield row("pictures of Matplotlib", shipped(), assessor, hands=False)
    films = [film.pixels for film in films_in(data / HANDS["rsna-640px"])]
    for kind, maker in MADE.items():
        yield row(f"made: {kind}", made(maker, films, kind), assessor, hands=False)


def falls_short(found: Row) -> bool:
    """Whether fewer hands pass than should."""
    least = LEAST_PASSING.get(found.kind, LEAST_PASSING.get(found.kind.split("-")[0]))
    return found.hands and least is not None and found.share < least


def main() -> int:
    data = films_folder("the data folders")
    if data is None:
        return 0
    assessor = Assessor(load_bundle(*sys.argv[1:2]))
    found = []
    for each in rows_of(assessor, data):
        found.append(each)
        done = "pass" if each.hands else "refused"
        print(
            f"{each.kind:32}{each.pictures:6}  {each.share:6.1%} {done} ({each.low:.1%} to {each.high:.1%})"
            f"{': TOO FEW' if falls_short(each) else ''}",
            flush=True,
        )
    others = [each for each in found if not each.hands]
    refused = sum(each.pictures - each.passed for each in others)
    print(f"Of {sum(each.pictures for each in others)} pictures that show no hand {refused} are refused.")
    content = {"model": assessor.model, "kinds": [asdict(each) for each in found]}
    write_atomically(OUT / "refusal.json", (json.dumps(content, indent=1) + "\n").encode())
    return int(any(falls_short(each) for each in found))


if __name__ == "__main__":
    raise SystemExit(main())
