"""A state folder: only one of our own is used, and nothing that the queue does not know is ever removed."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import sys
import threading
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bonexage.cli.app import app
from bonexage.errors import UnusableData, WrongUse
from bonexage.node.books import Books
from bonexage.node.config import read_config
from bonexage.node.logs import json_lines
from bonexage.node.looking import retry
from bonexage.node.ownership import MARKER
from bonexage.node.queue import ASIDE, DEAD, FILE, WAITING, Queue, Result
from bonexage.node.running import opened_state, run_node
from bonexage.node.spool import Spool
from bonexage.node.taking import content_hash
from dicoms import as_bytes, dataset, hand_values, write_dicom
from films import write_film
from models import small_bundle
from node.first_schema import first_state, with_film
from node.nodes import running, write_config
from trials.archive import Archive, listening, send
from trials.waiting import eventually


def tree(folder: Path) -> dict[str, str]:
    """Each file below a folder by its path, with the hash of what it holds and when that changed."""
    return {
        str(path.relative_to(folder)): f"{content_hash(path.read_bytes())} {path.stat().st_mtime_ns}"
        for path in folder.rglob("*")
        if path.is_file()
    }


def contents(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def opened(folder: Path) -> list[dict[str, object]]:
    """Open a state folder as a node does and close it again; the log."""
    log = io.StringIO()
    with opened_state(folder, 0, json_lines(log)):
        pass
    return [json.loads(line) for line in log.getvalue().splitlines()]


def foreign(folder: Path) -> Path:
    """A folder of somebody else's that has the names that a node uses."""
    for name in (
        "films/holiday.mkv",
        "results/2024/final.csv",
        "dead/letters.txt",
        "aside/notes.txt",
        "photo.jpg",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    write_dicom(folder / "films" / "study" / "IM1.dcm")
    return folder


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.zip"
    small_bundle(path)
    return path


def with_database(folder: Path, statements: str) -> None:
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / FILE)) as made:
        made.executescript(statements)


FOREIGN_QUEUES = {
    "none": None,
    "jobs": "CREATE TABLE jobs (id INTEGER); INSERT INTO jobs VALUES (7)",
    "jobs-of-version-1": "CREATE TABLE jobs (id INTEGER); PRAGMA user_version = 1",
    "jobs-of-version-2": "CREATE TABLE jobs (id INTEGER); PRAGMA user_version = 2",
    "films-of-another-kind": "CREATE TABLE films (title TEXT); CREATE TABLE deliveries (street TEXT);"
    "PRAGMA user_version = 1",
    "empty": "PRAGMA user_version = 0",
}


@pytest.mark.parametrize("statements", FOREIGN_QUEUES.values(), ids=FOREIGN_QUEUES)
def test_a_folder_that_holds_other_things_is_refused_and_stays_as_it_is(
    tmp_path: Path, statements: str | None
) -> None:
    folder = foreign(tmp_path / "mine")
    if statements:
        with_database(folder, statements)
    before = tree(folder)
    with pytest.raises(WrongUse, match="the folder is not empty") as error:
        opened(folder)
    assert error.value.subject == str(folder)
    assert "empty or does not exist yet" in error.value.remedy
    assert tree(folder) == before


