"""Whether the map of what moved an answer shows it: held against bones outlined by hand, and against chance.

    BONEXAGE_DATA=folder python benchmarks/explanation.py [bundle]

On the test films of rsna-299px whose growth plates, epiphyses, carpal bones and joints were outlined by hand:
the share of the map's mass in the outlines over their share of the film (1 is chance); how often the map's
peak lies in them; how far readings move when what the map points at is blurred or shown first (deletion and
insertion, Petsiuk et al., RISE, BMVC 2018), beside a random order and one from the middle outwards; and how
much of the map outlives weights that were shuffled (Adebayo et al., Sanity checks for saliency maps, NeurIPS
2018). Writes `evaluation/explanation/explanation.json`; ends with 1 below three times chance, and where no
film is left to measure.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.stats import spearmanr  # type: ignore[import-untyped]

from at_hand import films_folder
from bonexage.disk import write_atomically
from bonexage.errors import RefusedRadiograph, UnusableData
from bonexage.evaluation.metrics import mean_over_children
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import Bundle, load_bundle
from bonexage.model.relevance import Explanation
from bonexage.radiograph import Radiograph
from bonexage.reading.files import read_radiograph
from bonexage.reading.folder import LabelledFilm, read_split
from bonexage.reading.framing import without_borders

OUT = Path(__file__).parents[1] / "evaluation" / "explanation"
MASKS = ("epiphysis", "articular-surface")
LEAST_CONCENTRATION = 3.0
# In parts of the film's longer side: what counts as near an outline, how far a part is blurred, and how far
# the order from the middle outwards reaches.
NEAR = 0.03
BLUR = 0.06
MIDDLE = 0.2
STEPS = tuple(round(share, 1) for share in np.arange(0.1, 1.0, 0.1))

Floats = NDArray[np.float32]
Order = Callable[[Floats, np.random.Generator], Floats]

ORDERS: dict[str, Order] = {
    "map": lambda weight, rng: weight,
    "random": lambda weight, rng: np.asarray(
        Image.fromarray(rng.random((10, 8), dtype=np.float32)).resize(
            weight.shape[::-1], Image.Resampling.BILINEAR
        )
    ),
    "middle": lambda weight, rng: (
        -np.hypot(*(np.indices(weight.shape) - np.array(weight.shape)[:, None, None] / 2))
    ),
}


@dataclass(frozen=True)
class Outlined:
    """A film with the bones that were outlined on it, bool `[height, width]`."""

    film: LabelledFilm
    radiograph: Radiograph
    bones: NDArray[np.bool_]


def outlined_films(folder: Path) -> Iterator[Outlined]:
    """The test films that have outlines of every kind, both without the borders that reading leaves out.

    Raises:
        UnusableData: there are none.
    """
    films, _ = read_split(folder, "test")
    number = 0
    for film in films:
        files = [folder / "masks" / kind / f"{film.id}.png" for kind in MASKS]
        if not all(file.is_file() for file in files):
            continue
        number += 1
        radiograph = read_radiograph(film.path)
        masks = [outline(file, radiograph.provenance.original_size) for file in files]
        yield Outlined(film, radiograph, np.logical_or.reduce(masks)[kept_part(film.path)])
    if not number:
        raise UnusableData(
            f"no test film has outlines in {' and in '.join(f'masks/{kind}' for kind in MASKS)}",
            remedy="Give the folder of films with the outlines of their bones",
            subject=str(folder),
        )


def kept_part(film: Path) -> tuple[slice, slice]:
    """The rows and columns of a film in grey that are left when it is read."""
    with Image.open(film) as picture:
        whole = np.asarray(picture.convert("L"), dtype=np.float32) / np.float32(255)
        kept = without_borders(whole, blurred_seam=picture.format == "JPEG")
    first = (kept.ctypes.data - whole.ctypes.data) // whole.itemsize
    top, left = divmod(first, whole.shape[1])
    return slice(top, top + kept.shape[0]), slice(left, left + kept.shape[1])


def outline(file: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """An outline drawn at any size, as large as its film: bool `[height, width]`."""
    drawn = Image.open(file).convert("L").resize(shape[::-1], Image.Resampling.BILINEAR)
    return np.asarray(drawn) >= 128


def concentration(weight: Floats, bones: NDArray[np.bool_]) -> float:
    """The share of a map's mass in the outlines over their share of the film."""
    return float(weight[bones].sum() / weight.sum() / bones.mean())


