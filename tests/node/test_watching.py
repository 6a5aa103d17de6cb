"""A watched folder: a film is taken once it has stopped growing, its results appear whole, and it stays."""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path

import pydicom
import pytest
from typer.testing import CliRunner

from bonexage.cli.app import app
from bonexage.node import watching
from bonexage.node.config import Delivery
from bonexage.node.judging import Judge, make_judge
from bonexage.node.logs import json_lines
from bonexage.node.queue import Queue
from bonexage.node.spool import Spool
from bonexage.node.taking import Door, content_hash
from bonexage.node.watching import STATE, Taker, Watch, run_watch
from dicoms import as_bytes, dataset, hand_values, write_dicom
from films import write_film
from models import small_bundle


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small_bundle(tmp_path_factory.mktemp("model") / "model.zip")
    return next(tmp_path_factory.getbasetemp().glob("model*/model.zip"))


def judge(model: Path, *, deidentify: bool = False, fhir: bool = False) -> Judge:
    return make_judge(str(model), 90, threads=1, deidentify=deidentify, fhir=fhir)


def watched(folder: Path, by: Judge) -> list[dict[str, object]]:
    """Watch `folder`/in until nothing is left to do; the log."""
    told = io.StringIO()
    (folder / "in").mkdir(exist_ok=True)
    watch = Watch(folder / "in", folder / "out", folder / "out" / STATE, every_seconds=0.05, once=True)
    run_watch(watch, by, Delivery(), json_lines(told), threading.Event())
    return [json.loads(line) for line in told.getvalue().splitlines()]


def results(folder: Path) -> dict[str, list[str]]:
    """The names of what lies in each folder of results."""
    found = [place for place in (folder / "out").iterdir() if place.name != STATE]
    return {place.name: sorted(path.name for path in place.iterdir()) for place in found}


def test_films_of_any_kind_give_results_once_and_stay_as_they_are(tmp_path: Path, model: Path) -> None:
    films = [
        write_dicom(tmp_path / "in" / "study" / "IM1.dcm", dataset(PatientSex="F")),
        write_dicom(tmp_path / "in" / "ct.dcm", dataset(number=2, Modality="CT")),
        write_film(tmp_path / "in" / "hand.png"),
        tmp_path / "in" / "notes.txt",
        tmp_path / "in" / ".hidden.png",
    ]
    films[3].write_text("no film")
    films[4].write_bytes(films[2].read_bytes())
    before = {film: (film.read_bytes(), film.stat().st_mtime_ns) for film in films}
    by = judge(model, fhir=True)
    told = watched(tmp_path, by)
    assert [each["event"] for each in told].count("taken") == 3
    made = results(tmp_path)
    assert sorted(name.rpartition("-")[0] for name in made) == ["IM1", "ct", "hand"]
    kinds = {name.rpartition("-")[0]: sorted({Path(each).suffix for each in made[name]}) for name in made}
    assert kinds == {"IM1": [".dcm", ".json"], "ct": [".json"], "hand": [".json", ".pdf"]}
    rows = {
        name.rpartition("-")[0]: json.loads((tmp_path / "out" / name / "reading.json").read_text())
        for name in made
    }
    assert {name: row["status"] for name, row in rows.items()} == {
        "IM1": "assessed",
        "ct": "unreadable",
        "hand": "assessed",
    }
    assert rows["IM1"]["file"] == str(Path("study") / "IM1.dcm")
    assert rows["IM1"]["sex"] == "F"
    (im1,) = (tmp_path / "out" / name for name in made if name.startswith("IM1"))
    assert sorted(pydicom.dcmread(path).Modality for path in im1.glob("*.dcm")) == ["DOC", "OT", "SR"]
    assert len(list(im1.glob("*.json"))) == 2, "a row and FHIR"
    assert {film: (film.read_bytes(), film.stat().st_mtime_ns) for film in films} == before
    again = watched(tmp_path, by)
    assert [each["event"] for each in again].count("known-again") == 3
    assert "taken" not in [each["event"] for each in again]


def test_a_film_without_a_study_is_read_and_its_folder_says_why_nothing_goes_to_an_archive(
    tmp_path: Path, model: Path
) -> None:
    film = dataset(PatientSex="F")
    del film.StudyInstanceUID
    write_dicom(tmp_path / "in" / "a.dcm", film)
    watched(tmp_path, judge(model))
    ((place, names),) = results(tmp_path).items()
    assert names == ["reading.json", "reason.txt", "report.pdf"]
    row = json.loads((tmp_path / "out" / place / "reading.json").read_text())
    assert (row["status"], row["sex"]) == ("assessed", "F")
    assert "the Study Instance UID is missing" in (tmp_path / "out" / place / "reason.txt").read_text()


