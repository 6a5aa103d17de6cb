"""Data folders become the three parts of the training films, and batches read from a cache."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bonexage.disk import write_atomically
from bonexage.errors import UnusableData
from bonexage.learning.processes import CPU, Group
from bonexage.learning.recipe import Parts
from bonexage.reading.folder import LabelledFilm, read_split
from bonexage.spreadsheet import TableWriter
from bonexage.subject import Sex

AGE_BAND_MONTHS = 24.0
MOST_COPIES = 6
FILMS_AT_ONCE = 256
BATCHES_AHEAD = 2


class Part(StrEnum):
    """What a training film is used for: learning, choosing, or calibrating intervals, and nothing else."""

    TRAINING = "training"
    VALIDATION = "validation"
    CALIBRATION = "calibration"


@dataclass(frozen=True)
class TrainingFilm:
    """A labelled film of a data folder, and the part it belongs to."""

    folder: Path
    film: LabelledFilm
    part: Part


def gather_films(
    folders: Sequence[Path], parts: Parts, *, skip_unreadable: bool = False
) -> tuple[tuple[TrainingFilm, ...], tuple[str, ...]]:
    """The training films of all folders, the same child in the same part everywhere.

    Returns:
        The films, and a sentence for each that was skipped.

    Raises:
        WrongUse: labels cannot be read, or lack a sex.
        UnusableData: a folder has no training split, films are missing, or folders disagree about a child.
    """
    found: list[tuple[Path, LabelledFilm]] = []
    skipped: list[str] = []
    for folder in folders:
        films, problems = read_split(folder, "training", skip_unreadable=skip_unreadable)
        found.extend((folder, film) for film in films)
        skipped.extend(problems)
    children: dict[str, LabelledFilm] = {}
    for folder, film in found:
        first = children.setdefault(film.id, film)
        if (first.bone_age_months, first.sex) != (film.bone_age_months, film.sex):
            raise UnusableData(
                f"the label of {film.id} differs from that in another folder",
                remedy="Make the labels agree",
                subject=str(folder),
            )
    part_of = split_children(tuple(children.values()), parts)
    return tuple(TrainingFilm(folder, film, part_of[film.id]) for folder, film in found), tuple(skipped)


def split_children(children: Sequence[LabelledFilm], parts: Parts) -> dict[str, Part]:
    """Draw the part of each child, stratified by sex and by bands of 24 months of bone age.

    Within a stratum children are ordered by a hash of the seed and their id, and the parts are dealt
    out along that order, carrying what is left over from stratum to stratum.

    Folds are dealt out one child each in turn: their numbers of children differ by one at most, in each
    stratum and in all. The children of the fold asked for are for calibration, so that what is said of them
    is said by a network that neither learned from them nor was chosen by them; of the others, a share is
    for validation.
    """
    strata: dict[tuple[str, int], list[str]] = {}
    for child in children:
        band = int(child.bone_age_months // AGE_BAND_MONTHS)
        strata.setdefault((child.sex.value, band), []).append(child.id)
    order = [
        name
        for key in sorted(strata)
        for name in sorted(strata[key], key=lambda name: _draw(parts.seed, name))
    ]
    if parts.folds:
        own = dict.fromkeys(order[parts.fold - 1 :: parts.folds], Part.CALIBRATION)
        return own | _deal([name for name in order if name not in own], parts.validation, 0.0)
    return _deal(order, parts.validation, parts.calibration)


def _deal(order: Sequence[str], validation: float, calibration: float) -> dict[str, Part]:
    """Children to parts: a golden-ratio walk deals every run of children out in the parts' shares."""
    part_of: dict[str, Part] = {}
    position = 0.5
    for name in order:
        position = (position + 0.6180339887498949) % 1.0
        if position < validation:
            part_of[name] = Part.VALIDATION
        elif position < validation + calibration:
            part_of[name] = Part.CALIBRATION
        else:
            part_of[name] = Part.TRAINING
    return part_of


def _draw(seed: int, child: str) -> bytes:
    return hashlib.sha256(f"{seed}/{child}".encode()).digest()


def fingerprint(films: Sequence[TrainingFilm], hashes: Mapping[Path, str]) -> str:
    """One hash of all that training reads: each film's content, label, sex and part."""
    lines = sorted(
        f"{hashes[film.film.path]},{film.film.bone_age_months!r},{film.film.sex},{film.part}"
        for film in films
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


FILM_COLUMNS = ("folder", "id", "part", "bone_age_months", "sex", "sha256")


def film_rows(films: Sequence[TrainingFilm], hashes: Mapping[Path, str]) -> list[dict[str, str]]:
    """What the table of a run's films holds, a row a film, without their paths."""
    return [
        {
            "folder": each.folder.name,
            "id": each.film.id,
            "part": each.part.value,
            "bone_age_months": str(each.film.bone_age_months),
            "sex": each.film.sex.value,
            "sha256": hashes[each.film.path],
        }
        for each in films
    ]


def write_films(films: Sequence[TrainingFilm], hashes: Mapping[Path, str], out: Path) -> None:
    """Write the table of a run's films."""
    text = io.StringIO(newline="")
    table = TableWriter(text, FILM_COLUMNS)
    for row in film_rows(films, hashes):
        table.write(row)
    write_atomically(out, text.getvalue().encode())


@dataclass(frozen=True)
class FilmSet:
    """Films of one part and one input size, ready to be read in any order.

    Attributes:
        pixels: placed films uint8 `[n, height, width]`, memory-mapped, or in a GPU's memory.
        rows: for each film the row of `pixels` that holds it.
        months: labels, float32 `[n]`.
        male: 1 for a boy, 0 for a girl, float32 `[n]`.
        folder: the number of the data folder each film came from, `[n]`.
    """

    pixels: NDArray[np.uint8] | Tensor
    rows: NDArray[np.int64]
    months: NDArray[np.float32]
    male: NDArray[np.float32]
    folder: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, members: NDArray[np.int64]) -> FilmSet:
        """Some of the films."""
        return FilmSet(
            self.pixels, self.rows[members], self.months[members], self.male[members], self.folder[members]
        )


