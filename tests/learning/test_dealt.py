"""Who was held out is told from a bundle and its films, or it is said that it cannot be told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bonexage.errors import UnusableData
from bonexage.learning.dataset import Part, gather_films
from bonexage.learning.dealt import films_of_bundle, held_out_films
from bonexage.learning.recipe import recipe_to_table
from bonexage.model.bundle import Bundle
from learning.folders import data_folder_with, recorded
from learning.test_train import TINY
from models import small_bundle

PARTS = replace(TINY.parts, validation=0.2, calibration=0.2)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return data_folder_with(tmp_path / "data" / "drawn", 40).parent


@pytest.fixture
def bundle(data: Path, tmp_path: Path) -> Bundle:
    table = recipe_to_table(replace(TINY, parts=PARTS))
    return small_bundle(tmp_path / "bundle", recipe=table, data=recorded(data / "drawn", PARTS))


def test_films_are_in_the_parts_of_the_training(bundle: Bundle, data: Path) -> None:
    films, _ = gather_films([data / "drawn"], PARTS)
    assert films_of_bundle(bundle, data) == films
    assert {film.part for film in held_out_films(bundle, data)} == {Part.VALIDATION, Part.CALIBRATION}


def test_one_film_less_deals_others_out_and_is_refused(bundle: Bundle, data: Path) -> None:
    labels = data / "drawn" / "boneage-training-dataset.csv"
    header, gone, *rows = labels.read_text(encoding="utf-8").splitlines()
    labels.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    with pytest.raises(UnusableData, match="learned from"):
        films_of_bundle(bundle, data)
    labels.write_text("\n".join([header, gone, *rows]) + "\n", encoding="utf-8")
    assert len(films_of_bundle(bundle, data)) == len(rows) + 1


def test_a_bundle_that_records_no_parts_is_refused(bundle: Bundle, data: Path) -> None:
    imported = replace(bundle, description=replace(bundle.description, recipe={}))
    with pytest.raises(UnusableData, match="learned from"):
        held_out_films(imported, data)
