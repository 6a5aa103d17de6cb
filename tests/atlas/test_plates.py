"""The carried atlas is whole, rises with age, and any atlas that is not whole is refused."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import spearmanr

import bonexage
from bonexage.atlas.plates import (
    LEAST_FILMS,
    TABLE,
    Plate,
    carried_folder,
    read_plates,
    surrounding_plates,
    write_table,
)
from bonexage.errors import UnusableData
from bonexage.reading.files import read_radiograph
from bonexage.subject import Sex

BOTH = (Sex.FEMALE, Sex.MALE)


@pytest.fixture(scope="module")
def plates() -> tuple[Plate, ...]:
    return read_plates()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(carried_folder(), tmp_path / "plates"))


def _of(sex: Sex, plates: tuple[Plate, ...]) -> list[Plate]:
    return [plate for plate in plates if plate.sex is sex]


@pytest.mark.parametrize("sex", BOTH)
def test_plates_of_each_sex_rise_in_age_from_childhood_to_youth(sex: Sex, plates: tuple[Plate, ...]) -> None:
    ages = [plate.mean_months for plate in _of(sex, plates)]
    assert all(older - younger >= 3 for younger, older in pairwise(ages))
    assert all(older - younger <= 24 for younger, older in pairwise(ages))
    assert ages[0] <= 36
    assert ages[-1] > 190


def test_every_plate_is_of_twenty_films_or_more_close_to_its_age(plates: tuple[Plate, ...]) -> None:
    assert min(plate.films for plate in plates) >= 20
    assert all(plate.window_months <= min(12, 0.25 * int(plate.path.stem[2:])) for plate in plates)
    assert max(plate.sd_months for plate in plates) <= 12


def test_every_plate_is_an_eight_bit_grey_png_512_px_high_with_the_range_of_a_film(
    plates: tuple[Plate, ...],
) -> None:
    for plate in plates:
        with Image.open(plate.path) as picture:
            assert (picture.format, picture.mode, picture.height) == ("PNG", "L", 512)
            pixels = np.asarray(picture)
        assert pixels.max() == 255
        assert np.percentile(pixels, 10) < 20, "background dark"
        assert pixels[-180:-40, pixels.shape[1] // 4 : -pixels.shape[1] // 4].mean() > 80, "bone bright"


def test_a_plate_is_read_as_any_film_is_without_cautions(plates: tuple[Plate, ...]) -> None:
    for plate in plates:
        film = read_radiograph(plate.path)
        assert film.cautions == ()
        assert film.pixels.shape[0] > 0.75 * 512


def test_nothing_but_plates_lies_with_them_and_they_stay_small(plates: tuple[Plate, ...]) -> None:
    pictures = set(carried_folder().glob("*.png"))
    assert pictures == {plate.path for plate in plates}
    assert sum(path.stat().st_size for path in carried_folder().iterdir()) < 6_000_000


@pytest.mark.parametrize("sex", BOTH)
def test_reading_rises_with_plate_age(sex: Sex, plates: tuple[Plate, ...]) -> None:
    assessor = bonexage.load()
    of_sex = _of(sex, plates)
    read = [assessor.assess(plate.path, sex).bone_age_months for plate in of_sex]
    assert spearmanr([plate.mean_months for plate in of_sex], read).statistic > 0.98


def test_a_changed_plate_is_refused_by_name(copied: Path) -> None:
    plate = read_plates(copied)[0].path
    with Image.open(plate) as picture:
        turned = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned.save(plate)
    with pytest.raises(UnusableData, match=plate.name):
        read_plates(copied)


def test_a_missing_plate_is_refused_by_name(copied: Path) -> None:
    plate = read_plates(copied)[-1].path
    plate.unlink()
    with pytest.raises(UnusableData, match=plate.name):
        read_plates(copied)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param("", id="empty"),
        pytest.param("sex,file\nF,F-120.png\n", id="columns-missing"),
        pytest.param(None, id="missing"),
    ],
)
def test_a_damaged_table_is_refused_by_name(copied: Path, changed: str | None) -> None:
    if changed is None:
        (copied / TABLE).unlink()
    else:
        (copied / TABLE).write_text(changed, encoding="utf-8")
    with pytest.raises(UnusableData, match=TABLE):
        read_plates(copied)


@pytest.mark.parametrize("change", [{"films": LEAST_FILMS - 1}, {"mean_months": 300.0}, {"sex": Sex.UNKNOWN}])
def test_a_plate_out_of_range_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    write_table([replace(_plate(tmp_path, Sex.FEMALE, 120.0), **change)], tmp_path)
    with pytest.raises(UnusableData, match="out of range"):
        read_plates(tmp_path)


def test_two_plates_of_one_sex_and_age_are_refused(tmp_path: Path) -> None:
    one = _plate(tmp_path, Sex.MALE, 120.0)
    write_table([one, one], tmp_path)
    with pytest.raises(UnusableData, match="same sex and age"):
        read_plates(tmp_path)


def test_a_table_written_is_read_again_girls_first_then_by_age(tmp_path: Path) -> None:
    written = [_plate(tmp_path, sex, age) for sex in BOTH[::-1] for age in (150.0, 30.0, 90.0)]
    write_table(written, tmp_path)
    read = read_plates(tmp_path)
    assert set(read) == set(written)
    assert [(plate.sex, plate.mean_months) for plate in read] == [
        (sex, age) for sex in BOTH for age in (30.0, 90.0, 150.0)
    ]


@given(months=st.floats(0, 240), sex=st.sampled_from([*BOTH, Sex.UNKNOWN]), data=st.data())
def test_a_bone_age_is_put_beside_the_nearest_plate_of_its_sex_and_those_next_to_it(
    months: float, sex: Sex, data: st.DataObject
) -> None:
    ages = data.draw(st.lists(st.floats(1, 240), min_size=1, max_size=12, unique=True))
    among = [_row(Sex.FEMALE if at % 2 else Sex.MALE, age) for at, age in enumerate(ages)]
    chosen = surrounding_plates(sex, months, among)
    of_sex = sorted((plate for plate in among if plate.sex is sex), key=lambda plate: plate.mean_months)
    if not of_sex:
        assert chosen == ()
        return
    nearest = min(abs(plate.mean_months - months) for plate in of_sex)
    first = of_sex.index(chosen[0])
    assert list(chosen) == of_sex[first : first + len(chosen)], "neighbours, by age"
    middle = [at for at, plate in enumerate(chosen) if abs(plate.mean_months - months) == nearest]
    assert middle
    assert len(chosen) == 3 or first == 0 or first + len(chosen) == len(of_sex)
    assert len(chosen) >= min(2, len(of_sex))


def _row(sex: Sex, months: float) -> Plate:
    return Plate(sex, months, 4.0, 24, 3, 6.0, 640, Path(f"{sex}-{months:.0f}.png"), "0" * 64)


def _plate(folder: Path, sex: Sex, months: float) -> Plate:
    path = folder / f"{sex}-{months:.0f}.png"
    Image.new("L", (8, 10), round(months)).save(path)
    return replace(_row(sex, months), path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
