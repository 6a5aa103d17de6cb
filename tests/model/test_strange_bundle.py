"""A bundle whose numbers are out of range, or whose network reads other files, is refused with a sentence."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bonexage.errors import BonexageError, BundleError
from bonexage.model import graph_file
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.model.calibration import fit_calibration
from bonexage.model.heaping import fit_heaping
from bonexage.model.runtime import open_session
from bonexage.model.spread import Disagreement, fit_spread
from films import radiograph
from models import held_out, small_bundle, small_network


def _edit(folder: Path, **changes: Any) -> None:
    file = folder / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"default_views": 0}, "default_views"),
        ({"default_views": 65}, "default_views"),
        ({"default_views": 2}, "default_views above 1 are of a model that finds the hand"),
        ({"views": 0}, "views"),
        ({"views": -1}, "views"),
        ({"views": 65}, "views"),
        ({"views": 1.0}, "views"),
        ({"views": True}, "views"),
        ({"outputs": []}, "outputs"),
        ({"outputs": ["embedding"]}, "outputs"),
        ({"outputs": ["months", "months"]}, "outputs"),
        ({"outputs": ["months", "name"]}, "outputs"),
        ({"max_months": 0}, "max_months"),
        ({"max_months": -240.0}, "max_months"),
        ({"max_months": 241}, "max_months"),
        ({"max_months": 10**30}, "max_months"),
        ({"max_months": True}, "max_months"),
        ({"onnx_difference_months": -0.1}, "onnx_difference_months"),
        ({"data": {"ages_months": [228, 1]}}, "ages_months"),
        ({"data": {"ages_months": [-1, 228]}}, "ages_months"),
        ({"data": {"ages_months": [1, 2280]}}, "ages_months"),
        *(
            ({"preprocessing": {"height": 64, "width": 64} | change}, why)
            for change, why in (
                ({"height": 31}, "too small"),
                ({"width": 4097}, "too large"),
                ({"width": 10**30}, "too large"),
                ({"height": 64.0}, "whole pixels"),
                ({"height": True}, "whole pixels"),
                ({"height": "64"}, "whole pixels"),
                ({"height": None}, "whole pixels"),
                ({"mean": []}, "mean and std"),
                ({"mean": [0.5, 0.5], "std": [0.5, 0.5]}, "mean and std"),
                ({"std": [-0.5]}, "mean and std"),
            )
        ),
    ],
)
def test_a_number_of_the_description_that_is_out_of_range_is_named(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    small_bundle(tmp_path / "a")
    _edit(tmp_path / "a", **changes)
    with pytest.raises(BundleError, match=rf"a: its description cannot be read: .*{why}"):
        load_bundle(tmp_path / "a")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000])
@pytest.mark.parametrize("key", ["max_months", "onnx_difference_months", "views", "recipe"])
def test_what_is_no_number_is_refused_wherever_it_stands(tmp_path: Path, key: str, text: str) -> None:
    small_bundle(tmp_path / "a")
    _edit(tmp_path / "a", **{key: {"rate": "HERE"} if key == "recipe" else "HERE"})
    file = tmp_path / "a" / "bundle.json"
    file.write_text(file.read_text().replace('"HERE"', text))
    with pytest.raises(BundleError, match=r"its description cannot be read: .*no number"):
        load_bundle(tmp_path / "a")


def _places(value: object, *way: str | int) -> Iterator[tuple[str | int, ...]]:
    """The way to each number in what JSON holds."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, *way, key)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _places(inner, *way, at)
    elif isinstance(value, (int, float)):
        yield way


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose calibration has all there can be."""
    rng = np.random.default_rng(0)
    labels = np.clip(np.round(rng.uniform(0, 228, 600) / 6) * 6, 0, 228)
    readings = np.clip(labels + rng.normal(0, 9, 600), 0, 240)
    films = held_out(readings.tolist(), labels.tolist(), ["F", "M"] * 300, rng.uniform(0, 9, 600).tolist())
    heaping = fit_heaping((film.sex, film.label_months) for film in films)
    spread = replace(fit_spread(films), disagreement=Disagreement(1.0, 0.5, 0.2))
    calibration = fit_calibration(films, spread=spread, heaping=heaping)
    out = tmp_path_factory.mktemp("calibrated") / "a"
    small_bundle(out, calibration=calibration)
    return out


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_place_of_a_number_the_bundle_is_refused_or_answers(
    calibrated: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    out = tmp_path_factory.mktemp("changed") / "a"
    shutil.copytree(calibrated, out)
    file = out / "bundle.json"
    stored = json.loads(file.read_text())
    calibration = stored["calibration"]
    for part in (stored, calibration["spread"], calibration["cells"][0], calibration["heaping"]):
        way = data.draw(st.sampled_from([*_places(part)]))
        strange = st.sampled_from([0, -1, 1e-300, 1e300, -1e300, 10**20, 239.9, True, None, "7", [], {}])
        if data.draw(st.booleans()):
            place = part
            for key in way[:-1]:
                place = place[key]
            place[way[-1]] = data.draw(strange)
    file.write_text(json.dumps(stored))
    try:
        assessor = Assessor(load_bundle(out), threads=1)
        for sex in ("F", "M"):
            assert assessor.assess(radiograph(), sex).interval
    except BonexageError:
        pass
    finally:
        shutil.rmtree(out)


def _outside(graph: bytes, how: str) -> bytes:
    """The graph with one of its tensors outside of it."""
    model = onnx.load_model_from_string(graph)
    tensor = model.graph.initializer[0]
    if how == "attribute":
        node = model.graph.node.add(op_type="Constant", output=["constant"])
        tensor = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t
        tensor.data_type, tensor.dims[:] = onnx.TensorProto.FLOAT, [1, 1]
    if how == "branch":
        attribute = model.graph.node.add(op_type="If", output=["either"]).attribute.add(name="then_branch")
        tensor = attribute.g.initializer.add(name="inner", data_type=onnx.TensorProto.FLOAT)
    if how == "function":
        node = model.functions.add(name="f", domain="d").node.add(op_type="Constant", output=["c"])
        tensor = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    if how == "no location":
        del tensor.external_data[:]
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("how", ["initializer", "attribute", "branch", "function", "no location"])
@pytest.mark.parametrize("part", ["onnx", "locator"])
def test_a_network_that_refers_to_other_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, how: str
) -> None:
    """What lies below the working folder would be read, and no hash covers it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(np.float32(60).tobytes())
    graph = _outside(small_network(), how)
    with pytest.raises(BundleError, match="outside the bundle"):
        small_bundle(tmp_path / "a", **{part: graph})
    assert not (tmp_path / "a").exists()
    small_bundle(tmp_path / "a", locator=b"locator")
    name = {"onnx": "model.onnx", "locator": "locator.onnx"}[part]
    (tmp_path / "a" / name).write_bytes(graph)
    stored = json.loads((tmp_path / "a" / "bundle.json").read_text())
    _edit(tmp_path / "a", sha256=stored["sha256"] | {name: hashlib.sha256(graph).hexdigest()})
    with pytest.raises(BundleError, match="a: its network refers to files outside the bundle"):
        load_bundle(tmp_path / "a")
    with pytest.raises(BundleError, match="outside the bundle"):
        open_session(graph, 1)


