"""Hands that lie on their side or on their head are told from upright ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bonexage.evaluation.duplicates import Small, shrink
from bonexage.evaluation.turned import Upright, carried_upright, quarter_turns
from bonexage.reading.files import read_radiograph
from posed import POSES, posed_hand


@pytest.fixture(scope="module")
def upright() -> Upright:
    return carried_upright()


@pytest.fixture(scope="module")
def hands() -> Small:
    return np.stack([shrink(posed_hand(seed)) for seed in range(POSES)])


def _turned(films: Small, turns: int) -> Small:
    return np.ascontiguousarray(np.rot90(films, turns, axes=(1, 2)))


def test_upright_hands_are_left_alone(hands: Small, upright: Upright) -> None:
    assert quarter_turns(hands, upright).tolist() == [0] * POSES


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_nearly_every_turned_hand_is_told_with_its_turn(hands: Small, upright: Upright, turns: int) -> None:
    told = quarter_turns(_turned(hands, turns), upright)
    assert set(told.tolist()) <= {0, turns}
    assert np.count_nonzero(told == turns) >= 0.8 * POSES


def test_a_film_with_nothing_on_it_is_in_doubt(upright: Upright) -> None:
    assert quarter_turns(np.zeros((2, 64, 64), np.uint8), upright).tolist() == [0, 0]
    assert quarter_turns(np.zeros((0, 64, 64), np.uint8), upright).tolist() == []


def test_real_films_are_rarely_called_turned_and_turned_ones_are_found(
    data_folder: Path, upright: Upright
) -> None:
    films = sorted((data_folder / "rsna-299px" / "boneage-training-dataset").iterdir())[::13]
    small = np.stack([shrink(read_radiograph(film).pixels) for film in films])
    assert np.mean(quarter_turns(small, upright) > 0) < 0.01
    for turns in (1, 2, 3):
        assert np.mean(quarter_turns(_turned(small, turns), upright) == turns) > 0.85
