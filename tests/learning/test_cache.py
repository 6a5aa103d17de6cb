"""Films are placed once, by content, whatever stops the build."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bonexage.errors import UnusableData
from bonexage.learning.cache import CHUNK, Cache, build_cache, cache_key
from bonexage.model.preprocess import Preprocessing, place
from bonexage.reading.files import read_radiograph
from films import write_film

HOW = Preprocessing(height=64, width=32)


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    return [write_film(tmp_path / f"{number}.png", number, 40, 32) for number in range(5)]


def build(films: list[Path], folder: Path) -> tuple[Cache, int]:
    """The cache, and how many films were decoded for it."""
    decoded = [0]
    cache = build_cache(films, HOW, folder, progress=lambda done, total: decoded.__setitem__(0, done))
    return cache, decoded[0]


def test_a_cached_film_is_what_prediction_sees(films: list[Path], tmp_path: Path) -> None:
    cache, decoded = build(films, tmp_path / "cache")
    assert decoded == 5
    for film in films:
        assert np.array_equal(cache.pixels[cache.row_of[film]], place(read_radiograph(film).pixels, HOW))


def test_only_what_changed_is_read_again(films: list[Path], tmp_path: Path) -> None:
    build(films, tmp_path / "cache")
    assert build(films, tmp_path / "cache")[1] == 0
    write_film(films[2], 99, 40, 32)
    cache, decoded = build(films, tmp_path / "cache")
    assert decoded == 1
    assert np.array_equal(cache.pixels[cache.row_of[films[2]]], place(read_radiograph(films[2]).pixels, HOW))


def test_two_builds_at_a_time_take_turns(films: list[Path], tmp_path: Path) -> None:
    folder, other = tmp_path / "cache", [write_film(tmp_path / f"b{n}.png", 50 + n, 40, 32) for n in range(5)]
    second: list[Future[Cache]] = []
    with ThreadPoolExecutor(1) as beside:

        def start_another(done: int, total: int) -> None:
            second.append(beside.submit(build_cache, other, HOW, folder))
            time.sleep(0.5)
            assert not second[0].done()

        first = build_cache(films, HOW, folder, progress=start_another)
    for cache, asked in ((first, films), (second[0].result(), other)):
        for film in asked:
            assert np.array_equal(cache.pixels[cache.row_of[film]], place(read_radiograph(film).pixels, HOW))


def test_a_renamed_film_and_a_copy_are_known(films: list[Path], tmp_path: Path) -> None:
    build(films, tmp_path / "cache")
    moved = films[0].rename(tmp_path / "moved.png")
    copy = Path(shutil.copy(films[1], tmp_path / "copy.png"))
    cache, decoded = build([moved, copy, *films[1:]], tmp_path / "cache")
    assert decoded == 0
    assert cache.row_of[copy] == cache.row_of[films[1]]


def test_a_build_that_was_stopped_goes_on(films: list[Path], tmp_path: Path) -> None:
    build(films[:3], tmp_path / "cache")
    index = tmp_path / "cache" / cache_key(HOW) / "index.csv"
    text = index.read_text(encoding="ascii")
    index.write_text(text[: text.rindex(",")], encoding="ascii")  # the last line is torn
    cache, decoded = build(films, tmp_path / "cache")
    assert decoded == 3
    for film in films:
        assert np.array_equal(cache.pixels[cache.row_of[film]], place(read_radiograph(film).pixels, HOW))


def test_other_preprocessing_has_its_own_cache() -> None:
    assert cache_key(HOW) != cache_key(Preprocessing(height=32, width=64))


def test_every_unreadable_film_is_named(films: list[Path], tmp_path: Path) -> None:
    films[1].write_bytes(b"not a film")
    films[3].unlink()
    with pytest.raises(UnusableData) as error:
        build_cache(films, HOW, tmp_path / "cache")
    assert str(films[1]) in str(error.value)
    assert str(films[3]) in str(error.value)
    cache = build_cache(films, HOW, tmp_path / "cache", skip_unreadable=True)
    assert set(cache.row_of) == {films[0], films[2], films[4]}
    assert len(cache.unreadable) == 2


def test_many_films_are_placed_by_several_processes(tmp_path: Path) -> None:
    films = [write_film(tmp_path / f"{number}.png", number, 40, 32) for number in range(CHUNK + 3)]
    films[7].write_bytes(b"not a film")
    cache = build_cache(films, HOW, tmp_path / "cache", skip_unreadable=True)
    assert len(cache.row_of) == CHUNK + 2
    for film in (films[0], films[-1]):
        assert np.array_equal(cache.pixels[cache.row_of[film]], place(read_radiograph(film).pixels, HOW))


def test_another_locator_has_its_own_cache() -> None:
    keys = {cache_key(Preprocessing("hand"), locator) for locator in (None, b"one", b"other")}
    assert len(keys) == 3
