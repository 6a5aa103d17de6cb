"""A teacher's readings are mixed into the labels learned from; one that knows too much is refused."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bonexage.errors import BundleError, WrongUse
from bonexage.learning import distil
from bonexage.learning.cache import build_cache
from bonexage.learning.dataset import Part, TrainingFilm, gather_films
from bonexage.learning.distil import READINGS, Lesson, check_teacher, taught
from bonexage.learning.recipe import Distil, Parts, recipe_from_table, recipe_to_table
from bonexage.learning.train import train
from bonexage.model.bundle import Bundle
from bonexage.model.preprocess import Preprocessing, normalise
from bonexage.subject import Sex
from learning.folders import data_folder_with, recorded
from learning.test_train import TINY
from models import BOY_MONTHS, small_bundle

PARTS = TINY.parts
SIZE = Preprocessing(height=64, width=64)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_folder_with(tmp_path_factory.mktemp("data") / "drawn", 40)


@pytest.fixture
def lesson(data: Path, tmp_path: Path) -> Lesson:
    films, _ = gather_films([data], PARTS)
    cache = build_cache([film.film.path for film in films], SIZE, data.parent / "cache")
    return Lesson(films, cache.hashes, tmp_path / "run", data.parent / "cache")


def teacher(lesson: Lesson, out: Path, parts: Parts = PARTS, **changes: Any) -> Bundle:
    """A bundle that says it was trained on the lesson's films in these parts."""
    data = recorded(lesson.films[0].folder, parts)
    table = recipe_to_table(replace(TINY, parts=parts))
    return small_bundle(out, recipe=table, **{"data": data, **changes})


def by_hand(film: TrainingFilm, lesson: Lesson) -> float:
    """What the small network says of a film: 100 + 60 times its mean, and 12 for a boy."""
    cache = build_cache([film.film.path], SIZE, lesson.cache_folder)
    shown = normalise(cache.pixels[[cache.row_of[film.film.path]]], SIZE)
    return 100.0 + 60.0 * float(shown.mean()) + BOY_MONTHS * (film.film.sex is Sex.MALE)


def test_labels_to_learn_from_move_towards_the_teacher_and_others_stay(
    lesson: Lesson, tmp_path: Path
) -> None:
    teacher(lesson, tmp_path / "teacher")
    said: list[str] = []
    films = taught(Distil(str(tmp_path / "teacher"), 0.25), lesson, said.append)
    assert [film.film.id for film in films] == [film.film.id for film in lesson.films]
    moved = 0
    for before, after in zip(lesson.films, films, strict=True):
        if before.part is not Part.TRAINING:
            assert after == before
            continue
        expected = 0.75 * before.film.bone_age_months + 0.25 * by_hand(before, lesson)
        assert after.film.bone_age_months == pytest.approx(expected, abs=1e-3)
        moved += after.film.bone_age_months != before.film.bone_age_months
    assert moved > 20
    assert "Taught by small@" in said[0]


def test_a_run_learns_from_the_mixture_and_is_chosen_by_the_labels(
    lesson: Lesson, data: Path, tmp_path: Path
) -> None:
    teacher(lesson, tmp_path / "teacher")
    recipe = replace(TINY, stages=TINY.stages[:1], distil=Distil(str(tmp_path / "teacher"), 1.0))
    run = train(recipe, [data], tmp_path / "run", cache_folder=lesson.cache_folder)
    with (run / "films.csv").open(encoding="utf-8") as file:
        kept = {row["id"]: float(row["bone_age_months"]) for row in csv.DictReader(file)}
    assert kept == {film.film.id: film.film.bone_age_months for film in lesson.films}
    with (run / READINGS).open(encoding="utf-8") as file:
        readings = [float(row["bone_age_months"]) for row in csv.DictReader(file)]
    expected = [by_hand(film, lesson) for film in lesson.films if film.part is Part.TRAINING]
    assert np.allclose(sorted(readings), sorted(expected), atol=1e-3)
    assert "Taught by small@" in (run / "log.txt").read_text(encoding="utf-8")


