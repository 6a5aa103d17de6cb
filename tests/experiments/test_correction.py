"""A correction undoes a pull to the middle that was planted, and is not taken where it harms a band."""

from __future__ import annotations

import numpy as np
import pytest
from correction import Readings, compare, corrected, knots, section
from hypothesis import given
from hypothesis import strategies as st


def readings(pull: float, *, noise: float = 0.0, seed: int = 0, films: int = 2000) -> Readings:
    """Films of all ages, read nearer to 120 months than they are by a share of the way."""
    draw = np.random.default_rng(seed)
    labelled = draw.uniform(12, 228, films)
    read = 120 + (labelled - 120) * (1 - pull) + draw.normal(0, 1, films) * noise
    return Readings(draw.random(films) < 0.5, np.clip(read, 0, 240), labelled)


@given(st.floats(0.0, 0.4), st.integers(0, 100))
def test_a_pull_to_the_middle_is_undone(pull: float, seed: int) -> None:
    films = readings(pull, seed=seed)
    inside = (films.labelled_months > 40) & (films.labelled_months < 200)  # between the outermost knots
    months = corrected(films, films, 1.0)
    assert np.abs(months - films.labelled_months)[inside].max() < 3


@given(st.floats(0.0, 20.0), st.integers(0, 100))
def test_the_correction_is_monotonic(noise: float, seed: int) -> None:
    read, labelled = knots(readings(0.2, noise=noise, seed=seed, films=400))
    assert (np.diff(read) > 0).all()
    assert (np.diff(labelled) > 0).all()


def test_a_share_of_nothing_changes_nothing() -> None:
    films = readings(0.3, noise=5.0)
    assert corrected(films, films, 0.0) == pytest.approx(films.read_months)


def test_it_is_taken_where_it_lowers_every_error_and_not_where_it_raises_one() -> None:
    measured = compare(readings(0.3, seed=1), readings(0.3, seed=2))
    assert measured["taken"]
    assert measured["shares"]["1.0"]["mae_months"]["value"] < measured["without"]["value"]
    harmed = compare(readings(0.3, seed=1), readings(0.0, seed=2))
    assert not harmed["taken"]
    assert "without a correction" in section({"model": "m"} | harmed)
