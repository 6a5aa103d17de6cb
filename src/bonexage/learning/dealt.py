"""In which part a bundle's network had each child, told from what it records and the films as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bonexage.errors import UnusableData
from bonexage.learning.cache import hash_films
from bonexage.learning.dataset import Part, TrainingFilm, fingerprint, gather_films, split_children
from bonexage.learning.recipe import Parts, recipe_from_table
from bonexage.model.bundle import Bundle


def parts_of(
    bundle: Bundle, films: Sequence[TrainingFilm], hashes: Mapping[Path, str]
) -> dict[str, Part] | None:
    """In which part each child was, by its id; None where what is recorded does not say so for certain.

    Its recorded parts are dealt out again among the films of the folders it was trained on, and are its own
    if the fingerprint they give is the one it recorded; of an ensemble, the one that each member did.

    Args:
        bundle: whose network.
        films: of folders with the names that the bundle records, and perhaps of others.
        hashes: content hash of each film that can be read, by its path.
    """
    described = bundle.description
    table = described.recipe.get("parts")
    if table is None:
        return None
    parts = recipe_from_table({"name": described.name, "parts": table}, source=bundle.model).parts
    names = {folder["name"] for folder in described.data.get("folders", ())}
    theirs = [film for film in films if film.folder.name in names]
    children = {film.film.id: film.film for film in theirs}
    part_of = split_children(tuple(children.values()), parts)
    dealt = [replace(film, part=part_of[film.film.id]) for film in theirs if film.film.path in hashes]
    recorded = {member.get("fingerprint") for member in described.members} or {
        described.data.get("fingerprint")
    }
    return part_of if recorded == {fingerprint(dealt, hashes)} else None


def films_of_bundle(bundle: Bundle, data: Path) -> tuple[TrainingFilm, ...]:
    """The films that a bundle's network was trained on, each in the part that it had.

    Args:
        bundle: whose network.
        data: where the folders lie that the bundle names.

    Raises:
        UnusableData: films are missing, or are not those of the training as it recorded them: one film more
            or less, and other children would be taken for held out.
    """
    folders = [data / folder["name"] for folder in bundle.description.data["folders"]]
    films, _ = gather_films(folders, Parts())
    hashes, _ = hash_films([film.film.path for film in films])
    part_of = parts_of(bundle, films, hashes)
    if part_of is None:
        raise UnusableData(
            "it cannot be told which of these children the model learned from",
            remedy="Give the data folders as they were when it was trained; of folds, name one run",
            subject=bundle.model,
        )
    return tuple(replace(film, part=part_of[film.film.id]) for film in films)


def held_out_films(bundle: Bundle, data: Path) -> list[TrainingFilm]:
    """Those of them that its network did not learn from; raises as `films_of_bundle` does."""
    return [film for film in films_of_bundle(bundle, data) if film.part is not Part.TRAINING]
