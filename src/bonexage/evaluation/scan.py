"""Every film of a data folder is read once: its kind of file, a small copy of it, the model's reading."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from bonexage.assessment import Caution
from bonexage.errors import BonexageError, RefusedRadiograph, UnreadableFile
from bonexage.evaluation.duplicates import Small, shrink
from bonexage.futures import result_of
from bonexage.model.assessor import Assessor, PlacedFilm
from bonexage.model.runtime import usable_cores
from bonexage.reading.files import read_radiograph
from bonexage.reading.folder import Split
from bonexage.subject import Sex, Subject

_BATCH: Final = 8


@dataclass(frozen=True)
class FilmFile:
    """A film to read, and the sex that its label gives; None where the model is not to read it."""

    split: Split
    id: str
    path: Path
    sex: Sex | None


@dataclass(frozen=True, eq=False)
class ScannedFilm:
    """What is told of a film once it is read.

    Attributes:
        film: which it is.
        sha256: hash of its bytes.
        size: height and width in pixels as stored.
        kind: the file format.
        bits: of a value as stored, or None.
        cautions: what had to be mended on reading, and in placing the hand where the model finds hands.
        refused: why the model refuses it; empty where it does not.
        small: uint8 `[64, 64]`, as `duplicates.shrink` makes it.
        bone_age_months: as the model reads it, or None where it was not asked.
    """

    film: FilmFile
    sha256: str
    size: tuple[int, int]
    kind: str
    bits: int | None
    cautions: tuple[Caution, ...]
    refused: str
    small: Small
    bone_age_months: float | None


@dataclass(frozen=True)
class UnreadFilm:
    """A film that cannot be read, and why."""

    film: FilmFile
    error: BonexageError


@dataclass(frozen=True, eq=False)
class _Read:
    scanned: ScannedFilm
    placed: PlacedFilm | None


def scan(
    films: Sequence[FilmFile], assessor: Assessor, progress: Callable[[int, int], None] | None = None
) -> Iterator[ScannedFilm | UnreadFilm]:
    """Read films, a few ahead in threads while the network runs: one result each, in their order."""
    workers = usable_cores()
    stream = iter(films)
    waiting: deque[Future[_Read | UnreadFilm]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="bonexage-scan")
    done = 0
    try:
        while True:
            for film in islice(stream, 2 * _BATCH + workers - len(waiting)):
                waiting.append(pool.submit(_read, film, assessor))
            if not waiting:
                return
            ready = [result_of(waiting.popleft()) for _ in range(min(_BATCH, len(waiting)))]
            yield from _assessed(ready, assessor)
            done += len(ready)
            if progress is not None:
                progress(done, len(films))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _read(film: FilmFile, assessor: Assessor) -> _Read | UnreadFilm:
    try:
        radiograph = read_radiograph(film.path)
    except BonexageError as error:
        return UnreadFilm(film, error)
    except Exception as error:  # one film must not end the rest, whatever a decoder does
        unforeseen = UnreadableFile(
            f"reading it failed in an unforeseen way ({type(error).__name__}: {error})",
            remedy="Save it anew as PNG, and please report what kind of file it is",
            subject=str(film.path),
        )
        return UnreadFilm(film, unforeseen)
    placed, refused = None, ""
    if film.sex is not None or assessor.finds_hands:
        try:
            placed = assessor.place(radiograph)
        except RefusedRadiograph as error:
            refused = error.problem
    source = radiograph.provenance
    scanned = ScannedFilm(
        film,
        source.sha256,
        source.original_size,
        source.kind,
        source.bits,
        placed.cautions if placed else radiograph.cautions,
        refused,
        shrink(radiograph.pixels),
        None,
    )
    return _Read(scanned, None if film.sex is None else placed)


def _assessed(ready: Sequence[_Read | UnreadFilm], assessor: Assessor) -> Iterator[ScannedFilm | UnreadFilm]:
    asked = [
        (one.placed, Subject(one.scanned.film.sex or Sex.UNKNOWN))
        for one in ready
        if isinstance(one, _Read) and one.placed is not None
    ]
    answers = iter(assessor.assess_placed(asked))
    for one in ready:
        if isinstance(one, UnreadFilm):
            yield one
        elif one.placed is None:
            yield one.scanned
        else:
            yield replace(one.scanned, bone_age_months=next(answers).bone_age_months)