def test_another_film_of_a_known_uid_is_told_of_beside_the_results(tmp_path: Path, model: Path) -> None:
    write_dicom(tmp_path / "in" / "a.dcm")
    write_dicom(tmp_path / "in" / "b.dcm", dataset(hand_values(seed=3)))
    watched(tmp_path, judge(model))
    (place,) = (name for name in results(tmp_path) if name.startswith("b-"))
    said = (tmp_path / "out" / place / "reason.txt").read_text()
    assert "has the same SOP Instance UID and another content" in said


def test_a_file_in_the_place_of_a_films_reason_ends_nothing_and_stays(tmp_path: Path, model: Path) -> None:
    write_dicom(tmp_path / "in" / "a.dcm")
    b = write_dicom(tmp_path / "in" / "b.dcm", dataset(hand_values(seed=3)))  # of the same UID
    place = tmp_path / "out" / f"b-{content_hash(b.read_bytes())}"
    place.parent.mkdir()
    place.write_text("mine")
    told = watched(tmp_path, judge(model))
    assert [each["error"] for each in told if each["event"] == "reason-not-written"] == ["FileExistsError"]
    assert place.read_text() == "mine"


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "1e12", "0"])
def test_a_time_that_cannot_be_waited_for_is_refused(tmp_path: Path, model: Path, seconds: str) -> None:
    (tmp_path / "in").mkdir()
    said = CliRunner().invoke(
        app, ["watch", str(tmp_path / "in"), str(tmp_path / "out"), "--model", str(model), "--every", seconds]
    )
    assert said.exit_code == 2
    assert isinstance(said.exception, SystemExit)
    assert "--every" in said.output
    assert not (tmp_path / "out").exists()


def test_what_is_no_file_or_too_large_and_an_outbox_that_refuses_stop_nothing(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dicom(tmp_path / "in" / "a.dcm")
    write_dicom(tmp_path / "in" / "b.dcm", dataset(hand_values(seed=3)))  # of the same UID
    write_film(tmp_path / "in" / "c.png")
    (tmp_path / "in" / "huge.tif").write_bytes(bytes(200_000))
    os.mkfifo(tmp_path / "in" / "pipe.png")
    monkeypatch.setattr(watching, "MAX_BYTES", 100_000)
    queue = Queue(tmp_path)
    out = io.StringIO()
    (tmp_path / "blocked").write_text("a file where the outbox should be")
    watch = Watch(tmp_path / "in", tmp_path / "blocked", tmp_path / "state")
    taker = Taker(watch, Door(queue, Spool(tmp_path / "state")), False, json_lines(out))
    for _ in range(3):
        taker.look()
    assert [film.name for film in queue.films()] == ["a.dcm", "c.png"]
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [each["bytes"] for each in told if each.get("reason") == "the file is too large"] == [200_000]
    assert any(each.get("error") == "NotADirectoryError" for each in told)
    queue.close()


def test_a_film_is_taken_when_it_has_stopped_growing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    queue = Queue(tmp_path)
    door = Door(queue, Spool(tmp_path / "state"))
    watch = Watch(tmp_path / "in", tmp_path / "out", tmp_path / "state")
    taker = Taker(watch, door, False, json_lines(io.StringIO()))
    content, growing = as_bytes(dataset()), tmp_path / "in" / "film.dcm"
    for part in (1000, 2000, len(content)):
        growing.write_bytes(content[:part])
        assert not taker.look()
        assert queue.films() == []
    assert taker.look()
    (film,) = queue.films()
    assert door.spool.film(film).read_bytes() == content
    queue.close()


def test_watch_and_queue_are_commands(tmp_path: Path, model: Path) -> None:
    write_dicom(tmp_path / "in" / "a.dcm")
    run = CliRunner().invoke
    out = str(tmp_path / "out")
    options = ["--model", str(model), "--threads", "1", "--every", "0.05", "--once"]
    done = run(app, ["watch", str(tmp_path / "in"), out, *options])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stderr.splitlines()[-1])["event"] == "stopped"
    told = run(app, ["queue", out])
    assert told.exit_code == 0
    assert "Films: 0 waiting, 0 assessed, 1 done, 0 aside, 0 dead" in told.stdout
    rows = json.loads(run(app, ["queue", out, "--json", "--all"]).stdout)["rows"]
    assert [(row["state"], row["name"], row["delivered"]) for row in rows] == [("done", "a.dcm", "4 of 4")]
    assert run(app, ["queue", str(tmp_path)]).exit_code == 2
    assert run(app, ["queue", out, "--retry", "x"]).exit_code == 2
    assert run(app, ["queue", out, "--retry", "1"]).exit_code == 2, "it is not dead"
    assert run(app, ["queue", out, "--retry", "all"]).exit_code == 0
    assert run(app, ["watch", str(tmp_path / "none"), out, *options]).exit_code == 2
