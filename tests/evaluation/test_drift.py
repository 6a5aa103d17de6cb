"""Drift: a planted shift is found and told, an unmoved month is not, and no film is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from bonexage.assessment import Assessment, Caution, Failure
from bonexage.atlas.plates import read_plates
from bonexage.cli.app import app
from bonexage.errors import RefusedRadiograph, UnusableData, WrongUse
from bonexage.evaluation.drift import CALIBRATION, EARLIER, LEAST_FILMS, drift
from bonexage.evaluation.drift_page import write_drift
from bonexage.evaluation.month import Month, month_of, read_month, read_rows, with_films, with_labels
from bonexage.model.bundle import Bundle, load_bundle
from bonexage.model.calibration import fit_calibration
from bonexage.model.spread import fit_spread
from bonexage.reading.labels import Label
from bonexage.reports.table import record, write_table
from bonexage.subject import Sex, Subject
from models import held_out, small_bundle, small_calibration
from pages import Page

FILMS = 200


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return small_bundle(tmp_path_factory.mktemp("model") / "small")


def rows(
    bundle: Bundle,
    *,
    older: float = 0.0,
    refused: int = 5,
    mirrored: int = 8,
    boys: float = 0.5,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """A month whose ages spread as those of `small_calibration` do, but for what keywords move."""
    rng = np.random.default_rng(seed)
    said: list[dict[str, Any]] = []
    for at in range(FILMS):
        sex = Sex.MALE if at < boys * FILMS else Sex.FEMALE
        months = float(np.clip(rng.integers(0, 10) * 24 + 12 + older, 0, 240))
        name, subject = f"canary{at}.dcm", Subject(sex, 100.0)
        if at % (FILMS // refused) == 0:
            error = RefusedRadiograph("it shows no hand", remedy="Give a hand", subject=name)
            said.append(record(Failure(name, subject, error, bundle.model)))
            continue
        cautions = (Caution("mirrored", "It is mirrored."),) if at % (FILMS // mirrored) == 1 else ()
        said.append(record(Assessment(name, subject, months, None, bundle.model, cautions)))
    return said


def month(bundle: Bundle, **moved: Any) -> Month:
    return month_of(rows(bundle, **moved), "table")


def moved(first: Month, bundle: Bundle, earlier: Month | None = None) -> set[tuple[str, str]]:
    return {(shift.key, shift.against) for shift in drift(first, bundle, earlier).moved}


def test_a_month_like_the_calibration_films_has_not_moved(bundle: Bundle) -> None:
    found = drift(month(bundle), bundle)
    assert {shift.key for shift in found.shifts} == {"ages-girl", "ages-boy", "sex"}
    assert not found.moved
    assert "no shift is shown" in str(found)


@pytest.mark.parametrize(
    ("planted", "key", "against"),
    [
        ({"older": 60.0}, "ages-girl", CALIBRATION),
        ({"older": 60.0}, "ages-boy", EARLIER),
        ({"boys": 0.9}, "sex", CALIBRATION),
        ({"boys": 0.9}, "sex", EARLIER),
        ({"refused": 50}, "refused", EARLIER),
        ({"mirrored": 100}, "caution-mirrored", EARLIER),
    ],
)
def test_what_was_moved_is_found_and_said(
    bundle: Bundle, planted: dict[str, Any], key: str, against: str
) -> None:
    found = drift(month(bundle, seed=1, **planted), bundle, month(bundle))
    (shift,) = (one for one in found.shifts if (one.key, one.against) == (key, against))
    assert shift.moved
    assert "moved" in str(shift)
    assert shift.about.lower() in str(found)
    assert found.as_dict()["moved"] is True


def test_the_same_month_twice_has_not_moved(bundle: Bundle) -> None:
    same = replace(month(bundle), sds=(0.1,) * 40, hand_scores=(0.9,) * 40, likenesses=(1.1,) * 40)
    assert not moved(same, bundle, same)


@pytest.mark.parametrize("measured", ["sds", "hand_scores", "likenesses", "errors"])
def test_measures_that_only_an_earlier_month_knows_are_held_against_it(bundle: Bundle, measured: str) -> None:
    rng = np.random.default_rng(2)
    lower, higher = (tuple(np.sort(rng.normal(at, 0.1, 60)).tolist()) for at in (0.5, 0.7))
    now, then = (replace(month(bundle), **{measured: values}) for values in (lower, higher))
    assert (measured.replace("_", "-"), EARLIER) in moved(now, bundle, then)
    alone = drift(now, bundle)
    if measured != "errors":
        assert any("median 0." in line for line in alone.unknown)
    assert any(line.startswith("Films refused: 5 of 200") for line in alone.unknown)


def test_few_films_say_nothing(bundle: Bundle) -> None:
    few = month_of(rows(bundle, older=90.0)[: LEAST_FILMS - 1], "table")
    found = drift(few, bundle)
    assert not found.moved
    assert all(shift.p is None and "too few" in str(shift) for shift in found.shifts)
    assert "too few" in str(found)


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_every_form_of_a_table_gives_the_same_month(bundle: Bundle, tmp_path: Path, suffix: str) -> None:
    write_table(rows(bundle), tmp_path / f"table{suffix}")
    assert month_of(read_rows(tmp_path / f"table{suffix}"), "table") == month(bundle)


def test_what_drift_leaves_is_read_back_as_the_month_it_was_and_names_no_film(
    bundle: Bundle, tmp_path: Path
) -> None:
    first = replace(month(bundle), sds=(-0.5, 1.0), hand_scores=(0.25,), likenesses=(1.125,), errors=(0.5,))
    write_drift(drift(first, bundle, month(bundle, seed=3)), tmp_path)
    assert read_month(tmp_path) == first
    assert {path.name for path in tmp_path.iterdir()} == {"drift.json", "drift.png", "drift.html"}
    page = Page((tmp_path / "drift.html").read_text(encoding="utf-8"))
    assert not page.open
    assert "For research, not for diagnosis" in page.text
    assert bundle.model in page.text
    for name in ("drift.html", "drift.json"):
        assert "canary" not in (tmp_path / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": "done"}, "status 'done'"),
        ({"bone_age_months": None}, "status 'assessed'"),
        ({"bone_age_months": 300.0}, "300 months"),
        ({"sex": "X"}, "film 2"),
        ({"model": "other@1"}, "several models"),
    ],
)
def test_rows_that_are_none_are_wrong_use(bundle: Bundle, change: dict[str, Any], said: str) -> None:
    good = rows(bundle)[:4]
    with pytest.raises(WrongUse, match=said):
        month_of([good[0], good[1] | change, *good[2:]], "table")


def test_an_empty_table_and_one_that_is_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(UnusableData, match="no film"):
        month_of([], "table")
    for name, text in (("a.json", "{"), ("b.json", "{}"), ("drift.json", "{}"), ("c.jsonl", "3\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(WrongUse, match="cannot be read as answers"):
            read_month(tmp_path / name)


def test_errors_against_labels_are_held_against_the_calibration_scores(
    tmp_path: Path, bundle: Bundle
) -> None:
    rng = np.random.default_rng(6)
    read = rng.uniform(30, 210, 300)
    films = held_out(read, np.clip(read + rng.normal(0, 8, 300), 0, 240), "FM" * 150)
    calibration = fit_calibration(films, spread=fit_spread(films))
    made = small_bundle(tmp_path / "spread", calibration=calibration)
    said = [
        record(Assessment(f"f/{one.child}.png", Subject(one.sex), one.reading_months, None, made.model))
        for one in films
    ]
    labels = [Label(one.child, one.label_months, one.sex) for one in films]
    same = with_labels(month_of(said, "table"), said, labels, made)
    assert ("errors", CALIBRATION) not in moved(same, made)
    far = [replace(one, bone_age_months=min(240.0, one.bone_age_months + 25)) for one in labels]
    assert ("errors", CALIBRATION) in moved(with_labels(same, said, far, made), made)
    with pytest.raises(WrongUse, match="no label"):
        with_labels(same, said, [replace(labels[0], id="another")], made)
    with pytest.raises(WrongUse, match="cannot be worked out"):
        with_labels(month(bundle), rows(bundle), labels, bundle)
    assert small_calibration().spread is None


def test_how_sure_the_model_is_of_the_hands_is_measured_and_unreadable_films_are_counted(
    tmp_path: Path, bundle: Bundle
) -> None:
    carried = load_bundle()
    (tmp_path / "hand.png").write_bytes(read_plates()[3].path.read_bytes())
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    told: list[tuple[int, int]] = []
    looked = with_films(month(bundle), tmp_path, carried, lambda done, total: told.append((done, total)))
    assert (len(looked.hand_scores), len(looked.likenesses), looked.unread) == (1, 1, 1)
    assert looked.likenesses[0] > 0.75
    assert told == [(1, 2), (2, 2)]
    assert with_films(month(bundle), tmp_path, bundle, lambda done, total: None) == month(bundle)


def test_the_command_tells_writes_and_refuses_answers_of_another_model(
    tmp_path: Path, bundle: Bundle
) -> None:
    small_bundle(tmp_path / "small")
    write_table(rows(bundle, older=60.0), tmp_path / "now.csv")
    write_table(rows(bundle), tmp_path / "then.json")
    asked = ["drift", str(tmp_path / "now.csv"), "--model", str(tmp_path / "small")]
    told = CliRunner().invoke(app, [*asked, "--out", str(tmp_path / "out")])
    assert told.exit_code == 0
    assert "Bone ages of girls: moved" in told.output
    assert "For research, not for diagnosis." in told.output
    against = CliRunner().invoke(app, [*asked, "--against", str(tmp_path / "then.json"), "--json"])
    assert json.loads(against.stdout)["moved"] is True
    again = CliRunner().invoke(app, [*asked, "--against", str(tmp_path / "out")])
    assert "Bone ages of girls: no shift is shown, median" in again.output
    foreign = CliRunner().invoke(app, asked[:2])
    assert foreign.exit_code == 2
    assert "--model" in foreign.output
