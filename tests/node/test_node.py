"""The node: films over real associations become results in archives, whatever happens in between."""

from __future__ import annotations

import ctypes
import json
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from bonexage.cli.app import app
from bonexage.errors import UnusableData, WrongUse
from bonexage.node.commitment import MOST_REQUESTS
from bonexage.node.looking import retry
from bonexage.node.queue import FILE, Queue
from dicoms import CR, dataset, hand_values
from node.nodes import Node, running, started, write_config
from trials.archive import Archive, listening, reserved_port, send
from trials.waiting import PATIENCE_SECONDS, eventually


def asked(node: Node, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.http}/{page}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def numbers_of(report: Dataset) -> list[float]:
    """Every number of a structured report."""
    found = []
    for item in report.get("ContentSequence", ()):
        found += [float(each.NumericValue) for each in item.get("MeasuredValueSequence", ())]
        found += numbers_of(item)
    return found


def texts_of(report: Dataset) -> list[str]:
    """Every text of a structured report."""
    found = []
    for item in report.get("ContentSequence", ()):
        found += [item.TextValue] if "TextValue" in item else []
        found += texts_of(item)
    return found


def test_a_film_that_is_sent_has_its_results_in_each_archive(tmp_path: Path) -> None:
    archive, other = Archive(), Archive()
    with listening(archive) as port, listening(other) as second:
        more = f'[[destinations]]\nname = "o"\nae_title = "ARCHIVE"\nhost = "127.0.0.1"\nport = {second}\n'
        config = write_config(
            tmp_path, port, destination=f'calling = "SENDER"\n{more}send = ["report"]', top='fhir = "fhir"'
        )
        with running(config) as node:
            assert send(node.port) == [0], "C-ECHO"
            assert send(node.port, dataset(PatientSex="F"), dataset(sop_class=CR, number=2)) == [0, 0]
            node.wait_for("done", "done")
            judged = 'bonexage_judged_total{status="assessed"} 2.0'
            eventually(lambda: judged in asked(node, "metrics")[1])  # it is counted after the results are due
            status, metrics = asked(node, "metrics")
            ready = "room on the disk: yes\ndead letters: 0\n"
            assert asked(node, "readyz") == (200, asked(node, "healthz")[1] + ready)
            assert asked(node, "else")[0] == 404
    assert archive.modalities() == ["DOC", "DOC", "OT", "OT", "SR", "SR"]
    assert other.modalities() == ["SR", "SR"]
    assert set(archive.titles) == {"SENDER"}
    assert set(other.titles) == {"BONEXAGE"}
    films = {each.StudyInstanceUID for each in archive.objects()}
    assert films == {dataset().StudyInstanceUID}
    report = next(each for each in archive.objects() if each.Modality == "SR")
    assert numbers_of(report), "a measurement"
    written = [json.loads(path.read_text()) for path in (tmp_path / "fhir").iterdir()]
    assert [each["type"] for each in written] == ["transaction"] * 2
    for gone in ("films", "results", "dead", "aside"):
        assert kept(tmp_path / "state" / gone) == []
    assert status == 200
    assert 'bonexage_received_total{outcome="taken"} 2.0' in metrics
    assert 'bonexage_received_total{outcome="refused"}' not in metrics
    assert 'bonexage_sent_total{destination="o",outcome="stored"} 2.0' in metrics
    assert 'bonexage_films{state="done"} 2.0' in metrics


def test_what_waits_for_an_archive_that_is_away_is_there_when_it_is_back(tmp_path: Path) -> None:
    archive = Archive()
    with reserved_port() as port, running(write_config(tmp_path, port)) as node:
        assert send(node.port, dataset()) == [0]
        eventually(lambda: len(node.events("away")) >= 2)
        assert node.states() == ["assessed"]
        with listening(archive, port):
            node.wait_for("done")
    assert archive.modalities() == ["DOC", "OT", "SR"]


