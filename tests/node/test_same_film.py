"""Two files under one SOP Instance UID: a damaged one leaves it to a whole one; a film is taken once."""

from __future__ import annotations

import io
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid

from bonexage.errors import ConflictingFilm
from bonexage.node.judging import Judge, judge_film, make_judge
from bonexage.node.logs import json_lines
from bonexage.node.queue import ASIDE, DEAD, WAITING, Film, Overtaken, Queue, Result
from bonexage.node.sameness import content_in
from bonexage.node.spool import Spool
from bonexage.node.taking import Door
from bonexage.node.watching import Taker, Watch
from bonexage.reading.dicom_meta import file_meta
from dicoms import as_bytes, dataset, hand_values, packed
from films import write_film
from models import small_bundle
from node.nodes import Node, running, write_config
from node.test_watching import results, watched
from trials.archive import Archive, listening, send, send_file

PLAIN = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
PACKED = (uid.RLELossless, uid.JPEGLosslessSV1, uid.JPEGLossless, uid.JPEGLSLossless, uid.JPEG2000Lossless)
LARGE = hand_values(height=200, width=160)


def in_syntax(syntax: str, **elements: Any) -> bytes:
    """The same film's file in a transfer syntax."""
    if syntax in PLAIN:
        return as_bytes(dataset(LARGE, syntax=syntax, **elements))
    return packed(dataset(LARGE, **elements), syntax)


WHOLE = {syntax.name: in_syntax(syntax) for syntax in (*PLAIN, *PACKED)}
FILM = WHOLE[uid.ExplicitVRLittleEndian.name]
OTHER = as_bytes(dataset(hand_values(height=200, width=160, seed=7)))
SOP = str(dataset().SOPInstanceUID)


def cut(data: bytes, share: float) -> bytes:
    """A copy that ended early."""
    return data[: int(len(data) * share)]


def filled_up(data: bytes, share: float) -> bytes:
    """A copy that ended early, where the whole file's room had been kept before: zeros are in it."""
    return cut(data, share).ljust(len(data), b"\0")


DAMAGED = {
    "cut-early": cut(FILM, 0.3),
    "cut-late": cut(FILM, 0.99),
    "cut-by-one-byte": FILM[:-1],
    "cut-packed": cut(WHOLE[uid.JPEGLSLossless.name], 0.6),
    "cut-deflated": cut(WHOLE[uid.DeflatedExplicitVRLittleEndian.name], 0.6),
    "cut-in-its-header": FILM[:700],
    "a-header-alone": FILM[: FILM.index(b"\xe0\x7f\x10\x00")],
    "zeros-in-packed": cut(WHOLE[uid.RLELossless.name], 0.5) + bytes(1000),
    **{
        f"room-kept-for-{syntax.name}": filled_up(WHOLE[syntax.name], 0.7)
        for syntax in (uid.JPEGLosslessSV1, uid.JPEGLossless, uid.JPEGLSLossless, uid.JPEG2000Lossless)
    },
}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    spool = Spool(tmp_path / "state")
    with closing(Queue(tmp_path / "state")) as queue:
        yield Door(queue, spool)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    path = tmp_path_factory.mktemp("model") / "model.zip"
    small_bundle(path)
    return make_judge(str(path), 90, threads=1, deidentify=False, fhir=False)


def brought_to(door: Door, number: int, state: str, status: str, *, content: str = "") -> Film:
    """Bring a film that waits to a state, as the node would."""
    film = door.queue.film(number)
    if status:
        door.queue.assessed(film, status, [("archive", Result("a.dcm"))], content=content)
    if state == "done":
        door.queue.put(door.queue.deliveries(number), "delivered")
        door.spool.release(film, ["a.dcm"])
    elif state == DEAD and status:
        door.queue.put(door.queue.deliveries(number), DEAD)
    elif state in (DEAD, ASIDE):
        door.queue.put_film(film, state, "why")
    film = door.queue.film(number)
    assert (film.state, film.status) == (state, status)
    return film


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize(
    ("state", "status"),
    [
        (WAITING, ""),
        (ASIDE, ""),
        (DEAD, ""),
        ("assessed", "unreadable"),
        ("done", "unreadable"),
        (DEAD, "unreadable"),
    ],
)
def test_a_damaged_film_leaves_its_uid_to_the_whole_one(
    door: Door, damaged: bytes, state: str, status: str
) -> None:
    first = door.take(SOP, damaged)
    assert first
    brought_to(door, first, state, status)
    second = door.take(SOP, FILM)
    assert second
    assert second != first
    assert door.queue.film(second).uid == SOP
    assert door.queue.film(first).gave_up_its_uid
    assert door.take(SOP, FILM) is None, "known again"
    assert door.queue.took(door.queue.film(first).sha256)
    with pytest.raises(ConflictingFilm, match="no film is in this"):
        door.take(SOP, damaged)


