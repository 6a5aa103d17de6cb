"""Where the hand lies in training films, by registration with the atlas: what the locator learns from."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np

from bonexage.atlas.plates import Plate, plate_pixels, read_plates
from bonexage.disk import write_atomically
from bonexage.learning.aspect import read_restored
from bonexage.learning.finding import poses
from bonexage.learning.registration import first_fit, without_bends
from bonexage.learning.template import FRAME, resized, template_of
from bonexage.model.frame import HandFrame
from bonexage.reading.folder import LabelledFilm

LEAST_CORRELATION: Final = 0.80
"""Below it, with the plate of its age, a film's hand is taken as not found."""

COLUMNS: Final = ("sha256", "correlation", "xx", "xy", "yx", "yy", "x", "y")
_CHUNK: Final = 16


@dataclass(frozen=True)
class FoundHand:
    """A film's hand: its frame in the film's own pixels, and how alike it and the plate of its age are."""

    frame: HandFrame
    correlation: float


def find_hands(
    films: Sequence[LabelledFilm],
    table: Path,
    *,
    squeezed: Collection[Path] = (),
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[Path, FoundHand]:
    """Find the hand in each film by bringing the plate nearest to its label onto it.

    What was found is kept in a CSV, so that a search that was stopped goes on where it was. Films whose hand
    is not found for certain (`LEAST_CORRELATION`) are left out.

    Args:
        films: labelled films.
        table: where the results are kept, a row a film, known by the hash of its content.
        squeezed: the films that lost their aspect ratio; their hands are those of the restored film
            (`bonexage.learning.aspect`).
        workers: processes; as many as there are cores by default.
        progress: called with how many films were searched, and of how many.
    """
    known = _read(table)
    hashes = {film.path: hashlib.sha256(film.path.read_bytes()).hexdigest() for film in films}
    fresh = [film for film in films if hashes[film.path] not in known]
    plates = read_plates()
    groups: dict[Plate, list[LabelledFilm]] = {}
    for film in fresh:
        same = [plate for plate in plates if plate.sex is film.sex]
        nearest = min(same, key=lambda plate: abs(plate.mean_months - film.bone_age_months))
        groups.setdefault(nearest, []).append(film)
    tasks = [
        (plate, [(film.path, film.path in squeezed) for film in group[start : start + _CHUNK]])
        for plate, group in groups.items()
        for start in range(0, len(group), _CHUNK)
    ]
    done = 0
    for rows in _searched(tasks, workers):
        for path, row in rows.items():
            known[hashes[path]] = row
        _write(table, known)
        done += len(rows)
        progress(done, len(fresh))
    found = {path: known[digest] for path, digest in hashes.items()}
    return {path: hand for path, hand in found.items() if hand.correlation >= LEAST_CORRELATION}


def _searched(
    tasks: Sequence[tuple[Plate, list[tuple[Path, bool]]]], workers: int | None
) -> Iterator[dict[Path, FoundHand]]:
    if not tasks:
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for task in as_completed([pool.submit(_search, plate, paths) for plate, paths in tasks]):
            yield task.result()


def _search(plate: Plate, films: Sequence[tuple[Path, bool]]) -> dict[Path, FoundHand]:
    template = template_of(plate_pixels(plate.path))
    bank = poses(template)
    found = {}
    for path, is_squeezed in films:
        pixels = read_restored(path, squeezed=is_squeezed)
        fit = first_fit(0, resized(pixels, FRAME[0]), template, bank)
        matrix, middle = without_bends(fit, template.hand)
        unit = pixels.shape[0] / FRAME[0]
        frame = HandFrame(matrix * FRAME[0] * unit, (middle + 0.5) * unit)
        found[path] = FoundHand(frame, fit.correlation)
    return found


def _read(table: Path) -> dict[str, FoundHand]:
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="ascii") as file:
        return {
            row["sha256"]: FoundHand(
                HandFrame(
                    np.array([[float(row["xx"]), float(row["xy"])], [float(row["yx"]), float(row["yy"])]]),
                    np.array([float(row["x"]), float(row["y"])]),
                ),
                float(row["correlation"]),
            )
            for row in csv.DictReader(file)
        }


def _write(table: Path, known: Mapping[str, FoundHand]) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for digest, hand in known.items():
        numbers = (*hand.frame.matrix.ravel(), *hand.frame.middle)
        writer.writerow([digest, f"{hand.correlation:.4f}", *(f"{each:.3f}" for each in numbers)])
    write_atomically(table, out.getvalue().encode("ascii"))
