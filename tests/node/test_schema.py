"""Queues of earlier versions are brought up to this one with all that they know; later ones are refused."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless
from typer.testing import CliRunner

from bonexage.cli.app import app
from bonexage.errors import UnusableData
from bonexage.node.queue import ASIDE, ASSESSED, DEAD, DELIVERED, DONE, FILE, WAITING, Queue
from bonexage.node.schema import SCHEMA
from dicoms import as_bytes, dataset, hand_values, packed
from models import small_bundle
from node.first_schema import first_state, with_film
from node.nodes import running, write_config
from trials.archive import Archive, listening, send

STATES = {WAITING: "", ASSESSED: "assessed", DONE: "assessed", ASIDE: "", DEAD: "refused"}


def layout(file: Path) -> set[tuple[str, str, str]]:
    """Each column and index of a database."""
    with closing(sqlite3.connect(file)) as opened:
        tables = [row[0] for row in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {
            (table, row[1], f"{row[2]} {row[3]} {row[4]} {row[5]}")
            for table in tables
            for row in opened.execute(f"PRAGMA table_info({table})")
        }
        indexes = opened.execute("SELECT tbl_name, name, 'index' FROM sqlite_master WHERE type = 'index'")
        return columns | set(indexes.fetchall())


def test_a_queue_of_the_first_schema_is_brought_up_with_all_its_rows(tmp_path: Path) -> None:
    state = first_state(tmp_path / "state")
    for number, (each, status) in enumerate(STATES.items(), start=1):
        results = [("archive", "a.dcm", DELIVERED), ("archive", "b.dcm", WAITING)] if status else []
        with_film(state, f"1.2.{number}", f"{number}".encode(), state=each, status=status, results=results)
    with closing(sqlite3.connect(state / FILE)) as before:
        films = before.execute("SELECT * FROM films ORDER BY number").fetchall()
        deliveries = before.execute("SELECT * FROM deliveries ORDER BY number").fetchall()
    for _ in range(2):
        with closing(Queue(state)) as queue:
            assert [(*vars(film).values(),) for film in queue.films()] == [(*row, "") for row in films]
    with closing(sqlite3.connect(state / FILE)) as after:
        brought_up = after.execute("SELECT * FROM deliveries ORDER BY number").fetchall()
        assert brought_up == [(*row, "") for row in deliveries]
        assert after.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    (tmp_path / "new").mkdir()
    Queue(tmp_path / "new").close()
    assert layout(state / FILE) == layout(tmp_path / "new" / FILE)


def test_a_queue_that_was_brought_up_works(tmp_path: Path) -> None:
    archive = Archive()
    state = first_state(tmp_path / "state")
    film, done = dataset(number=1), dataset(number=2)
    with_film(state, film.SOPInstanceUID, as_bytes(film))
    with_film(state, done.SOPInstanceUID, as_bytes(done), state="done", status="assessed")
    with_film(state, dataset(number=3).SOPInstanceUID, b"damaged", state="done", status="unreadable")
    with listening(archive) as port, running(write_config(tmp_path, port)) as node:
        node.wait_for("done", "done", "done")
        assert send(node.port, film, done, dataset(hand_values(seed=3), number=2)) == [0, 0, 0x0111]
        assert send(node.port, dataset(number=3)) == [0], "the damaged one leaves its UID to it"
        node.wait_for(*["done"] * 4)
    assert archive.modalities() == ["DOC", "DOC", "OT", "OT", "SR", "SR"]


def test_a_film_that_waits_since_an_earlier_version_is_known_in_another_packing(tmp_path: Path) -> None:
    state = first_state(tmp_path / "state")
    with_film(state, dataset().SOPInstanceUID, as_bytes(dataset()))
    with running(write_config(tmp_path)) as node:
        assert send(node.port, dcmread(BytesIO(packed(dataset(), RLELossless)))) == [0]
        assert len(node.events("known-again")) == 1


@pytest.mark.parametrize("later", [SCHEMA + 1, 99])
def test_a_queue_of_a_later_version_is_refused_and_stays_as_it_is(tmp_path: Path, later: int) -> None:
    Queue(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as changed:
        changed.execute(f"PRAGMA user_version = {later}")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(UnusableData, match="a later version"):
        Queue(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_an_outbox_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    """Films that it did are known again; a film with some results delivered has all in its new folder."""
    small_bundle(tmp_path / "model.zip")
    out, inbox = tmp_path / "out", tmp_path / "in"
    inbox.mkdir()
    state = first_state(out / ".bonexage")
    done, half = as_bytes(dataset(number=1)), as_bytes(dataset(number=2))
    (inbox / "done.dcm").write_bytes(done)
    (inbox / "half.dcm").write_bytes(half)
    uids = [dataset(number=number).SOPInstanceUID for number in (1, 2)]
    with_film(state, uids[0], done, state="done", status="assessed", name="done.dcm")
    results = [("out", "a.dcm", DELIVERED), ("out", "reading.json", WAITING)]
    with_film(state, uids[1], half, state="assessed", status="assessed", name="half.dcm", results=results)
    for name in ("done-01234567/reading.json", "half-01234567/a.dcm"):
        (out / name).parent.mkdir()
        (out / name).write_text("of the earlier version")
    options = ["--once", "--every", "0.05", "--model", str(tmp_path / "model.zip")]
    done_again = CliRunner().invoke(app, ["watch", str(inbox), str(out), *options])
    assert done_again.exit_code == 0, done_again.output
    events = [json.loads(line)["event"] for line in done_again.stderr.splitlines()]
    assert events.count("known-again") == 2
    assert "taken" not in events
    assert "judged" not in events
    (new,) = (path for path in out.iterdir() if path.name.startswith("half-") and len(path.name) > 64)
    assert {path.name: path.read_text() for path in new.iterdir()} == {
        "a.dcm": "a.dcm of film 2",
        "reading.json": "reading.json of film 2",
    }
    for name in ("done-01234567/reading.json", "half-01234567/a.dcm"):
        assert (out / name).read_text() == "of the earlier version"
