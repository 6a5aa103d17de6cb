"""Pictures are decoded in a process with limits: what bites is one typed error, and the next film is read."""

from __future__ import annotations

import ctypes
import io
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bonexage.errors import TooManyPixels, UnreadableFile
from bonexage.reading import decoder
from bonexage.reading.confined import Limits
from bonexage.reading.images import decode_image
from hands import drawn_hand
from reading.in_processes import by_program, hash_of
from trials.biting_pictures import of_directories, of_greedy_tags, of_scans
from trials.waiting import PATIENCE_SECONDS, eventually

ON_LINUX = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="reads what Linux tells of processes"
)
LIMITED = pytest.mark.skipif(not hasattr(signal, "SIGXCPU"), reason="this system sets no limit on computing")


@pytest.fixture(autouse=True)
def _children_end() -> Iterator[None]:
    decoder.dismiss()
    yield
    decoder.dismiss()


def film(seed: int = 0) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.rint(drawn_hand(60, 50, seed) * 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def children_of(pid: int) -> list[int]:
    """The processes that a process has started, as Linux lists them; none where it has ended."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(each) for task in tasks for each in (task / "children").read_text().split()]
    except OSError:
        return []


def is_gone(pid: int) -> bool:
    """Whether a process has ended, if it was waited for or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def seconds_of(pid: int) -> float:
    """The seconds of computing that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@LIMITED
def test_a_picture_that_takes_too_long_is_an_error_and_the_next_one_is_read():
    with pytest.raises(UnreadableFile, match=r"slow\.jpg: decoding it took more time or memory"):
        decode_image(of_scans(3000), "slow.jpg", limits=Limits(seconds=1))
    assert decode_image(film(), "hand.png").pixels.shape == (60, 50)


def test_a_picture_is_ended_by_the_clock_too():
    with pytest.raises(UnreadableFile, match=r"slow\.jpg: decoding it took more time or memory"):
        decode_image(of_scans(3000), "slow.jpg", limits=Limits(waiting_seconds=0.5))
    assert decode_image(film(), "hand.png").pixels.shape == (60, 50)


@LIMITED
def test_the_pages_of_a_tiff_are_counted_and_chosen_in_a_moment():
    many = of_directories(30_001)
    with pytest.raises(UnreadableFile, match="holds 30001 pages and none was named"):
        decode_image(many, "many.tif", limits=Limits(seconds=5))
    assert decode_image(many, "many.tif", page=29_999, limits=Limits(seconds=5)).pixels.shape == (1, 1)


@ON_LINUX
def test_a_tiff_whose_tags_all_name_the_same_bytes_is_an_error_and_the_next_film_is_read():
    limits = Limits(seconds=20, memory_bytes=600 << 20)
    with pytest.raises(UnreadableFile, match=r"bomb\.tif"):
        decode_image(of_greedy_tags(60_000, 100_000), "bomb.tif", limits=limits)
    assert decode_image(film(), "hand.png", limits=limits).pixels.shape == (60, 50)


def test_a_large_picture_that_does_not_fit_is_an_error():
    out = io.BytesIO()
    Image.new("RGBA", (6000, 6000)).save(out, "PNG")
    with pytest.raises(UnreadableFile, match=r"large\.png: .*memory"):
        decode_image(out.getvalue(), "large.png", limits=Limits(memory_bytes=300 << 20))
    with pytest.raises(TooManyPixels, match="more than 1 million pixels"):
        decode_image(out.getvalue(), "large.png", limits=Limits(pixels=1_000_000))


@pytest.mark.parametrize(
    "start",
    [b"GIF89a", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"%PDF-1.7\n", b"P6 1 1 255\n", b"icns", b"\0\0\1\0", b"8BPS"],
)
def test_no_format_but_the_listed_ones_is_opened(start: bytes):
    with pytest.raises(UnreadableFile, match="this is not a PNG"):
        decode_image(start + bytes(1000), "other.png")


def test_a_child_that_was_killed_while_it_waited_is_replaced():
    assert decode_image(film(), "a.png").pixels.shape == (60, 50)
    decoder._idle[0].kill()
    decoder._idle[0]._process.wait()
    assert decode_image(film(), "b.png").pixels.shape == (60, 50)


def test_a_child_started_early_reads_the_first_film(monkeypatch):
    decoder.start_early()
    decoder.start_early()
    monkeypatch.setattr(subprocess, "Popen", None)
    assert decode_image(film(), "hand.png").pixels.shape == (60, 50)


def test_films_on_many_threads_are_each_their_own():
    films = [film(seed) for seed in range(4)]
    wanted = [decode_image(each, "hand.png").pixels for each in films]
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda at: decode_image(films[at % 4], f"{at}.png").pixels, range(60)))
    for at, pixels in enumerate(read):
        assert np.array_equal(pixels, wanted[at % 4])


@pytest.mark.parametrize("way", multiprocessing.get_all_start_methods())
def test_processes_read_films_beside_the_threads_of_the_one_that_started_them(way: str, tmp_path: Path):
    pictures = [tmp_path / f"{seed}.png" for seed in range(8)]
    for seed, picture in enumerate(pictures):
        picture.write_bytes(film(seed))
    wanted = [decode_image(picture.read_bytes(), "hand.png").pixels for picture in pictures]
    assert {pixels.shape for pixels in wanted} == {(60, 50)}
    assert by_program("pictures", way, *pictures) == [hash_of(pixels.tobytes()) for pixels in wanted]


@ON_LINUX
def test_a_decoder_ends_amid_its_work_with_the_process_that_asked_it(tmp_path: Path):
    (tmp_path / "slow.jpg").write_bytes(of_scans(3000))
    reader = "import sys; from bonexage.reading.files import read_radiograph; read_radiograph(sys.argv[1])"
    process = subprocess.Popen([sys.executable, "-c", reader, str(tmp_path / "slow.jpg")])
    (child,) = eventually(lambda: children_of(process.pid))
    eventually(lambda: seconds_of(child) > 0.5)
    process.kill()
    process.wait()
    eventually(lambda: is_gone(child))


def interrupt_the_command(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)


def interrupt_a_thread(process: subprocess.Popen[bytes]) -> None:
    """Send SIGINT to a thread that is not the main one, as the system may."""
    threads = [int(each.name) for each in Path(f"/proc/{process.pid}/task").iterdir()]
    other = next(each for each in threads if each != process.pid)
    assert ctypes.CDLL(None).tgkill(process.pid, other, int(signal.SIGINT)) == 0


@ON_LINUX
@pytest.mark.parametrize("interrupt", [interrupt_the_command, interrupt_a_thread])
def test_an_interrupted_command_ends_with_its_decoders(
    interrupt: Callable[[subprocess.Popen[bytes]], None], tmp_path: Path
):
    for at in range(4):
        (tmp_path / f"{at}.jpg").write_bytes(of_scans(3000 + at))
    process = subprocess.Popen(
        [sys.executable, "-m", "bonexage", "predict", str(tmp_path), "--sex", "F"], stderr=subprocess.PIPE
    )
    children = eventually(lambda: [each for each in children_of(process.pid) if seconds_of(each) > 0.5])
    interrupt(process)
    assert process.wait(PATIENCE_SECONDS) == 130
    for child in children:
        eventually(lambda child=child: is_gone(child))
    assert process.stderr
    assert b"Stopped, as asked." in process.stderr.read()
