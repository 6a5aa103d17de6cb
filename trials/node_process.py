"""A node in a process of its own with the carried model, and plates of the atlas wrapped as films for it."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from bonexage.atlas.plates import read_plates
from trials.archive import TITLE
from trials.mutations import dicom
from trials.waiting import eventually

WITHIN_SECONDS: Final = 300.0
_ROOT: Final = "1.2.826.0.1.3680043.8.498.3"


def plate_film(number: int, *, enlarged: int = 1) -> Dataset:
    """A plate, so many times enlarged, as a DX film in a study of its own; each number gives another film."""
    plates = read_plates()
    plate = plates[number % len(plates)]
    with Image.open(plate.path) as picture:
        size = (picture.width * enlarged, picture.height * enlarged)
        grey = np.asarray(picture.convert("L").resize(size), dtype=np.uint16) * 16
    grey[:2, :16] = number % 4096  # what makes it another film
    content = dicom(
        grey,
        SOPInstanceUID=f"{_ROOT}.3.{number}",
        StudyInstanceUID=f"{_ROOT}.1.{number}",
        SeriesInstanceUID=f"{_ROOT}.2.{number}",
        StudyDate="20260101",
        PatientSex=plate.sex.value,
    )
    film = dcmread(io.BytesIO(content))
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    return film


def write_config(
    folder: Path, archive_port: int, *, state: Path | None = None, free_megabytes: int = 0
) -> Path:
    """A configuration with short waits, for an archive on loopback."""
    path = folder / "node.toml"
    path.write_text(
        f"""state = "{state or "state"}"
threads = 1
least_free_megabytes = {free_megabytes}
[listen]
port = 0
idle_seconds = 10
[http]
host = ""
[delivery]
first_wait_seconds = 0.2
longest_wait_seconds = 2
timeout_seconds = 10
[[destinations]]
name = "archive"
ae_title = "{TITLE}"
host = "127.0.0.1"
port = {archive_port}
""",
        encoding="utf-8",
    )
    return path


@dataclass
class Running:
    """A node at work.

    Attributes:
        process: its process.
        log: the file of its log.
        begin: where in that its own log begins.
    """

    process: subprocess.Popen[bytes]
    log: Path
    begin: int

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Its log, or the lines of it of some events; one that is not written to its end is left out."""
        lines = self.log.read_bytes()[self.begin :].splitlines(keepends=True)
        told: list[dict[str, Any]] = []
        for line in lines:
            with suppress(ValueError):
                told.append(json.loads(line))
        return [each for each in told if not names or each["event"] in names]

    def port(self) -> int | None:
        """Where it listens; None as long as it does not."""
        return next((int(each["port"]) for each in self.events("listening")), None)

    def close(self) -> None:
        """End it by `kill -9`, wherever it is, if it has not ended."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to stop, and return how it ended."""
        self.process.terminate()
        return self.process.wait(WITHIN_SECONDS)

    def memory_bytes(self) -> int:
        """What it and its decoding process hold in memory; 0 where the system does not say."""
        return sum(_resident_bytes(pid) for pid in (self.process.pid, *_children(self.process.pid)))


def start(config: Path, *, most_file_bytes: int | None = None) -> Running:
    """Start a node; perhaps one that may write no file larger than so many bytes."""
    log = config.with_name("log.jsonl")
    begin = log.stat().st_size if log.exists() else 0

    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "bonexage", "node", "--config", str(config)],
            stderr=file,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    if most_file_bytes is not None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most_file_bytes, most_file_bytes))
    return Running(process, log, begin)


def until(holds: Callable[[], Any], what: str) -> Any:
    """Wait until something holds, and return it; ends the trial where it does not come to hold in time."""
    try:
        return eventually(holds, WITHIN_SECONDS)
    except AssertionError:
        raise SystemExit(f"{what} did not come about within {WITHIN_SECONDS:.0f} seconds") from None


def _resident_bytes(pid: int) -> int:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) * 1024
    return 0


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    return []
