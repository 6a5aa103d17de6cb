"""The door for DICOM films: their bytes go to a process with limits, and a radiograph comes back.

No byte from outside is parsed in this process. The other one holds pydicom and the decoders; it is kept for
the next film as long as it is sound.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bonexage.assessment import Caution
from bonexage.errors import (
    BonexageError,
    MissingExtra,
    RefusedRadiograph,
    TooManyPixels,
    UnreadableFile,
)
from bonexage.radiograph import Provenance, Radiograph, Stated
from bonexage.reading.identity import FilmIdentity, checked_identity
from bonexage.reading.images import MAX_PIXELS, framed
from bonexage.reading.messages import read_message, write_message
from bonexage.subject import Sex, Subject


@dataclass(frozen=True)
class Limits:
    """What one film may take.

    Attributes:
        seconds: of computing.
        waiting_seconds: until the answer; far more, for a machine that has much else to do.
        memory_bytes: of address space.
        pixels: of its picture.
    """

    seconds: int = 60
    waiting_seconds: float = 600.0
    memory_bytes: int = 4 << 30
    pixels: int = MAX_PIXELS


DEFAULT_LIMITS: Final = Limits()
# A child is ended after so many films, whatever its decoders may have kept.
FILMS_A_CHILD: Final = 200

_AGAIN: Final = "Export the film again, or convert it to PNG"
_KINDS: Final[Mapping[str, type[BonexageError]]] = {
    each.__name__: each for each in (RefusedRadiograph, TooManyPixels)
}
_idle: Final[list[_Child]] = []


def decode_dicom(
    data: bytes, name: str, *, page: int | None = None, limits: Limits = DEFAULT_LIMITS
) -> Radiograph:
    """Decode the bytes of a CR, DX or Secondary Capture film.

    The modality transformation, VOI LUTs and windows (the first that shows something), Pixel Padding and the
    polarity are obeyed; colour becomes grey. Afterwards the film is looked at as any other: an inverted one
    is turned round with the caution `inverted`, borders are left out.

    Args:
        data: the whole file.
        name: what the file is called in errors and in the provenance.
        page: the frame of a file with several frames, counted from 1.
        limits: what decoding may take.

    Raises:
        MissingExtra: pydicom is not installed.
        TooManyPixels: its picture has more than the limits allow.
        UnreadableFile: no picture can be read from the bytes, within the limits.
        RefusedRadiograph: the picture is no radiograph, such as a CT slice.
    """
    _check_installed()
    if not data:
        raise UnreadableFile("the file is empty", remedy=_AGAIN, subject=name)
    head, body = asked({"want": "film", "page": page, "pixels": limits.pixels}, data, name, limits)
    try:
        height, width = head["size"]
        grey = np.frombuffer(body, dtype="<f4").reshape(height, width).astype(np.float32, copy=False)
        content = hashlib.sha256(data).hexdigest()
        provenance = Provenance(name, content, (height, width), "dicom", int(head["bits"]))
        return framed(
            grey,
            provenance,
            blurred_seam=bool(head["lossy"]),
            spacing_mm=tuple(head["spacing_mm"]) if head["spacing_mm"] else None,
            cautions=tuple(Caution(code, sentence) for code, sentence in head["cautions"]),
            stated=_stated(head["stated"]),
        )
    except (KeyError, TypeError, ValueError):
        raise _unforeseen(name) from None


def films_of_disc(data: bytes, name: str) -> list[tuple[str, ...]]:
    """The images that a DICOMDIR names, each as the parts of its path from the DICOMDIR's folder.

    Raises:
        MissingExtra: pydicom is not installed.
        UnreadableFile: the bytes are no DICOMDIR, or name what lies outside its folder.
    """
    _check_installed()
    head, _ = asked({"want": "disc"}, data, name, DEFAULT_LIMITS)
    files = [tuple(str(part) for part in file) for file in head.get("files", ())]
    if not all(_is_name(part) for file in files for part in file):
        raise UnreadableFile(
            "the disc's index names files outside its folder",
            remedy="Give the films themselves",
            subject=name,
        )
    return files


def read_identity(data: bytes, name: str) -> FilmIdentity:
    """Whose film these bytes are and where it belongs; no pixel is decoded.

    Raises:
        MissingExtra: pydicom is not installed.
        UnreadableFile: they are no DICOM file, or one that lacks the UIDs by which a result refers to it.
    """
    _check_installed()
    head, _ = asked({"want": "identity"}, data, name, DEFAULT_LIMITS)
    return checked_identity(head, name)


def _is_name(part: str) -> bool:
    return part not in ("", ".", "..") and part.isprintable() and not set(part) & set("/\\:")


def _check_installed() -> None:
    if importlib.util.find_spec("pydicom") is None:
        raise MissingExtra("Reading DICOM", "dicom")


def _stated(said: Mapping[str, Any]) -> Stated:
    return Stated(
        subject=Subject(Sex(said["sex"]), said["age_months"]),
        age_slack_months=said["age_slack_months"],
        laterality=said["laterality"],
        view=said["view"],
        body_part=said["body_part"],
    )


class _Child:
    """One decoding process."""

    def __init__(self, memory_bytes: int) -> None:
        self.owner = os.getpid()
        self.memory_bytes = memory_bytes
        self.films = 0
        # -P: what lies in the working folder is not imported. One thread: arenas count as address space.
        ways = os.pathsep.join(path for path in sys.path if path)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bonexage.reading.dicom_child", str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **threads, "PYTHONPATH": ways},
            start_new_session=True,
        )

    def ask(self, head: Mapping[str, Any], body: bytes, waiting_seconds: float) -> tuple[Any, bytes] | None:
        """Its answer; None where it ended or was ended first."""
        assert self._process.stdin
        assert self._process.stdout
        self.films += 1
        timer = threading.Timer(waiting_seconds, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            write_message(self._process.stdin, head, body)  # type: ignore[arg-type]
            return read_message(self._process.stdout, most_body=4 * MAX_PIXELS)  # type: ignore[arg-type]
        except OSError:
            return None
        finally:
            timer.cancel()

    def end(self) -> int:
        """End it, and say how it ended: a negative number is the signal that ended it before."""
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if stream:
                    stream.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        self._process.kill()
        return self._process.wait()


def asked(head: Mapping[str, Any], body: bytes, name: str, limits: Limits) -> tuple[dict[str, Any], bytes]:
    """What a child answers to a request, as `reading.dicom_child` knows them.

    Raises:
        UnreadableFile, RefusedRadiograph: the answer is a failure, or there is none within the limits.
    """
    child = _taken(limits.memory_bytes)
    answer = None
    try:
        answer = child.ask({**head, "seconds": limits.seconds}, body, limits.waiting_seconds)
    finally:
        if answer is None:
            ended = child.end()
        elif child.films < FILMS_A_CHILD and not answer[0].get("shaken"):
            _idle.append(child)
        else:
            child.end()
    if answer is None:
        raise _ended(ended, name)
    said, answered = answer
    if "error" in said:
        kind = _KINDS.get(str(said["error"]), UnreadableFile)
        raise kind(str(said["problem"]), remedy=str(said["remedy"]), subject=name)
    return said, answered


def _taken(memory_bytes: int) -> _Child:
    """A child that waits for work, or a new one; those that a fork brought along are another process's."""
    while _idle:
        with suppress(IndexError):
            child = _idle.pop()
            if child.owner != os.getpid():
                continue
            if child.memory_bytes == memory_bytes:
                return child
            child.end()
    atexit.unregister(_dismiss)
    atexit.register(_dismiss)
    return _Child(memory_bytes)


def _dismiss() -> None:
    while _idle:
        child = _idle.pop()
        if child.owner == os.getpid():
            child.end()


def _ended(status: int, name: str) -> BonexageError:
    """Why there is no answer, by how the child ended."""
    if status in (-getattr(signal, "SIGXCPU", 0), -getattr(signal, "SIGKILL", 9)):
        return UnreadableFile(
            "decoding it took more time or memory than one film may",
            remedy="Give a smaller copy of it",
            subject=name,
        )
    return _unforeseen(name)


def _unforeseen(name: str) -> UnreadableFile:
    return UnreadableFile("its decoder failed on it and was ended", remedy=_AGAIN, subject=name)