@pytest.mark.parametrize("state", ["assessed", "done", DEAD])
def test_a_refused_film_leaves_its_uid_to_another_that_can_be_read_and_to_no_damaged_one(
    door: Door, state: str
) -> None:
    first = door.take(SOP, OTHER)
    assert first
    brought_to(door, first, state, "refused", content=content_in(OTHER))
    with pytest.raises(ConflictingFilm):
        door.take(SOP, DAMAGED["cut-late"])
    assert door.take(SOP, OTHER) is None
    assert door.take(SOP, FILM)


@pytest.mark.parametrize(
    ("state", "status"), [(WAITING, ""), ("assessed", "assessed"), ("done", "assessed"), (DEAD, "assessed")]
)
def test_a_film_that_has_or_may_get_an_answer_keeps_its_uid(door: Door, state: str, status: str) -> None:
    first = door.take(SOP, FILM)
    assert first
    brought_to(door, first, state, status, content=content_in(FILM) if status else "")
    for other in (OTHER, *DAMAGED.values(), in_syntax(uid.RLELossless, PatientSex="F")):
        with pytest.raises(ConflictingFilm):
            door.take(SOP, other)
    assert door.take(SOP, FILM) is None
    assert [film.number for film in door.queue.films()] == [first]
    assert {path.name for path in door.spool.films.iterdir()} <= {door.queue.film(first).file}


@pytest.mark.parametrize("known", ["content", "file", "neither"])
@pytest.mark.parametrize(("first", "second"), list(itertools.pairwise((*WHOLE, next(iter(WHOLE))))))
def test_a_film_in_another_transfer_syntax_is_the_same_film(
    door: Door, first: str, second: str, known: str
) -> None:
    number = door.take(SOP, WHOLE[first])
    assert number
    if known == "content":
        brought_to(door, number, "done", "assessed", content=content_in(WHOLE[first]))
    if known == "neither":  # done by an earlier version, which kept no hash of what it decodes to
        brought_to(door, number, "done", "assessed")
        with pytest.raises(ConflictingFilm):
            door.take(SOP, WHOLE[second])
    else:
        assert door.take(SOP, WHOLE[second]) is None


def test_what_a_film_decodes_to_is_the_same_in_each_syntax_and_tells_films_apart(judge: Judge) -> None:
    assert len({content_in(data) for data in WHOLE.values()}) == 1
    assert judge_film(judge, FILM, SOP).content == content_in(WHOLE[uid.JPEGLSLossless.name]) != ""
    others = [
        OTHER,
        *(
            in_syntax(uid.ExplicitVRLittleEndian, **{name: value})
            for name, value in {
                "PatientSex": "F",
                "PatientAge": "010Y",
                "PatientID": "another",
                "StudyInstanceUID": "1.2.3",
                "ImageLaterality": "R",
                "PhotometricInterpretation": "MONOCHROME1",
            }.items()
        ),
    ]
    assert len({content_in(data) for data in (FILM, *others)}) == len(others) + 1
    assert {content_in(data) for data in DAMAGED.values()} == {""}
    assert content_in(b"no DICOM") == ""


def test_what_a_router_writes_into_a_header_does_not_make_it_another_film() -> None:
    made = dataset(LARGE, StudyTime="101500", StudyDescription="hand", PixelSpacing=[0.2, 0.2])
    made.private_block(0x0099, "A ROUTER", create=True).add_new(1, "LO", "was here")
    assert content_in(as_bytes(made)) == content_in(FILM)