def test_an_archive_that_is_full_is_waited_for_and_one_that_refuses_gets_dead_letters(tmp_path: Path) -> None:
    archive = Archive(status=0xA700)
    with listening(archive) as port, running(write_config(tmp_path, port, delivery="refusals = 2")) as node:
        send(node.port, dataset())
        eventually(lambda: len(node.events("away")) >= 3)
        archive.status = 0xC123
        node.wait_for("dead")
        eventually(lambda: len(node.events("dead")) == 3)
        letter = tmp_path / "state" / "dead" / "film-1"
        assert "archive: the archive refused it (C123)" in (letter / "reason.txt").read_text()
        assert len(kept(letter)) == 5, "the film, three results and the reason"
        archive.status = 0
        assert retry(node.state, [1]) == [1]
        node.wait_for("done")
        assert archive.modalities() == ["DOC", "OT", "SR"]
        assert kept(tmp_path / "state" / "dead") == []
        with pytest.raises(WrongUse, match="not among the dead letters"):
            retry(node.state, [1])


def test_an_archive_that_is_away_for_too_long_gets_dead_letters(tmp_path: Path) -> None:
    with running(write_config(tmp_path, 1, delivery="give_up_hours = 0.00001")) as node:
        send(node.port, dataset())
        node.wait_for("dead")
        assert "no connection" in (tmp_path / "state" / "dead" / "film-1" / "reason.txt").read_text()


@pytest.mark.parametrize("loses", [False, True], ids=["commits", "loses"])
def test_an_archive_that_offers_commitment_is_asked_and_believed_only_when_it_reports(
    tmp_path: Path, loses: bool
) -> None:
    archive = Archive(commits=True)
    with listening(archive) as port, running(write_config(tmp_path, port)) as node:
        archive.loses_first = loses
        send(node.port, dataset())
        node.wait_for("done")
    assert len(archive.stored) == 3
    assert set(archive.asked) == set(archive.stored)
    copies = sorted(len(each) for each in archive.stored.values())
    assert copies == ([1, 1, 2] if loses else [1, 1, 1])
    assert all(len(set(each)) == 1 for each in archive.stored.values()), "a resend is the same object"


def test_an_archive_may_report_its_commitment_over_an_association_of_its_own(tmp_path: Path) -> None:
    archive = Archive(commits=True)
    with listening(archive) as port, running(write_config(tmp_path, port)) as node:
        archive.reports_to = node.port
        send(node.port, dataset())
        node.wait_for("done")
        told = eventually(lambda: node.events("commitment"))
        assert [each["committed"] for each in told] == [3]


def test_an_archive_that_never_commits_itself_is_asked_a_few_times_and_then_believed(tmp_path: Path) -> None:
    archive = Archive(commits=True, ignores=True)
    with listening(archive) as port, running(write_config(tmp_path, port)) as node:
        send(node.port, dataset())
        node.wait_for("done")
        assert len(node.events("commitment-not-taken")) == MOST_REQUESTS
    assert {len(copies) for copies in archive.stored.values()} == {1}


def test_a_film_sent_twice_is_judged_once_and_another_film_of_its_uid_is_refused(tmp_path: Path) -> None:
    archive = Archive()
    other = dataset(hand_values(seed=5))
    with listening(archive) as port, running(write_config(tmp_path, port)) as node:
        assert send(node.port, dataset(), dataset(), other) == [0, 0, 0x0111]
        node.wait_for("done")
        assert send(node.port, dataset(), other) == [0, 0x0111]
        assert len(node.events("known-again")) == 2
    assert len(node.events("judged")) == 1
    assert len(archive.stored) == 3


