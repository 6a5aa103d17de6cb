"""A file is written whole or not at all, whatever happens on the way."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bonexage.disk import opened_atomically, remove_partial, write_atomically


def test_a_stream_takes_its_place_only_at_the_end(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "table.csv"
    write_atomically(place, b"old")
    with opened_atomically(place) as file:
        file.write(b"new ")
        file.flush()
        assert place.read_bytes() == b"old"
        file.write(b"and whole")
    assert place.read_bytes() == b"new and whole"
    assert [each.name for each in place.parent.iterdir()] == ["table.csv"]


@pytest.mark.skipif(os.name != "posix", reason="file permissions are POSIX's")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_file_has_the_permissions_that_the_umask_leaves_and_the_umask_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    before = os.umask(umask)
    try:
        with monkeypatch.context() as watched:
            watched.setattr(os, "umask", lambda _: pytest.fail("it is that of all threads"))
            write_atomically(tmp_path / "film.png", b"film")
    finally:
        assert os.umask(before) == umask
    assert (tmp_path / "film.png").stat().st_mode & 0o777 == 0o666 & ~umask


def write_half_and_raise(place: Path, problem: BaseException) -> None:
    with opened_atomically(place) as file:
        file.write(b"half")
        raise problem


@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_stops_a_stream_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, problem: BaseException
) -> None:
    place = tmp_path / "table.csv"
    write_atomically(place, b"old")
    with pytest.raises(type(problem)):
        write_half_and_raise(place, problem)
    assert place.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]


def test_a_disk_that_fills_up_at_the_end_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place = tmp_path / "table.csv"
    write_atomically(place, b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        write_atomically(place, b"new")
    assert place.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.skipif(os.name == "nt", reason="names are counted in bytes here")
@pytest.mark.parametrize("name", ["a" * 255, "\N{HIRAGANA LETTER A}" * 85, "\N{BONE}" * 63])
def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path, name: str) -> None:
    write_atomically(tmp_path / name, b"film")
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"film"


KILLED = """
import os, signal, sys
from pathlib import Path
from bonexage.disk import opened_atomically

with opened_atomically(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL here")
def test_what_a_killed_process_left_half_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "table.csv"
    write_atomically(place, b"old")
    for other in (".table.csv.swp", ".table.csv.partial", "table.csv.0a1b2c3d.partial", ".backup.partial"):
        (tmp_path / other).write_bytes(b"of another program")
    kept = set(tmp_path.iterdir())
    killed = subprocess.run([sys.executable, "-c", KILLED, place], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(set(tmp_path.iterdir()) - kept) == 1
    (tmp_path / ".table.csv.0a1b2c3d.partial").write_bytes(b"an earlier version's")
    remove_partial(tmp_path)
    assert set(tmp_path.iterdir()) == kept
    assert place.read_bytes() == b"old"
    remove_partial(tmp_path / "not there")
