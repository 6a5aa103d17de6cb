"""`bonexage follow`: one child's series becomes lines, JSON, a chart and a page."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from bonexage.assessment import DISCLAIMER
from bonexage.cli.app import app
from bonexage.model.bundle import load_bundle
from dicoms import dataset, write_dicom
from films import write_film
from models import small_bundle
from pages import Page

Run = Callable[..., Result]
GIVEN = "age_months,bone_age_months,sex\n72,60,F\n84,77,\n96,75,\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run follow in a folder with a model and two films, of which bad.png is no picture."""
    monkeypatch.chdir(tmp_path)
    small_bundle(tmp_path / "model.zip")
    write_film(tmp_path / "f0.png", 0)
    (tmp_path / "bad.png").write_bytes(b"no picture")

    def run(text: str, *arguments: str) -> Result:
        (tmp_path / "child.csv").write_text(text, encoding="utf-8")
        return CliRunner().invoke(app, ("follow", "child.csv", *arguments))

    return run


def test_bone_ages_are_told_with_their_rate_and_a_fall_as_a_caution(run: Run, tmp_path: Path) -> None:
    done = run(GIVEN)
    assert done.exit_code == 0, done.stderr
    first, second, third, sentence, *cautions = done.stdout.splitlines()
    assert first.startswith("6 years 0 months: bone age 5 years 0 months (60.0 months), SDS −1.3")
    assert second.endswith("17.0 months a year since the last")
    assert "−2.0 months a year" in third
    assert "7.5 months a year (90% interval" in sentence
    assert any(line.startswith("Caution: The bone age falls from 77.0") for line in cautions)
    assert DISCLAIMER in done.stderr
    with Image.open(tmp_path / "followed/series.png") as chart:
        assert chart.format == "PNG"
    assert str(Path("followed/series.html")) in done.stderr


def test_the_page_holds_chart_table_cautions_and_asks_for_nothing_outside(run: Run, tmp_path: Path) -> None:
    assert run(GIVEN, "--out", "deep/child").exit_code == 0
    page = Page((tmp_path / "deep/child/series.html").read_text(encoding="utf-8"))
    assert page.open == []
    (chart,) = page.all("img")
    assert chart["src"].startswith("data:image/png;base64,")
    assert "at 6 years 0 months bone age 5 years 0 months" in chart["alt"]
    assert not page.all("script")
    assert len(page.all("tr")) == 4
    assert all(head["scope"] in ("row", "col") for head in page.all("th"))
    for wanted in ("The bone age falls from 77.0", "17.0 (", "1959", DISCLAIMER, "bone ages as given"):
        assert wanted in page.text


def test_films_are_read_and_one_that_cannot_be_is_told_and_the_rest_go_on(run: Run) -> None:
    text = "age_months,file,bone_age_months,sex\n72,f0.png,,M\n84,bad.png,,M\n96,,90,M\n"
    done = run(text, "--model", "model.zip", "--threads", "1", "--coverage", "80", "--json")
    assert done.exit_code == 3
    said = json.loads(done.stdout)
    film, given = said["visits"]
    assert (film["file"], film["age_months"], film["coverage"]) == ("f0.png", 72.0, 0.8)
    assert film["interval_low_months"] < film["bone_age_months"] < film["interval_high_months"]
    assert film["sds_low"] < film["sds"] < film["sds_high"]
    assert given["interval_low_months"] is None
    assert said["months_a_year"] == given["months_a_year_since_last"]
    assert said["coverage"] == 0.8
    assert [each["file"] for each in said["failures"]] == ["bad.png"]
    assert load_bundle(Path("model.zip")).model in said["model"]
    assert "as given" in said["model"]
    assert said["disclaimer"] == DISCLAIMER


