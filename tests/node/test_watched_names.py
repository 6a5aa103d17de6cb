"""No single file ends a watch: whatever it is called or is, the others get their results, and so does it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonexage.node import watching
from bonexage.node.config import Delivery
from bonexage.node.judging import Judge, make_judge
from bonexage.node.logs import json_lines
from bonexage.node.queue import Film, Queue
from bonexage.node.spool import Spool
from bonexage.node.taking import Door, content_hash
from bonexage.node.watching import ZEROS_SECONDS, Taker, Watch, place_of, shown_name
from dicoms import as_bytes, dataset, hand_values, write_dicom
from films import write_film
from models import small_bundle
from node.test_watching import results, watched

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such names")

ODD = {
    "latin-1": b"M\xfcller.png",
    "utf-16": "Müller".encode("utf-16").replace(b"\0", b"\x01") + b".png",
    "surrogate": b"a\xed\xa0\x80b.png",
    "only-a-byte": b"\xff.png",
    "newline": b"two\nlines.png",
    "escape": b"red\x1b[31m.png",
    "control": b"\x01\x02.png",
    "markup": b"<b>&amp;<para>.png",
    "dollars": b"$\\frac{1}{2$_^.png",
    "percent": b"100%s%(x)d{0}.png",
    "spaces": b"   .png",
    "dots": b"a...png",
    "dash": b"--state.png",
    "backslash": b"C:\\films\\1.png",
    "quote": b"'\";DROP TABLE films;--.png",
    "four-byte-letters": "\N{BONE}".encode() * 62 + b".png",
    "hiragana": "\N{HIRAGANA LETTER A}".encode() * 83 + b".png",
    "latin-letters": b"x" * 251 + b".png",
    "right-to-left": "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe.png".encode(),
    "separators": "a\u2028b\u0085c.png".encode(),
    "decomposed": "u\u0308ber.png".encode(),
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    path = tmp_path_factory.mktemp("model") / "model.zip"
    small_bundle(path)
    return make_judge(str(path), 90, threads=1, deidentify=False, fhir=True)


def film(seed: int, folder: Path) -> bytes:
    path = write_film(folder / f"film-{seed}.png", seed)
    content = path.read_bytes()
    path.unlink()
    return content


def test_films_of_odd_names_have_their_results_and_others_too(tmp_path: Path, judge: Judge) -> None:
    inbox = tmp_path / "in"
    (inbox / os.fsdecode(b"K\xf6ln")).mkdir(parents=True)
    for number, name in enumerate(ODD.values()):
        (inbox / os.fsdecode(name)).write_bytes(film(number, tmp_path))
    (inbox / os.fsdecode(b"K\xf6ln") / os.fsdecode(b"\xff\xfe.dcm")).write_bytes(as_bytes(dataset()))
    for name in (b"\xe4.dcm", "\N{BONE}".encode() * 62 + b".dcm"):
        (inbox / os.fsdecode(name)).write_bytes(
            as_bytes(dataset(hand_values(seed=len(name)), number=len(name)))
        )
    expected = len(ODD) + 3
    log = watched(tmp_path, judge)
    assert [each["event"] for each in log].count("taken") == expected
    assert not [each for each in log if each["event"] in ("unforeseen", "dead", "disk-refused", "away")]
    places = results(tmp_path)
    assert len(places) == expected
    rows = [json.loads((tmp_path / "out" / place / "reading.json").read_bytes()) for place in places]
    assert {row["status"] for row in rows} == {"assessed"}
    shown = {shown_name(PurePosixPath(os.fsdecode(name))) for name in ODD.values()}
    assert shown < {row["file"] for row in rows}
    assert {str(PurePosixPath(r"K\udcf6ln/\udcff\udcfe.dcm")), r"\udce4.dcm"} < {row["file"] for row in rows}
    for path in (tmp_path / "out").rglob("*"):
        assert len(os.fsencode(path.name)) <= 255
        os.fsencode(path.name).decode()
    with closing(Queue(tmp_path / "out" / ".bonexage")) as queue:
        assert {film.name for film in queue.films()} == {row["file"] for row in rows}
    again = watched(tmp_path, judge)
    assert [each["event"] for each in again].count("known-again") == expected


def test_a_name_that_is_not_utf8_ends_no_watch_in_a_locale_without_utf8(tmp_path: Path, judge: Judge) -> None:
    small_bundle(tmp_path / "model.zip")
    (tmp_path / "in").mkdir()
    for number, name in enumerate((b"M\xfcller.png", "Müller.png".encode(), b"other.png")):
        (tmp_path / "in" / os.fsdecode(name)).write_bytes(film(number, tmp_path))
    command = [sys.executable, "-m", "bonexage", "watch", "in", "out", "--once", "--every", "0.05"]
    for _ in range(2):
        done = subprocess.run(
            [*command, "--model", "model.zip", "--threads", "1"],
            cwd=tmp_path,
            env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    looked = subprocess.run(
        [sys.executable, "-m", "bonexage", "queue", "out", "--json", "--all"],
        cwd=tmp_path,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        check=False,
    )
    names = {row["name"] for row in json.loads(looked.stdout)["rows"]}
    assert len(names) == 3
    assert "other.png" in names
    assert len(results(tmp_path)) == 3


NAMES = st.one_of(
    st.binary(min_size=1, max_size=255).filter(lambda name: not set(b"/\0") & set(name)).map(os.fsdecode),
    st.text(min_size=1, max_size=255).filter(lambda name: "/" not in name),
)


@given(name=NAMES, sha256=st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_folder_of_results_has_the_whole_hash_and_a_name_that_any_disk_takes(
    name: str, sha256: str
) -> None:
    shown = shown_name(PurePosixPath(f"study/{name}"))
    shown.encode()
    assert shown.isprintable() or not any(ord(letter) < 32 for letter in shown)
    place = place_of(Film(1, "", sha256, "", shown, 0.0, "", "", 0, 0.0, ""))
    assert place.endswith(f"-{sha256}")
    assert len(place.encode()) <= 143, "also on encrypted file systems"
    assert not place.startswith((".", "-"))
    assert PurePosixPath(place).name == place
    assert not {letter for letter in place if letter != "." and not (letter.isalnum() or letter in "_-")}


def test_a_long_name_is_cut_between_letters() -> None:
    for name in ("\N{BONE}" * 62, "a" * 300, "\N{HIRAGANA LETTER A}" * 85, "a" + "é" * 120):
        place = place_of(Film(1, "", "0" * 64, "", f"{name}.png", 0.0, "", "", 0, 0.0, ""))
        stem = place.removesuffix("-" + "0" * 64)
        assert stem in (name[: len(stem)], "film")


def test_two_films_of_one_name_whose_hashes_begin_alike_have_a_folder_each(
    tmp_path: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a real hash too few digits can be made alike here, so the hash is replaced."""
    alike = {}

    def hashed(data: bytes) -> str:
        return "01234567" + f"{alike.setdefault(data, len(alike)):056x}"

    for module in ("watching", "taking"):
        monkeypatch.setattr(f"bonexage.node.{module}.content_hash", hashed)
    for number, folder in enumerate(("a", "b", "c")):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "hand.png").write_bytes(film(number, tmp_path))
    watched(tmp_path, judge)
    places = results(tmp_path)
    assert len(places) == 3
    rows = [json.loads((tmp_path / "out" / place / "reading.json").read_bytes()) for place in places]
    assert {row["file"] for row in rows} == {str(Path(folder, "hand.png")) for folder in "abc"}


