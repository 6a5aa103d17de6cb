"""Films of which a damaged copy comes first, over the network and in a watched folder, in many packings."""

from __future__ import annotations

import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from bonexage.node.queue import Queue
from bonexage.node.taking import content_hash
from bonexage.node.watching import STATE
from bonexage.reading.dicom_meta import file_meta
from trials.archive import Archive, listening, send_file
from trials.node_process import plate_film, start, until, write_config
from trials.reliability import Found

SEED: Final = 11
SYNTAXES: Final = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
)
# Between two looks into the watched folder; a copy pauses for several.
EVERY_SECONDS: Final = 0.2
PAUSE_SECONDS: Final = 6 * EVERY_SECONDS
HOW: Final = ("cut", "zeros", "noise")


def run(*, films: int = 120, copies: int = 30) -> Found:
    """Let a damaged copy come before each film, and count the films that have their answer.

    Args:
        films: sent to a node.
        copies: into a watched folder, each in three parts with pauses.
    """
    sent, harm_sent = _sent(films)
    print(sent, flush=True)
    copied, harm_copied = _copied(copies)
    print(copied, flush=True)
    harm = [*harm_sent, *harm_copied]
    told = "\n".join(f"- **{each}**" for each in harm) or "No fault did harm."
    machine = f"Python {platform.python_version()} on {platform.system()}, {platform.machine()}"
    text = (
        "Plates of the atlas wrapped as DX films, the carried model. Each film comes first as a damaged copy:"
        f" cut short, its rest zeros, or its rest noise.\n\n- {sent}\n- {copied}\n\n{told}\n\nWith {machine}."
    )
    return Found(text, held=not harm)


def packed(film: Dataset, syntax: str) -> bytes:
    """A film's file in a transfer syntax that loses nothing."""
    film, out = deepcopy(film), BytesIO()
    if UID(syntax).is_encapsulated:
        film.compress(syntax, generate_instance_uid=False)
    film.file_meta.TransferSyntaxUID = UID(syntax)
    film.save_as(out, enforce_file_format=True)
    return out.getvalue()


def damaged(data: bytes, how: str, chance: random.Random) -> bytes:
    """A copy that is sound as far as its file meta information, and as unreadable as a part of it is."""
    begin = chance.randint(file_meta(data).end + 8, int(len(data) * 0.95))
    if how == "cut":
        return data[:begin]
    rest = len(data) - begin
    return data[:begin] + (bytes(rest) if how == "zeros" else chance.randbytes(rest))


def _sent(films: int) -> tuple[str, list[str]]:
    """Damaged copies and whole films to a node; some copies are judged before the whole film comes."""
    chance, archive = random.Random(SEED), Archive(keeps=False)
    refused: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as made, listening(archive) as port, ExitStack() as nodes:
        folder = Path(made)
        node = nodes.enter_context(closing(start(write_config(folder, port))))
        to = until(node.port, "a node that listens")
        for number in range(films):
            film, syntaxes = plate_film(number), chance.sample(SYNTAXES, 3)
            # Without packing, what is cut off is noticed, and what is overwritten is another picture.
            how = chance.choice(HOW) if UID(syntaxes[0]).is_compressed else "cut"
            _send(to, folder, film, damaged(packed(film, syntaxes[0]), how, chance))
            if chance.random() < 0.5:
                until(lambda: not _waiting(folder / "state"), "the judgement of a damaged copy")
            for which, syntax in zip(("whole", "in another packing"), syntaxes[1:], strict=True):
                if _send(to, folder, film, packed(film, syntax)) != 0:
                    refused[which] += 1
        until(lambda: not _at_work(folder / "state"), "an empty queue")
        ended = node.stop()
        taken, unforeseen = len(node.events("taken")), len(node.events("unforeseen"))
    pictures = Counter(study for study, modality in archive.kinds.values() if modality == "OT")
    right = sum(pictures[str(plate_film(number).StudyInstanceUID)] == 1 for number in range(films))
    changed = sum(len(set(copies)) > 1 for copies in archive.stored.values())
    harm = [f"{films - right} films have no answer, or two"] if right < films else []
    harm += [f"{count} films were refused: {which}" for which, count in refused.items()]
    harm += [f"{changed} results came again as others"] if changed else []
    harm += ["a damaged copy met the node unforeseen"] if ended or unforeseen else []
    line = (
        f"{films} damaged copies were sent to a node, and after each the whole film in two packings: {right} "
        f"of {films} films have their answer in the archive once; {taken} objects were taken."
    )
    return line, harm


def _send(port: int, folder: Path, film: Dataset, data: bytes) -> int | None:
    path, kind = folder / "sent.dcm", deepcopy(film)
    path.write_bytes(data)
    kind.file_meta.TransferSyntaxUID = UID(file_meta(data).transfer_syntax)
    return send_file(port, path, kind)


def _waiting(state: Path) -> bool:
    with closing(Queue(state)) as queue:
        return "waiting" in queue.counts()[0]


def _at_work(state: Path) -> bool:
    with closing(Queue(state)) as queue:
        return bool({"waiting", "assessed"} & queue.counts()[0].keys())


def _copied(copies: int) -> tuple[str, list[str]]:
    """Copies that pause twice for longer than a look into the watched folder."""
    chance, wholes = random.Random(SEED), set[str]()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "in").mkdir()
        with _watching(folder) as process:
            for number in range(copies):
                data = packed(plate_film(number), chance.choice(SYNTAXES))
                wholes.add(content_hash(data))
                cuts = sorted(chance.randint(1, len(data) - 1) for _ in range(2))
                with (folder / "in" / f"{number}.dcm").open("wb") as file:
                    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
                        file.write(data[begin:end])
                        file.flush()
                        time.sleep(PAUSE_SECONDS)
            until(lambda: process.poll() is not None or _is_done(folder, copies), "all answers")
            ended = process.poll()
        right = len(_answered(folder))
        reasons = (folder / "out").rglob("reason.txt")
        refused = sum(path.parent.name.rpartition("-")[2] in wholes for path in reasons)
    harm = [f"{copies - right} films in the watched folder have no answer"] if right < copies else []
    harm += [f"{refused} whole films were refused in the watched folder"] if refused else []
    harm += ["the watch ended"] if ended is not None else []
    line = (
        f"{copies} films were copied into a watched folder with two pauses each: {right} have their answer."
    )
    return line, harm


def _is_done(folder: Path, copies: int) -> bool:
    """Whether all films have their answer, and nothing of the damaged copies is under way any more."""
    return len(_answered(folder)) == copies and not _at_work(folder / "out" / STATE)


def _answered(folder: Path) -> set[str]:
    rows = (json.loads(path.read_bytes()) for path in (folder / "out").rglob("reading.json"))
    return {row["file"] for row in rows if row["status"] == "assessed"}


@contextmanager
def _watching(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "bonexage", "watch", "in", "out", "--every", str(EVERY_SECONDS)]
    process = subprocess.Popen(
        [*command, "--threads", "1"],
        cwd=folder,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
