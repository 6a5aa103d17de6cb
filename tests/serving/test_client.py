"""The client says of a film what an Assessor says, and `predict --server` what `predict` says."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import bonexage
from bonexage.assessment import Failure
from bonexage.cli.app import app
from bonexage.errors import RefusedRadiograph, ServiceError, TooManyPixels, UnreadableFile, WrongUse
from bonexage.model.assessor import Assessor, assess_many
from bonexage.model.bundle import load_bundle
from bonexage.reports.table import record
from bonexage.reports.text import paragraph
from bonexage.serving import client as client_module
from bonexage.serving.client import Client, _name_to_send, outcome_of
from bonexage.serving.settings import Limits
from bonexage.subject import Sex, Subject
from dicoms import dataset, write_dicom
from films import write_film
from services import running, served, settings

GIRL = Subject(Sex.FEMALE, 126.25)


@pytest.fixture(scope="module")
def http(folder: Path) -> Iterator[TestClient]:
    with running(settings(folder, limits=Limits(pixels=50_000, bytes=300_000))) as made:
        yield made


@pytest.fixture(scope="module")
def client(http: TestClient) -> Client:
    return bonexage.Client("http://testserver", http=http)


@pytest.fixture
def films(tmp_path: Path) -> list[str]:
    (tmp_path / "bad.png").write_bytes(b"no film")
    shutil.copy(tmp_path / "bad.png", tmp_path / "bad.dcm")
    return [
        str(write_film(tmp_path / "a.png", 1)),
        str(tmp_path / "bad.png"),
        str(write_dicom(tmp_path / "b.dcm")),
        str(tmp_path / "bad.dcm"),
        str(write_dicom(tmp_path / "mr.dcm", dataset(Modality="MR"))),
        str(tmp_path / "missing.png"),
    ]


@pytest.mark.parametrize("subject", [GIRL, Subject()])
def test_many_films_have_the_outcomes_of_an_assessor(
    client: Client, folder: Path, films: list[str], subject: Subject
) -> None:
    here = list(assess_many(Assessor(load_bundle(folder / "small.zip")), films, lambda _: subject))
    there = list(client.assess_many(films, lambda _: subject))
    assert [record(outcome) for outcome in there] == [record(outcome) for outcome in here]
    assert [type(each.error) for each in there if isinstance(each, Failure)] == [
        type(each.error) for each in here if isinstance(each, Failure)
    ]
    assert [paragraph(outcome).splitlines()[0] for outcome in there] == [
        paragraph(outcome).splitlines()[0] for outcome in here
    ]


def test_one_film_is_assessed_or_its_error_raised(client: Client, films: list[str]) -> None:
    said = client.assess(films[0], "F", 126.25, coverage=0.8)
    assert said.interval
    assert said.interval.coverage == 0.8
    assert said.subject == Subject(Sex.FEMALE, 126.2)
    with pytest.raises(UnreadableFile, match="not a PNG"):
        client.assess(films[1])
    with pytest.raises(RefusedRadiograph, match="no radiograph"):
        client.assess(films[4])
    with pytest.raises(UnreadableFile, match="no such file"):
        client.assess(films[5])
    with pytest.raises(WrongUse, match="out of range"):
        client.assess(films[0], "F", 2000)


NAMES = (
    b"M\xfcller.png",
    b"\xff" * 251 + b".png",
    ("\U0001d538" * 62 + ".png").encode(),
    b'quoted"name.png',
    b"two\r\nlines.png",
    b"\x01\x1b[31mred.png",
    b"a\\b;x=1%0a.png",
    "\u202egnp.png".encode(),
    b" .png",
)


@pytest.mark.skipif(os.name == "nt", reason="names there are text")
def test_a_film_of_any_name_is_assessed_as_it_is_here(client: Client, folder: Path, tmp_path: Path) -> None:
    film = write_film(tmp_path / "plain.png", 3).read_bytes()
    names = [tmp_path / os.fsdecode(name) for name in NAMES]
    for name in names:
        name.write_bytes(film)
    films = [*map(str, names), str(tmp_path / "no\x00name.png"), str(tmp_path / "plain.png")]
    there = list(client.assess_many(films, lambda _: GIRL))
    here = list(assess_many(Assessor(load_bundle(folder / "small.zip")), films, lambda _: GIRL))
    assert [record(outcome) for outcome in there] == [record(outcome) for outcome in here]
    assert [record(outcome)["status"] for outcome in there] == [
        *["assessed"] * len(NAMES),
        "unreadable",
        "assessed",
    ]
    assert client.report(films[0]).startswith(b"%PDF-")


@given(st.text(st.characters(), min_size=1, max_size=300).filter(lambda name: "/" not in name))
def test_a_name_that_is_sent_is_printable_short_and_keeps_its_suffix(name: str) -> None:
    sent = _name_to_send(f"/films/{name}.png")
    assert sent.isprintable()
    assert 4 <= len(sent.encode()) <= 255
    assert sent.endswith(".png")


def failing_on(film: bytes, answer: Callable[[], httpx.Response]) -> Client:
    """A client of a service that answers so to one film, and to others that it cannot read them."""

    def respond(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"model": "small@0"})
        if film in request.read():
            return answer()
        problem = {"code": "unreadable", "detail": "it is none. Give another.", "remedy": "Give another"}
        return httpx.Response(422, json=problem)

    return Client("http://there", http=httpx.Client(base_url="http://there", transport=transport(respond)))


def transport(respond: Callable[[httpx.Request], httpx.Response]) -> httpx.MockTransport:
    return httpx.MockTransport(respond)


def broken() -> httpx.Response:
    raise httpx.ReadTimeout("it takes too long")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: httpx.Response(500), "answers 500"),
        (lambda: httpx.Response(413, text="<html>too large"), "answers 413"),
        (lambda: httpx.Response(200, text="<html>"), "none of this service's"),
        (lambda: httpx.Response(200, json=[{"status": "assessed"}]), "none of this service's"),
        (lambda: httpx.Response(200, json=["odd"]), "none of this service's"),
        (lambda: httpx.Response(200, text="[" * 100_000), "none of this service's"),
        (lambda: httpx.Response(400, json={"code": "wrong-use", "detail": "no. Do."}), "no. Do"),
        (broken, "does not answer"),
    ],
    ids=["fails", "proxy", "no-row", "part-of-a-row", "no-object", "nested", "wrong-use", "slow"],
)
def test_a_film_that_a_service_fails_on_does_not_end_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Callable[[], httpx.Response], said: str
) -> None:
    monkeypatch.setattr(client_module, "_PAUSE", 0.01)
    films = [tmp_path / f"{number}.png" for number in range(3)]
    for number, film in enumerate(films):
        film.write_bytes(f"film {number}".encode())
    outcomes = list(failing_on(b"film 1", answer).assess_many(map(str, films), lambda _: GIRL))
    failed = [each for each in outcomes if isinstance(each, Failure)]
    assert [each.file for each in failed] == [str(film) for film in films]
    assert [each.error.problem for each in (failed[0], failed[2])] == ["it is none"] * 2
    assert said in str(failed[1].error)
    assert str(failed[1].error).startswith(str(films[1]))


@pytest.mark.parametrize("status", [401, 429, 503, 507])
def test_a_service_that_lets_nobody_in_or_has_no_room_ends_the_batch(tmp_path: Path, status: int) -> None:
    (tmp_path / "a.png").write_bytes(b"film 1")

    def respond(request: httpx.Request) -> httpx.Response:
        known = request.method == "GET" and status != 401
        return httpx.Response(200, json={"model": "small@0"}) if known else httpx.Response(status)

    through = httpx.Client(base_url="http://there", transport=transport(respond))
    asked = Client("http://there", http=through, patience_seconds=0)
    with pytest.raises(ServiceError, match=f"answers {status}"):
        list(asked.assess_many([str(tmp_path / "a.png")], lambda _: GIRL))


def test_limits_of_the_service_are_errors_of_their_own(client: Client, tmp_path: Path) -> None:
    with pytest.raises(TooManyPixels, match=r"more than 0\.05 million"):
        client.assess(write_film(tmp_path / "large.png", height=300, width=200))
    (tmp_path / "long.png").write_bytes(bytes(400_000))
    with pytest.raises(UnreadableFile, match=r"more than 0\.3 MB.*smaller copies"):
        client.assess(tmp_path / "long.png")


def test_reports_come_in_every_form(client: Client, films: list[str]) -> None:
    assert client.report(films[0]).startswith(b"%PDF-")
    assert client.report(films[0], form="html").startswith(b"<!")
    assert json.loads(client.report(films[2], form="fhir"))["resourceType"] == "Bundle"


def answering(*statuses: int, after: str = "0.01") -> tuple[Client, list[httpx.Request]]:
    """A client of a service that answers so, one request after the other, then that it has a model."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if len(asked) > len(statuses):
            return httpx.Response(200, json={"model": "small@0"})
        if not statuses[len(asked) - 1]:
            raise httpx.ConnectError("refused")
        return httpx.Response(statuses[len(asked) - 1], headers={"Retry-After": after})

    through = httpx.Client(base_url="http://there", transport=httpx.MockTransport(answer))
    return Client("http://there", token="secret", http=through), asked