def test_the_walk_of_a_graph_knows_every_place_where_a_tensor_may_be() -> None:
    """Held against the definition that the `onnx` package carries."""
    kinds: dict[str, Any] = {}

    def gather(kind: Any) -> None:
        if kind.name not in kinds:
            kinds[kind.name] = {}
            inner = {field.number: field.message_type for field in kind.fields if field.message_type}
            kinds[kind.name] = {number: each.name for number, each in inner.items()}
            for each in inner.values():
                gather(each)

    def leads(name: str, above: tuple[str, ...] = ()) -> bool:
        inner = (each for each in kinds[name].values() if each not in above)
        return name == "TensorProto" or any(leads(each, (*above, name)) for each in inner)

    gather(onnx.ModelProto.DESCRIPTOR)
    assert {
        name: {number: each for number, each in inner.items() if leads(each)}
        for name, inner in kinds.items()
        if leads(name)
    } == graph_file.FIELDS
    numbers = {field.name: field.number for field in onnx.TensorProto.DESCRIPTOR.fields}
    assert numbers["external_data"] == graph_file.EXTERNAL_DATA
    assert numbers["data_location"] == graph_file.DATA_LOCATION


@given(st.binary(max_size=60))
def test_bytes_that_are_no_graph_are_no_graph_and_nothing_else(content: bytes) -> None:
    with suppress(ValueError, BundleError):
        graph_file.refuse_external_data(content)


@pytest.mark.parametrize(
    "claimed", [("months", "embedding"), ("months", "activation_map"), ("months", "views")]
)
def test_a_description_that_names_more_than_the_network_gives_is_refused(
    tmp_path: Path, claimed: tuple[str, ...]
) -> None:
    bundle = small_bundle(tmp_path / "a", onnx=small_network(outputs=("months",)), outputs=claimed)
    with pytest.raises(BundleError, match=f"gives no {claimed[1]}, which its description names"):
        Assessor(bundle, threads=1)