class Folder:
    """A watched folder, looked into by hand."""

    def __init__(self, place: Path) -> None:
        self.inbox, self.log = place / "in", io.StringIO()
        self.inbox.mkdir()
        self.queue = Queue(place)
        watch = Watch(self.inbox, place / "out", place / "state")
        self.seconds = 0.0
        door = Door(self.queue, Spool(place / "state"))
        self.taker = Taker(watch, door, False, json_lines(self.log), clock=lambda: self.seconds)

    def looks(self, times: int = 2) -> bool:
        return [self.taker.look() for _ in range(times)][-1]

    def names(self) -> list[str]:
        return [film.name for film in self.queue.films()]

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.log.getvalue().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_file_that_cannot_be_read_is_given_up_until_it_changes(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.inbox / "bad.png").write_bytes(film(1, tmp_path))
    (folder.inbox / "good.png").write_bytes(film(2, tmp_path))
    real = os.open

    def failing(path: str | Path, flags: int, *rest: int, **more: int) -> int:
        if str(path).endswith("bad.png"):
            raise OSError(5, "Input/output error")
        return real(path, flags, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", failing)
        assert folder.looks(6), "nothing is left to be taken"
        assert folder.names() == ["good.png"]
        assert folder.events().count("not-taken") == 3
    (folder.inbox / "bad.png").write_bytes(film(3, tmp_path))
    assert folder.looks()
    assert folder.names() == ["good.png", "bad.png"]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("unforeseen"), RecursionError()])
