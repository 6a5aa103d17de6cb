"""What the networks of runs say of their validation films, as they are and in other views."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from bonexage.disk import write_atomically
from bonexage.learning.checkpoint import BEST
from bonexage.learning.dataset import FilmSet, Part, TrainingFilm, film_set
from bonexage.learning.epoch import predict_films
from bonexage.learning.learner import Precision
from bonexage.learning.members import Member, films_of, read_member

BATCH: Final = 64
COLUMNS: Final = ("id", "folder", "labelled_months")


@dataclass(frozen=True)
class View:
    """How a placed film is shown: turned by so many degrees, enlarged, mirrored."""

    degrees: float = 0.0
    zoom: float = 1.0
    mirrored: bool = False


# The film as it is comes first; two views are it and its mirror image.
_TURNS: Final = ((0.0, 1.0), (-5.0, 1.0), (5.0, 1.0), (0.0, 0.95), (0.0, 1.05))
VIEWS: Final = tuple(View(degrees, zoom, mirrored) for degrees, zoom in _TURNS for mirrored in (False, True))


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The validation films of a run, and what its network says of them.

    Attributes:
        children: the id of the child of each film, `[n]`.
        folders: the name of the data folder of each.
        labelled: months `[n]`.
        said: months `[n, views]`, the film as it is first.
    """

    children: tuple[str, ...]
    folders: tuple[str, ...]
    labelled: NDArray[np.float64]
    said: NDArray[np.float64]

    def months(self, views: int = 1) -> NDArray[np.float64]:
        """The mean over the first views, `[n]`."""
        return np.asarray(self.said[:, :views].mean(axis=1), dtype=np.float64)


def read_held_out(run: Path, folders: Sequence[Path], *, views: int = 1) -> HeldOut:
    """What the best network of a run says of its validation films, in at least so many of `VIEWS`.

    It is kept in the run folder, and worked out once for each best checkpoint.

    Args:
        run: a run folder.
        folders: the data folders it was trained on.
        views: how many.

    Raises:
        WrongUse: there is no such run.
        UnusableData: the films are not those of the run.
    """
    kept = run / f"validation-{views}.csv"
    if kept.exists() and kept.stat().st_mtime >= (run / BEST).stat().st_mtime:
        return _read(kept)
    found = _work_out(run, folders, views)
    _write(found, kept)
    return found


def kept_readings(runs: Path) -> dict[tuple[str, str], list[float]]:
    """What the networks of runs said of validation films, where it was kept, by the film's id and folder."""
    said: dict[tuple[str, str], list[float]] = {}
    for run in sorted(runs.glob("*")):
        for kept in sorted(run.glob("validation-*.csv"))[:1]:
            found = _read(kept)
            for child, folder, months in zip(found.children, found.folders, found.months(), strict=True):
                said.setdefault((child, folder), []).append(float(months))
    return said


def validation_films(member: Member, folders: Sequence[Path]) -> tuple[list[TrainingFilm], FilmSet]:
    """The validation films of a run, and the same as they were placed for its network."""
    (films,), cache = films_of([member], folders, member.run.parent / "cache")
    placed = film_set(films, Part.VALIDATION, cache.pixels, cache.row_of)
    return [film for film in films if film.part is Part.VALIDATION], placed


def _work_out(run: Path, folders: Sequence[Path], views: int) -> HeldOut:
    member = read_member(run)
    chosen, placed = validation_films(member, folders)
    precision = Precision(torch.device("cpu"), None)
    said = [
        predict_films(member.network, shown(placed, view), member.recipe.input, BATCH, precision)
        for view in VIEWS[:views]
    ]
    return HeldOut(
        tuple(film.film.id for film in chosen),
        tuple(film.folder.name for film in chosen),
        np.array([film.film.bone_age_months for film in chosen]),
        np.stack(said, axis=1).astype(np.float64),
    )


def shown(films: FilmSet, view: View) -> FilmSet:
    """The same films as a view shows them; what comes in from outside is black."""
    if view == View():
        return films
    pixels = np.asarray(films.pixels)[films.rows]
    _, height, width = pixels.shape
    angle, ratio = np.deg2rad(view.degrees), height / width
    mirror = -1.0 if view.mirrored else 1.0
    cosine, sine = np.cos(angle) / view.zoom, np.sin(angle) / view.zoom
    # Output to input in coordinates from -1 to 1, hence the ratio of the sides.
    rows = [[cosine * mirror, -sine * ratio * mirror, 0.0], [sine / ratio, cosine, 0.0]]
    theta = torch.tensor([rows], dtype=torch.float32)
    parts = []
    for start in range(0, len(pixels), BATCH):
        some = torch.from_numpy(pixels[start : start + BATCH, np.newaxis]).float()
        grid = functional.affine_grid(theta.expand(len(some), -1, -1), list(some.shape), align_corners=False)
        moved = functional.grid_sample(some, grid, align_corners=False)
        parts.append(moved.round().clamp(0, 255).byte()[:, 0].numpy())
    return FilmSet(np.concatenate(parts), np.arange(len(pixels)), films.months, films.male, films.folder)


def _write(found: HeldOut, path: Path) -> None:
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow([*COLUMNS, *(f"months_{number + 1}" for number in range(found.said.shape[1]))])
    for row in zip(found.children, found.folders, found.labelled, found.said, strict=True):
        table.writerow([*row[:3], *row[3]])
    write_atomically(path, text.getvalue().encode())


def _read(path: Path) -> HeldOut:
    with path.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    return HeldOut(
        tuple(row[0] for row in rows),
        tuple(row[1] for row in rows),
        np.array([float(row[2]) for row in rows]),
        np.array([[float(months) for months in row[3:]] for row in rows]),
    )
