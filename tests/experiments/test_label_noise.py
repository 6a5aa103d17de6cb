"""What is said of the labels' noise is what labels of a known noise would give."""

from __future__ import annotations

import json
import math
from pathlib import Path

import label_noise
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_noise import PLATES, Cell, Label, cell, heaps, reader_noise, rounding, section, twice
from PIL import Image

from bonexage.reading.folder import LabelledFilm
from bonexage.subject import Sex

ROOT = Path(__file__).parents[2]
YEARS = tuple(range(0, 241, 12))


def rounded_to_years(children: int = 4000) -> tuple[np.ndarray, list[Label]]:
    """True ages, and their labels rounded to whole years."""
    ages = np.random.default_rng(0).uniform(36, 204, children)
    labels = [Label(str(n), Sex.MALE, float(12 * round(age / 12))) for n, age in enumerate(ages)]
    return ages, labels


def test_labels_rounded_to_years_heap_there_and_cost_what_rounding_cost() -> None:
    ages, labels = rounded_to_years()
    found = heaps(label.months for label in labels)
    assert found == tuple(range(36, 205, 12))
    truly = np.abs(ages - [label.months for label in labels])
    said = rounding(labels, {Sex.MALE: found})
    assert said["mae_months"]["value"] == pytest.approx(truly.mean(), abs=0.1)
    assert said["rms_months"] == pytest.approx(math.sqrt(np.square(truly).mean()), abs=0.1)
    assert said["mae_months"]["low"] <= said["mae_months"]["value"] <= said["mae_months"]["high"]
    assert {band["median_spacing_months"] for band in said["bands"]} == {12.0}


def test_labels_spread_evenly_heap_nowhere_and_cost_a_quarter_of_a_month() -> None:
    months = np.tile(np.arange(24, 216), 20)
    assert heaps(months) == ()
    labels = [Label(str(n), Sex.FEMALE, float(age)) for n, age in enumerate(months)]
    assert rounding(labels, {Sex.FEMALE: ()})["mae_months"]["value"] == pytest.approx(0.25)


@given(st.integers(1, 19))
def test_a_cell_reaches_halfway_to_its_neighbours(place: int) -> None:
    assert cell(float(YEARS[place]), YEARS) == Cell(6.0, 6.0)


def test_the_ends_of_a_grid_and_what_is_off_it() -> None:
    grid = (24, 30, 42)
    assert cell(24.0, grid) == Cell(3.0, 3.0)
    assert cell(30.0, grid) == Cell(3.0, 6.0)
    assert cell(42.0, grid) == Cell(6.0, 6.0)
    assert cell(25.0, grid) == Cell(0.5, 0.5)
    assert cell(24.0, (24,)) == Cell(0.5, 0.5)


@given(st.floats(0.1, 20), st.floats(0.1, 20))
def test_a_cells_errors_are_those_of_ages_drawn_in_it(below: float, above: float) -> None:
    ages = np.linspace(-below, above, 20001)
    assert Cell(below, above).mean_error == pytest.approx(np.abs(ages).mean(), rel=1e-2)
    assert Cell(below, above).mean_square == pytest.approx(np.square(ages).mean(), rel=1e-2)


def test_the_noise_of_one_reader_is_found_again() -> None:
    draw = np.random.default_rng(1)
    films, model, reading = 200_000, 3.0, 6.0
    said = draw.normal(0, model, films)
    readers = draw.normal(0, reading, (films, 6))
    errors = [np.abs(said - other).mean() for other in (readers[:, 0], readers.mean(axis=1))]
    as_mae = math.sqrt(2 / math.pi)
    assert reader_noise(*errors) == pytest.approx((reading * as_mae, model * as_mae), rel=0.03)


def test_plates_rise_and_number_as_in_the_atlas() -> None:
    for sex, number in ((Sex.FEMALE, 27), (Sex.MALE, 31)):
        assert list(PLATES[sex]) == sorted(set(PLATES[sex]))
        assert len(PLATES[sex]) == number


def test_films_that_are_there_twice_are_found_with_their_labels(tmp_path: Path) -> None:
    for number, seed in enumerate((1, 2, 3, 2)):
        blots = np.random.default_rng(seed).integers(0, 255, (12, 10), dtype=np.uint8)
        Image.fromarray(blots).resize((100, 128)).save(tmp_path / f"{number}.png")
    months = (100.0, 120.0, 140.0, 126.0)
    films = [LabelledFilm(str(n), tmp_path / f"{n}.png", age, Sex.MALE) for n, age in enumerate(months)]
    found = twice(films)
    assert found["pairs"] == 1
    assert found["label_differences_months"] == [6.0]
    alone = twice(films[:3])
    assert (alone["pairs"], alone["share_at_most"]) == (0, 1.0)


def test_the_section_of_the_readme_is_that_of_what_was_worked_out() -> None:
    noise = json.loads((ROOT / "experiments" / "label-noise.json").read_text(encoding="utf-8"))
    readme = (ROOT / "experiments" / "README.md").read_text(encoding="utf-8")
    assert section(noise) in readme


def test_the_labels_of_the_data_folder_heap_where_it_is_said(data_folder: Path) -> None:
    from bonexage.reading.folder import read_split

    noise = json.loads((ROOT / "experiments" / "label-noise.json").read_text(encoding="utf-8"))
    films, _ = read_split(data_folder / label_noise.FOLDER, "training")
    for sex in PLATES:
        found = heaps(film.bone_age_months for film in films if film.sex is sex)
        assert list(found) == [heap["months"] for heap in noise["heaping"][sex.value]["heaps"]]
