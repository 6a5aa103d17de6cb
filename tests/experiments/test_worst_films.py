"""The films read worst are found, with what can be measured of them, and nothing noted by hand is lost."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import worst_films
from held_out import kept_readings
from worst_films import (
    Seen,
    Signs,
    draw,
    guess,
    look,
    neighbours_months,
    outside,
    signs_of,
    worst,
    write_table,
)

from bonexage.errors import RefusedRadiograph, UnusableData
from bonexage.learning.dataset import Part, TrainingFilm
from bonexage.learning.dealt import held_out_films
from bonexage.learning.recipe import recipe_to_table
from bonexage.model.bundle import Bundle
from bonexage.model.frame import FRAME_WIDTH, HandFrame
from bonexage.reading.folder import LabelledFilm
from bonexage.subject import Sex
from learning.folders import data_folder_with, recorded
from learning.test_train import TINY
from models import small_bundle

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_folder_with(tmp_path_factory.mktemp("data") / "drawn", 60).parent


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Bundle:
    return small_bundle(
        tmp_path_factory.mktemp("bundle") / "small",
        recipe=recipe_to_table(TINY),
        data=recorded(data / "drawn", TINY.parts),
    )


@pytest.fixture(scope="module")
def seen(bundle: Bundle, data: Path) -> list[Seen]:
    return list(look(bundle, held_out_films(bundle, data)))


def film(child: str, months: float, sex: Sex = Sex.MALE, part: Part = Part.VALIDATION) -> TrainingFilm:
    return TrainingFilm(Path("drawn"), LabelledFilm(child, Path(f"{child}.png"), months, sex), part)


def test_only_films_that_were_not_learned_from_are_looked_at(seen: list[Seen]) -> None:
    parts = {each.film.part for each in seen}
    assert parts == {Part.VALIDATION, Part.CALIBRATION}
    assert 0 < len(seen) < 60


def test_an_ensemble_of_folds_has_no_films_that_none_of_it_learned_from(bundle: Bundle, data: Path) -> None:
    members = ({"recipe_changes": {}}, {"recipe_changes": {"parts.fold": 2}})
    folds = replace(bundle, description=replace(bundle.description, members=members))
    with pytest.raises(UnusableData, match="learned from"):
        held_out_films(folds, data)


def test_the_worst_are_validation_films_the_largest_error_first(seen: list[Seen]) -> None:
    errors = [abs(each.difference) for each in worst(seen, 5)]
    assert errors == sorted(errors, reverse=True)
    of_all = [abs(each.difference) for each in seen if each.film.part is Part.VALIDATION]
    assert errors[0] == max(of_all)
    assert len(errors) == 5


@pytest.mark.parametrize(
    ("signs", "said"),
    [
        (Signs(), ""),
        (Signs(score=0.999, unrest=0.02, turned_degrees=5, outside=0.1, contrast=0.6), ""),
        (Signs(score=0.6), "hand not found for certain"),
        (Signs(unrest=0.12), "hand not found for certain"),
        (Signs(turned_degrees=-80.0), "rotation"),
        (Signs(outside=0.4), "cropping"),
        (Signs(contrast=0.1), "low contrast"),
        (Signs(turned_degrees=90.0, outside=0.4), "rotation; cropping"),
        (Signs(neighbours_months=148.0, others_months=142.0), "likely wrong label"),
        (Signs(neighbours_months=148.0), ""),  # alike to this network alone
        (Signs(neighbours_months=148.0, others_months=105.0), ""),  # the others are with the label
        (Signs(neighbours_months=148.0, others_months=200.0), ""),  # they are with neither
    ],
)
def test_a_guess_follows_from_the_signs(signs: Signs, said: str) -> None:
    assert guess(Seen(film("1", 100.0), 150.0), signs) == said


def test_what_of_a_frame_lies_outside_the_film() -> None:
    whole = HandFrame(np.eye(2) * 100, np.array([60.0, 60.0]))
    assert outside(whole, (120, 120)) == 0.0
    half = HandFrame(np.eye(2) * 100, np.array([60.0, 0.0]))
    assert outside(half, (120, 120)) == pytest.approx(0.5, abs=0.02)
    beside = HandFrame(np.eye(2) * 100, np.array([-FRAME_WIDTH * 100, 60.0]))
    assert outside(beside, (120, 120)) == 1.0


def test_neighbours_are_other_children_of_the_same_sex_that_look_alike() -> None:
    draw_numbers = np.random.default_rng(0)

    def seen_as(child: str, months: float, direction: float, sex: Sex = Sex.MALE) -> Seen:
        vector = np.array([np.cos(direction), np.sin(direction)]) + draw_numbers.normal(0, 0.01, 2)
        return Seen(film(child, months, sex), months, None, vector.astype(np.float32))

    alike = [seen_as(f"a{n}", 150.0 + n % 3, 0.1) for n in range(15)]
    apart = [seen_as(f"b{n}", 40.0, 1.5) for n in range(15)]
    girls = [seen_as(f"c{n}", 90.0, 0.1, Sex.FEMALE) for n in range(15)]
    asked = seen_as("asked", 100.0, 0.1)
    assert neighbours_months(asked, [*alike, *apart, *girls, asked]) == 151.0
    assert neighbours_months(asked, alike[:5]) is None


def test_what_other_networks_said_of_a_film_is_asked_of_three_or_more(tmp_path: Path) -> None:
    for run, months in {"a": 140.0, "b": 150.0, "c": 160.0}.items():
        (tmp_path / run).mkdir()
        table = f"id,folder,labelled_months,months_1\n1,drawn,100.0,{months}\n2,drawn,50.0,{months}\n"
        (tmp_path / run / "validation-1.csv").write_text(table, encoding="utf-8")
    (tmp_path / "without").mkdir()
    others = kept_readings(tmp_path)
    assert others == {(child, "drawn"): [140.0, 150.0, 160.0] for child in "12"}
    each = Seen(film("1", 100.0), 150.0)
    assert signs_of(each, [each], None, others).others_months == 150.0
    few = {key: said[:2] for key, said in others.items()}
    assert signs_of(each, [each], None, few).others_months is None


def test_the_same_childs_film_in_another_folder_is_told() -> None:
    each, other = film("1", 100.0), film("1", 100.0)
    seen = [
        Seen(each, 150.0),
        Seen(replace(other, folder=Path("elsewhere")), 148.0),
        Seen(film("2", 9.0), 7.0),
    ]
    assert signs_of(seen[0], seen, None, {}).other_film_months == 148.0
    assert signs_of(seen[2], seen, None, {}).other_film_months is None


def test_causes_that_were_noted_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "worst.csv"
    ranked = [(Seen(film(child, 100.0), 150.0 - n), Signs(outside=0.4)) for n, child in enumerate("123")]
    refused = [Seen(film("9", 80.0), None, reason="no hand")]
    write_table(ranked, refused, out)
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert [row["id"] for row in rows] == ["1", "2", "3", "9"]
    assert {row["cause"] for row in rows} == {""}
    assert rows[0]["guess"] == "cropping"
    assert rows[-1]["guess"] == "refused: no hand"
    assert (rows[0]["read_months"], rows[0]["difference_months"]) == ("150.0", "50.0")
    out.write_text(out.read_text(encoding="utf-8").replace("49.0,,", "49.0,two hands,"), encoding="utf-8")
    write_table(ranked[1:], refused, out)
    assert [row["cause"] for row in csv.DictReader(out.open(encoding="utf-8"))] == ["two hands", "", ""]


def test_the_sheet_shows_the_films_in_their_order(seen: list[Seen]) -> None:
    ranked = [(each, Signs()) for each in worst(seen)]
    png = draw(ranked, "small@1")
    assert png.startswith(b"\x89PNG")
    assert draw(ranked[::-1], "small@1") != png


def test_films_are_written_only_where_git_ignores_them(data: Path) -> None:
    script = ROOT / "experiments" / "worst_films.py"
    done = subprocess.run(
        [sys.executable, script, "--out", ROOT / "docs" / "worst"],
        env={"PYTHONPATH": str(ROOT / "src"), "BONEXAGE_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "might be committed" in done.stderr
    assert not (ROOT / "docs" / "worst").exists()


def test_a_film_that_is_refused_is_listed_with_its_reason(
    bundle: Bundle, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RefusedRadiograph("no hand", remedy="Give one")

    monkeypatch.setattr(worst_films.Assessor, "place", refuse)
    (first, *_) = look(bundle, held_out_films(bundle, data)[:1])
    assert first.months is None
    assert "no hand" in first.reason
    assert worst([replace(first, film=replace(first.film, part=Part.VALIDATION))]) == []
