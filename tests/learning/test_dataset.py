"""The parts are disjoint, stratified and the same everywhere; an epoch drops and doubles nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonexage.errors import UnusableData, WrongUse
from bonexage.learning.dataset import (
    MOST_COPIES,
    FilmSet,
    Part,
    epoch_order,
    fingerprint,
    gather_films,
    read_batches,
    split_batches,
    split_children,
)
from bonexage.learning.recipe import Parts
from bonexage.reading.folder import LabelledFilm
from bonexage.subject import Sex
from learning.folders import data_folder_with, write_labels

children = st.lists(
    st.tuples(st.integers(0, 10**6), st.floats(0, 228), st.sampled_from([Sex.FEMALE, Sex.MALE])),
    min_size=1,
    max_size=300,
    unique_by=lambda child: child[0],
)


def films_of(drawn: list[tuple[int, float, Sex]]) -> list[LabelledFilm]:
    return [LabelledFilm(str(number), Path(f"{number}.png"), months, sex) for number, months, sex in drawn]


@given(drawn=children, seed=st.integers(0, 100), shares=st.tuples(st.floats(0.05, 0.3), st.floats(0.05, 0.3)))
@settings(max_examples=40, deadline=None)
def test_parts_have_their_shares_in_every_stratum(
    drawn: list[tuple[int, float, Sex]], seed: int, shares: tuple[float, float]
) -> None:
    films = films_of(drawn)
    parts = split_children(films, Parts(*shares, seed=seed))
    assert set(parts) == {film.id for film in films}
    for key in {(film.sex, film.bone_age_months // 24) for film in films}:
        stratum = [parts[film.id] for film in films if (film.sex, film.bone_age_months // 24) == key]
        for part, share in zip((Part.VALIDATION, Part.CALIBRATION), shares, strict=True):
            # A golden-ratio walk is never further off than a few films, however long it is.
            assert abs(stratum.count(part) - share * len(stratum)) <= 3


@given(drawn=children, folds=st.integers(2, 7), seed=st.integers(0, 100), validation=st.floats(0.05, 0.3))
@settings(max_examples=40, deadline=None)
def test_every_child_is_held_out_by_one_fold_and_learned_from_or_chosen_by_in_all_others(
    drawn: list[tuple[int, float, Sex]], folds: int, seed: int, validation: float
) -> None:
    films = films_of(drawn)
    parts = [
        split_children(films, Parts(validation=validation, seed=seed, folds=folds, fold=1 + number))
        for number in range(folds)
    ]
    for film in films:
        assert [part[film.id] for part in parts].count(Part.CALIBRATION) == 1
    strata = {(film.sex, film.bone_age_months // 24) for film in films} | {None}
    for key in strata:
        own = [f.id for f in films if key is None or (f.sex, f.bone_age_months // 24) == key]
        sizes = [sum(part[name] is Part.CALIBRATION for name in own) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        for part, size in zip(parts, sizes, strict=True):
            chosen_by = sum(part[name] is Part.VALIDATION for name in own)
            assert abs(chosen_by - validation * (len(own) - size)) <= 3


def test_a_fold_that_is_none_is_refused() -> None:
    for folds, fold in ((5, 0), (5, 6), (1, 1), (0, 1), (-2, 1)):
        with pytest.raises(WrongUse, match="no fold"):
            Parts(folds=folds, fold=fold)


@given(drawn=children)
@settings(max_examples=20, deadline=None)
def test_parts_do_not_depend_on_the_order_of_the_labels(drawn: list[tuple[int, float, Sex]]) -> None:
    films = films_of(drawn)
    assert split_children(films, Parts()) == split_children(films[::-1], Parts())


def test_another_seed_draws_other_parts() -> None:
    films = films_of([(number, 100.0, Sex.MALE) for number in range(300)])
    assert split_children(films, Parts(seed=1)) != split_children(films, Parts(seed=2))


def test_the_same_child_is_in_the_same_part_in_all_folders(tmp_path: Path) -> None:
    folders = [data_folder_with(tmp_path / "a", 40), data_folder_with(tmp_path / "b", 25, deeper=True)]
    films, _ = gather_films(folders, Parts())
    assert len(films) == 65
    part_of: dict[str, set[Part]] = {}
    for film in films:
        part_of.setdefault(film.film.id, set()).add(film.part)
    assert all(len(parts) == 1 for parts in part_of.values())
    assert {part for parts in part_of.values() for part in parts} == set(Part)


def test_the_real_folders_agree_and_their_parts_are_disjoint(data_folder: Path) -> None:
    films, _ = gather_films(
        [data_folder / name for name in ("rsna-299px", "rsna-640px", "rsna-original")], Parts()
    )
    by_part = {part: {film.film.id for film in films if film.part is part} for part in Part}
    assert len(set.union(*by_part.values())) == sum(len(ids) for ids in by_part.values())
    shares = {part: len(ids) / 10_411 for part, ids in by_part.items()}
    assert shares[Part.VALIDATION] == pytest.approx(0.1, abs=0.003)
    assert shares[Part.CALIBRATION] == pytest.approx(0.1, abs=0.003)


def test_folders_that_disagree_about_a_child_are_refused(tmp_path: Path) -> None:
    first, second = data_folder_with(tmp_path / "a", 3), data_folder_with(tmp_path / "b", 3)
    write_labels(
        second / "boneage-training-dataset.csv", [(1000, 99, True), (1001, 49, False), (1002, 86, True)]
    )
    with pytest.raises(UnusableData, match="1000"):
        gather_films([first, second], Parts())


def test_the_fingerprint_knows_labels_parts_and_content(tmp_path: Path) -> None:
    films, _ = gather_films([data_folder_with(tmp_path / "a", 12)], Parts())
    hashes = {film.film.path: film.film.id for film in films}
    first = fingerprint(films, hashes)
    assert fingerprint(films[::-1], hashes) == first
    assert fingerprint(films, {**hashes, films[0].film.path: "changed"}) != first
    other, _ = gather_films([tmp_path / "a"], Parts(seed=9))
    assert fingerprint(other, hashes) != first


def film_set(folders: list[int]) -> FilmSet:
    count = len(folders)
    pixels = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), dtype=np.uint8)
    months = np.arange(count, dtype=np.float32)
    return FilmSet(pixels, np.arange(count), months, (months % 2).astype(np.float32), np.array(folders))


@given(
    folders=st.lists(st.integers(0, 2), min_size=1, max_size=60),
    seed=st.integers(0, 50),
    most=st.integers(0, 20),
)
@settings(max_examples=50, deadline=None)
def test_an_epoch_neither_drops_nor_doubles_a_film(folders: list[int], seed: int, most: int) -> None:
    order = epoch_order(film_set(folders), seed=seed, most_from_folder=most)
    assert len(set(order.tolist())) == len(order)
    taken = Counter(np.array(folders)[order].tolist())
    wanted = {folder: min(count, most or count) for folder, count in Counter(folders).items()}
    assert taken == wanted


@given(count=st.integers(1, 100), size=st.integers(2, 20))
def test_batches_hold_every_film_once_and_none_is_alone(count: int, size: int) -> None:
    batches = split_batches(np.arange(count), size)
    assert np.concatenate(batches).tolist() == list(range(count))
    assert all(len(batch) > 1 for batch in batches) or count == 1


def test_batches_are_read_in_order_with_their_labels() -> None:
    films = film_set([0] * 23)
    order = epoch_order(films, seed=3, most_from_folder=0)
    seen = list(read_batches(films, split_batches(order, 4)))
    months = np.concatenate([batch.months.numpy() for batch in seen])
    shown = np.concatenate([batch.films[:, 0, 0, 0].numpy() for batch in seen])
    male = np.concatenate([batch.male[:, 0].numpy() for batch in seen])
    assert months.tolist() == order.tolist()
    assert shown.tolist() == order.tolist()
    assert male.tolist() == (order % 2).tolist()
    assert seen[0].films.shape == (4, 1, 4, 4)


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=5), least=st.integers(0, 60))
def test_films_of_rare_ages_come_several_times_and_all_others_once(counts: list[int], least: int) -> None:
    months = np.concatenate([np.full(count, 24.0 * band + 5) for band, count in enumerate(counts)])
    total = len(months)
    films = FilmSet(
        np.zeros((total, 1, 1), dtype=np.uint8),
        np.arange(total),
        months.astype(np.float32),
        np.zeros(total, dtype=np.float32),
        np.zeros(total, dtype=np.int64),
    )
    order = epoch_order(films, seed=1, most_from_folder=0, least_in_band=least)
    times = np.bincount(order, minlength=total)
    for band, count in enumerate(counts):
        of_band = times[months // 24 == band]
        assert (of_band == of_band[0]).all()
        assert 1 <= of_band[0] <= MOST_COPIES
        assert of_band.sum() >= min(least, MOST_COPIES * count)
        assert of_band.sum() < max(least, 1) + count
