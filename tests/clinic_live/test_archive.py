"""What `predict --dicom-out` writes is stored by a real archive, found by QIDO, opened by WADO and sound."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
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
    with pytest.raises(AssertionError):  # the check itself would see another answer
        check_says(results, replace(said, bone_age_months=said.bone_age_months + 1), read_film(film.packed))
    del results.report.VerificationFlag
    with pytest.raises(AssertionError, match="VerificationFlag"):  # and another fault
        check_sound(results, tmp_path)


def test_a_viewer_is_shown_the_picture(archive: Archive, film: Film, written: list[Path]) -> None:
    archive.store(*written)
    results = found(archive, film.study_uid)
    assert results
    capture = results.capture
    shown = archive.web.retrieve_instance_rendered(
        film.study_uid, capture.SeriesInstanceUID, capture.SOPInstanceUID, media_types=("image/png",)
    )
    with Image.open(io.BytesIO(shown)) as picture:
        assert np.array_equal(np.asarray(picture.convert("RGB")), capture.pixel_array)


def test_a_film_in_the_archive_is_read_from_there_by_its_study(archive: Archive, film: Film) -> None:
    archive.store(film.packed)
    asked = ("predict", "--from-dicomweb", f"{archive.address}/dicom-web", "--study", film.study_uid)
    done = CliRunner().invoke(app, [*asked, "--format", "json", "--threads", "1"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    here = Assessor(load_bundle(), threads=1).assess(film.packed)
    assert (row["status"], row["bone_age_months"]) == ("assessed", round(here.bone_age_months, 1))


def test_results_stored_again_are_the_same_objects(archive: Archive, film: Film, written: list[Path]) -> None:
    archive.store(*written)
    once = series_of(archive, film.study_uid)
    archive.store(*written)
    assert series_of(archive, film.study_uid) == once
    assert len(once) == len(written)
