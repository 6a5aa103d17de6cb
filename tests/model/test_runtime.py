"""The network runs with what a bundle's graph may give, and says so where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from bonexage.errors import BundleError
from bonexage.model.runtime import Runtime
from models import small_network


def _films(n: int, height: int = 64, width: int = 96) -> np.ndarray:
    return np.random.default_rng(n).normal(size=(n, 1, height, width)).astype(np.float32)


def _male(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def test_a_batch_gives_months_embedding_activation_map_and_views() -> None:
    pixels = _films(3)
    outputs = Runtime(small_network(), threads=1).run(pixels, _male(0, 1, 0))
    means = pixels.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(outputs.months, 100 + 60 * means + np.array([0, 12, 0]), rtol=1e-4)
    together = outputs.over_views(3)
    np.testing.assert_allclose(together.months, [outputs.months.mean()])
    assert together.views is not None
    np.testing.assert_array_equal(together.views, [outputs.months])
    assert together.disagreement_months == [pytest.approx(float(np.ptp(outputs.months)))]
    assert outputs.embedding is not None
    assert outputs.activation_map is not None
    assert outputs.embedding.shape == (3, 2)
    assert outputs.activation_map.shape == (3, 2, 3)
    assert outputs.views is not None
    np.testing.assert_array_equal(outputs.views[:, 0], outputs.months)


def test_a_batch_of_one_stays_a_batch() -> None:
    assert Runtime(small_network(), threads=1).run(_films(1), _male(1)).months.shape == (1,)


def test_a_graph_of_months_alone_is_enough() -> None:
    outputs = Runtime(small_network(outputs=("months",)), threads=1).run(_films(2), _male(0, 1))
    assert (outputs.embedding, outputs.activation_map, outputs.views) == (None, None, None)


def test_films_in_one_batch_do_not_touch_each_other() -> None:
    runtime, pixels = Runtime(small_network(), threads=1), _films(5)
    together = runtime.run(pixels, _male(0, 1, 0, 1, 0)).months
    alone = [runtime.run(pixels[i : i + 1], _male(i % 2)).months[0] for i in range(5)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_many_threads_get_their_own_answers() -> None:
    runtime = Runtime(small_network(), threads=1)
    batches = [_films(n) for n in range(1, 25)]
    expected = [runtime.run(batch, _male(*[0] * len(batch))).months for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda b: runtime.run(b, _male(*[0] * len(b))).months, batches * 4))
    for answer, wanted in zip(answers, expected * 4, strict=True):
        np.testing.assert_array_equal(answer, wanted)


def test_the_input_size_is_told_where_the_graph_insists_on_one() -> None:
    assert Runtime(small_network(), threads=1).input_size is None
    assert Runtime(small_network(size=(64, 96)), threads=1).input_size == (64, 96)


def test_a_film_of_another_size_than_the_graph_insists_on_is_a_sentence() -> None:
    with pytest.raises(BundleError, match="32 x 96 pixels"):
        Runtime(small_network(size=(64, 96)), threads=1).run(_films(1, 32), _male(0))


def test_what_is_no_network_is_a_sentence() -> None:
    with pytest.raises(BundleError, match="ONNX Runtime cannot load"):
        Runtime(b"no network", threads=1)


def test_a_network_without_months_is_a_sentence() -> None:
    with pytest.raises(BundleError, match="not 'radiograph' and 'male' for 'months'"):
        Runtime(small_network(outputs=("embedding",)), threads=1)


def test_an_answer_that_is_no_number_is_a_sentence() -> None:
    with pytest.raises(BundleError, match="no number"):
        Runtime(small_network(offset=float("nan")), threads=1).run(_films(1), _male(0))


@pytest.mark.parametrize(("name", "taken_for"), [("months", "embedding"), ("embedding", "months")])
def test_an_answer_of_another_shape_is_a_sentence(name: str, taken_for: str) -> None:
    model = onnx.load_model_from_string(small_network(outputs=("months", "embedding")))
    swapped = {name: taken_for, taken_for: name}
    for node in model.graph.node:
        node.output[:] = [swapped.get(each, each) for each in node.output]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    with pytest.raises(BundleError, match=r"gives (months|embedding) of the shape"):
        Runtime(model.SerializeToString(), threads=1).run(_films(3), _male(0, 1, 0))


def test_onnx_runtime_writes_and_reports_nothing_of_its_own(tmp_path: Path) -> None:
    network, home = tmp_path / "small.onnx", tmp_path / "home"
    network.write_bytes(small_network())
    home.mkdir()
    code = "import pathlib, sys; from bonexage.model.runtime import Runtime; "
    code += "Runtime(pathlib.Path(sys.argv[1]).read_bytes())"
    told = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", code, network],
        env={**told, "HOME": str(home), "TMPDIR": str(home)},
        check=True,
    )
    assert list(home.rglob("*")) == []
