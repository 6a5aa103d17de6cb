"""An atlas is composed from training films alone, in their mean shape, and goes on where it was stopped."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bonexage.atlas.plates import read_plates
from bonexage.errors import UnusableData
from bonexage.learning import compose
from bonexage.learning.compose import compose_atlas
from bonexage.learning.finding import Place
from bonexage.learning.registration import (
    Fit,
    Group,
    bring_together,
    in_one_piece,
    median_hand,
    on_dark_ground,
)
from bonexage.learning.template import FRAME, MIDDLE, Template, film_at, grid, sample, template_of
from bonexage.subject import Sex
from hands import drawn_hand

Grey = NDArray[np.float32]


def _crowd(number: int) -> tuple[Grey, list[Grey]]:
    """A drawn hand, and films of it: each bent, turned, sized, moved and lit in its own way."""
    truth = drawn_hand(320, 256)
    height, width = truth.shape
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    films = []
    for _ in range(number):
        angle, size = rng.uniform(-0.15, 0.15), rng.uniform(0.9, 1.05)
        bends = rng.normal(0, 4.0, (2, 2, 2))
        u, v = x / width * np.pi, y / height * np.pi
        bent = [
            sum(bends[axis, i, j] * np.sin((i + 1) * u) * np.sin((j + 1) * v) for i in (0, 1) for j in (0, 1))
            for axis in (0, 1)
        ]
        dx, dy = (x - width / 2) / size, (y - height / 2) / size
        at_x = np.cos(angle) * dx - np.sin(angle) * dy + width / 2 + bent[0] + rng.uniform(-6, 6)
        at_y = np.sin(angle) * dx + np.cos(angle) * dy + height / 2 + bent[1]
        unit = FRAME[0] / height
        film = sample(truth, np.stack([at_x, at_y], axis=-1) * unit + (unit - 1) / 2)
        marker = np.s_[20:50, 4:20]
        film[marker] = np.where(rng.random() < 0.4, 1.0, film[marker])
        films.append((film ** rng.uniform(0.8, 1.25) * rng.uniform(0.7, 1.0)).astype(np.float32))
    return truth, films


def _alike(one: Grey, other: Grey) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.fixture(scope="module")
def crowd() -> tuple[Grey, list[Grey], Group]:
    truth, films = _crowd(7)
    return truth, films, bring_together(films, None, most=7, least_correlation=0.75)


def test_films_are_more_alike_once_brought_together(crowd: tuple[Grey, list[Grey], Group]) -> None:
    _, films, group = crowd
    together = [film_at(films[fit.film], fit.points()) for fit in group.fits]
    on_hand = group.template.distance <= 3
    median = np.median(together, axis=0)
    after = np.mean([_alike(film[on_hand], median[on_hand]) for film in together])
    plain = np.median(films, axis=0)
    lit = plain > 0.2
    before = np.mean([_alike(film[lit], plain[lit]) for film in films])
    assert after > before + 0.05


def test_every_film_of_a_crowd_is_brought_together_best_first(
    crowd: tuple[Grey, list[Grey], Group],
) -> None:
    _, films, group = crowd
    assert {fit.film for fit in group.fits} == set(range(len(films)))
    assert min(fit.correlation for fit in group.fits) > 0.75
    assert [fit.quality for fit in group.fits] == sorted((fit.quality for fit in group.fits), reverse=True)


def test_a_plate_is_one_hand_on_a_dark_ground_without_slivers_or_gaps() -> None:
    hand = drawn_hand(512, 416) * (drawn_hand(512, 416) > 0.2)
    torn = hand.copy()
    torn[300:306, 200:206] = 0.0  # a gap that folds left
    torn[100:200, 20:22] = 0.7  # and a sliver
    whole = in_one_piece(torn)
    assert whole[100:200, 20:22].max() < 0.05
    assert whole[300:306, 200:206].min() > 0.2
    assert _alike(whole, hand) > 0.97


def test_a_letter_marker_that_stands_on_some_films_vanishes_in_the_plate(
    crowd: tuple[Grey, list[Grey], Group],
) -> None:
    _, films, group = crowd
    plate = on_dark_ground(median_hand(films, group.fits, group.template, 512), group.template)
    away = sample(group.template.distance, grid(512)) > 12
    assert max(film.max() for film in films) > 0.7
    assert plate[away].max() < 0.05


def test_a_mirrored_hand_is_turned_round_and_a_picture_without_a_hand_left_out(
    crowd: tuple[Grey, list[Grey], Group],
) -> None:
    _, films, group = crowd
    stripes = np.tile(np.repeat([0.1, 0.7], 16), 8)[None, :256].repeat(320, axis=0).astype(np.float32)
    both = bring_together([films[0], films[1][:, ::-1], stripes], group.template, most=3, rounds=1)
    matrices = {fit.film: float(np.linalg.det(fit.place.matrix)) for fit in both.fits}
    assert matrices.keys() == {0, 1}
    assert matrices[0] > 0 > matrices[1]


def _write_film(path: Path, pixels: Grey) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(path)


def _folder(home: Path, rows: Sequence[tuple[str, float, Sex]], size: tuple[int, int] = (100, 80)) -> Path:
    """A data folder; a film's seed is its number. Its test split holds one film that must not be read."""
    for split in ("training", "test"):
        films = home / f"boneage-{split}-dataset"
        films.mkdir(parents=True, exist_ok=True)
        listed = rows if split == "training" else [("9999", rows[0][1], rows[0][2])]
        with (home / f"{films.name}.csv").open("w", encoding="utf-8", newline="") as table:
            writer = csv.writer(table)
            writer.writerow(["id", "boneage", "male"])
            writer.writerows((name, age, sex is Sex.MALE) for name, age, sex in listed)
        for name, _, _ in listed:
            _write_film(films / f"{name}.png", drawn_hand(*size, seed=int(name)))
    (home / "boneage-test-dataset" / "9999.png").write_bytes(b"not to be read")
    return home


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[list[Grey]]:
    """Films are laid on one another as they are, in no time; what was brought together is listed."""
    asked: list[list[Grey]] = []

    def together(films: list[Grey], start: Template | None, *, most: int, rounds: int) -> Group:
        asked.append(films)
        template = start or template_of(films[0])
        place = Place(MIDDLE, np.zeros((3, 11)), np.eye(2), MIDDLE)
        fits = [
            Fit(at, place, np.zeros((*FRAME, 2)), 0.95) for at in range(len(films)) if films[at].max() > 0
        ]
        return Group(template, tuple(fits[:most]))

    monkeypatch.setattr(compose, "bring_together", together)
    return asked


