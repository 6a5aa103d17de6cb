"""A data folder in the layout of the RSNA challenge: labels beside films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bonexage.errors import UnusableData
from bonexage.reading.files import FILM_SUFFIXES
from bonexage.reading.labels import Label, read_labels
from bonexage.subject import Sex

Split = Literal["training", "test"]


@dataclass(frozen=True)
class LabelledFilm:
    """One film to learn from or to be measured on: where it lies, and what is known of it."""

    id: str
    path: Path
    bone_age_months: float
    sex: Sex


def read_split(
    folder: Path, split: Split, *, skip_unreadable: bool = False
) -> tuple[tuple[LabelledFilm, ...], tuple[str, ...]]:
    """The films of one split of a data folder, in the order of their labels.

    The folder holds `boneage-<split>-dataset.csv` and `boneage-<split>-dataset/`, the films in it or one
    folder deeper, as the download unpacks.

    Args:
        folder: the data folder.
        split: 'training' or 'test'.
        skip_unreadable: go on without the films that are missing.

    Returns:
        The films, and a sentence for each label that was skipped because its film is missing.

    Raises:
        UnusableData: the folder has no such split, or films are missing; all of them are named.
        WrongUse: the labels cannot be read.
    """
    name = split_name(split)
    labels, films = split_place(folder, split)
    if labels is None or films is None:
        missing = f"{name}.csv" if labels is None else f"folder {name}"
        raise UnusableData(
            f"there is no {missing}",
            remedy=f"Name the folder that holds {name}.csv and {name}/ with the films",
            subject=str(folder),
        )
    return read_films(films, labels, skip_unreadable=skip_unreadable)


def split_name(split: Split) -> str:
    """What the challenge calls a split's folder and, with `.csv`, its labels."""
    return f"boneage-{split}-dataset"


def split_place(folder: Path, split: Split) -> tuple[Path | None, Path | None]:
    """Where the labels and the films of a split lie; None for what is not there."""
    name = split_name(split)
    films = folder / name
    labels = next((file for file in (folder / f"{name}.csv", films / f"{name}.csv") if file.is_file()), None)
    return labels, films if films.is_dir() else None


def read_films(
    films: Path, labels: Path, *, skip_unreadable: bool = False
) -> tuple[tuple[LabelledFilm, ...], tuple[str, ...]]:
    """As `read_split`, for any folder of films called after their ids and any labels file."""
    paths = {name: of_id[0] for name, of_id in films_by_id(films).items()}
    return films_of_labels(read_labels(labels), paths, films, labels.name, skip_unreadable=skip_unreadable)


def films_of_labels(
    labels: Sequence[Label],
    paths: Mapping[str, Path],
    films: Path,
    table: str,
    *,
    skip_unreadable: bool = False,
) -> tuple[tuple[LabelledFilm, ...], tuple[str, ...]]:
    """As `read_split`, for labels that are read and films that are listed already.

    Args:
        labels: of the films.
        paths: the films by their ids.
        films: the folder they are in, for messages.
        table: the name of the labels' file, for messages.
        skip_unreadable: go on without the films that are missing.
    """
    found: list[LabelledFilm] = []
    missing: list[str] = []
    for label in labels:
        path = paths.get(label.id)
        if path is None:
            missing.append(label.id)
        else:
            found.append(LabelledFilm(label.id, path, label.bone_age_months, label.sex))
    if not found:
        raise UnusableData(
            f"none of the {len(missing)} films that {table} names is there",
            remedy="Put them there, each called after its id, such as 1377.png",
            subject=str(films),
        )
    if missing and not skip_unreadable:
        raise UnusableData(
            f"{len(missing)} of the {len(missing) + len(found)} films are missing: {', '.join(missing)}",
            remedy="Put them there, or go on without them with --skip-unreadable",
            subject=str(films),
        )
    return tuple(found), tuple(f"{films / name}: there is no such film" for name in missing)


def films_by_id(films: Path) -> dict[str, list[Path]]:
    """Pictures in a folder, then in the folders in it, by their names without suffix; the first counts.

    Raises:
        UnusableData: a folder cannot be read.
    """
    try:
        entries = sorted(films.iterdir())
        inner = [entry for entry in entries if entry.suffix.lower() not in FILM_SUFFIXES and entry.is_dir()]
        entries += [film for folder in inner for film in sorted(folder.iterdir())]
    except OSError as error:
        raise UnusableData(
            f"the folder cannot be read ({error.strerror or error})",
            remedy="Check the path and the right to read it",
            subject=str(films),
        ) from None
    paths: dict[str, list[Path]] = {}
    for entry in entries:
        if entry.suffix.lower() in FILM_SUFFIXES:
            paths.setdefault(entry.stem, []).append(entry)
    return paths