@pytest.mark.parametrize("odd", ["1.2.826.0.1.0498.1", "1.2.826." + "3" * 70])
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SOPInstanceUID"])
def test_a_film_with_an_odd_uid_is_taken_and_its_results_refer_to_it(
    tmp_path: Path, odd: str, keyword: str
) -> None:
    archive, film = Archive(), dataset(PatientSex="F")
    film[keyword] = DataElement(
        tag_for_keyword(keyword) or 0, "UI", odd, validation_mode=pydicom.config.IGNORE
    )
    with listening(archive) as port, running(write_config(tmp_path, port)) as node:
        assert send(node.port, film) == [0]
        node.wait_for("done")
    assert archive.modalities() == ["DOC", "OT", "SR"]
    assert {study for study, _ in archive.kinds.values()} == {film.StudyInstanceUID}
    assert all(odd.encode() in copies[0] for copies in archive.stored.values())


def test_a_uid_that_is_none_is_refused(tmp_path: Path) -> None:
    film = dataset()
    film["SOPInstanceUID"] = DataElement(0x00080018, "UI", "1.2.x", validation_mode=pydicom.config.IGNORE)
    with running(write_config(tmp_path)) as node:
        assert send(node.port, film) == [0x0117]


def test_a_film_that_cannot_be_judged_is_refused_and_what_is_no_film_is_put_aside(
    tmp_path: Path,
) -> None:
    archive = Archive()
    damaged = dataset(number=1)
    damaged.PixelData = damaged.PixelData[:100]
    ct, own = dataset(number=2, Modality="CT"), dataset(number=3, ManufacturerModelName="bonexage")
    with listening(archive) as port, running(write_config(tmp_path, port)) as node:
        assert send(node.port, damaged, ct, own) == [0, 0, 0]
        node.wait_for("done", "aside", "aside")
        aside = tmp_path / "state" / "aside"
        assert kept(aside) == ["film-2", "film-3"]
        assert "its modality (CT) is not" in (aside / "film-2" / "reason.txt").read_text()
        assert "a result of bonexage" in (aside / "film-3" / "reason.txt").read_text()
        assert len(kept(aside / "film-2")) == 2
        whole = dataset(number=2)
        assert send(node.port, whole, ct) == [0, 0x0111], "the right film may come under that UID"
        node.wait_for("done", "aside", "aside", "done")
    assert archive.modalities() == ["DOC", "DOC", "OT", "SR", "SR"]
    refusal = next(each for each in archive.objects() if each.Modality == "SR")
    assert any(text.startswith("No bone age is given") for text in texts_of(refusal))


def test_only_those_named_may_call_and_only_by_its_title(tmp_path: Path) -> None:
    with running(write_config(tmp_path, listen='calling = ["SCANNER"]')) as node:
        assert send(node.port) == [0]
        assert send(node.port, calling="STRANGER") is None
        assert send(node.port, called="SOMEONE") is None
        assert send(node.port, calling="ARCHIVE") == [0], "a destination may, to report its commitment"
        eventually(lambda: len(node.events("association-rejected")) == 2)
        assert 'bonexage_received_total{outcome="rejected"} 2.0' in asked(node, "metrics")[1]


def test_an_object_that_is_too_large_ends_its_association_and_nothing_else(tmp_path: Path) -> None:
    large = dataset(hand_values(height=900, width=700))
    with running(write_config(tmp_path, listen="object_megabytes = 1")) as node:
        assert send(node.port, large) == [None]
        assert send(node.port, dataset(number=2)) == [0]
        (told,) = node.events("object-too-large")
        assert 1_000_000 < told["bytes"] < 1_100_000
        node.wait_for("assessed")


def test_a_full_disk_is_answered_out_of_resources_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(write_config(tmp_path)) as node:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr("bonexage.node.spool.write_durably", full)
            assert send(node.port, dataset()) == [0xA700]
        with monkeypatch.context() as patched:
            patched.setattr("bonexage.node.spool.Spool.free_bytes", lambda _: -1)
            assert send(node.port, dataset()) == [0xA700]
            assert asked(node, "readyz")[0] == 503
            assert asked(node, "healthz")[0] == 200
        assert node.states() == []
        assert kept(tmp_path / "state" / "films") == []
        assert send(node.port, dataset()) == [0]


