"""Small models made in the test: a bundle's graph in a few nodes, so that nothing here needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from bonexage.model.bundle import Bundle, Description, write_bundle
from bonexage.model.calibration import Calibration, fit_calibration
from bonexage.model.preprocess import Preprocessing
from bonexage.model.runtime import ALL_OUTPUTS
from bonexage.model.spread import HeldOut
from bonexage.subject import Sex

BOY_MONTHS = 12.0


def small_network(
    *,
    outputs: Sequence[str] = ALL_OUTPUTS,
    size: tuple[int, int] | None = None,
    slope: float = 60.0,
    offset: float = 100.0,
) -> bytes:
    """A graph whose answer can be worked out by hand.

    months = offset + slope * (mean of the normalised pixels) + 12 for a boy; the embedding is (mean, male);
    the activation map is the average of 32 x 32 pixels; the one view is the film as it is. `size` fixes
    height and width; None leaves them open.
    """
    height, width = size or ("height", "width")
    nodes = [
        helper.make_node("ReduceMean", ["radiograph", "space"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "slope"], ["rise"]),
        helper.make_node("Mul", ["male", "boy"], ["more"]),
        helper.make_node("Add", ["rise", "more"], ["risen"]),
        helper.make_node("Add", ["risen", "offset"], ["column"]),
        helper.make_node("Squeeze", ["column", "one"], ["months"]),
        helper.make_node("Concat", ["mean", "male"], ["embedding"], axis=1),
        helper.make_node("AveragePool", ["radiograph"], ["pooled"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Squeeze", ["pooled", "one"], ["activation_map"]),
        helper.make_node("Identity", ["column"], ["views"]),
    ]
    shapes: dict[str, list[Any]] = {
        "months": ["batch"],
        "embedding": ["batch", 2],
        "activation_map": ["batch", "rows", "columns"],
        "views": ["batch", 1],
    }
    numbers = {"slope": slope, "boy": BOY_MONTHS, "offset": offset}
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info("radiograph", TensorProto.FLOAT, ["batch", 1, height, width]),
            helper.make_tensor_value_info("male", TensorProto.FLOAT, ["batch", 1]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
        [
            *(numpy_helper.from_array(np.array([[v]], np.float32), name) for name, v in numbers.items()),
            numpy_helper.from_array(np.array([2, 3], np.int64), "space"),
            numpy_helper.from_array(np.array([1], np.int64), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def held_out(
    readings: Sequence[float],
    labels: Sequence[float],
    sexes: Sequence[str],
    apart: Sequence[float] | None = None,
) -> list[HeldOut]:
    """Films that a network did not learn from, each of another child."""
    return [
        HeldOut(str(i), Sex(sex), float(reading), float(label), None if apart is None else float(apart[i]))
        for i, (reading, label, sex) in enumerate(zip(readings, labels, sexes, strict=True))
    ]


def small_calibration(films: int = 400) -> Calibration:
    """A calibration whose residuals are 0, 0.025, 0.05 ... months for both sexes in every band."""
    predicted = [i % 10 * 24.0 + 12.0 for i in range(films)]
    labelled = [min(240.0, months + i * 0.025) for i, months in enumerate(predicted)]
    return fit_calibration(held_out([*predicted] * 2, [*labelled] * 2, "F" * films + "M" * films))


def small_description(**changes: Any) -> Description:
    """A description of `small_network`; keywords replace its fields."""
    given: dict[str, Any] = {
        "name": "small",
        "created": "2026-01-31",
        "preprocessing": Preprocessing(height=64, width=64),
        "backbone": "none",
        "started_from": "made by hand",
        "recipe": {"name": "small"},
        "data": {
            "folders": [{"name": "drawn", "films": 3, "fingerprint": "0" * 64}],
            "ages_months": [1.0, 228.0],
        },
        "figures": {
            "validation": {"all": {"films": 80, "mae_months": {"value": 9.5, "low": 9.0, "high": 10.0}}}
        },
        "calibration": small_calibration(),
        "onnx_difference_months": 0.001,
    }
    return Description(**{**given, **changes})


def small_bundle(
    out: Path,
    *,
    onnx: bytes | None = None,
    locator: bytes | None = None,
    hands: bytes | None = None,
    plates: bytes | None = None,
    weights: bytes | None = None,
    **changes: Any,
) -> Bundle:
    """Write a bundle of `small_network` to `out` (folder or zip); it names the outputs that its graph has."""
    if onnx is not None:
        changes = {"outputs": _outputs_of(onnx), **changes}
    return write_bundle(
        out,
        small_description(**changes),
        onnx=small_network() if onnx is None else onnx,
        card="# small\n\nMade in a test.\n",
        locator=locator,
        hands=hands,
        plates=plates,
        weights=weights,
    )


def _outputs_of(graph: bytes) -> tuple[str, ...]:
    """What a graph gives; all there may be of bytes that are no graph."""
    try:
        return tuple(each.name for each in onnx.load_model_from_string(graph).graph.output) or ALL_OUTPUTS
    except DecodeError:
        return ALL_OUTPUTS
