"""The service's parts by themselves: what a worker answers, what the log holds, what is said at first."""

from __future__ import annotations

import gc
import importlib.util
import io
import json
import logging
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response
from typer.testing import CliRunner

from bonexage.assessment import DISCLAIMER
from bonexage.cli.app import app
from bonexage.errors import WrongUse
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.reading.dicom import DEFAULT_LIMITS
from bonexage.serving import looking, worker
from bonexage.serving.accept import MEDIA_TYPES, wanted
from bonexage.serving.again import REPLAYED, SECONDS, Again
from bonexage.serving.logs import LOGGER, Lines, event, failure
from bonexage.serving.looking import Asked, as_message, in_parts, out_of_parts
from bonexage.serving.problems import Problem
from bonexage.serving.run import introduction, listening
from bonexage.serving.settings import Limits, Settings
from bonexage.serving.uploads import film_name
from bonexage.subject import Sex, Subject
from dicoms import as_bytes, dataset
from services import png, settings


@pytest.fixture(scope="module")
def assessor(tmp_path_factory: pytest.TempPathFactory) -> Assessor:
    return Assessor(load_bundle(settings(tmp_path_factory.mktemp("model")).model))


def answered(assessor: Assessor, data: bytes, asked: Asked) -> tuple[dict[str, object], dict[str, bytes]]:
    said, body = worker._handled(as_message(asked), data, assessor, DEFAULT_LIMITS)
    return said, out_of_parts(said.get("parts", []), body)


def test_a_worker_gives_each_form_that_is_asked_for(assessor: Assessor) -> None:
    asked = Asked("hand.dcm", Subject(Sex.FEMALE, 126), forms=("html", "pdf", "fhir"))
    said, forms = answered(assessor, as_bytes(dataset()), asked)
    assert said["row"]["status"] == "assessed"  # type: ignore[index]
    assert forms["html"].startswith(b"<!")
    assert forms["pdf"].startswith(b"%PDF-")
    assert json.loads(forms["fhir"])["type"] == "transaction"


def test_what_is_not_installed_is_the_operator_s_to_install(
    assessor: Assessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = importlib.util.find_spec
    missing = ("pydicom", "reportlab")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in missing else known(name, *rest)
    )
    film, _ = answered(assessor, as_bytes(dataset()), Asked("hand.dcm"))
    report, _ = answered(assessor, png(), Asked("hand.png", forms=("pdf",)))
    for failed in (film["failed"], report["error"]):
        assert failed["remedy"] == "Ask the operator of this server to install them"  # type: ignore[index]
    assert "pip install" not in json.dumps([film, report])


def test_a_film_without_an_assessment_has_its_fhir_result_and_no_report(assessor: Assessor) -> None:
    asked = Asked("mr.dcm", forms=("html", "fhir"))
    said, forms = answered(assessor, as_bytes(dataset(Modality="MR")), asked)
    assert said["failed"]["code"] == "refused"  # type: ignore[index]
    assert list(forms) == ["fhir"]
    said, forms = answered(assessor, b"no film", Asked("x.dcm", forms=("fhir",)))
    assert said["failed"]["code"] == "unreadable"  # type: ignore[index]
    assert "entry" not in json.loads(forms["fhir"])


def test_a_film_to_which_no_result_can_refer_has_no_fhir_result_and_the_reason_is_named(
    assessor: Assessor,
) -> None:
    film = dataset()
    del film.StudyInstanceUID
    said, _ = answered(assessor, as_bytes(film), Asked("hand.dcm", forms=("fhir",)))
    assert said["error"]["code"] == "wrong-use"  # type: ignore[index]
    assert "the Study Instance UID is missing" in said["error"]["problem"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("raised", "code", "shaken"),
    [(MemoryError(), "unreadable", True), (RuntimeError("Drawn"), "unreadable", False)],
)
def test_whatever_reading_raises_is_an_answer_that_names_nobody(
    assessor: Assessor, monkeypatch: pytest.MonkeyPatch, raised: Exception, code: str, shaken: bool
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(looking, "decode_film_bytes", fail)
    said, _ = answered(assessor, png(), Asked("a.png"))
    told = said.get("error") or said["failed"]
    assert told["code"] == code  # type: ignore[index]
    assert bool(said.get("shaken")) is shaken
    assert "Drawn" not in str(said)


@given(st.dictionaries(st.text(max_size=5), st.binary(max_size=20)))
def test_parts_come_apart_as_they_were_put_together(forms: dict[str, bytes]) -> None:
    lengths, body = in_parts(list(forms.items()))
    assert out_of_parts(json.loads(json.dumps(lengths)), body) == forms


@given(st.text())
def test_a_film_s_name_is_never_empty_a_path_or_unprintable(given_name: str) -> None:
    name = film_name(given_name)
    assert name
    assert name.isprintable()
    assert set(name) - {"."}
    assert not {"/", "\\"} & set(name)
    assert len(name) <= 200


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("text/*", "html"),
        ("application/pdf, application/json;q=0.9", "pdf"),
        ("application/json;q=0.1, application/fhir+json", "fhir"),
        ("text/html;q=0, */*;q=0.5", "json"),
        ("TEXT/HTML; charset=utf-8; q=1", "html"),
        ("text/html;q=much, application/pdf;q=0.2", "pdf"),
    ],
)
def test_the_form_is_the_one_that_is_most_welcome(accept: str | None, form: str) -> None:
    assert wanted(accept) == form