COPIES = st.sampled_from(
    [FILM, WHOLE[uid.RLELossless.name], DAMAGED["cut-late"], DAMAGED["cut-in-its-header"]]
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(copies=st.lists(st.tuples(COPIES, st.booleans()), min_size=1, max_size=6))
def test_in_any_order_the_whole_film_is_taken_once_and_nothing_takes_its_place(
    tmp_path_factory: pytest.TempPathFactory, copies: list[tuple[bytes, bool]]
) -> None:
    state = tmp_path_factory.mktemp("state")
    spool = Spool(state)
    with closing(Queue(state)) as queue:
        door = Door(queue, spool)
        for data, judged in copies:
            try:
                number = door.take(SOP, data)
            except ConflictingFilm:
                assert not content_in(data)
                continue
            if number and judged:
                content = content_in(data)
                status = "assessed" if content else "unreadable"
                queue.assessed(queue.film(number), status, [("a", Result("a.dcm"))], content=content)
        whole = [film for film in queue.films() if content_in(spool.film(film).read_bytes())]
        assert len(whole) == any(content_in(data) for data, _ in copies)
        assert all(film.uid == SOP for film in whole)


def test_two_files_that_come_at_once_are_looked_at_again(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    first = door.take(SOP, DAMAGED["cut-late"])
    held = door.queue.holder(SOP)
    assert door.queue.add(SOP, "1" * 64, "file", instead_of=held)
    with pytest.raises(Overtaken):
        door.queue.add(SOP, "2" * 64, "another", instead_of=held)
    looked_up = iter([(False, door.queue.film(first or 0)), (False, door.queue.holder(SOP))])
    monkeypatch.setattr(Door, "_look_up", lambda *_: next(looked_up))
    assert door.take(SOP, FILM)


def sent(node: Node, folder: Path, data: bytes) -> int | None:
    """C-STORE a file as it is."""
    (folder / "sent.dcm").write_bytes(data)
    film = dataset()
    film.file_meta.TransferSyntaxUID = file_meta(data).transfer_syntax
    return send_file(node.port, folder / "sent.dcm", film)


@pytest.mark.parametrize("judged", [True, False], ids=["judged", "waiting"])
def test_a_whole_film_that_is_sent_after_a_damaged_copy_has_its_results_in_the_archive(
    tmp_path: Path, judged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, go_on = Archive(), threading.Event()
    real = Queue.begin_next

    def waiting(queue: Queue) -> Film | None:
        return real(queue) if go_on.is_set() else None

    monkeypatch.setattr(Queue, "begin_next", waiting)
    damaged = dataset(LARGE)
    damaged.PixelData = damaged.PixelData[:100]
    with listening(archive) as port, running(write_config(tmp_path, port)) as node:
        if judged:
            go_on.set()
        assert send(node.port, damaged) == [0]
        if judged:
            node.wait_for("done")
        assert send(node.port, dataset(LARGE)) == [0]
        go_on.set()
        node.wait_for("done" if judged else "aside", "done")
        assert sent(node, tmp_path, WHOLE[uid.JPEGLSLossless.name]) == 0
        assert [each.get("film") for each in node.events("taken")] == [1, 2]
    assert archive.modalities() == sorted(["DOC", "OT", "SR", *(["DOC", "SR"] if judged else [])])
    assert all(len(copies) == 1 for copies in archive.stored.values()), "each result has a UID of its own"
    if not judged:
        reason = tmp_path / "state" / "aside" / "film-1" / "reason.txt"
        assert "another file came under its UID" in reason.read_text()


def test_the_refusal_of_a_damaged_film_has_other_uids_than_what_comes_of_the_whole_one(judge: Judge) -> None:
    """Also where a model gives no intervals and nothing is known of the child."""
    made: list[set[str]] = []
    for data in (DAMAGED["cut-late"], DAMAGED["a-header-alone"], FILM):
        made.append(set(judge_film(judge, data, SOP).files))
    assert not made[0] & made[1]
    assert not made[1] & made[2]
    assert not made[0] & made[2]
    assert set(judge_film(judge, DAMAGED["cut-late"], SOP).files) == made[0], "the same when made again"


@pytest.mark.parametrize(
    "first", ["cut-early", "cut-late", "cut-packed", "cut-in-its-header", "a-header-alone"]
)
def test_a_copy_that_pauses_in_a_watched_folder_has_its_results_when_it_is_whole(
    tmp_path: Path, judge: Judge, first: str
) -> None:
    whole = WHOLE[uid.JPEGLSLossless.name] if first == "cut-packed" else FILM
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "film.dcm").write_bytes(DAMAGED[first])
    watched(tmp_path, judge)
    (tmp_path / "in" / "film.dcm").write_bytes(whole)
    log = watched(tmp_path, judge)
    assert [each["event"] for each in log].count("taken") == 1
    rows = [json.loads((tmp_path / "out" / name / "reading.json").read_text()) for name in results(tmp_path)]
    assert sorted(row["status"] for row in rows) == ["assessed", "unreadable"]
    again = watched(tmp_path, judge)
    assert [each["event"] for each in again if each["event"] in ("taken", "not-taken")] == []


def test_a_damaged_copy_that_stays_beside_the_whole_film_is_known_again_at_each_start(
    tmp_path: Path, judge: Judge
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(DAMAGED["cut-late"])
    watched(tmp_path, judge)
    (tmp_path / "in" / "b.dcm").write_bytes(FILM)
    (tmp_path / "in" / "c.dcm").write_bytes(WHOLE[uid.RLELossless.name])
    for _ in range(2):
        log = watched(tmp_path, judge)
        assert "not-taken" not in [each["event"] for each in log]
    assert not list((tmp_path / "out").rglob("reason.txt"))
    assert sorted(results(tmp_path))[0].startswith("a-")
    assert len(results(tmp_path)) == 2


def test_pictures_are_the_same_by_their_bytes(tmp_path: Path, door: Door) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    film = write_film(inbox / "a.png")
    (inbox / "b.png").write_bytes(film.read_bytes())
    taker = Taker(Watch(inbox, tmp_path / "out", tmp_path / "state"), door, False, json_lines(io.StringIO()))
    taker.look()
    assert taker.look()
    assert [film.name for film in door.queue.films()] == ["a.png"]