def test_whatever_one_file_does_the_next_is_taken(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    for number in range(3):
        (folder.inbox / f"{number}.png").write_bytes(film(number, tmp_path))
    real, bad = watching.uid_of, film(1, tmp_path)

    def failing(data: bytes) -> str:
        if data == bad:
            raise error
        return real(data)

    monkeypatch.setattr(watching, "uid_of", failing)
    assert folder.looks(6)
    assert folder.names() == ["0.png", "2.png"]
    assert folder.events().count("unforeseen") == 1


def test_what_takes_a_films_place_while_it_is_looked_at_holds_nobody_up(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that nobody writes to, a folder, nothing, a link to nothing, a file that grows."""
    changes = ("pipe", "folder", "nothing", "dangling", "loop", "growing")
    for number, name in enumerate((*changes, "whole")):
        (folder.inbox / f"{name}.png").write_bytes(film(number, tmp_path))
    real = watching.is_film

    def changing(path: Path) -> bool:
        answer = real(path)
        if path.stem in changes and path.is_file():
            if path.stem == "growing":
                path.write_bytes(path.read_bytes() + b"more")
                return answer
            path.unlink()
            if path.stem == "pipe":
                os.mkfifo(path)
            elif path.stem == "folder":
                path.mkdir()
            elif path.stem in ("dangling", "loop"):
                path.symlink_to(path if path.stem == "loop" else path.with_name("gone"))
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(watching, "is_film", changing)
        looked = threading.Thread(target=folder.looks, args=(2,), daemon=True)
        looked.start()
        looked.join(60)
        assert not looked.is_alive()
    assert folder.looks(4)
    assert folder.names() == ["whole.png", "growing.png"]


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_copy_under_way_whose_room_was_kept_is_not_taken_while_it_pauses(
    folder: Folder, share: float
) -> None:
    whole = as_bytes(dataset(hand_values(height=200, width=160)))
    part = whole[: int(share * len(whole))]
    (folder.inbox / "a.dcm").write_bytes(part.ljust(len(whole), b"\0"))
    (folder.inbox / "b.png").write_bytes(film(1, folder.inbox))
    for share_of_time in (0, 0.4, 0.95):
        folder.seconds = share_of_time * ZEROS_SECONDS
        assert not folder.looks()
        assert folder.names() == ["b.png"]
    (folder.inbox / "a.dcm").write_bytes(whole)
    assert folder.looks()
    assert folder.names() == ["b.png", "a.dcm"]
    assert folder.queue.film(2).sha256 == content_hash(whole)


def test_a_film_that_ends_in_zeros_is_taken_when_it_has_stayed_so(folder: Folder) -> None:
    values = hand_values(height=200, width=160)
    values[-20:] = 0
    path = write_dicom(folder.inbox / "a.dcm", dataset(values))
    assert not folder.looks()
    folder.seconds = 0.6 * ZEROS_SECONDS
    os.utime(path, ns=(1, 1))  # it changed, so its time begins anew
    assert not folder.looks()
    folder.seconds = 1.5 * ZEROS_SECONDS
    assert not folder.looks(1)
    assert folder.names() == []
    folder.seconds = 1.7 * ZEROS_SECONDS
    assert folder.looks(1)
    assert folder.names() == ["a.dcm"]


def test_odd_files_are_passed_over_and_watching_once_ends(tmp_path: Path, judge: Judge) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    os.mkfifo(inbox / "pipe.png")
    os.mkfifo(inbox / "pipe")
    (inbox / "gone.png").symlink_to("nowhere")
    (inbox / "loop.png").symlink_to("loop.png")
    (inbox / "null.png").symlink_to("/dev/null")
    (inbox / "zero.dcm").symlink_to("/dev/zero")
    (inbox / "empty.png").touch()
    (inbox / "folder.png").mkdir()
    (inbox / "closed").mkdir()
    (inbox / "closed").chmod(0)
    deep = inbox
    for _ in range(12):
        deep = deep / ("d" * 250)
        deep.mkdir()
    (deep / "hand.png").write_bytes(film(1, tmp_path))
    try:
        log = watched(tmp_path, judge)
    finally:
        (inbox / "closed").chmod(0o700)
    assert [each["event"] for each in log].count("taken") == 2
    rows = [json.loads(path.read_bytes()) for path in (tmp_path / "out").rglob("reading.json")]
    assert sorted(row["status"] for row in rows) == ["assessed", "unreadable"]
    assert log[-1]["event"] == "stopped"


def test_the_state_folder_is_not_watched(tmp_path: Path, judge: Judge) -> None:
    """Also where it lies among the films: what waits in it would be taken again."""
    inbox = tmp_path / "in"
    inbox.mkdir()
    (inbox / "hand.dcm").write_bytes(as_bytes(dataset()))
    log = io.StringIO()
    watch = Watch(inbox, inbox / "out", inbox / "state", every_seconds=0.05, once=True)
    watching.run_watch(watch, judge, Delivery(), json_lines(log), threading.Event())
    events = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
    assert events.count("taken") == 1
    assert "known-again" not in events
