"""Faults that would make figures lie are planted here, and each is caught by what the project measures."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bonexage.assessment import Assessment
from bonexage.errors import BundleError, RefusedRadiograph
from bonexage.evaluation.coverage import Pairs, examine_coverage
from bonexage.evaluation.evaluate import evaluate, measure
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.model.calibration import Calibration, fit_calibration
from bonexage.reading.folder import LabelledFilm
from bonexage.subject import Sex, Subject
from evaluation.test_evaluate import StandIn
from films import write_film
from models import held_out, small_bundle, small_network

OF_SEX_MONTHS = 12.0  # between what a network reads the same hand as, a girl's and a boy's


def read(seed: int, *, error: float = 8.0, swapped: float = 0.0, count: int = 1200) -> list[dict]:
    """Children and how a network reads them, where a share of them goes by the other sex."""
    rng = np.random.default_rng(seed)
    label = rng.uniform(40, 200, count)
    boy = rng.integers(0, 2, count).astype(bool)
    wrong = rng.random(count) < swapped
    reading = label + rng.normal(0, error, count) + OF_SEX_MONTHS * wrong * np.where(boy, -1, 1)
    return [
        {"reading": r, "label": y, "sex": Sex.MALE if b != w else Sex.FEMALE}
        for r, y, b, w in zip(np.clip(reading, 0, 240), label, boy, wrong, strict=True)
    ]


def calibrated(children: list[dict], shift: float = 0.0) -> Calibration:
    return fit_calibration(
        held_out(
            [child["reading"] for child in children],
            [child["label"] + shift for child in children],
            [child["sex"] for child in children],
        )
    )


def assessed(children: list[dict], calibration: Calibration) -> Pairs:
    return [
        (
            LabelledFilm(str(number), Path(f"{number}.png"), child["label"], child["sex"]),
            Assessment(
                f"{number}.png",
                Subject(child["sex"]),
                child["reading"],
                calibration.interval(child["reading"], child["sex"], 0.9),
                "m@0",
            ),
        )
        for number, child in enumerate(children)
    ]


FAULTS = {
    "none": (calibrated(read(1)), read(2)),
    "every sex swapped": (calibrated(read(1)), read(2, swapped=1.0)),
    "every fourth sex swapped": (calibrated(read(1)), read(2, swapped=0.25)),
    "calibrated on another network's errors": (calibrated(read(1, error=5.0)), read(2)),
    "calibration labels shifted": (calibrated(read(1), shift=12.0), read(2)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_coverage_tells_swapped_sexes_and_calibrations_of_others(fault: str) -> None:
    calibration, children = FAULTS[fault]
    found = examine_coverage(assessed(children, calibration), 0.9, resamples=50)
    assert any(cell.departs for cell in found.by_reading) == (fault != "none")
    assert ("No cell" in " ".join(found.sentences())) == (fault == "none")


def test_a_boy_is_read_as_a_boy_and_a_girl_as_a_girl(tmp_path: Path) -> None:
    paths = [write_film(tmp_path / name) for name in ("girl.png", "boy.png")]
    films = [
        LabelledFilm(path.stem, path, 100.0, sex)
        for path, sex in zip(paths, (Sex.FEMALE, Sex.MALE), strict=True)
    ]
    assessor = Assessor(small_bundle(tmp_path / "model"), threads=1)
    girl, boy = (one.outcome.bone_age_months for one in measure(assessor, films))
    assert boy - girl == pytest.approx(OF_SEX_MONTHS, abs=1e-3)


def test_the_calibration_of_another_network_is_refused_written_and_read(tmp_path: Path) -> None:
    one = small_bundle(tmp_path / "one")
    digest = one.description.sha256["model.onnx"]
    calibration = replace(calibrated(read(1)), network=digest)
    small_bundle(tmp_path / "own", calibration=calibration)
    with pytest.raises(BundleError, match="another network"):
        small_bundle(tmp_path / "foreign", calibration=calibration, onnx=small_network(slope=61.0))
    assert not (tmp_path / "foreign").exists()
    stored = json.loads((tmp_path / "own" / "bundle.json").read_text())
    stored["calibration"]["network"] = "0" * 64
    (tmp_path / "own" / "bundle.json").write_text(json.dumps(stored))
    with pytest.raises(BundleError, match="another network"):
        load_bundle(tmp_path / "own")


class Refusing(StandIn):
    """Refuses the films whose names say so, as an assessor does that finds no hand."""

    def place(self, radiograph, further=()):
        if Path(radiograph.provenance.name).name.startswith("refused"):
            raise RefusedRadiograph("no hand", remedy="Give one", subject=radiograph.provenance.name)
        return super().place(radiograph, further)


def test_a_refused_film_is_counted_as_refused_and_nowhere_as_assessed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("bonexage.evaluation.pictures.draw", lambda _: {})
    monkeypatch.setattr("bonexage.evaluation.page.render", lambda *_: "")
    good = [
        LabelledFilm(str(at), write_film(tmp_path / f"{at}-says{100 + at}.png", at, 48, 40), 104.0, Sex.MALE)
        for at in range(6)
    ]
    # Read as it says, it would be the worst film by far.
    bad = LabelledFilm("bad", write_film(tmp_path / "refused-says1.png", 9, 48, 40), 200.0, Sex.MALE)
    alone = evaluate(Refusing(), good, tmp_path / "alone", split="test", resamples=20)
    told = evaluate(Refusing(), [*good, bad], tmp_path / "both", split="test", resamples=20)
    assert told.overall.as_dict() == alone.overall.as_dict()
    stored = json.loads((tmp_path / "both" / "evaluation.json").read_text())
    assert stored["films"] == {"labelled": 7, "assessed": 6, "refused": 1, "unreadable": 0, "missing": 0}
    assert stored["all"]["films"] == stored["films"]["assessed"]
    assert [(one["id"], one["status"]) for one in stored["not_assessed"]] == [("bad", "refused")]
    with (tmp_path / "both" / "predictions.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert (rows["bad"]["status"], rows["bad"]["bone_age_months"]) == ("refused", "")
    assert sum(row["status"] == "assessed" for row in rows.values()) == 6
