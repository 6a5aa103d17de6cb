"""Squeezed films are known by their sizes, and are stretched back without losing what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bonexage.learning import locator
from bonexage.learning.aspect import ASPECT, are_squeezed, read_restored, restored, sizes_of
from bonexage.learning.dataset import gather_films
from bonexage.learning.recipe import Parts
from films import write_film
from hands import drawn_hand
from learning.folders import data_folder_with


def test_squares_of_one_size_are_squeezed_films_and_nothing_else_is(tmp_path: Path) -> None:
    squares = [write_film(tmp_path / f"{n}.png", n, 96, 96) for n in range(3)]
    assert are_squeezed(sizes_of(squares))
    assert not are_squeezed(sizes_of([*squares, write_film(tmp_path / "other.png", 4, 80, 80)]))
    assert not are_squeezed(sizes_of([write_film(tmp_path / "tall.png", 5, 96, 80)]))


def test_a_film_of_the_mean_aspect_comes_back_from_its_square(tmp_path: Path) -> None:
    whole = drawn_hand(320, round(320 * ASPECT), 3).astype(np.float32)
    square = Image.fromarray(whole).resize((320, 320), Image.Resampling.BILINEAR)
    back = restored(np.asarray(square, dtype=np.float32), 320)
    assert back.shape == whole.shape
    assert float(np.abs(back - whole).mean()) < 0.01
    Image.fromarray(np.rint(np.asarray(square) * 255).astype(np.uint8)).save(tmp_path / "square.png")
    read = read_restored(tmp_path / "square.png", squeezed=True)
    assert read.shape[1] / read.shape[0] == pytest.approx(ASPECT, abs=0.02)
    assert read_restored(tmp_path / "square.png", squeezed=False).shape[0] >= read.shape[0]


def test_a_locator_learns_from_all_ages_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locator, "MOST_IN_BAND", 2)
    films, _ = gather_films([data_folder_with(tmp_path / "drawn", 40)], Parts())
    chosen = locator._spread_over_ages(films)
    counts: dict[tuple[str, int], int] = {}
    every: dict[tuple[str, int], int] = {}
    for group, table in ((chosen, counts), (films, every)):
        for film in group:
            key = (film.film.sex.value, int(film.film.bone_age_months // 24))
            table[key] = table.get(key, 0) + 1
    assert counts == {key: min(2, number) for key, number in every.items()}
    assert max(every.values()) > 2
    assert chosen == locator._spread_over_ages(films[::-1])
