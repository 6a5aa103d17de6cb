"""What the service answers is what the command line says of the same film."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bonexage.assessment import DISCLAIMER
from bonexage.model.assessor import Assessor, assess_many
from bonexage.model.bundle import load_bundle
from bonexage.reports.table import record
from bonexage.subject import Sex, Subject
from dicoms import as_bytes, dataset
from services import PATH, png, post, running, settings

KNOWN = Subject(Sex.FEMALE, 126)


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with running(settings(folder)) as made:
        yield made


def rows_of_predict(folder: Path, **films: bytes) -> list[dict[str, object]]:
    """The rows that `predict --format json` would give, without the folder in the names."""
    paths = []
    for name, content in films.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(content)
        paths.append(str(path))
    outcomes = assess_many(Assessor(load_bundle(folder / "small.zip")), paths, lambda _: KNOWN)
    return [{**record(outcome), "file": Path(outcome.file).name} for outcome in outcomes]


def test_one_film_has_the_row_that_predict_gives(client: TestClient, folder: Path) -> None:
    said = post(client, png(3), sex="F", age_months="126")
    assert said.status_code == 200
    assert said.json() == rows_of_predict(folder, hand_png=png(3))


def test_a_dicom_film_has_the_row_that_predict_gives(client: TestClient, folder: Path) -> None:
    film = as_bytes(dataset())
    said = post(client, film, name="hand.dcm", sex="F", age_months="126")
    assert said.json() == rows_of_predict(folder, hand_dcm=film)


def test_several_films_have_a_row_each_in_their_order_also_the_bad_one(
    client: TestClient, folder: Path
) -> None:
    films = {"a_png": png(1), "b_png": b"no picture", "c_png": png(2)}
    files = [("file", (name.replace("_", "."), content)) for name, content in films.items()]
    said = client.post(PATH, files=files, data={"sex": "F", "age_months": "126"})
    assert said.status_code == 200
    assert said.json() == rows_of_predict(folder, **films)


def test_one_bad_film_is_a_problem_with_the_exit_code_of_the_command_line(client: TestClient) -> None:
    said = post(client, b"no picture")
    assert said.status_code == 422
    assert said.headers["content-type"] == "application/problem+json"
    problem = said.json()
    assert (problem["code"], problem["exit_code"], problem["status"]) == ("unreadable", 3, 422)
    assert problem["row"]["status"] == "unreadable"
    assert problem["detail"] == problem["row"]["message"]


def test_a_picture_that_is_no_radiograph_is_refused(client: TestClient) -> None:
    said = post(client, as_bytes(dataset(Modality="MR")), name="mr.dcm")
    assert (said.status_code, said.json()["code"]) == (422, "refused")


@pytest.mark.parametrize("accept", ["text/html", "application/xhtml+xml, text/html;q=0.9, */*;q=0.1"])
def test_the_report_comes_as_a_page(client: TestClient, accept: str) -> None:
    said = post(client, png(), accept=accept, sex="M")
    assert said.headers["content-type"].startswith("text/html")
    assert DISCLAIMER in said.text
    assert "hand.png" in said.text


def test_the_report_comes_as_pdf(client: TestClient) -> None:
    said = post(client, png(), accept="application/pdf", sex="M")
    assert said.headers["content-type"] == "application/pdf"
    assert said.content.startswith(b"%PDF-")


def test_dicom_films_give_one_fhir_transaction(client: TestClient) -> None:
    films = [as_bytes(dataset(number=number)) for number in (1, 2)]
    said = post(client, *films, accept="application/fhir+json", name="hand.dcm", sex="F")
    assert said.headers["content-type"] == "application/fhir+json"
    kinds = [entry["resource"]["resourceType"] for entry in json.loads(said.text)["entry"]]
    assert sorted(kinds) == ["Device", *["DiagnosticReport"] * 2, *["Observation"] * 2]


def test_a_picture_has_no_fhir_result(client: TestClient) -> None:
    said = post(client, png(), accept="application/fhir+json")
    assert (said.status_code, said.json()["code"]) == (400, "wrong-use")


@pytest.mark.parametrize(
    ("accept", "films"), [("image/png", 1), ("application/json;q=0", 1), ("application/pdf", 2)]
)
def test_what_cannot_be_given_is_not_acceptable(client: TestClient, accept: str, films: int) -> None:
    said = post(client, *[png()] * films, accept=accept)
    assert (said.status_code, said.json()["code"]) == (406, "not-acceptable")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"sex": "X"}, "wrong-use"),
        ({"age_months": "ten"}, "wrong-use"),
        ({"age_months": "1441"}, "wrong-use"),
        ({"age_months": "nan"}, "wrong-use"),
        ({"coverage": "100"}, "wrong-use"),
        ({"page": "1.5"}, "wrong-use"),
        ({"sexe": "F"}, "wrong-use"),
        ({"file": "hand.png"}, "wrong-use"),
    ],
)
def test_a_field_that_cannot_be_obeyed_is_wrong_use(
    client: TestClient, fields: dict[str, str], code: str
) -> None:
    said = post(client, png(), **fields)
    assert (said.status_code, said.json()["code"], said.json()["exit_code"]) == (400, code, 2)


def test_a_form_without_a_film_is_wrong_use(client: TestClient) -> None:
    said = client.post(PATH, files={"sex": (None, "F")})
    assert (said.status_code, said.json()["code"]) == (400, "wrong-use")


def test_what_is_no_form_is_said_to_be_none(client: TestClient) -> None:
    said = client.post(PATH, json={"file": "hand.png"})
    assert (said.status_code, said.json()["code"]) == (415, "wrong-form")


def test_the_interval_covers_what_is_asked_for(client: TestClient) -> None:
    narrow, wide = (post(client, png(), sex="F", coverage=share).json()[0] for share in ("80", "95"))
    assert (narrow["coverage"], wide["coverage"]) == (0.8, 0.95)
    assert wide["interval_high_months"] - wide["interval_low_months"] > (
        narrow["interval_high_months"] - narrow["interval_low_months"]
    )


def test_a_request_keeps_the_uuid_that_its_client_gave_it_and_no_other_name(client: TestClient) -> None:
    own = "8a2f7c1e-6f0d-4f4b-9a3e-0d3a5b1c2e4f"
    kept, made = (client.get("/healthz", headers={"X-Request-ID": name}) for name in (own, "Anna^Muster"))
    assert kept.headers["x-request-id"] == own
    assert len(made.headers["x-request-id"]) == 36
    assert client.get("/nowhere", headers={"X-Request-ID": own}).json()["instance"] == f"urn:uuid:{own}"


def test_the_model_tells_its_name_and_that_it_is_for_research(client: TestClient, folder: Path) -> None:
    said = client.get("/v1/model").json()
    assert said["model"] == load_bundle(folder / "small.zip").model
    assert said["disclaimer"] == DISCLAIMER


def test_metrics_count_films_and_requests(client: TestClient) -> None:
    post(client, png())
    text = client.get("/metrics").text
    assert 'bonexage_films_total{status="assessed"}' in text
    assert 'bonexage_requests_total{method="POST",route="/v1/assessments",status="200"}' in text


def test_what_is_not_there_is_a_problem_too(client: TestClient) -> None:
    assert client.get("/etc/passwd").json()["code"] == "not-found"
    assert client.get(PATH).json()["code"] == "wrong-method"