def test_readings_are_made_once_and_a_damaged_table_is_said(
    lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher(lesson, tmp_path / "teacher")
    how = Distil(str(tmp_path / "teacher"))
    first = taught(how, lesson, lambda line: None)
    table = lesson.out / READINGS
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join(lines[: len(lines) // 2]) + "\n", encoding="utf-8")
    read: list[int] = []
    run = distil.Runtime.run

    def counting(self: Any, pixels: Any, male: Any) -> Any:
        read.append(len(pixels))
        return run(self, pixels, male)

    monkeypatch.setattr(distil.Runtime, "run", counting)
    again = taught(how, lesson, lambda line: None)
    assert sum(read) == len(lines) - len(lines) // 2
    assert [one.film.bone_age_months for one in again] == pytest.approx(
        [one.film.bone_age_months for one in first]
    )
    assert taught(how, lesson, lambda line: None) == again
    assert sum(read) == len(lines) - len(lines) // 2
    table.write_text(lines[0] + "\n" + "a,b\n", encoding="utf-8")
    with pytest.raises(WrongUse, match="damaged"):
        taught(how, lesson, lambda line: None)


def test_another_teacher_than_the_runs_is_refused(lesson: Lesson, tmp_path: Path) -> None:
    for name in ("first", "second"):
        teacher(lesson, tmp_path / name, name=name)
    taught(Distil(str(tmp_path / "first")), lesson, lambda line: None)
    with pytest.raises(WrongUse, match="was first@"):
        taught(Distil(str(tmp_path / "second")), lesson, lambda line: None)


def test_a_teacher_that_holds_out_as_much_or_more_may_teach(lesson: Lesson, tmp_path: Path) -> None:
    for name, parts in {"same": PARTS, "more": replace(PARTS, calibration=0.3)}.items():
        check_teacher(teacher(lesson, tmp_path / name, parts), lesson.films, lesson.hashes)


@pytest.mark.parametrize(
    "parts",
    [replace(PARTS, seed=1), replace(PARTS, calibration=0.05), Parts(validation=0.4, calibration=0.0)],
)
def test_a_teacher_that_learned_from_or_was_chosen_by_children_held_out_here_is_refused(
    lesson: Lesson, tmp_path: Path, parts: Parts
) -> None:
    with pytest.raises(WrongUse, match="did not hold out"):
        check_teacher(teacher(lesson, tmp_path / "teacher", parts), lesson.films, lesson.hashes)


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": {}},
        {"data": {"folders": [{"name": "drawn", "films": 40}], "fingerprint": "0" * 64}},
        {"data": {"folders": [{"name": "elsewhere", "films": 40}], "fingerprint": "0" * 64}},
    ],
)
def test_a_teacher_of_which_it_cannot_be_told_is_refused(
    lesson: Lesson, tmp_path: Path, changes: dict[str, Any]
) -> None:
    bundle = teacher(lesson, tmp_path / "teacher")
    told = replace(bundle, description=replace(bundle.description, **changes))
    with pytest.raises(WrongUse, match="cannot be told"):
        check_teacher(told, lesson.films, lesson.hashes)


def ensemble(lesson: Lesson, out: Path, parts: Sequence[Parts]) -> Bundle:
    """An ensemble of networks trained in these parts, as exported: the first's recipe, all fingerprints."""
    alone = [teacher(lesson, out / str(number), each) for number, each in enumerate(parts)]
    first = alone[0].description
    members = tuple(
        {
            "run": str(number),
            "weights_sha256": "0" * 64,
            "started_from": "chance",
            "fingerprint": each.description.data["fingerprint"],
            "recipe_changes": {},
        }
        for number, each in enumerate(alone)
    )
    told = {key: value for key, value in first.data.items() if key != "fingerprint"}
    return replace(alone[0], description=replace(first, data=told, members=members))


def test_an_ensemble_may_teach_if_all_its_members_held_the_same_children_out(
    lesson: Lesson, tmp_path: Path
) -> None:
    check_teacher(ensemble(lesson, tmp_path, [PARTS, PARTS]), lesson.films, lesson.hashes)


def test_an_ensemble_of_folds_is_refused_for_it_has_learned_from_every_child(
    lesson: Lesson, tmp_path: Path
) -> None:
    folds = [replace(PARTS, folds=2, fold=fold) for fold in (1, 2)]
    films, _ = gather_films([lesson.films[0].folder], folds[0])
    within_first = replace(lesson, films=films)
    check_teacher(teacher(lesson, tmp_path / "alone", folds[0]), films, lesson.hashes)
    with pytest.raises(WrongUse, match="cannot be told"):
        check_teacher(ensemble(within_first, tmp_path / "both", folds), films, lesson.hashes)


def test_films_that_changed_since_make_a_teacher_unknown(lesson: Lesson, tmp_path: Path) -> None:
    bundle = teacher(lesson, tmp_path / "teacher")
    path = lesson.films[0].film.path
    with pytest.raises(WrongUse, match="cannot be told"):
        check_teacher(bundle, lesson.films, {**lesson.hashes, path: "0" * 64})


def test_no_teacher_and_a_share_that_is_none_are_said(lesson: Lesson, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        taught(Distil(str(tmp_path / "nothing")), lesson, lambda line: None)
    with pytest.raises(WrongUse, match="share"):
        recipe_from_table({"name": "x", "distil": {"teacher": "t", "weight": 1.5}}, source="r.toml")
