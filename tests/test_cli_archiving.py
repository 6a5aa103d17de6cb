"""Results beside the film: `predict` writes DICOM and FHIR, the same each time, without identity if asked."""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from typer.testing import CliRunner, Result

from bonexage.cli.app import app
from bonexage.reading import dicom
from bonexage.reading.files import list_films
from dicoms import dataset, write_dicom
from films import write_film
from models import small_bundle

Run = Callable[..., Result]
CANARY = "CANARY"
TEXTS = (
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "PatientAddress",
    "PatientComments",
    "AccessionNumber",
    "StudyID",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "InstitutionName",
    "StationName",
    "ReferringPhysicianName",
    "OperatorsName",
    "RequestedProcedureDescription",
    "ImageComments",
    "ViewPosition",
    "BodyPartExamined",
    "Manufacturer",
    "DeviceSerialNumber",
    "DetectorID",
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    small_bundle(tmp_path / "model.zip")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["predict", *arguments, "--model", "model.zip", "--threads", "1"])

    yield run
    dicom._dismiss()


def planted(**changes: object) -> Dataset:
    """A film with a canary in every text that a header can hold."""
    made = dataset(PatientSex="F", PatientAge="126M", PatientBirthDate="20150711")
    for keyword in TEXTS:
        tag = tag_for_keyword(keyword)
        assert tag
        made.add_new(
            tag, "LO" if dictionary_VR(tag) == "CS" else dictionary_VR(tag), f"{CANARY}{len(keyword)}"
        )
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    return made


def modalities(folder: Path) -> list[str]:
    return sorted(pydicom.dcmread(file).Modality for file in folder.glob("*.dcm"))


def test_a_dicom_film_gives_its_results_and_a_repeat_changes_nothing(run: Run, tmp_path: Path) -> None:
    write_dicom(tmp_path / "film.dcm", planted())
    write_film(tmp_path / "film.png")
    asked = ("film.dcm", "film.png", "--dicom-out", "out", "--fhir-out", "fhir.json")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # they would print the patient's name
        done = run(*asked)
    assert done.exit_code == 0, done.output
    assert modalities(tmp_path / "out") == ["DOC", "OT", "SR"]
    assert "film.png: no result is written" in done.stderr
    made = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    made["fhir.json"] = (tmp_path / "fhir.json").read_bytes()
    assert run(*asked).exit_code == 0
    again = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    again["fhir.json"] = (tmp_path / "fhir.json").read_bytes()
    assert again == made
    assert len(json.loads(made["fhir.json"])["entry"]) == 4


def test_results_are_known_again_and_not_taken_for_films(run: Run, tmp_path: Path) -> None:
    write_dicom(tmp_path / "study" / "film.dcm", planted())
    assert run("study", "--dicom-out", "study/results").exit_code == 0
    assert [Path(film).name for film in list_films([str(tmp_path / "study")])] == ["film.dcm"]
    (picture,) = (
        file for file in (tmp_path / "study" / "results").iterdir() if pydicom.dcmread(file).Modality == "OT"
    )
    named = run(str(picture), "--dicom-out", "again")
    assert named.exit_code == 3
    assert "this is a result of bonexage, not a film" in named.stdout
    assert not (tmp_path / "again").exists()


def test_a_film_that_cannot_be_judged_gives_a_refusal_and_not_silence(run: Run, tmp_path: Path) -> None:
    write_dicom(tmp_path / "ct.dcm", dataset(Modality="CT"))
    done = run("ct.dcm", "--dicom-out", "out", "--fhir-out", "fhir.json")
    assert done.exit_code == 3
    assert modalities(tmp_path / "out") == ["DOC", "SR"]
    assert "is no radiograph" in (tmp_path / "fhir.json").read_text()


@pytest.mark.parametrize("burnt_in", ["YES", "NO"])
def test_no_canary_of_a_header_or_a_file_name_is_in_any_output_of_a_deidentified_run(
    run: Run, tmp_path: Path, burnt_in: str
) -> None:
    films = [
        write_dicom(tmp_path / f"{CANARY}^John" / "film.dcm", planted(BurnedInAnnotation=burnt_in)),
        write_dicom(tmp_path / f"{CANARY}-ct.dcm", planted(Modality="CT")),
        tmp_path / f"{CANARY}-damaged.dcm",
        write_film(tmp_path / f"{CANARY}.png"),
    ]
    films[2].write_bytes(films[0].read_bytes()[:900])
    out = tmp_path / "out"
    names = [str(film) for film in films]
    places = (
        "--dicom-out",
        "out/dicom",
        "--fhir-out",
        "out/fhir.json",
        "--report",
        "out",
        "--out",
        "out/a.csv",
    )
    done = run(*names, *places, "--deidentify", "--sex", "M", "--age-months", "90")
    assert done.exit_code == 3
    for said in (done.stdout, done.stderr):
        assert CANARY not in said
    written = [file for file in out.rglob("*") if file.is_file()]
    assert len(written) >= 6
    for file in written:
        assert CANARY not in str(file.relative_to(tmp_path))
        told = file.read_bytes()
        assert CANARY.encode() not in told, file
        assert b"20150711" not in told, file
        assert b"20260115" not in told, file
        if file.suffix == ".dcm" and b"%PDF" in told:
            assert CANARY.encode() not in _unpacked(told)
    assert ("OT" in modalities(out / "dicom")) == (burnt_in == "NO")


def _unpacked(pdf: bytes) -> bytes:
    """Every compressed stream of a PDF, opened."""
    found = []
    for part in pdf.split(b"stream\n")[1:]:
        try:
            found.append(zlib.decompressobj().decompress(part))
        except zlib.error:
            continue
    return b"".join(found)


def test_resume_and_deidentify_do_not_go_together(run: Run) -> None:
    done = run("film.dcm", "--out", "a.csv", "--resume", "--deidentify")
    assert done.exit_code == 2
    assert "--deidentify" in done.stderr
