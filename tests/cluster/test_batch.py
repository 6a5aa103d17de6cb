"""Blocks of films become parts, each once, whatever dies on the way; with Ray and, in most tests, without."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from bonexage.cli.app import app
from bonexage.cluster import batch
from bonexage.cluster.batch import TRIED, TRIES, Part, Reader, Task, parts_made
from bonexage.cluster.films import (
    FILMS,
    AskedFilm,
    Block,
    asked_films,
    blocks_of_list,
    films_of_block,
    keep_list,
)
from bonexage.cluster.folder import Folder
from bonexage.errors import ClusterStopped, MissingExtra
from bonexage.subject import Sex, Subject
from films import write_film
from models import small_bundle
from trials.waiting import PATIENCE_SECONDS, eventually

parquet = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("fsspec")


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[AskedFilm]:
    """Seven films, of which 2.png is no picture, in a folder with a model."""
    monkeypatch.chdir(tmp_path)
    small_bundle(tmp_path / "model.zip")
    Path("films").mkdir()
    paths = [write_film(Path("films") / f"{seed}.png", seed) for seed in range(7)]
    paths[2].write_bytes(b"no picture")
    return [AskedFilm(str(path), Subject(Sex.MALE)) for path in paths]


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "out") if request.param == "disk" else f"memory://{uuid.uuid4().hex}")


def _rows(folder: Folder, name: str) -> list[dict[str, object]]:
    return parquet.read_table(io.BytesIO(folder.read(name))).to_pylist()


def _task(folder: Folder) -> Task:
    return Task(bundle=small_bundle(Path("model-of-task.zip")), folder=folder, coverage=0.9)


def _as_row(block: Block) -> dict[str, int]:
    return {name: getattr(block, name) for name in ("number", "films", "start", "length")}


def test_a_parquet_of_paths_may_lie_at_an_address() -> None:
    pa, fsspec = pytest.importorskip("pyarrow"), pytest.importorskip("fsspec")
    address = f"memory://{uuid.uuid4().hex}/asked.parquet"
    table = pa.table(
        {"file": ["s3://bucket/a.png", "b.png"], "sex": ["F", None], "height_cm": [120.0, 130.0]}
    )
    with fsspec.open(address, "wb") as file:
        parquet.write_table(table, file)
    told = list(asked_films([address], lambda _: Subject(Sex.MALE, 90.0)))
    assert told == [
        AskedFilm("s3://bucket/a.png", Subject(Sex.FEMALE, 90.0)),
        AskedFilm("b.png", Subject(Sex.MALE, 90.0)),
    ]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=20), st.integers(1, 6))
def test_the_blocks_of_a_list_hold_every_film_once_and_in_order(names: list[str], films_a_part: int) -> None:
    folder = Folder(f"memory://{uuid.uuid4().hex}")
    asked = [AskedFilm(name, Subject(Sex.FEMALE, float(len(name)))) for name in names]
    keep_list(asked, folder)
    blocks = blocks_of_list(folder, films_a_part)
    assert [film for block in blocks for film in films_of_block(folder, block)] == asked
    assert {block.films for block in blocks[:-1]} <= {films_a_part}
    assert [block.number for block in blocks] == list(range(len(blocks)))


def test_a_part_holds_what_one_process_says_of_its_films(films: list[AskedFilm], folder: Folder) -> None:
    keep_list(films, folder)
    task = _task(folder)
    reader = Reader(task)
    blocks = blocks_of_list(folder, 4)
    said = [reader(_as_row(block)) for block in blocks]
    assert [each["unusable"] for each in said] == [1, 0]
    rows = [row for block in blocks for row in _rows(folder, block.part)]
    assert [row["file"] for row in rows] == [film.file for film in films]
    plain = CliRunner().invoke(
        app, ["predict", "films", "--sex", "M", "--model", "model-of-task.zip", "--out", "one.parquet"]
    )
    assert plain.exit_code == 3
    assert rows == parquet.read_table("one.parquet").to_pylist()
    assert parts_made(folder, blocks) == [Part(0, 4, 1), Part(1, 3, 0)]


def test_a_part_that_an_actor_left_before_it_was_lost_is_not_written_again(
    films: list[AskedFilm], folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_list(films, folder)
    (block,) = blocks_of_list(folder, len(films))
    reader = Reader(_task(folder))
    first = reader(_as_row(block))
    monkeypatch.setattr(batch, "write_parquet", None)
    assert reader(_as_row(block)) == first == {"number": 0, "films": len(films), "unusable": 1}


def test_a_part_that_cannot_be_written_is_tried_again_and_then_given_up(
    films: list[AskedFilm], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(str(tmp_path / "out"))
    keep_list(films[:1], folder)
    (block,) = blocks_of_list(folder, 4)
    reader = Reader(_task(folder))
    monkeypatch.setattr(batch.time, "sleep", lambda _: None)
    failures: list[int] = []
    whole = batch.write_parquet

    def fails(times: int) -> None:
        failures[:] = []

        def write(rows: Iterator[dict[str, object]], out: io.BytesIO) -> None:
            failures.append(1)
            if len(failures) <= times:
                out.write(b"half")
                raise OSError("the store does not answer")
            whole(rows, out)

        monkeypatch.setattr(batch, "write_parquet", write)

    fails(TRIES)
    with pytest.raises(OSError, match="does not answer"):
        reader(_as_row(block))
    assert not folder.has(block.part)
    folder.remove(f"{TRIED}000000-0")
    fails(TRIES - 1)
    assert reader(_as_row(block))["unusable"] == 0
    assert len(_rows(folder, block.part)) == 1


def test_a_block_on_which_actors_are_lost_again_and_again_is_left_out(
    films: list[AskedFilm], folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_list(films, folder)
    (block,) = blocks_of_list(folder, len(films))
    reader = Reader(_task(folder))

    def die(*_: object) -> None:
        raise SystemExit  # nothing that an actor does after it was killed

    with monkeypatch.context() as killing:
        killing.setattr(batch, "write_parquet", die)
        for _ in range(TRIES):
            with pytest.raises(SystemExit):
                reader(_as_row(block))
    with pytest.raises(ClusterStopped, match="actors were lost on part-000000"):
        reader(_as_row(block))
    folder.remove(f"{TRIED}000000-0")
    reader(_as_row(block))
    assert {name for name in folder.names() if not name.startswith(".")} == {FILMS, block.part}


def _ray(*options: str) -> Result:
    given = ["predict", "films", "--sex", "M", "--model", "model.zip", "--ray", "local", "--part", "3"]
    return CliRunner().invoke(app, [*given, "--out", "parts.parquet", *options])


@pytest.mark.usefixtures("films")
def test_parts_that_are_there_stay_and_only_the_rest_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is stood in for by a loop that leaves blocks out."""
    left_out: set[int] = {1}
    asked: list[list[int]] = []

    def make(task: Task, blocks: list[Block], _: int | None) -> Iterator[Part]:
        asked.append([block.number for block in blocks])
        for block in blocks:
            if block.number not in left_out:
                yield Part(**Reader(task)(_as_row(block)))

    monkeypatch.setattr(batch, "make_parts", make)
    monkeypatch.setattr(batch, "joined", lambda *_: io.BytesIO())
    first = _ray()
    assert first.exit_code == 3
    assert "1 of 3 parts could not be made, such as part-000001.parquet" in first.stderr
    left_out.clear()
    write_film(Path("films") / "8.png", 8)  # the list is that of the first run
    second = _ray()
    assert second.exit_code == 3
    assert "1 of 7 films could not be assessed" in second.stderr
    assert asked == [[0, 1, 2], [1]]
    third = _ray()
    assert third.exit_code == 3
    assert len(asked) == 2
    other = _ray("--age-months", "90")
    assert other.exit_code == 2
    assert "other age_months" in other.stderr