@given(st.text())
def test_any_accept_header_names_a_form_or_none_that_there_is(accept: str) -> None:
    try:
        found = wanted(accept)
    except Problem as problem:
        found = problem.code
    assert found in {*MEDIA_TYPES, "not-acceptable"}


def answered_again(again: Again, key: str, size: int = 60) -> None:
    assert again.begin(key, "x") is None
    again.finish(key, Response(bytes(size)))


def test_answers_are_forgotten_when_they_are_old_or_take_too_much_memory() -> None:
    now = [0.0]
    again = Again(clock=lambda: now[0], most_bytes=2100)
    for key in ("first", "second"):
        answered_again(again, key)
    assert again.begin("first", "x") is None  # forgotten for the second's sake
    with pytest.raises(Problem) as raised:
        again.begin("first", "x")
    assert raised.value.code == "key-in-use"
    assert again.begin("second", "x") is not None
    now[0] = SECONDS + 1
    assert again.begin("second", "another request") is None


def test_an_answer_larger_than_all_may_be_drives_no_other_out() -> None:
    again = Again(most_bytes=5000)
    answered_again(again, "small")
    answered_again(again, "large", size=5001)
    assert again.begin("small", "x") is not None
    assert again.begin("large", "x") is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1500), st.booleans(), st.integers(0, 400))))
def test_keys_are_remembered_within_their_limits(
    requests: list[tuple[int, int, bool, int]],
) -> None:
    now = [0.0]
    again = Again(clock=lambda: now[0], most_bytes=6000, most_keys=3)
    latest: dict[str, float] = {}
    for number, size, kept, seconds in requests:
        now[0] += seconds
        key = str(number)
        if (before := again.begin(key, "x")) is not None:
            assert now[0] <= latest[key] + SECONDS
            assert before.headers[REPLAYED] == "true"
            continue
        again.finish(key, Response(bytes(size)) if kept else None)
        if kept:
            latest[key] = now[0]
            assert again.begin(key, "x") is not None, "the newest answer is kept"
        remembered = again._kept.values()
        assert len(remembered) <= 3
        assert again._bytes == sum(each.size for each in remembered) <= 6000


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of Python some work runs."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., object]:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    gc.disable()  # what it collects may be others' and run lines of theirs
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def test_a_key_costs_the_same_however_many_there_are() -> None:
    again = Again(most_keys=3000)
    counts = []
    for number in range(6000):
        if number in {10, 2900, 5900}:
            counts.append(lines_run(partial(answered_again, again, str(number))))
        else:
            answered_again(again, str(number))
    few, many, full = counts
    assert few == many
    assert full <= 2 * many, "one is forgotten for each that comes"


def test_a_line_of_the_log_tells_facts_and_of_an_error_only_kind_and_place() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(Lines())
    ours, theirs = logging.getLogger(LOGGER), logging.getLogger("a.library")
    for logger in (ours, theirs):
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        event("request", status=200)
        try:
            raise ValueError("Drawn^Hand")
        except ValueError as error:
            failure("failed", error)
            theirs.exception("It failed for %s", "Drawn^Hand")
    finally:
        for logger in (ours, theirs):
            logger.removeHandler(handler)
    first, second, third = map(json.loads, out.getvalue().splitlines())
    assert (first["event"], first["status"], first["level"]) == ("request", 200, "info")
    assert (second["error"], third["error"]) == ("ValueError", "ValueError")
    assert second["where"][-1].startswith(f"{Path(__file__).name}:")
    assert third["said"] == "It failed for %s"
    assert "Drawn" not in out.getvalue()


def test_at_the_start_it_says_who_reaches_it_and_what_is_stored() -> None:
    alone, insecure, behind = (
        " ".join(introduction(given, 8000, "small@0"))
        for given in (
            Settings(host="::1"),
            Settings(host="0.0.0.0", keep=Path("films")),
            Settings(host="0.0.0.0", token="0123456789abcdef"),
        )
    )
    assert "http://[::1]:8000" in alone
    assert "Only this machine" in alone
    assert "Nothing is stored" in alone
    assert "INSECURE" in insecure
    assert "stored in films" in insecure
    assert "with the token" in behind
    assert all(DISCLAIMER in said and "small@0" in said for said in (alone, insecure, behind))


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    said = r"cannot listen on 127\.0\.0\.1, port"
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(WrongUse, match=said):
        listening(Settings(port=taken.getsockname()[1]))


@pytest.mark.parametrize("changes", [{"bytes": 0}, {"seconds": -1}, {"files": 9, "queue": 8}])
def test_limits_that_let_nothing_in_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(WrongUse):
        Limits(**changes)  # type: ignore[arg-type]


def test_the_command_refuses_to_serve_everyone_and_tokens_that_keep_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BONEXAGE_TOKEN", raising=False)
    (tmp_path / "token.txt").write_text("short\n")
    for options, said in (
        (["--host", "0.0.0.0"], "--insecure"),
        (["--token-file", str(tmp_path / "token.txt")], "fewer than 16 characters"),
        (["--token-file", str(tmp_path / "none.txt")], "none.txt"),
        (["--model", str(tmp_path / "none.zip")], "no such bundle"),
    ):
        done = CliRunner().invoke(app, ["serve", *options])
        assert done.exit_code == 2
        assert said in done.stderr