def film_set(
    films: Sequence[TrainingFilm], part: Part, pixels: NDArray[np.uint8], row_of: Mapping[Path, int]
) -> FilmSet:
    """The films of one part, with where the cache holds each."""
    chosen = [film for film in films if film.part is part]
    folders = {folder: number for number, folder in enumerate(dict.fromkeys(film.folder for film in films))}
    return FilmSet(
        pixels,
        np.array([row_of[film.film.path] for film in chosen], dtype=np.int64),
        np.array([film.film.bone_age_months for film in chosen], dtype=np.float32),
        np.array([film.film.sex is Sex.MALE for film in chosen], dtype=np.float32),
        np.array([folders[film.folder] for film in chosen], dtype=np.int64),
    )


@dataclass(frozen=True)
class Batch:
    """Films uint8 `[B, 1, H, W]`, sex `[B, 1]` (male 1) and labels in months `[B]`."""

    films: Tensor
    male: Tensor
    months: Tensor


def epoch_order(
    films: FilmSet, *, seed: int, most_from_folder: int, least_in_band: int = 0
) -> NDArray[np.int64]:
    """The order of one epoch, drawn from the seed alone.

    Every film comes once; where `most_from_folder` is not 0, each folder gives at most so many, other
    ones in other epochs. Films of a folder's age bands with fewer than `least_in_band` films then come
    several times, up to `MOST_COPIES`.
    """
    draw = np.random.default_rng(seed)
    chosen = []
    for folder in np.unique(films.folder):
        members = np.flatnonzero(films.folder == folder)
        draw.shuffle(members)
        chosen.append(members[: most_from_folder or len(members)])
        chosen.append(_copies(members, films.months[members], least_in_band))
    order = np.concatenate(chosen)
    draw.shuffle(order)
    return order


def _copies(members: NDArray[np.int64], months: NDArray[np.float32], least_in_band: int) -> NDArray[np.int64]:
    """Films of the bands with few films, as often as they come beyond the first time."""
    bands = (months // AGE_BAND_MONTHS).astype(np.int64)
    again = [np.empty(0, dtype=np.int64)]
    for band in np.unique(bands):
        few = members[bands == band]
        again += [few] * (min(MOST_COPIES, -(-least_in_band // len(few))) - 1)
    return np.concatenate(again)


def split_batches(order: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Cut an order into batches; a last batch of one, which BatchNorm cannot use, joins the one before."""
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


def shares(count: int, parts: int, group: Group) -> list[NDArray[np.int64]]:
    """A process's places in a batch of `count`, for each of the parts in which the batch is run.

    A part has two films or more, all processes together, for BatchNorm; a process may have none of them.
    """
    places = np.array_split(np.arange(count), max(1, min(parts, count // 2)))
    return [group.cut(part) for part in places]


def resident(films: FilmSet, device: torch.device, room: float) -> FilmSet:
    """The same films in the memory of `device`, if they take at most `room` bytes; else as they are."""
    height, width = films.pixels.shape[1:]
    if isinstance(films.pixels, Tensor) or len(films) * height * width > room:
        return films
    held = torch.empty((len(films), height, width), dtype=torch.uint8, device=device)
    for start in range(0, len(films), FILMS_AT_ONCE):
        rows = films.rows[start : start + FILMS_AT_ONCE]
        held[start : start + len(rows)] = torch.from_numpy(films.pixels[rows]).to(device)
    return replace(films, pixels=held, rows=np.arange(len(films)))


def read_batches(
    films: FilmSet, batches: Sequence[NDArray[np.int64]], *, device: torch.device = CPU
) -> Iterator[Batch]:
    """Read batches in order, a few ahead of the one in use, in a thread beside the training.

    For a GPU they are put into pinned memory, from where it can fetch them while it computes.
    """
    pinned = device.type == "cuda"
    ready = partial(torch.cuda.set_device, device) if pinned else None
    with ThreadPoolExecutor(max_workers=1, initializer=ready) as reader:
        waiting: list[Future[Batch]] = []
        for batch in batches:
            waiting.append(reader.submit(_read_batch, films, batch, pinned))
            if len(waiting) > BATCHES_AHEAD:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def _read_batch(films: FilmSet, members: NDArray[np.int64], pinned: bool) -> Batch:
    rows = films.rows[members]
    if isinstance(films.pixels, Tensor):
        pixels = films.pixels[torch.from_numpy(rows).to(films.pixels.device)]
    else:
        pixels = torch.from_numpy(films.pixels[rows])
    parts = (
        pixels[:, None],
        torch.from_numpy(films.male[members])[:, None],
        torch.from_numpy(films.months[members]),
    )
    return Batch(*(part.pin_memory() if pinned and part.device.type == "cpu" else part for part in parts))
