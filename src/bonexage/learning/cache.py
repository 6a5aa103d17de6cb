"""Preprocessed films on disk: each is decoded once, whatever happens to the run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import astuple, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from bonexage.errors import UnreadableFile, UnusableData
from bonexage.learning.orphans import end_with_parent
from bonexage.model.locate import Locator
from bonexage.model.preprocess import PLACING, Preprocessing, place
from bonexage.reading.files import read_radiograph
from bonexage.reading.images import READING

CHUNK = 64

Chunk = Sequence[tuple[Path, int]]
Placer = Callable[[Chunk], dict[Path, str]]


@dataclass(frozen=True)
class Cache:
    """Films placed for one preprocessing.

    Attributes:
        pixels: uint8 `[films, height, width]`, memory-mapped and read-only.
        row_of: the row of each film by its path.
        hashes: the SHA-256 of each film's file by its path.
        unreadable: what is wrong with each film that could not be read.
    """

    pixels: NDArray[np.uint8]
    row_of: Mapping[Path, int]
    hashes: Mapping[Path, str]
    unreadable: tuple[str, ...]


def build_cache(
    films: Sequence[Path],
    how: Preprocessing,
    folder: Path,
    *,
    locator: bytes | None = None,
    skip_unreadable: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Cache:
    """Place every film once, on all cores, and map the result.

    Films are known by the hash of their content, so a film that was placed before, under whatever name,
    is not read again; a changed film is. A build that was stopped goes on where it was; of two at a time, the
    second waits for the first.

    Args:
        films: files.
        how: the preprocessing.
        folder: where caches are kept.
        locator: the network that finds hands, for the geometry 'hand'.
        skip_unreadable: go on without films that cannot be read.
        progress: called with how many films were placed, and of how many.

    Raises:
        UnusableData: films cannot be read; all of them are named.
    """
    home = folder / cache_key(how, locator)
    home.mkdir(parents=True, exist_ok=True)
    hashes, problems = hash_films(films)
    placer = partial(_place_chunk, how=how, locator=locator, store=home / "films.u8")
    with FileLock(home / "lock"):
        row_of_hash = _read_index(home / "index.csv")
        fresh: dict[str, Path] = {}
        for path, digest in hashes.items():
            if digest not in row_of_hash:
                fresh.setdefault(digest, path)
        problems += _place_films(fresh, how, home, row_of_hash, placer, progress)
    if problems and not skip_unreadable:
        raise UnusableData(
            f"{len(problems)} films cannot be used:\n  " + "\n  ".join(problems) + "\n",
            remedy="Mend or remove them, or go on without them with --skip-unreadable",
        )
    usable = {path: digest for path, digest in hashes.items() if digest in row_of_hash}
    row_of = {path: row_of_hash[digest] for path, digest in usable.items()}
    return Cache(map_films(how, folder, row_of.values(), locator), row_of, usable, tuple(problems))


def map_films(
    how: Preprocessing, folder: Path, rows: Iterable[int], locator: bytes | None = None
) -> NDArray[np.uint8]:
    """The films that were placed, uint8 `[n, height, width]`, at least as far as the last of `rows`."""
    shape = (max(rows, default=-1) + 1, how.height, how.width)
    if not shape[0]:
        return np.zeros(shape, dtype=np.uint8)
    return np.memmap(folder / cache_key(how, locator) / "films.u8", dtype=np.uint8, mode="r", shape=shape)


def cache_key(how: Preprocessing, locator: bytes | None = None) -> str:
    """A short name for a preprocessing, and for the way films are read, hands found and films placed."""
    finder = hashlib.sha256(locator).hexdigest() if locator else None
    return hashlib.sha256(f"{READING}/{PLACING}/{finder}/{astuple(how)}".encode()).hexdigest()[:16]


def hash_films(films: Iterable[Path]) -> tuple[dict[Path, str], list[str]]:
    """The SHA-256 of each file by its path, and what is wrong with each that cannot be read."""
    hashes: dict[Path, str] = {}
    problems: list[str] = []
    for path in films:
        try:
            with path.open("rb") as file:
                hashes[path] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as problem:
            problems.append(f"{path}: {problem.strerror}")
    return hashes, problems


def _place_films(
    fresh: Mapping[str, Path],
    how: Preprocessing,
    home: Path,
    row_of_hash: dict[str, int],
    placer: Placer,
    progress: Callable[[int, int], None],
) -> list[str]:
    """Place films that are not in the cache, adding each to the index once it is on disk."""
    if not fresh:
        return []
    first_row = max(row_of_hash.values(), default=-1) + 1
    rows = {digest: first_row + number for number, digest in enumerate(fresh)}
    store = home / "films.u8"
    store.touch()
    os.truncate(store, (first_row + len(fresh)) * how.height * how.width)
    digests = list(fresh)
    digest_of = {path: digest for digest, path in fresh.items()}
    chunks = [digests[start : start + CHUNK] for start in range(0, len(digests), CHUNK)]
    problems: list[str] = []
    done = 0
    with (home / "index.csv").open("a", encoding="ascii") as index:
        for chunk, failed in _placed([[(fresh[d], rows[d]) for d in chunk] for chunk in chunks], placer):
            for path, row in chunk:
                if path in failed:
                    problems.append(failed[path])
                else:
                    row_of_hash[digest_of[path]] = row
                    index.write(f"{digest_of[path]},{row}\n")
            index.flush()
            done += len(chunk)
            progress(done, len(fresh))
    return sorted(problems)


def _placed(chunks: Sequence[Chunk], placer: Placer) -> Iterator[tuple[Chunk, dict[Path, str]]]:
    """Chunks as they are placed, with what is wrong with their films; a single one needs no process."""
    if len(chunks) == 1:
        yield chunks[0], placer(chunks[0])
        return
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=end_with_parent) as workers:
        tasks = {workers.submit(placer, chunk): chunk for chunk in chunks}
        for task in as_completed(tasks):
            yield tasks[task], task.result()


def _place_chunk(films: Chunk, how: Preprocessing, locator: bytes | None, store: Path) -> dict[Path, str]:
    """Place some films into their rows of the store; returns what is wrong with those that cannot be."""
    failed: dict[Path, str] = {}
    finder = Locator(locator, threads=1) if locator else None
    with store.open("r+b") as file:
        for path, row in films:
            try:
                pixels = read_radiograph(path).pixels
                placed = place(pixels, how, finder.find(pixels).frame if finder else None)
            except UnreadableFile as problem:
                failed[path] = str(problem)
                continue
            file.seek(row * how.height * how.width)
            file.write(placed.tobytes())
        file.flush()
        os.fsync(file.fileno())
    return failed


def _read_index(index: Path) -> dict[str, int]:
    """The rows of the films that were placed; a torn last line is passed over."""
    if not index.exists():
        return {}
    lines = index.read_text(encoding="ascii").split("\n")
    if lines[-1]:
        index.write_text("".join(f"{line}\n" for line in lines[:-1]), encoding="ascii")
    return {digest: int(row) for digest, row in (line.split(",") for line in lines[:-1])}
