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
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from typer.testing import CliRunner, Result

from bonexage.cli.app import app
from bonexage.model import assessor
from bonexage.reading import decoder
from bonexage.reading.files import list_films
from dicoms import dataset, write_dicom
from films import write_film
from models import small_bundle, small_network
from pages import Page

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
    decoder.dismiss()


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


def odd(keyword: str, value: str, **changes: object) -> Dataset:
    """A film with a UID that is not as the standard asks."""
    made = dataset(PatientSex="F", **changes)
    made[keyword] = DataElement(tag_for_keyword(keyword), "UI", value, validation_mode=pydicom.config.IGNORE)
    if keyword == "SOPInstanceUID":
        made.file_meta[0x00020003] = DataElement(
            0x00020003, "UI", value, validation_mode=pydicom.config.IGNORE
        )
    return made


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("value", ["1.2.0123.45", "1.2." + "3" * 70])
def test_a_film_with_an_odd_uid_gives_results_that_refer_to_it_and_no_warning(
    run: Run, tmp_path: Path, keyword: str, value: str
) -> None:
    film = odd(keyword, value)
    write_dicom(tmp_path / "film.dcm", film)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        done = run("film.dcm", "--dicom-out", "out", "--fhir-out", "fhir.json", "--format", "csv")
    assert done.exit_code == 0, done.output
    assert modalities(tmp_path / "out") == ["DOC", "OT", "SR"]
    for file in (tmp_path / "out").iterdir():
        assert pydicom.dcmread(file).StudyInstanceUID == film.StudyInstanceUID
        assert value.encode() in file.read_bytes() or keyword == "SeriesInstanceUID"
    assert f"urn:oid:{film.StudyInstanceUID}" in (tmp_path / "fhir.json").read_text()


@pytest.mark.parametrize("value", ["", "1.2.x"])
def test_a_film_that_lacks_a_uid_is_read_and_the_command_says_why_there_are_no_results(
    run: Run, tmp_path: Path, value: str
) -> None:
    write_dicom(tmp_path / "film.dcm", odd("StudyInstanceUID", value))
    done = run("film.dcm", "--dicom-out", "out", "--fhir-out", "fhir.json", "--format", "json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)[0]["status"] == "assessed"
    fault = "is not made of digits and points" if value else "is missing"
    assert "film.dcm: no result is written: the header lacks the UIDs" in done.stderr
    assert f"the Study Instance UID {fault}." in done.stderr
    assert "1 of 1 films have no DICOM or FHIR results" in done.stderr
    assert run("film.dcm").exit_code == 0


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


@pytest.fixture
def explaining(tmp_path: Path) -> None:
    """The model of `run` gives a map of what moved its answers."""
    small_bundle(tmp_path / "model.zip", onnx=small_network(outputs=("months", "activation_map")))


def pictures(folder: Path) -> dict[str, list[str]]:
    """The film and the map in each film's page of a report, as they are embedded, in the films' order."""
    pages = sorted((folder / "films").glob("*.html"))
    images = {page.name: Page(page.read_text(encoding="utf-8")).all("img") for page in pages}
    return {
        name: [image["src"] for image in found if image["alt"].startswith(("The radiograph", "Map"))]
        for name, found in images.items()
    }


@pytest.mark.usefixtures("explaining")
@pytest.mark.parametrize("planted_names", [[], ["film 1", "film 2"]])
def test_a_deidentified_report_shows_each_film_itself_and_opens_nothing_by_a_made_up_name(
    run: Run, tmp_path: Path, planted_names: list[str]
) -> None:
    for seed, name in enumerate(planted_names, start=7):
        write_film(tmp_path / "other.png", seed).rename(tmp_path / name)
    for seed in (1, 2):
        write_film(tmp_path / f"{CANARY}{seed}.png", seed)
    names = (f"{CANARY}1.png", f"{CANARY}2.png")
    assert run(*names, "--sex", "F", "--report", "named").exit_code == 0
    assert run(*names, "--sex", "F", "--report", "hidden", "--deidentify").exit_code == 0
    named, hidden = pictures(tmp_path / "named"), pictures(tmp_path / "hidden")
    assert list(hidden) == ["film-1.html", "film-2.html"]
    assert [len(each) for each in hidden.values()] == [2, 2]
    assert list(hidden.values()) == list(named.values())


@pytest.mark.usefixtures("explaining")
def test_a_film_that_is_replaced_meanwhile_is_shown_as_it_was_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each film's bytes are fetched once, and everything is made of them."""
    write_film(tmp_path / "a.png", 1)
    assert run("a.png", "--sex", "F", "--report", "before").exit_code == 0
    fetched: list[str] = []

    def once(name: str) -> bytes:
        fetched.append(name)
        data = Path(name).read_bytes()
        write_film(tmp_path / "a.png", 2)
        return data

    monkeypatch.setattr(assessor, "film_bytes", once)
    assert run("a.png", "--sex", "F", "--report", "after", "--deidentify").exit_code == 0
    assert fetched == ["a.png"]
    assert list(pictures(tmp_path / "after").values()) == list(pictures(tmp_path / "before").values())


@pytest.mark.usefixtures("explaining")
@pytest.mark.parametrize(("burnt_in", "shown"), [("NO", 2), ("YES", 0), ("", 0)])
def test_a_deidentified_report_shows_no_film_whose_header_does_not_rule_out_letters_in_it(
    run: Run, tmp_path: Path, burnt_in: str, shown: int
) -> None:
    write_dicom(tmp_path / "film.dcm", planted(BurnedInAnnotation=burnt_in))
    done = run("film.dcm", "--report", "r", "--deidentify")
    assert done.exit_code == 0
    assert [len(each) for each in pictures(tmp_path / "r").values()] == [shown]
    assert ("no picture goes out" in done.stderr) == (shown == 0)


def test_what_could_not_be_foreseen_of_a_film_does_not_name_it_in_a_deidentified_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(name: str) -> bytes:
        raise RuntimeError(f"cannot map {name}")

    monkeypatch.setattr(assessor, "film_bytes", breaks)
    done = run(f"{CANARY}.png", "--deidentify")
    assert done.exit_code == 3
    assert "film 1: unreadable" in done.stdout
    assert CANARY not in done.output
