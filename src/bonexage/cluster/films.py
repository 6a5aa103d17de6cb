"""Which films are asked for and whom they show: from paths, addresses, or a Parquet of them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePath
from typing import Final, TypeAlias

from bonexage.cluster.folder import Folder
from bonexage.errors import MissingExtra, WrongUse
from bonexage.reading.files import list_films
from bonexage.reading.remote import is_address, opened_system
from bonexage.subject import Sex, Subject

FILMS: Final = "_films.jsonl"
_PARQUET: Final = ".parquet"

Known: TypeAlias = Callable[[str], Subject]


@dataclass(frozen=True)
class AskedFilm:
    """A film by its path or address, and whom it shows as far as is known."""

    file: str
    subject: Subject


@dataclass(frozen=True)
class Block:
    """The films of one part of the table, as a piece of the list that lies beside the parts.

    Attributes:
        number: of the part, from 0.
        films: how many there are.
        start: where the piece begins in the list, in bytes.
        length: of the piece, in bytes.
    """

    number: int
    films: int
    start: int
    length: int

    @property
    def part(self) -> str:
        """The file name of the part."""
        return f"part-{self.number:06}{_PARQUET}"


def asked_films(asked: Iterable[str], known: Known) -> Iterator[AskedFilm]:
    """The films that paths stand for (as `list_films` has it), one after the other.

    What ends in .parquet is a table with a column `file` and perhaps `sex` and `age_months`; what such a
    column leaves out is as `known` says.

    Args:
        asked: paths and addresses.
        known: whom a film shows, by its path.

    Raises:
        WrongUse: a list or a table cannot be read.
        MissingExtra: pyarrow or fsspec is not installed.
    """
    for path in asked:
        if PurePath(path).suffix.lower() == _PARQUET:
            yield from _in_table(path, known)
        else:
            yield from (AskedFilm(film, known(film)) for film in list_films([path]))


def names_and_subjects(films: Iterable[AskedFilm]) -> tuple[Iterator[str], Known]:
    """The names of films as a stream, and whom a film shows that has passed.

    The stream raises WrongUse where a film stands twice for different children.
    """
    subjects: dict[str, Subject] = {}

    def names() -> Iterator[str]:
        for film in films:
            if subjects.setdefault(film.file, film.subject) != film.subject:
                raise WrongUse(
                    "the film stands twice for different children",
                    remedy="Name its sex and age once",
                    subject=film.file,
                )
            yield film.file

    return names(), subjects.__getitem__


def keep_list(films: Iterable[AskedFilm], folder: Folder) -> None:
    """Write the list of films beside the parts, one JSON object a line.

    Raises:
        WrongUse: there is no film.
    """
    with folder.writing(FILMS) as file:
        films = iter(films)
        first = next(films, None)
        if first is None:
            raise WrongUse("there is no film", remedy="Name films, or a folder with some")
        for film in chain([first], films):
            row = {"file": film.file, "sex": film.subject.sex.value, "age_months": film.subject.age_months}
            file.write(json.dumps(row).encode() + b"\n")


def blocks_of_list(folder: Folder, films_a_part: int) -> list[Block]:
    """Where in the list beside the parts the films of each part stand."""
    blocks: list[Block] = []
    start = length = films = 0
    for line in folder.lines(FILMS):
        length += len(line)
        films += 1
        if films == films_a_part:
            blocks.append(Block(len(blocks), films, start, length))
            start, length, films = start + length, 0, 0
    if films:
        blocks.append(Block(len(blocks), films, start, length))
    return blocks


def names_of_list(folder: Folder) -> Iterator[str]:
    """The films in the list beside the parts, one after the other."""
    return (str(json.loads(line)["file"]) for line in folder.lines(FILMS))


def films_of_block(folder: Folder, block: Block) -> list[AskedFilm]:
    """The films of a block, read from the list beside the parts."""
    rows = (json.loads(line) for line in folder.read(FILMS, block.start, block.length).splitlines())
    return [AskedFilm(row["file"], Subject(Sex(row["sex"]), row["age_months"])) for row in rows]


def _in_table(path: str, known: Known) -> Iterator[AskedFilm]:
    """The films that a Parquet names, a row each."""
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtra("A Parquet of paths", "cluster")
    import pyarrow as pa
    from pyarrow import parquet

    system, inside = opened_system(path) if is_address(path) else (None, path)
    try:
        with parquet.ParquetFile(inside, filesystem=system) as table:
            names = set(table.schema_arrow.names)
            if "file" not in names:
                raise WrongUse(
                    f"the table has no column 'file' but {', '.join(sorted(names))}",
                    remedy="Name the films in a column 'file'",
                    subject=path,
                )
            columns = sorted(names & {"file", "sex", "age_months"})
            for batch in table.iter_batches(columns=columns):
                yield from (_asked(row, known, path) for row in batch.to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise WrongUse(
            f"the table of films cannot be read ({error})",
            remedy="Give a Parquet file with a column 'file'",
            subject=path,
        ) from None


def _asked(row: dict[str, object], known: Known, path: str) -> AskedFilm:
    """A row of a table as a film, or what is wrong with it."""
    file, age = row["file"], row.get("age_months")
    if not isinstance(file, str) or not file:
        raise WrongUse("a row names no film", remedy="Fill the column 'file' with paths", subject=path)
    otherwise = known(file)
    try:
        sex = Sex.parse(str(row["sex"])) if row.get("sex") is not None else otherwise.sex
        months = otherwise.age_months if age is None else float(str(age))
        return AskedFilm(file, Subject(sex, months))
    except (WrongUse, ValueError) as error:
        said = error.problem if isinstance(error, WrongUse) else f"{age!r} is no number of months"
        raise WrongUse(
            f"{said}, in the row of {file}", remedy="Mend the table, or leave the cell empty", subject=path
        ) from None
