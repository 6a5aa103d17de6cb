"""The challenge's own sets are found as RSNA distributes them; a part of a set is never called the set."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bonexage.assessment import Assessment
from bonexage.cli.app import app
from bonexage.errors import UnusableData
from bonexage.evaluation import official
from bonexage.evaluation.evaluate import write_evaluation
from bonexage.evaluation.official import find_official, official_note, official_row
from bonexage.evaluation.result import Measured
from bonexage.subject import Sex, Subject
from films import write_film
from models import small_bundle


def validation_set(home: Path, numbers: range, deeper: str = "") -> Path:
    """The validation download, unpacked: labels beside two folders of radiographs."""
    folder = home / "Bone Age Validation Set"
    folder.mkdir(parents=True)
    rows = [f"{number},{'TRUE' if number % 2 else 'FALSE'},{60 + number}" for number in numbers]
    (folder / "Validation Dataset.csv").write_text(
        "Image ID,male,Bone Age (months)\n" + "\n".join(rows) + "\n"
    )
    for number in numbers:
        place = folder / f"boneage-validation-dataset-{1 + number % 2}" / deeper
        place.mkdir(parents=True, exist_ok=True)
        write_film(place / f"{number}.png", seed=number)
    return folder


def test_set(home: Path, numbers: range) -> Path:
    """The test download, unpacked, with its labels saved as CSV."""
    folder = home / "Bone Age Test Set"
    (folder / "Test Set Images").mkdir(parents=True)
    rows = [f"{number},{'M' if number % 2 else 'F'},{60.5 + number}" for number in numbers]
    (folder / "Bone age ground truth.csv").write_text(
        "Case ID,Sex,Ground truth bone age (months)\n" + "\n".join(rows) + "\n"
    )
    for number in numbers:
        write_film(folder / "Test Set Images" / f"{number}.png", seed=number)
    return folder


test_set.__test__ = False  # type: ignore[attr-defined]  # a helper, named as the challenge names it


@pytest.mark.parametrize("deeper", ["", "boneage-validation-dataset"])
def test_both_sets_are_found_wherever_they_were_unpacked(tmp_path: Path, deeper: str) -> None:
    validation_set(tmp_path / "a" / "b", range(1, 5), deeper)
    test_set(tmp_path, range(11, 14))
    validation, test = find_official(tmp_path)
    assert (validation.name, test.name) == ("validation", "test")
    assert [film.id for film in validation.films] == ["1", "2", "3", "4"]
    assert [film.bone_age_months for film in test.films] == [71.5, 72.5, 73.5]
    assert [film.sex for film in test.films] == [Sex.MALE, Sex.FEMALE, Sex.MALE]
    assert test.pixels == 120


def test_a_part_of_a_set_is_not_called_the_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test_set(tmp_path, range(1, 4))
    (part,) = find_official(tmp_path)
    assert not part.complete
    assert "Do not rank" in official_note(part)
    monkeypatch.setitem(official.RADIOGRAPHS, "test", 3)
    assert part.complete
    assert "Deeplasia" in official_note(part)
    assert "120 pixels" in official_note(part)


def test_a_folder_without_the_sets_and_one_with_a_spreadsheet_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnusableData, match="Unpack"):
        find_official(tmp_path)
    with pytest.raises(UnusableData, match="no such folder"):
        find_official(tmp_path / "none")
    folder = test_set(tmp_path, range(1, 3))
    (folder / "Bone age ground truth.csv").rename(folder / "Bone age ground truth.xlsx")
    with pytest.raises(UnusableData, match="spreadsheet"):
        find_official(tmp_path)


def test_missing_radiographs_are_named_or_passed_over(tmp_path: Path) -> None:
    folder = test_set(tmp_path, range(1, 4))
    (folder / "Test Set Images" / "2.png").unlink()
    with pytest.raises(UnusableData, match="missing: 2"):
        find_official(tmp_path)
    (part,) = find_official(tmp_path, skip_unreadable=True)
    assert len(part.missing) == 1


def test_the_row_holds_the_figures_that_papers_give(tmp_path: Path) -> None:
    test_set(tmp_path, range(1, 5))
    (found,) = find_official(tmp_path)
    away = {"1": 3.0, "2": -7.0, "3": 13.0, "4": 5.0}
    measured = [
        Measured(
            film,
            Assessment(str(film.path), Subject(film.sex), film.bone_age_months + away[film.id], None, "m@1"),
        )
        for film in found.films
    ]
    evaluation = write_evaluation(
        measured, tmp_path / "out", model="m@1", data="d", split="s", resamples=50, made=date(2026, 1, 2)
    )
    text = "\n".join(official_row(evaluation, found))
    mean_square = sum(value**2 for value in away.values()) / 4
    assert "error 7.0 months" in text
    assert f"squared error {mean_square**0.5:.1f} months" in text
    assert "within 6 months 50.0%, within 12 months 75.0%" in text
    assert "girls 6.0" in text
    assert "boys 8.0" in text


def test_the_command_measures_both_sets_and_wants_one_source_of_films(tmp_path: Path) -> None:
    validation_set(tmp_path / "downloads", range(1, 3))
    test_set(tmp_path / "downloads", range(11, 13))
    small_bundle(tmp_path / "small.zip")
    command = ["evaluate", str(tmp_path / "small.zip"), "--out", str(tmp_path / "out")]
    runner = CliRunner()
    result = runner.invoke(app, [*command, "--official", str(tmp_path / "downloads")])
    assert result.exit_code == 0, result.output
    assert "official validation set, 2 radiographs (not the whole set of 1,425)" in result.output
    assert "official test set, 2 radiographs (not the whole set of 200)" in result.output
    for name in ("validation", "test"):
        page = (tmp_path / "out" / name / "evaluation.html").read_text()
        assert "Do not rank these figures" in page
    for wrong in ([], ["--official", str(tmp_path), "--data", str(tmp_path)]):
        refused = runner.invoke(app, [*command, *wrong])
        assert refused.exit_code == 2
        assert "--official" in refused.output
