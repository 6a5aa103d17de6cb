"""Films that are there twice: copies are found, different films are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonexage.evaluation.duplicates import (
    ALIKE,
    SAME,
    correlations,
    exact_duplicates,
    local_contrast,
    near_duplicates,
    shrink,
    unit_rows,
)
from posed import COPIES, POSES, posed_hand

HANDS = [posed_hand(seed) for seed in range(POSES)]
SMALL = [shrink(hand) for hand in HANDS]


def test_different_films_are_not_alike() -> None:
    assert near_duplicates(SMALL) == ()


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_of_each_film_is_found_and_nothing_else(how: str) -> None:
    copies = [shrink(COPIES[how](hand)) for hand in HANDS]
    found = near_duplicates(SMALL + copies)
    assert {(pair.first, pair.second) for pair in found} == {(at, at + POSES) for at in range(POSES)}
    assert all(ALIKE <= pair.correlation <= 1.001 for pair in found)
    assert [pair.correlation for pair in found] == sorted((p.correlation for p in found), reverse=True)


def test_a_film_with_nothing_on_it_is_like_no_other() -> None:
    plain = [np.full((64, 64), grey, np.uint8) for grey in (0, 0, 128)]
    assert near_duplicates(plain) == ()
    assert near_duplicates([]) == near_duplicates(SMALL[:1]) == ()


def test_two_films_are_enough() -> None:
    (pair,) = near_duplicates([SMALL[0], SMALL[0]])
    assert (pair.first, pair.second) == (0, 1)
    assert pair.correlation >= SAME


@settings(max_examples=15)
@given(st.floats(0.3, 1.0), st.floats(0.0, 0.3), st.integers(0, POSES - 1))
def test_another_window_does_not_make_another_film(gain: float, lift: float, seed: int) -> None:
    other = shrink((HANDS[seed] * np.float32(gain * (1 - lift)) + np.float32(lift)).astype(np.float32))
    assert correlations(SMALL[seed][None], other[None])[0] > SAME


def test_likeness_is_the_correlation_of_what_stands_out() -> None:
    some, other = (np.random.default_rng(seed).random((1, 20, 20)).astype(np.float32) for seed in (1, 2))
    product = unit_rows(some) @ unit_rows(other).T
    assert product[0, 0] == pytest.approx(np.corrcoef(some.ravel(), other.ravel())[0, 1], abs=1e-5)


def test_what_stands_out_is_measured_against_a_plain_mean() -> None:
    from scipy.ndimage import uniform_filter

    film = np.random.default_rng(3).random((1, 24, 24)).astype(np.float32)
    beside = film[0] - uniform_filter(film[0], 5, mode="nearest")
    expected = beside / (np.sqrt(uniform_filter(beside**2, 5, mode="nearest")) + 0.02)
    assert local_contrast(film, 5)[0] == pytest.approx(expected, abs=1e-4)


@given(st.lists(st.sampled_from("abcdef"), max_size=12))
def test_the_same_hash_is_the_same_file(hashes: list[str]) -> None:
    groups = exact_duplicates(hashes)
    for group in groups:
        assert len({hashes[place] for place in group}) == 1
        assert len(group) == hashes.count(hashes[group[0]]) > 1
    assert {hashes[group[0]] for group in groups} == {one for one in hashes if hashes.count(one) > 1}
