"""A site's own calibration holds its films, and says whether the model's own did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bonexage.cli.app import app
from bonexage.errors import UnusableData
from bonexage.evaluation.calibrate import SiteCalibration, calibrate
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.model.calibration import fit_calibration
from bonexage.model.heaping import fit_heaping
from bonexage.model.spread import fit_spread
from bonexage.reading.files import read_radiograph
from bonexage.subject import Sex, Subject
from films import write_film
from learning.folders import write_labels
from models import BOY_MONTHS, held_out, small_bundle, small_calibration

FILMS = 120


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(FILMS):
        write_film(folder / f"{number}.png", number, 48, 40)
    return folder


@pytest.fixture(scope="module")
def girls_months(pictures: Path) -> np.ndarray:
    """What the small network reads each picture as, if it is a girl's."""
    assessor = Assessor(small_bundle(pictures / "bare.zip", calibration=None), threads=1)
    placed = [
        (assessor.place(read_radiograph(pictures / f"{number}.png")), Subject(Sex.FEMALE))
        for number in range(FILMS)
    ]
    return np.array([said.bone_age_months for said in assessor.assess_placed(placed)])


@pytest.fixture
def site(tmp_path: Path, pictures: Path, girls_months: np.ndarray):
    """Makes a data folder of the pictures: labels about the readings, or with a fault planted in them."""

    def make(name: str, seed: int, *, shift: float = 0.0, swapped: bool = False, films: int = FILMS) -> Path:
        rng = np.random.default_rng(seed)
        folder = tmp_path / name
        folder.mkdir()
        (folder / "boneage-training-dataset").symlink_to(pictures)
        boy = [number % 2 == 1 for number in range(films)]
        labels = [
            girls_months[number] + BOY_MONTHS * boy[number] + shift + rng.normal(0, 4)
            for number in range(films)
        ]
        rows = [(number, labels[number], boy[number] != swapped) for number in range(films)]
        write_labels(folder / "boneage-training-dataset.csv", rows)
        return folder

    return make


@pytest.fixture
def calibrated(tmp_path: Path, site) -> SiteCalibration:
    bare = small_bundle(tmp_path / "bare.zip", calibration=None)
    return calibrate(Assessor(bare, threads=1), [site("first", 1)], tmp_path / "first.zip")


def test_a_model_without_intervals_gets_them(tmp_path: Path, calibrated: SiteCalibration) -> None:
    assert calibrated.own is None
    assert not calibrated.departs
    loaded = load_bundle(tmp_path / "first.zip")
    assert loaded.description.calibration is not None
    assert loaded.description.calibration.count == FILMS
    assert loaded.description.calibration.network == loaded.description.sha256["model.onnx"]
    assert "first, training split" in loaded.card
    said = Assessor(loaded, threads=1).assess(tmp_path / "first" / "boneage-training-dataset" / "3.png", "M")
    assert said.interval is not None
    assert 8 < said.interval.high_months - said.interval.low_months < 20


@pytest.mark.parametrize(
    ("fault", "departs"), [({}, False), ({"shift": 8.0}, True), ({"swapped": True}, True)]
)
def test_films_that_differ_are_told_from_films_that_do_not(
    tmp_path: Path, calibrated: SiteCalibration, site, fault: dict[str, object], departs: bool
) -> None:
    assessor = Assessor(calibrated.bundle, threads=1)
    found = calibrate(assessor, [site("second", 2, **fault)], tmp_path / "second.zip")
    assert found.own is not None
    assert found.departs is departs
    assert ("use the new ones" in " ".join(found.sentences())) is departs
    again = Assessor(found.bundle, threads=1)
    third = calibrate(again, [site("third", 3, **fault)], tmp_path / "third.zip")
    assert not third.departs


def test_nothing_but_the_calibration_and_the_card_changes(tmp_path: Path, site) -> None:
    bundle = small_bundle(tmp_path / "old", weights=b"weights", locator=None)
    made = calibrate(Assessor(bundle, threads=1), [site("site", 1)], tmp_path / "new").bundle
    assert (made.onnx, made.weights) == (bundle.onnx, bundle.weights)
    same = replace(
        made.description, calibration=bundle.description.calibration, sha256=bundle.description.sha256
    )
    assert same == bundle.description
    assert made.hash != bundle.hash


def test_a_site_keeps_the_spread_and_the_heaps_of_the_model(tmp_path: Path, site) -> None:
    known = held_out([100.0] * 100, [90.0 + number % 20 for number in range(100)], "FM" * 50)
    heaping = fit_heaping([(Sex.FEMALE, 96.0), (Sex.MALE, 108.0)])
    own = fit_calibration(known, spread=fit_spread(known), heaping=heaping)
    bundle = small_bundle(tmp_path / "model", calibration=own)
    made = calibrate(Assessor(bundle, threads=1), [site("site", 1)], tmp_path / "new").bundle
    calibration = load_bundle(tmp_path / "new").description.calibration
    assert calibration == made.description.calibration
    assert calibration is not None
    assert (calibration.spread, calibration.heaping) == (own.spread, heaping)
    assert all(0 <= score <= 1 for cell in calibration.cells for score in cell.scores)


def test_too_few_films_are_refused_and_a_sex_with_few_is_said(tmp_path: Path, site) -> None:
    assessor = Assessor(small_bundle(tmp_path / "m", calibration=small_calibration()), threads=1)
    with pytest.raises(UnusableData, match="only 39 children"):
        calibrate(assessor, [site("few", 1, films=39)], tmp_path / "few.zip")
    assert not (tmp_path / "few.zip").exists()
    found = calibrate(assessor, [site("some", 1, films=50)], tmp_path / "some.zip")
    assert "only 25 girls' films: an interval that is to hold more than 96%" in " ".join(found.sentences())


def test_the_command_says_what_it_found_and_warns_of_films_that_were_learned_from(
    tmp_path: Path, calibrated: SiteCalibration, site
) -> None:
    folder = site("drawn", 2, shift=8.0)
    out = tmp_path / "ours.zip"
    result = CliRunner().invoke(
        app, ["calibrate", str(tmp_path / "first.zip"), "--data", str(folder), "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert "use the new ones" in result.stdout
    assert "learned from a folder of the name drawn" in result.stderr
    assert load_bundle(out).description.calibration is not None