@pytest.mark.usefixtures("films")
def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingExtra("Reading on a cluster", "cluster")

    monkeypatch.setattr(batch, "check_installed", missing)
    done = _ray()
    assert done.exit_code == 2
    assert "[cluster]" in done.stderr
    assert not Path("parts.parquet").exists()


def _descendants(of: int) -> dict[int, str]:
    """The processes below one, by number, with their command lines."""
    parents, lines = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                lines[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue

    def below(process: int) -> bool:
        return process == of or (
            process in parents and parents[process] != process and below(parents[process])
        )

    return {process: lines[process] for process in parents if process != of and below(process)}


def _runs(process: int) -> bool:
    """Whether a process is there and has not ended yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds Ray's processes in /proc")
def test_a_killed_actor_and_a_killed_driver_lose_nothing_and_double_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.chdir(tmp_path)
    small_bundle(tmp_path / "model.zip")
    Path("films").mkdir()
    large = write_film(Path("films") / "00.png", 0, 1800, 1440).read_bytes()  # so that reading takes a while
    names = [f"{number:02}.png" for number in range(24)]
    for name in names:
        (Path("films") / name).write_bytes(large)
    command = [sys.executable, "-m", "bonexage", "predict", "films", "--model", "model.zip", "--sex", "M"]
    spread = [*command, "--ray", "local", "--actors", "2", "--part", "2", "--out", "parts.parquet"]
    out = Path("parts.parquet")

    def parts() -> dict[str, int]:
        return {part.name: part.stat().st_mtime_ns for part in out.glob("part-*")}

    log = (tmp_path / "log.txt").open("w+", encoding="utf-8")  # no pipe: Ray's processes may hold it open
    driver = subprocess.Popen(spread, stderr=log, start_new_session=True)
    try:
        eventually(parts)
        actors = {pid for pid, line in _descendants(driver.pid).items() if "Map(Reader)" in line}
        assert actors, _descendants(driver.pid)
        lost = min(actors)
        os.kill(lost, signal.SIGKILL)
        at_kill = len(parts())
        eventually(lambda: len(parts()) >= at_kill + 4)
        family = _descendants(driver.pid)
        driver.kill()
        driver.wait()
        eventually(lambda: not any(_runs(pid) for pid in family))
    finally:
        driver.kill()
        driver.wait()
    kept = parts()
    assert len(kept) < len(names) // 2, "all was done before the driver was killed"
    with log:
        ended = subprocess.run(spread, stdout=log, stderr=log, timeout=PATIENCE_SECONDS).returncode
    assert ended == 0, (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert {name: when for name, when in parts().items() if name in kept} == kept
    rows = [row for part in sorted(out.glob("part-*")) for row in parquet.read_table(part).to_pylist()]
    assert [row["file"] for row in rows] == [f"films/{name}" for name in names]
    assert CliRunner().invoke(app, [*command[3:], "--out", "one.parquet"]).exit_code == 0
    assert rows == parquet.read_table("one.parquet").to_pylist()
    assert not list(out.glob(".*.partial"))