def test_it_asks_again_where_the_service_has_too_much_to_do_or_the_line_breaks() -> None:
    client, asked = answering(429, 503, 0)
    assert client.model == "small@0"
    assert {request.headers["authorization"] for request in asked} == {"Bearer secret"}
    assert len(asked) == 4


@pytest.mark.parametrize("after", ["Wed, 21 Oct 2026 07:28:00 GMT", "soon", "nan", "-1", ""])
def test_a_pause_that_is_no_number_of_seconds_is_one_of_its_own(
    after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_PAUSE", 0.01)
    client, asked = answering(503, after=after)
    assert client.model == "small@0"
    assert len(asked) == 2


@pytest.mark.parametrize(("statuses", "said"), [((0, 0, 0), "does not answer"), ((500,), "answers 500")])
def test_a_service_that_fails_is_one_clear_error(statuses: tuple[int, ...], said: str) -> None:
    client, _ = answering(*statuses)
    with pytest.raises(ServiceError, match=said):
        _ = client.model


@pytest.mark.parametrize("address", ["there", "ftp://there", "http://[", ""])
def test_what_is_no_address_is_wrong_use(address: str) -> None:
    with pytest.raises(WrongUse, match="no address"):
        Client(address)


def test_a_row_becomes_the_outcome_that_gives_the_same_row(films: list[str], folder: Path) -> None:
    assessor = Assessor(load_bundle(settings(folder).model))
    for subject in (GIRL, Subject(), Subject(Sex.MALE, 239.0)):
        for outcome in assess_many(assessor, films, lambda _, subject=subject: subject):
            assert record(outcome_of(record(outcome), outcome.file)) == record(outcome)


def test_predict_by_a_service_prints_what_predict_prints(
    folder: Path, films: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "0123456789abcdef"
    monkeypatch.setenv("BONEXAGE_TOKEN", token)
    asked = ["predict", *films, "--sex", "F", "--age-months", "126", "--format", "csv"]
    here = CliRunner().invoke(app, [*asked, "--model", str(settings(folder).model)])
    with served(folder) as service:
        there = CliRunner().invoke(app, [*asked, "--server", service.address])
        monkeypatch.setenv("BONEXAGE_TOKEN", "another token here")
        unknown = CliRunner().invoke(app, [*asked, "--server", service.address])
    assert (there.exit_code, there.stdout) == (here.exit_code, here.stdout)
    assert here.exit_code == 3
    assert unknown.exit_code == 2
    assert "token is missing or wrong" in unknown.stderr


def test_predict_by_a_service_refuses_what_only_this_machine_can_do(films: list[str]) -> None:
    done = CliRunner().invoke(app, ["predict", films[0], "--server", "http://x", "--model", "m.zip"])
    assert done.exit_code == 2
    assert "--model is obeyed only here" in done.stderr
