"""The precision of readings is what the formula says, and its pictures show the same hand elsewhere."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import precision as benchmark
from films import radiograph
from precision import VIEWS, mirrored, moved, precision


@given(deviation=st.floats(0.5, 8.0), views=st.sampled_from(VIEWS))
def test_the_precision_of_independent_readings_is_their_own_deviation(deviation: float, views: int) -> None:
    # Two readings with errors of standard deviation s differ with s * sqrt(2), whatever their mean.
    rng = np.random.default_rng(0)
    children = rng.uniform(24, 200, 4000)
    first, second = children + rng.normal(0, deviation, (2, 4000))
    both = [(np.full(8, a), np.full(8, b + 3.0)) for a, b in zip(first, second, strict=True)]
    found = precision(both, views)
    assert found["low"] < deviation < found["high"]
    assert found["value"] == pytest.approx(deviation, rel=0.05)


def test_more_views_of_independent_errors_repeat_better() -> None:
    rng = np.random.default_rng(1)
    both = [(rng.normal(0, 4, 8), rng.normal(0, 4, 8)) for _ in range(2000)]
    one, four = (precision(both, views)["value"] for views in (1, 4))
    assert four == pytest.approx(one / 2, rel=0.1)


def test_the_changed_pictures_hold_the_whole_hand() -> None:
    film = radiograph()
    assert np.array_equal(mirrored(mirrored(film)).pixels, film.pixels)
    other = moved(film)
    assert min(np.array(other.pixels.shape) - np.array(film.pixels.shape)) > 0
    assert other.pixels.sum() == pytest.approx(film.pixels.sum(), rel=0.05)


def test_a_refused_film_has_no_part_in_precision_or_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def film(name: str) -> SimpleNamespace:
        return SimpleNamespace(film=SimpleNamespace(path=Path(name), sex="F"))

    both = [(film("read"), film("read")), (film("refused"), film("read"))]
    monkeypatch.setattr(benchmark, "pairs", iter)
    monkeypatch.setattr(benchmark, "read_radiograph", lambda path: path.name)
    monkeypatch.setattr(benchmark, "CHANGES", {})
    reader = SimpleNamespace(months=lambda name, sex: None if name == "refused" else np.ones(2))
    found, read = benchmark.repeated(reader, both)  # type: ignore[arg-type]
    assert read == [Path("read")]
    assert [len(each) for each in found.values()] == [1]