GIRLS = [(str(number), 120.0 + number % 3, Sex.FEMALE) for number in range(100, 124)]


def test_an_atlas_is_plates_and_a_table_that_reads_back(tmp_path: Path, at_once: list[list[Grey]]) -> None:
    made = compose_atlas([_folder(tmp_path / "data", GIRLS)], tmp_path / "out", ages_months=[120], workers=1)
    assert read_plates(tmp_path / "out") == made
    (plate,) = made
    assert (plate.sex, plate.films, plate.left_out, plate.source_px) == (Sex.FEMALE, 24, 0, 100)
    assert plate.mean_months == pytest.approx(121.0)
    assert plate.window_months <= 2
    with Image.open(plate.path) as picture:
        assert (picture.mode, picture.size) == ("L", (416, 512))


def test_a_plate_composed_from_the_same_films_is_not_made_again(
    tmp_path: Path, at_once: list[list[Grey]]
) -> None:
    data = _folder(tmp_path / "data", GIRLS)
    first = compose_atlas([data], tmp_path / "out", ages_months=[120], workers=1)
    again = compose_atlas([data], tmp_path / "out", ages_months=[120], workers=1)
    assert again == first
    assert len(at_once) == 1
    _write_film(data / "boneage-training-dataset" / "100.png", drawn_hand(100, 80, seed=1))
    compose_atlas([data], tmp_path / "out", ages_months=[120], workers=1)
    assert len(at_once) == 2


def test_too_few_films_within_a_year_make_no_plate(tmp_path: Path, at_once: list[list[Grey]]) -> None:
    few = [(str(number), 60.0, Sex.MALE) for number in range(200, 219)]
    old = [(str(number), 73.0, Sex.MALE) for number in range(300, 305)]
    data = _folder(tmp_path / "data", [*GIRLS, *few, *old])
    made = compose_atlas([data], tmp_path / "out", ages_months=[60, 120], workers=1)
    assert [plate.sex for plate in made] == [Sex.FEMALE]
    with pytest.raises(UnusableData, match="20 films"):
        compose_atlas([data], tmp_path / "other", ages_months=[60], workers=1)


def test_infants_of_too_many_ages_make_no_plate(tmp_path: Path, at_once: list[list[Grey]]) -> None:
    infants = [(str(number), 10.0 + number % 12, Sex.MALE) for number in range(200, 232)]
    data = _folder(tmp_path / "data", [*GIRLS, *infants])
    made = compose_atlas([data], tmp_path / "out", ages_months=[12, 16, 120], workers=1)
    assert [(plate.sex, plate.window_months) for plate in made] == [(Sex.FEMALE, 2.0), (Sex.MALE, 4.0)]


def test_films_that_do_not_come_together_are_left_out_and_counted(
    tmp_path: Path, at_once: list[list[Grey]]
) -> None:
    data = _folder(tmp_path / "data", GIRLS)
    for name in ("100", "101", "102"):
        _write_film(data / "boneage-training-dataset" / f"{name}.png", np.zeros((100, 80), dtype=np.float32))
    (plate,) = compose_atlas([data], tmp_path / "out", ages_months=[120], workers=1)
    assert (plate.films, plate.left_out) == (21, 3)


def test_larger_films_are_preferred_and_squeezed_ones_stretched(
    tmp_path: Path, at_once: list[list[Grey]]
) -> None:
    large = _folder(tmp_path / "large", GIRLS, (160, 130))
    boys = [(str(number), 96.0, Sex.MALE) for number in range(400, 420)]
    squeezed = _folder(tmp_path / "squeezed", [*GIRLS, *boys], (100, 100))
    said: list[str] = []
    made = compose_atlas(
        [squeezed, large], tmp_path / "out", ages_months=[96, 120], workers=1, progress=said.append
    )
    assert [(plate.sex, plate.source_px) for plate in made] == [(Sex.FEMALE, 160), (Sex.MALE, 100)]
    assert {film.shape for film in at_once[1]} == {(320, 256)}
    assert [line.split(":")[0] for line in said] == ["F-120", "M-096"]


def test_a_plate_hardly_older_than_the_one_before_is_left_out(
    tmp_path: Path, at_once: list[list[Grey]]
) -> None:
    data = _folder(tmp_path / "data", GIRLS)
    made = compose_atlas([data], tmp_path / "out", ages_months=[118, 124], workers=1)
    assert len(made) == 1
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == [made[0].path.name]


def test_grid_and_sample_agree_at_every_height() -> None:
    ramp = grid(FRAME[0])
    for rows in (48, 96, 384):
        inner = np.s_[4:-4, 4:-4]
        assert np.allclose(sample(ramp, grid(rows))[inner], grid(rows)[inner])