@pytest.mark.parametrize("name", [FILE, MARKER, "lock"])
def test_a_folder_with_one_foreign_thing_that_has_a_name_of_ours_is_refused(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "mine" / name).mkdir(parents=True)
    with pytest.raises(WrongUse, match="the folder is not empty"):
        opened(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [name]


def test_a_database_of_another_program_is_not_made_a_queue(tmp_path: Path) -> None:
    with_database(tmp_path, "CREATE TABLE jobs (id INTEGER)")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(UnusableData, match="belongs to another program"):
        Queue(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    assert CliRunner().invoke(app, ["queue", str(tmp_path)]).exit_code == 3
    assert CliRunner().invoke(app, ["queue", str(tmp_path), "--retry", "all"]).exit_code == 3
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("more", [(), ("--retry", "all")])
def test_an_empty_database_in_a_foreign_folder_is_not_made_a_queue_by_a_look(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    folder = foreign(tmp_path / "mine")
    (folder / FILE).write_bytes(b"")
    before = tree(folder)
    said = CliRunner().invoke(app, ["queue", str(folder), *more])
    assert said.exit_code == 3
    assert "no state folder of bonexage" in said.output
    assert tree(folder) == before


def damage_the_tables(state: Path) -> None:
    """Spoil all pages of a queue but the first, which says what it is."""
    with closing(sqlite3.connect(state / FILE)) as made:
        made.execute("PRAGMA journal_mode = DELETE")
        (page,) = made.execute("PRAGMA page_size").fetchone()
    content = (state / FILE).read_bytes()
    (state / FILE).write_bytes(content[:page].ljust(len(content), b"\x5a"))


def test_a_queue_whose_tables_are_damaged_is_named(tmp_path: Path) -> None:
    state = tmp_path / "state"
    opened(state)
    (state / "films" / "1").write_bytes(b"looked up at the start")
    damage_the_tables(state)
    with pytest.raises(UnusableData, match="the queue cannot be used"):
        opened(state)
    for more in ((), ("--retry", "all")):
        said = CliRunner().invoke(app, ["queue", str(state), *more])
        assert said.exit_code == 3
        assert "the queue cannot be" in said.output


def test_what_is_no_folder_or_no_queue_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(WrongUse, match="cannot be used"):
        opened(tmp_path / "file")
    with pytest.raises(WrongUse, match="cannot be used"):
        opened(tmp_path / "a\0b")
    opened(tmp_path / "ours")
    (tmp_path / "ours" / FILE).write_bytes(b"no queue" * 1000)
    with pytest.raises(UnusableData, match="the queue cannot be opened"):
        opened(tmp_path / "ours")


def test_a_lock_that_is_no_file_is_named_and_none_is_emptied(tmp_path: Path) -> None:
    opened(tmp_path / "state")
    lock = tmp_path / "state" / "lock"
    lock.write_bytes(b"mine")
    opened(tmp_path / "state")
    assert lock.read_bytes() == b"mine"
    lock.unlink()
    lock.mkdir()
    with pytest.raises(WrongUse, match="the state folder cannot be used"):
        opened(tmp_path / "state")


def test_a_folder_that_is_new_or_empty_is_marked_and_used_again(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "deep" / "new"):
        opened(folder)
        assert (folder / MARKER).is_file()
        marked = (folder / MARKER).stat().st_mtime_ns
        opened(folder)
        assert (folder / MARKER).stat().st_mtime_ns == marked


def test_a_folder_of_an_earlier_version_is_adopted_with_its_films(tmp_path: Path) -> None:
    state = first_state(tmp_path / "state")
    with_film(state, "1.2.3", b"film")
    (state / "my notes.txt").write_text("notes")
    opened(state)
    assert (state / MARKER).is_file()
    assert (state / "my notes.txt").read_text() == "notes"
    with closing(Queue(state)) as queue:
        assert [(film.uid, film.state) for film in queue.films()] == [("1.2.3", WAITING)]


def test_a_folder_whose_process_was_killed_before_its_first_checkpoint_is_adopted(tmp_path: Path) -> None:
    """All tables then lie in the journal alone."""
    live, state = first_state(tmp_path / "live"), tmp_path / "state"
    with closing(sqlite3.connect(live / FILE)) as at_work:
        at_work.execute("PRAGMA wal_autocheckpoint = 0")
        with_film(live, "1.2.3", b"film")
        shutil.copytree(live, state)
    opened(state)
    with closing(Queue(state)) as queue:
        assert [film.uid for film in queue.films()] == ["1.2.3"]


@pytest.mark.parametrize("command", ["node", "check", "watch", "watch-queue-in-inbox"])
def test_every_command_that_has_a_state_refuses_a_foreign_folder(
    tmp_path: Path, model: Path, command: str
) -> None:
    folder = foreign(tmp_path / "mine")
    before = tree(folder)
    if command in ("node", "check"):
        config = write_config(tmp_path)
        config.write_text(config.read_text().replace('state = "state"', f"state = '{folder}'"))
        if command == "node":
            with pytest.raises(WrongUse, match="the folder is not empty"):
                run_node(read_config(config), json_lines(io.StringIO()), threading.Event())
        else:
            CliRunner().invoke(app, ["node", "--config", str(config), "--check"])
    else:
        inbox = folder if "inbox" in command else tmp_path / "in"
        inbox.mkdir(exist_ok=True)
        options = ["--state", str(folder), "--once", "--model", str(model)]
        done = CliRunner().invoke(app, ["watch", str(inbox), str(tmp_path / "out"), *options])
        assert done.exit_code == 2
        assert isinstance(done.exception, WrongUse | SystemExit)
    assert tree(folder) == before


def test_an_empty_state_is_refused(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path)
    for empty in ("", " "):
        config.write_text(config.read_text().replace('state = "state"', f'state = "{empty}"'))
        with pytest.raises(WrongUse, match="state is empty"):
            read_config(config)
        (tmp_path / "in").mkdir(exist_ok=True)
        before = sorted(tmp_path.iterdir())
        done = CliRunner().invoke(
            app, ["watch", "in", "out", "--once", "--model", str(model), "--state", empty]
        )
        assert done.exit_code == 2
        assert sorted(tmp_path.iterdir()) == before
        config.write_text(config.read_text().replace(f'state = "{empty}"', 'state = "state"'))


@pytest.mark.parametrize("inbox", ["state", "state/films"])
def test_films_are_not_put_into_the_state_folder_itself(tmp_path: Path, model: Path, inbox: str) -> None:
    (tmp_path / inbox).mkdir(parents=True)
    options = ["--state", str(tmp_path / "state"), "--once", "--model", str(model)]
    done = CliRunner().invoke(app, ["watch", str(tmp_path / inbox), str(tmp_path / "out"), *options])
    assert done.exit_code == 2
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == (
        ["state"] if inbox == "state" else ["state", "state/films"]
    )


def plant(state: Path, place: str, name: str, content: bytes) -> None:
    path = state / place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(content)


PLACES = st.sampled_from(["films", "results", "dead", "aside", "."])
NAMES = st.sampled_from(
    [
        *("holiday.dcm", "1", "7", "7/report.pdf", "film-7", "film-7/film", "film-1/notes.txt", "film-1"),
        *("a/b/c", ".hidden", ".x.partial", "x.name", "0" * 32, "0" * 32 + ".name", "deep/.y.partial"),
        *("1/mine.txt", "2/mine.txt", "1/reading.json", "x" * 255, "\N{BONE}" * 63, "lost+found/x"),
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    planted=st.lists(
        st.tuples(st.sampled_from(["films", "results", "dead", "aside", "."]), NAMES), max_size=6
    ),
    adopted=st.booleans(),
    lost=st.booleans(),
)
def test_nothing_is_removed_that_the_queue_does_not_know(
    tmp_path: Path, planted: list[tuple[str, str]], adopted: bool, lost: bool
) -> None:
    state = tmp_path / uuid.uuid4().hex
    if adopted:
        first_state(state)
        with_film(state, "1.2.1", b"waits", results=[("archive", "a.dcm", "waiting")], state="assessed")
        with_film(state, "1.2.2", b"done", state="done", results=[("archive", "b.dcm", "delivered")])
    else:
        opened(state)
    mine = []
    for number, (place, name) in enumerate(planted):
        try:
            plant(state, place, name, f"mine {number}".encode())
        except (NotADirectoryError, IsADirectoryError, FileExistsError):
            continue
        mine.append(f"mine {number}".encode())
    if lost and not adopted:
        (state / FILE).unlink()
    before = {content for content in mine if content in contents(state)}
    log = opened(state)
    assert before <= contents(state), "each content is somewhere"
    assert opened(state) == [], "once put aside, it stays there"
    aside = [path for path in (state / "aside").rglob("*") if path.is_file() and "unlisted" in str(path)]
    assert bool(aside) == any(each["event"] == "unlisted-put-aside" for each in log)
    with closing(Queue(state)) as queue:
        waits = [film.file for film in queue.films("assessed")]
    assert all((state / "films" / file).read_bytes() == b"waits" for file in waits)
    assert bool(waits) == adopted


def test_what_the_queue_does_not_know_is_put_aside_as_it_was_with_its_reason(tmp_path: Path) -> None:
    state = tmp_path / "state"
    opened(state)
    for each in ("films/mine.png", "results/5/a.dcm", "dead/film-3/film"):
        plant(state, ".", each, each.encode())
    os.mkfifo(state / "films" / "pipe")
    (state / "films" / "link").symlink_to(state / "films" / "mine.png")
    log = opened(state)
    home = state / "aside" / "unlisted-1"
    for each in ("films/mine.png", "results/5/a.dcm", "dead/film-3/film"):
        assert (home / each).read_bytes() == each.encode()
    assert (home / "films" / "link").is_symlink()
    assert (home / "films" / "pipe").is_fifo()
    assert "does not know" in (home / "reason.txt").read_text()
    assert Counter(str(each["place"]) for each in log) == {"films": 3, "results": 1, "dead": 1}
    plant(state, "films", "mine.png", b"another")
    opened(state)
    assert (state / "aside" / "unlisted-2" / "films" / "mine.png").read_bytes() == b"another"
    assert (home / "films" / "mine.png").read_bytes() == b"films/mine.png"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such names")
def test_odd_names_and_pipes_in_the_state_folder_keep_no_node_from_starting(tmp_path: Path) -> None:
    state = tmp_path / "state"
    opened(state)
    for place in ("films", "results", "dead"):
        (state / place / os.fsdecode(b"M\xfcller")).write_bytes(place.encode())
    (state / "films" / ("a" * 32)).write_bytes(b"a picture")
    os.mkfifo(state / "films" / f"{'a' * 32}.name")
    log = opened(state)
    home = state / "aside" / "unlisted-1"
    for place in ("films", "results", "dead"):
        assert (home / place / os.fsdecode(b"M\xfcller")).read_bytes() == place.encode()
    assert (home / "films" / ("a" * 32)).read_bytes() == b"a picture"
    assert (home / "films" / f"{'a' * 32}.name").is_fifo()
    assert {each["event"] for each in log} == {"unlisted-put-aside"}


@pytest.mark.skipif(os.name != "posix" or not hasattr(os, "geteuid"), reason="permissions are POSIX's")
def test_what_cannot_be_moved_stays_where_it_is_and_the_node_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    opened(state)
    plant(state, "films", "mine.png", b"mine")

    def refused(_path: Path, _target: Path) -> Path:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", refused)
    assert [each["event"] for each in opened(state)] == ["unlisted-not-put-aside"]
    assert (state / "films" / "mine.png").read_bytes() == b"mine"


def test_files_among_the_results_of_a_done_film_are_put_aside_and_not_removed(tmp_path: Path) -> None:
    state = first_state(tmp_path / "state")
    with_film(state, "1.2.3", b"film", state="done", results=[("archive", "a.dcm", "delivered")])
    plant(state, "results/1", "a.dcm", b"ours")
    plant(state, "results/1", "mine.txt", b"mine")
    plant(state, "dead/film-1", "film", b"mine too")
    opened(state)
    home = state / "aside" / "unlisted-1"
    assert (home / "results" / "1" / "mine.txt").read_bytes() == b"mine"
    assert (home / "dead" / "film-1" / "film").read_bytes() == b"mine too"
    assert not (state / "results" / "1").exists()


def test_nothing_is_tried_again_where_a_number_is_none_of_a_dead_letter(tmp_path: Path) -> None:
    state = tmp_path / "state"
    opened(state)
    with_dead_letter(state)
    with pytest.raises(WrongUse, match="film 99 is not among the dead letters"):
        retry(state, [1, 99])
    with closing(Queue(state)) as queue:
        assert queue.film(1).state == DEAD
    assert (state / "dead" / "film-1" / "film").read_bytes() == b"film"
    assert retry(state, [1]) == [1]
    assert not (state / "dead" / "film-1").exists()


def with_dead_letter(state: Path) -> None:
    with opened_state(state, 0, lambda _event, **_facts: None) as door:
        number = door.take("1.2.3", b"film")
        assert number
        Books(door.queue, door.spool, lambda _event, **_facts: None).lay_film(
            door.queue.film(number), DEAD, "it was in the way"
        )


def test_dead_letters_that_are_tried_again_keep_what_a_person_put_beside_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with closing(Queue(tmp_path)) as queue:
        queue.add("1.2.3", "0" * 64, spool.keep(b"film"))
        (film,) = queue.films()
        spool.put_results(film, {"a.dcm": b"result"})
        queue.assessed(film, "assessed", [("archive", Result("a.dcm"))])
        queue.put(queue.deliveries(1), DEAD)
        spool.lay(film, DEAD, "why")
    letter = tmp_path / "dead" / "film-1"
    (letter / "my notes.txt").write_text("notes")
    assert sorted(path.name for path in letter.iterdir()) == ["a.dcm", "film", "my notes.txt", "reason.txt"]
    assert retry(tmp_path, [1]) == [1]
    assert not letter.exists()
    kept = tmp_path / "aside" / "unlisted-1" / "dead" / "film-1"
    assert [path.name for path in kept.iterdir()] == ["my notes.txt"]


def test_a_film_laid_aside_by_a_queue_that_was_lost_is_not_overwritten(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with closing(Queue(tmp_path)) as queue:
        queue.add("1.2.3", "0" * 64, spool.keep(b"new"))
        (film,) = queue.films()
        plant(tmp_path, "aside/film-1", "film", b"old")
        spool.lay(film, ASIDE, "why")
    assert (tmp_path / "aside" / "film-1" / "film").read_bytes() == b"new"
    assert (tmp_path / "aside" / "unlisted-1" / "aside" / "film-1" / "film").read_bytes() == b"old"


def lose_queue(state: Path) -> None:
    for path in state.glob(f"{FILE}*"):
        path.unlink()


def test_films_that_wait_are_done_although_the_queue_was_lost(tmp_path: Path) -> None:
    archive, films = Archive(), [dataset(number=number, PatientSex="F") for number in range(1, 4)]
    damaged = dataset(number=4)
    damaged.PixelData = damaged.PixelData[:100]
    with running(write_config(tmp_path)) as node:
        assert send(node.port, *films, damaged) == [0] * 4
        node.wait_for(*["assessed"] * 4)
    lose_queue(tmp_path / "state")
    with listening(archive) as port, running(write_config(tmp_path, port)) as node:
        assert len(node.events("taken-up")) == 4
        node.wait_for(*["done"] * 4)
        assert send(node.port, *films) == [0] * 3
        assert len(node.events("known-again")) == 3
    assert archive.modalities() == sorted(["DOC", "OT", "SR"] * 3 + ["DOC", "SR"])
    results = [path.parent.parent.name for path in (tmp_path / "state" / "aside").rglob("*.dcm")]
    assert results == ["results"] * 11, "what was made before is put aside"
    assert list((tmp_path / "state" / "films").iterdir()) == []


def test_films_that_came_after_a_backup_are_done_although_it_was_restored(tmp_path: Path) -> None:
    archive, state = Archive(), tmp_path / "state"
    with running(write_config(tmp_path)) as node:
        assert send(node.port, dataset(number=1)) == [0]
        node.wait_for("assessed")
    shutil.copy(state / FILE, tmp_path / "backup")
    with running(write_config(tmp_path)) as node:
        assert send(node.port, dataset(number=2), dataset(number=3, Modality="CT")) == [0, 0]
        node.wait_for("assessed", "assessed", "aside")
    lose_queue(state)
    shutil.copy(tmp_path / "backup", state / FILE)
    with listening(archive) as port, running(write_config(tmp_path, port)) as node:
        node.wait_for("done", "done")
        assert send(node.port, dataset(number=4, Modality="CT")) == [0]
        node.wait_for("done", "done", "aside")
    assert archive.modalities() == ["DOC", "DOC", "OT", "OT", "SR", "SR"]
    kept = [path for path in (state / "aside").rglob("film") if path.is_file()]
    assert len({path.read_bytes() for path in kept}) == 2, "both objects that are no films are there"


def watching(folder: Path, model: Path, *options: str) -> list[dict[str, object]]:
    paths = [str(folder / "in"), str(folder / "out"), "--state", str(folder / "state"), "--model", str(model)]
    done = CliRunner().invoke(app, ["watch", *paths, "--threads", "1", "--once", "--every", "0.05", *options])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize("deidentify", [False, True])
def test_pictures_that_wait_are_done_under_their_names_although_the_queue_was_lost(
    tmp_path: Path, model: Path, deidentify: bool
) -> None:
    folder, options = tmp_path, ["--deidentify"] if deidentify else []
    (folder / "out").write_text("a file in the outbox's place, so that films wait")
    (folder / "in" / "anna").mkdir(parents=True)
    write_film(folder / "in" / "anna" / "hand.png")
    write_dicom(folder / "in" / "film.dcm", dataset(hand_values(seed=2)))
    stop = threading.Event()
    command = threading.Thread(target=watch_until, args=(folder, model, deidentify, stop))
    command.start()
    try:
        eventually(
            lambda: (folder / "state" / FILE).exists() and states(folder / "state") == ["assessed"] * 2
        )
    finally:
        stop.set()
        command.join()
    lose_queue(folder / "state")
    shutil.rmtree(folder / "in")
    (folder / "in").mkdir()
    (folder / "out").unlink()
    log = watching(folder, model, *options)
    assert [each["event"] for each in log].count("taken-up") == 2
    rows = [json.loads(path.read_text()) for path in (folder / "out").rglob("reading.json")]
    assert [row["status"] for row in rows] == ["assessed"] * 2
    names = {"film.dcm", str(Path("anna") / "hand.png")}
    assert deidentify or {row["file"] for row in rows} == names
    assert list((folder / "state" / "films").iterdir()) == [], "no film and no name is left"


def watch_until(folder: Path, model: Path, deidentify: bool, stop: threading.Event) -> None:
    from bonexage.node.config import Delivery
    from bonexage.node.judging import make_judge
    from bonexage.node.watching import Watch, run_watch

    by = make_judge(str(model), 90, threads=1, deidentify=deidentify, fhir=False)
    watch = Watch(folder / "in", folder / "out", folder / "state", every_seconds=0.05)
    run_watch(watch, by, Delivery(), json_lines(io.StringIO()), stop)


def states(state: Path) -> list[str]:
    with closing(Queue(state)) as queue:
        return [film.state for film in queue.films()]


def test_a_stray_film_of_a_known_uid_or_without_any_is_put_aside(tmp_path: Path) -> None:
    state = first_state(tmp_path / "state")
    film, other = as_bytes(dataset()), as_bytes(dataset(hand_values(seed=4)))
    with_film(state, dataset().SOPInstanceUID, film)
    strays = {uuid.uuid4().hex: content for content in (film, other, b"a picture without a name", b"")}
    for name, content in strays.items():
        plant(state, "films", name, content)
    plant(state, "films", uuid.uuid4().hex, as_bytes(dataset(number=2)))
    plant(state, "films", "theirs.dcm", as_bytes(dataset(number=3)))
    log = opened(state)
    assert [each["film"] for each in log if each["event"] == "taken-up"] == [2, 3]
    home = state / "aside" / "unlisted-1" / "films"
    assert {path.name: path.read_bytes() for path in home.iterdir()} == {
        **strays,
        "theirs.dcm": as_bytes(dataset(number=3)),
    }
    with closing(Queue(state)) as queue:
        assert sorted(film.uid[-2:] for film in queue.films(WAITING)) == [".1", ".2", ".3"]


def test_the_journal_of_a_queue_that_is_gone_is_kept(tmp_path: Path) -> None:
    state = first_state(tmp_path / "state")
    opened(state)
    lose_queue(state)
    (state / f"{FILE}-wal").write_bytes(b"what was not checkpointed")
    opened(state)
    kept = state / "aside" / "unlisted-1" / f"{FILE}-wal"
    assert kept.read_bytes() == b"what was not checkpointed"
