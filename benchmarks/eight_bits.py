"""Whether int8 may be carried: how far it shifts the error on validation films, and what it gains.

    BONEXAGE_DATA=folder python benchmarks/eight_bits.py [--films N] [--calibration N]

The carried network is quantised dynamically (weights alone) and statically, calibrated with training films.
Both and the float32 network then read validation films of the carried model's own training, no test film.
int8 may be carried where it shifts the mean absolute error by no more than 0.1 month, what is left to chance
(95%) included. Writes `benchmarks/results/eight_bits.json`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from at_hand import films_folder
from bonexage.errors import BonexageError
from bonexage.learning.dataset import Part, TrainingFilm
from bonexage.learning.dealt import films_of_bundle
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.model.preprocess import normalise
from bonexage.model.runtime import Runtime
from bonexage.reading.files import read_radiograph
from bonexage.subject import Sex
from yardstick import Row, in_turns, keep, machine

MOST_SHIFT_MONTHS: Final = 0.1
BATCH: Final = 4
TIMES: Final = 7
PERCENTILE: Final = 99.99  # of what a tensor held: the least and the most of all moved readings twice as far

Feeds = Mapping[str, NDArray[np.float32]]


def dynamic(graph: bytes) -> bytes:
    """A graph whose matrix products have int8 weights, what they are multiplied with made int8 on the way."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.onnx", Path(folder) / "target.onnx"
        source.write_bytes(graph)
        quantize_dynamic(source, target, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8)
        return target.read_bytes()


def static(graph: bytes, feeds: Sequence[Feeds]) -> bytes:
    """A graph whose convolutions and the backbone's matrix products are int8, with ranges seen on films."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc] # the library says nothing of its types
        """Gives the films one after the other, as the quantiser asks."""

        def __init__(self) -> None:
            self.left = iter(feeds)

        def get_next(self) -> Feeds | None:
            return next(self.left, None)

    with tempfile.TemporaryDirectory() as folder:
        source, ready, target = (Path(folder) / f"{name}.onnx" for name in ("source", "ready", "target"))
        source.write_bytes(graph)
        quant_pre_process(source, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "MatMul"],
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": PERCENTILE},
        )
        return target.read_bytes()


def some_of(part: Part, films: Sequence[TrainingFilm], number: int) -> list[TrainingFilm]:
    """Films of a part, one a child, evenly over all of them."""
    of_child = {film.film.id: film for film in films if film.part is part}
    chosen = list(of_child.values())
    return chosen[:: max(1, len(chosen) // number)][:number]


def placed(assessor: Assessor, films: Sequence[TrainingFilm]) -> Iterator[tuple[Feeds, float]]:
    """Each film as the network reads it, and its label; films that use would refuse are left out."""
    for each in films:
        try:
            (pixels,) = _pixels(assessor.place(read_radiograph(each.film.path)))
        except BonexageError:
            continue
        male = np.array([[each.film.sex is Sex.MALE]], dtype=np.float32)
        radiograph = normalise(pixels[np.newaxis], assessor.preprocessing)
        yield {"radiograph": radiograph, "male": male}, each.film.bone_age_months


def _pixels(film: Any) -> NDArray[np.uint8]:
    """Views of a placed film, `[views, height, width]`."""
    pixels = np.asarray(film.pixels)
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels


def readings(runtime: Runtime, films: Sequence[tuple[Feeds, float]]) -> NDArray[np.float64]:
    """What a network says of films, in months."""
    return np.array([float(runtime.run(one["radiograph"], one["male"]).months[0]) for one, _ in films])


def rows(data: Path, films: int, calibration: int) -> Iterator[Row]:
    """The speed and the error of each kind of number."""
    bundle = load_bundle()
    assessor = Assessor(bundle)
    all_films = films_of_bundle(bundle, data)
    validation = list(placed(assessor, some_of(Part.VALIDATION, all_films, films)))
    shown = [feeds for feeds, _ in placed(assessor, some_of(Part.TRAINING, all_films, calibration))]
    graphs = {
        "float32": bundle.onnx,
        "dynamic int8": dynamic(bundle.onnx),
        "static int8": static(bundle.onnx, shown),
    }
    runtimes = {name: Runtime(graph) for name, graph in graphs.items()}
    pixels, male = (np.repeat(validation[0][0][name], BATCH, axis=0) for name in ("radiograph", "male"))
    ways = {name: partial(one.run, pixels, male) for name, one in runtimes.items()}
    taken = in_turns(ways, TIMES)
    said = {name: readings(one, validation) for name, one in runtimes.items()}
    labels = np.array([label for _, label in validation])
    for name, months in said.items():
        remark = f"error {np.abs(months - labels).mean():.2f} months on {len(labels)} validation films"
        if name == "float32":
            yield Row(f"carried network, {name}", BATCH / taken[name], "films a second", remark=remark)
            continue
        shifts = np.abs(months - labels) - np.abs(said["float32"] - labels)
        moved = np.abs(months - said["float32"]).mean()
        doubt = 1.96 * shifts.std() / np.sqrt(len(shifts))
        may = "may" if abs(shifts.mean()) + doubt <= MOST_SHIFT_MONTHS else "may not"
        yield Row(
            f"carried network, {name}",
            BATCH / taken[name],
            "films a second",
            "float32",
            taken["float32"] / taken[name],
            remark=f"{remark}, {shifts.mean():+.2f} ± {doubt:.2f}, moved by {moved:.2f}: {may} be carried",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--films", type=int, default=800, help="validation films")
    parser.add_argument("--calibration", type=int, default=16, help="training films that set the ranges")
    given = parser.parse_args()
    data = films_folder("the carried model's films")
    if data is None:
        return
    keep("eight_bits", "int8 and the error", rows(data, given.films, given.calibration), machine())


if __name__ == "__main__":
    main()