def from_the_middle(weight: Floats, rng: np.random.Generator) -> Floats:
    """A map that knows nothing of the film: the most in its middle, less with the distance from it."""
    return np.asarray(np.exp(ORDERS["middle"](weight, rng) / (MIDDLE * max(weight.shape))), dtype=np.float32)


def near(bones: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The outlines and a narrow band around them."""
    reach = round(NEAR * max(bones.shape))
    grown = Image.fromarray(bones).convert("L").filter(ImageFilter.MaxFilter(2 * reach + 1))
    return np.asarray(grown) > 0


def points_at(weight: Floats, bones: NDArray[np.bool_]) -> bool:
    """Whether the map's peak lies in or near the outlines (the pointing game, Zhang et al., IJCV 2018)."""
    return bool(near(bones)[np.unravel_index(int(weight.argmax()), weight.shape)])


def curves(
    assessor: Assessor, one: Outlined, found: Explanation, rng: np.random.Generator
) -> dict[str, float]:
    """Mean absolute shift of the reading as parts are blurred, and as they alone are shown, by order."""
    film = one.radiograph.pixels
    blur = ImageFilter.GaussianBlur(BLUR * max(film.shape))
    blurred = np.asarray(Image.fromarray((film * 255).astype(np.uint8)).filter(blur))
    ground = (blurred / np.float32(255)).astype(np.float32)
    weight = np.abs(found.months)
    shifts = {}
    for name, order in ORDERS.items():
        rank = order(weight, rng).ravel().argsort()[::-1].argsort().reshape(film.shape) / film.size
        for kind, (first, then) in {"deletion": (ground, film), "insertion": (film, ground)}.items():
            readings = [
                reading(assessor, replace(one.radiograph, pixels=np.where(rank < share, first, then)), one)
                for share in STEPS
            ]
            known = [abs(each - found.assessment.bone_age_months) for each in readings if each is not None]
            shifts[f"{kind} {name}"] = float(np.mean(known)) if known else np.nan
    return shifts


def reading(assessor: Assessor, radiograph: Radiograph, one: Outlined) -> float | None:
    """The bone age in months, None where a film that is mostly blurred is refused."""
    try:
        return assessor.assess(radiograph, one.film.sex).bone_age_months
    except RefusedRadiograph:
        return None


def shuffled(bundle: Bundle) -> Bundle:
    """The same network with the numbers of each of its weights in another order."""
    import onnx
    from onnx import numpy_helper

    rng = np.random.default_rng(0)
    model = onnx.load_from_string(bundle.onnx)
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.ndim > 1:
            mixed = rng.permutation(values.ravel()).reshape(values.shape)
            weight.CopyFrom(numpy_helper.from_array(mixed, weight.name))
    return replace(bundle, onnx=model.SerializeToString())


def main() -> int:
    data = films_folder("rsna-299px")
    if data is None:
        return 0
    bundle = load_bundle(*sys.argv[1:2])
    assessor, mixed = Assessor(bundle), Assessor(shuffled(bundle))
    rng = np.random.default_rng(0)
    measured: dict[str, list[float]] = {}
    for one in outlined_films(data / "rsna-299px"):
        try:
            found = assessor.explain(one.radiograph, one.film.sex)
        except RefusedRadiograph:
            continue
        weight = np.abs(found.months)
        other = np.abs(mixed.explain(one.radiograph, one.film.sex).months)
        seen = weight > 0
        of_film = {
            "concentration": concentration(weight, one.bones),
            "concentration, middle": concentration(from_the_middle(weight, rng), one.bones),
            "pointing": float(points_at(weight, one.bones)),
            "pointing, chance": float(near(one.bones)[seen].mean()),
            "rank correlation with shuffled weights": float(spearmanr(weight[seen], other[seen]).statistic),
            **curves(assessor, one, found, rng),
        }
        for name, value in of_film.items():
            measured.setdefault(name, []).append(value)
    if not measured:
        print("The model refuses every film that has outlines: nothing is measured.")
        return 1
    films = len(measured["concentration"])
    figures = {
        name: mean_over_children([value for value in values if np.isfinite(value)])
        for name, values in measured.items()
    }
    print(f"{films} films, {assessor.model}")
    for name, figure in figures.items():
        print(f"{name:42}{figure.value:7.2f} ({figure.low:.2f} to {figure.high:.2f})")
    content = {
        "model": assessor.model,
        "films": films,
        "figures": {name: figure.as_dict() for name, figure in figures.items()},
    }
    write_atomically(OUT / "explanation.json", (json.dumps(content, indent=1) + "\n").encode())
    return int(figures["concentration"].value < LEAST_CONCENTRATION)


if __name__ == "__main__":
    raise SystemExit(main())
