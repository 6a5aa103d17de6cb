"""One result that cannot be sent as it is becomes a dead letter; all others go on, and people can see it."""

from __future__ import annotations

import socket
import sqlite3
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bonexage.cli.app import app
from bonexage.node.looking import retry
from bonexage.node.queue import DAMAGED, DELIVERED, FILE, MISSING
from bonexage.node.running import opened_state
from bonexage.node.sending import Away, BadResult, _written
from dicoms import as_bytes, dataset
from node.nodes import Node, running, write_config
from trials.archive import Archive, listening, send

DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "removed": (Path.unlink, MISSING),
    "emptied": (lambda path: path.write_bytes(b""), DAMAGED),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-200]), DAMAGED),
    "no DICOM": (lambda path: path.write_bytes(b"no DICOM " * 100), DAMAGED),
    "another DICOM": (lambda path: path.write_bytes(_another(path)), DAMAGED),
    "one bit": (lambda path: path.write_bytes(_flipped(path.read_bytes())), DAMAGED),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), DAMAGED),
}


def _another(path: Path) -> bytes:
    return max(
        (each for each in path.parent.iterdir() if each != path), key=lambda each: each.name
    ).read_bytes()


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def page(node: Node, name: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{node.http}/{name}") as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_a_dead_letter_and_the_rest_are_delivered(tmp_path: Path, damage: str) -> None:
    with running(write_config(tmp_path)) as node:  # the archive is away
        send(node.port, dataset(), dataset(SOPInstanceUID="1.2.3.4.5.99"))
        node.wait_for("assessed", "assessed")
    change, reason = DAMAGES[damage]
    change(min((tmp_path / "state" / "results" / "1").iterdir()))
    archive = Archive()
    with listening(archive) as port, running(write_config(tmp_path, port)) as node:
        node.wait_for("dead", "done")
        assert len(archive.stored) == 5
        assert "dead letters: 1\n" in page(node, "readyz")
        metrics = page(node, "metrics")
        assert 'bonexage_sent_total{destination="archive",outcome="unusable"} 1.0' in metrics
        assert 'bonexage_films{state="dead"} 1.0' in metrics
        told = (tmp_path / "state" / "dead" / "film-1" / "reason.txt").read_text()
        assert f"archive: {reason}." in told
        # Tried again, the result is made from its film anew.
        assert retry(node.state, [1]) == [1]
        node.wait_for("done", "done")
        assert len(archive.stored) == 6
        assert "dead letters: 0\n" in page(node, "readyz")


def test_a_film_whose_file_cannot_be_read_holds_up_no_other_and_becomes_a_dead_letter(tmp_path: Path) -> None:
    archive = Archive()
    with listening(archive) as port:
        config = write_config(tmp_path, port)
        with opened_state(tmp_path / "state", 0, lambda _event, **_facts: None) as door:
            for number in (1, 2):
                film = dataset(number=number)
                door.take(str(film.SOPInstanceUID), as_bytes(film))
            unread = door.spool.film(door.queue.film(1))
            unread.rename(tmp_path / "film")
            unread.mkdir()
        with running(config) as node:
            node.wait_for("dead", "done")
            told = (node.state / "dead" / "film-1" / "reason.txt").read_text()
            assert "its file in the state folder cannot be read" in told
            assert "dead letters: 1\n" in page(node, "readyz")
            unread.rmdir()
            (tmp_path / "film").rename(unread)
            assert retry(node.state, [1]) == [1]
            node.wait_for("done", "done")
    assert len(archive.stored) == 6


def test_a_name_that_a_folder_does_not_take_is_the_results_fault_and_no_other(tmp_path: Path) -> None:
    outbox = tmp_path / "out"
    outbox.mkdir()
    assert _written(outbox, outbox / "a" / "fine.json", b"1").state == DELIVERED
    with pytest.raises(BadResult, match="no file of this name"):
        _written(outbox, outbox / ("\N{OLD PERSIAN SIGN A}" * 64) / "long.json", b"1")
    (outbox / "b" / "taken.json").mkdir(parents=True)
    assert _written(outbox, outbox / "b" / "taken.json", b"1").state == ""
    (outbox / "c").write_bytes(b"a file where a folder should be")
    assert _written(outbox, outbox / "c" / "row.json", b"1").state == ""


def test_a_folder_that_is_away_lets_all_results_wait(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Away):
        _written(tmp_path / "file", tmp_path / "file" / "a" / "row.json", b"1")


def test_check_tries_the_state_folder_and_the_ports_and_leaves_nothing_behind(tmp_path: Path) -> None:
    def check(config: Path) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["node", "--config", str(config), "--check"])
        return done.exit_code, done.stdout

    with listening(Archive()) as port:
        config = write_config(tmp_path, port)
        code, text = check(config)
        assert code == 0, text
        assert "can be used" in text
        assert not (tmp_path / "state").exists()
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            config.write_text(config.read_text().replace("port = 0", f"port = {taken}", 1))
            code, text = check(config)
            assert code == 3
            assert f"port for DICOM 127.0.0.1:{taken}: cannot be listened on" in text
        with running(config) as node:
            assert node.port == taken
            code, text = check(config)
            assert code == 0, text
            assert text.count("in use by the running node") == 2
        with closing(sqlite3.connect(tmp_path / "state" / FILE)) as queue:
            queue.execute("PRAGMA user_version = 9")
        code, text = check(config)
        assert code == 3
        assert f"its {FILE} is no queue that this version can use" in text
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "letter.txt").write_text("mine")
        foreign = config.read_text().replace('state = "state"', 'state = "mine"')
        config.write_text(foreign)
        code, text = check(config)
        assert code == 3
        assert "is no state folder of bonexage" in text
        assert [each.name for each in (tmp_path / "mine").iterdir()] == ["letter.txt"]