def test_a_node_that_is_told_to_stop_ends_well_and_another_goes_on(tmp_path: Path) -> None:
    archive = Archive()
    with listening(archive) as port:
        config = write_config(tmp_path, port)
        process, node = started(config)
        assert send(node.port, dataset()) == [0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
        told = [each["event"] for each in node.events()]
        assert "stopping" in told
        assert told[-1] == "stopped"
        with running(config) as second:
            second.wait_for("done")
            with pytest.raises(WrongUse, match="another node uses this state folder"), running(config):
                pass
    assert len(archive.stored) == 3


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "tgkill"), reason="the C library has no tgkill")
def test_a_signal_to_stop_that_reaches_another_thread_stops_the_node(tmp_path: Path) -> None:
    process, node = started(write_config(tmp_path))
    try:
        threads = [int(each.name) for each in Path(f"/proc/{process.pid}/task").iterdir()]
        other = next(each for each in threads if each != process.pid)
        assert ctypes.CDLL(None).tgkill(process.pid, other, int(signal.SIGTERM)) == 0
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
    assert node.events()[-1]["event"] == "stopped"


def test_a_node_killed_between_its_answer_and_the_result_loses_and_doubles_nothing(tmp_path: Path) -> None:
    archive, films = Archive(), [dataset(number=number) for number in range(1, 7)]
    with listening(archive) as port:
        config = write_config(tmp_path, port)
        for first in (0, 3):
            process, node = started(config)
            try:
                assert send(node.port, *films[first : first + 3]) == [0, 0, 0]
            finally:
                process.kill()
                process.wait()
        with running(config) as node:
            node.wait_for(*["done"] * 6)
    assert archive.modalities() == sorted(["DOC", "OT", "SR"] * 6)
    assert all(len(set(copies)) == 1 for copies in archive.stored.values())


def test_a_film_on_which_the_node_dies_each_time_does_not_keep_it_from_others(tmp_path: Path) -> None:
    archive = Archive()
    config = write_config(tmp_path)
    with running(config) as node:
        send(node.port, dataset())
        node.wait_for("assessed")
    queue = node.queue()
    with queue._changing() as at:
        at.execute("UPDATE films SET state = 'waiting', attempts = 10")
        at.execute("DELETE FROM deliveries")
    queue.close()
    with listening(archive) as port, running(write_config(tmp_path, port)) as node:
        send(node.port, dataset(number=2))
        node.wait_for("dead", "done")
    said = (tmp_path / "state" / "dead" / "film-1" / "reason.txt").read_text()
    assert "ended each time" in said


def test_results_for_a_destination_that_is_gone_become_dead_letters(tmp_path: Path) -> None:
    with running(write_config(tmp_path)) as node:
        send(node.port, dataset())
        node.wait_for("assessed")
    config = write_config(tmp_path)
    config.write_text(config.read_text().replace('name = "archive"', 'name = "another"'))
    with running(config) as node:
        node.wait_for("dead")
    said = (tmp_path / "state" / "dead" / "film-1" / "reason.txt").read_text()
    assert "archive: no destination of this name is configured" in said


def test_check_calls_the_archives_and_tells_which_model_answers(tmp_path: Path) -> None:
    with listening(Archive()) as port:
        done = CliRunner().invoke(app, ["node", "--config", str(write_config(tmp_path, port)), "--check"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Model: small@")
    assert "archive: answers" in done.stdout
    away = CliRunner().invoke(app, ["node", "--config", str(write_config(tmp_path)), "--check"])
    assert away.exit_code == 3
    assert "archive: does not answer" in away.stdout


def test_a_queue_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no queue" * 1000)
    with pytest.raises(UnusableData, match="the queue cannot be opened"):
        Queue(tmp_path)