def test_what_predict_wrote_is_followed_without_a_model(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = (
        "predict",
        "f0.png",
        "--sex",
        "M",
        "--age-months",
        "72",
        "--model",
        "model.zip",
        "--threads",
        "1",
    )
    assert CliRunner().invoke(app, [*asked, "--out", "o.csv"]).exit_code == 0
    name = load_bundle(Path("model.zip")).model
    monkeypatch.setattr("bonexage.model.bundle.load_bundle", lambda _: pytest.fail("a model was loaded"))
    done = run(Path("o.csv").read_text(encoding="utf-8"), "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["model"] == name


def test_dates_and_sex_may_come_beside_the_file(run: Run) -> None:
    done = run("date,bone_age_months\n2021-01-01,60\n", "--born", "2015-01-01", "--sex", "girl", "--json")
    said = json.loads(done.stdout)
    assert said["sex"] == "F"
    assert said["visits"][0]["age_months"] == 72.0
    assert said["visits"][0]["sds"] is not None
    assert said["months_a_year"] is None


def test_a_sex_that_only_the_films_headers_state_is_the_childs(run: Run, tmp_path: Path) -> None:
    write_dicom(tmp_path / "girl.dcm", dataset(PatientSex="F"))
    text = "age_months,file,bone_age_months\n72,girl.dcm,\n84,f0.png,\n96,,90\n"
    done = run(text, "--model", "model.zip", "--threads", "1", "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["sex"] == "F"
    assert all(visit["sds"] is not None for visit in said["visits"])
    assert "sex-unknown" not in [caution["code"] for caution in said["cautions"]]


def test_films_whose_headers_state_both_sexes_are_not_of_one_child(run: Run, tmp_path: Path) -> None:
    write_dicom(tmp_path / "girl.dcm", dataset(PatientSex="F"))
    write_dicom(tmp_path / "boy.dcm", dataset(PatientSex="M", number=2))
    done = run("age_months,file\n72,girl.dcm\n84,boy.dcm\n", "--model", "model.zip", "--threads", "1")
    assert done.exit_code == 2
    assert "both sexes" in done.stderr


@pytest.mark.parametrize(
    ("text", "arguments", "code", "why"),
    [
        (GIVEN, ["--sex", "M"], 2, "--sex M is not the sex in the file"),
        ("date,bone_age_months\n2021-01-01,60\n", [], 2, "no date of birth"),
        ("age_months,file\n60,bad.png\n", ["--model", "model.zip"], 3, "none of its films"),
    ],
)
def test_what_cannot_be_followed_says_why(
    run: Run, text: str, arguments: list[str], code: int, why: str
) -> None:
    done = run(text, *arguments)
    assert done.exit_code == code
    assert why in done.stderr
    assert not Path("followed").exists()


def test_the_chart_is_the_one_on_the_page(run: Run, tmp_path: Path) -> None:
    assert run(GIVEN).exit_code == 0
    page = Page((tmp_path / "followed/series.html").read_text(encoding="utf-8"))
    drawn = (tmp_path / "followed/series.png").read_bytes()
    assert page.pictures() == [drawn]
    assert Image.open(io.BytesIO(drawn)).width > 1000


def test_a_film_that_predict_did_not_assess_is_not_opened_by_the_name_in_its_table(
    run: Run, tmp_path: Path
) -> None:
    """The table of a de-identified run holds made-up names, under which another child's film may lie."""
    write_film(tmp_path / "other.png", 1).rename(tmp_path / "film 2")
    done = run(
        "file,status,sex,age_months,bone_age_months,message,model\n"
        "film 1,assessed,F,100,98.0,,m@0\n"
        "film 2,refused,F,110,,no hand was found. Give a whole hand.,m@0\n",
        "--model",
        "nowhere.zip",
    )
    assert done.exit_code == 3
    assert "film 2: refused: no hand was found. Give a whole hand." in done.stdout
    assert "film 2: no hand was found. Give a whole hand." in done.stderr
    assert "9 years 2 months: bone age" not in done.stdout
