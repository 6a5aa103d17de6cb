"""What `predict --dicom-out` writes is stored by a real archive, found by QIDO, opened by WADO and sound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bonexage.cli.app import app
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from clinic_live.results import check_says, check_sound, found, read_film, series_of
from clinic_live.servers import Archive, orthanc
from clinic_live.wrapped import Film, films


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with orthanc(tmp_path_factory.mktemp("clinic")) as running:
        yield running


@pytest.fixture(scope="module")
def film(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Film:
    (made,) = films(tmp_path_factory.mktemp("films"), ("explicit",))
    return made


@pytest.fixture(scope="module")
def written(film: Film, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("results")
    done = CliRunner().invoke(app, ["predict", str(film.packed), "--dicom-out", str(out), "--threads", "1"])
    assert done.exit_code == 0, done.output
    return sorted(out.glob("*.dcm"))


def test_results_stand_beside_the_film_and_say_what_was_read(
    archive: Archive, film: Film, written: list[Path], tmp_path: Path
) -> None:
    archive.store(film.packed, *written)
    results = found(archive, film.study_uid)
    assert results
    check_sound(results, tmp_path)
    said = Assessor(load_bundle(), threads=1).assess(film.packed)
    check_says(results, said, read_film(film.packed))


def test_results_stored_again_are_the_same_objects(archive: Archive, film: Film, written: list[Path]) -> None:
    archive.store(*written)
    once = series_of(archive, film.study_uid)
    archive.store(*written)
    assert series_of(archive, film.study_uid) == once
    assert len(once) == len(written)
