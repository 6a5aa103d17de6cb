"""Ray Data reads many films with actors that hold the model; a block of films becomes one part of a table."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from bonexage.assessment import Assessment
from bonexage.cluster.films import Block, films_of_block, names_and_subjects
from bonexage.cluster.folder import Folder
from bonexage.errors import ClusterStopped, MissingExtra, WrongUse
from bonexage.model.assessor import Assessor, assess_many
from bonexage.model.bundle import Bundle
from bonexage.model.runtime import Device, usable_cores
from bonexage.reports.table import record, write_parquet

LOCAL: Final = "local"
TRIES: Final = 3
"""How often an actor tries a block whose list cannot be read or whose part cannot be written, and how many
actors may be lost on one block before it is left out."""

TRIED: Final = "_tried-"
"""Begins the name of a mark that an actor leaves while it reads a block, so that its loss there is known."""

_BLOCKS_AHEAD: Final = (
    2  # for an actor to have at hand, so that it never waits; the rest wait with the driver
)
_SECONDS_BETWEEN_TRIES: Final = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """How the films are to be read.

    Attributes:
        bundle: the model; actors are given it, so no node needs its file.
        folder: where the list of films lies and the parts go; every node must see it.
        coverage: share of children the intervals are to hold.
        page: the page of files with several pages, counted from 1.
        views: views of a hand whose mean is the answer; None for the bundle's own number.
        threads: CPU threads of an actor's network, and cores that Ray sets aside for the actor.
        device: what an actor's network runs on; on `cuda` Ray sets a GPU aside for each actor.
    """

    bundle: Bundle
    folder: Folder
    coverage: float
    page: int | None = None
    views: int | None = None
    threads: int = 1
    device: Device = "cpu"


@dataclass(frozen=True)
class Part:
    """A part that was written: its films, and how many of them could not be assessed."""

    number: int
    films: int
    unusable: int


class Reader:
    """An actor: holds the model, and makes the part of a block."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._assessor = Assessor(task.bundle, threads=task.threads, views=task.views, device=task.device)

    def __call__(self, row: Mapping[str, int]) -> dict[str, int]:
        """Read a block's films and write its part, unless an actor that was lost since has written it.

        Raises:
            ClusterStopped: as many actors as may be were lost on this block.
            OSError: the list cannot be read, or the part cannot be written.
        """
        block = Block(**{name: int(row[name]) for name in ("number", "films", "start", "length")})
        with self._marked(block):
            return self._tried(block)

    @contextmanager
    def _marked(self, block: Block) -> Iterator[None]:
        """Leave a mark meanwhile; those of actors that were lost are gone when the block is done."""
        folder = self._task.folder
        marks = [f"{TRIED}{block.number:06}-{loss}" for loss in range(TRIES)]
        free = next((mark for mark in marks if not folder.has(mark)), None)
        if free is None:
            raise ClusterStopped(
                f"{TRIES} actors were lost on {block.part}",
                remedy="Give actors more memory, or find the film on which reading dies",
            )
        with folder.writing(free):
            pass
        yield
        for mark in marks:
            folder.remove(mark)

    def _tried(self, block: Block) -> dict[str, int]:
        for left in reversed(range(TRIES)):
            try:
                return {"number": block.number, "films": block.films, "unusable": self._unusable(block)}
            except OSError:  # the store did not answer, or not in full
                if not left:
                    raise
                time.sleep(_SECONDS_BETWEEN_TRIES)
        raise AssertionError("a block is tried at least once")

    def _unusable(self, block: Block) -> int:
        """How many films of a block could not be assessed, its part being there then."""
        folder = self._task.folder
        return _unusable(folder.read(block.part)) if folder.has(block.part) else self._write(block)

    def _write(self, block: Block) -> int:
        task = self._task
        films, known = names_and_subjects(films_of_block(task.folder, block))
        outcomes = list(
            assess_many(
                self._assessor, films, known, coverage=task.coverage, page=task.page, workers=task.threads
            )
        )
        with task.folder.writing(block.part) as file:
            write_parquet(map(record, outcomes), file)
        return sum(not isinstance(outcome, Assessment) for outcome in outcomes)


def parts_made(folder: Folder, blocks: list[Block]) -> list[Part]:
    """The parts of blocks that are there already."""
    there = folder.names()
    return [
        Part(block.number, block.films, _unusable(folder.read(block.part)))
        for block in blocks
        if block.part in there
    ]


def make_parts(task: Task, blocks: list[Block], actors: int | None) -> Iterator[Part]:
    """Make the part of each block, with as many actors as are asked for or the cluster has room for.

    An actor has two blocks at hand at most, and what comes back is three numbers a block, so memory does not
    grow with the number of films. An actor that is lost is started anew, and its block read again; a block
    that fails, or loses its actor, `TRIES` times is left out: its part is not there.

    Raises:
        ClusterStopped: Ray cannot go on.
        WrongUse: a GPU is asked for and there is none.
    """
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
    ray.data.DataContext.get_current().max_errored_blocks = -1
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    there = ray.cluster_resources()
    if task.device == "cuda" and there.get("GPU", 0) < 1:
        raise WrongUse("the cluster has no GPU", remedy="Join one that has, or leave --device out")
    most = actors or max(1, int(there.get("CPU", 1)) // task.threads)
    items = [
        {"number": one.number, "films": one.films, "start": one.start, "length": one.length} for one in blocks
    ]
    made = ray.data.from_items(items, override_num_blocks=len(items)).map(
        Reader,  # type: ignore[arg-type] # a class is what actors are made of
        fn_constructor_args=(task,),
        compute=ray.data.ActorPoolStrategy(
            min_size=1, max_size=min(most, len(items)), max_tasks_in_flight_per_actor=_BLOCKS_AHEAD
        ),
        num_cpus=task.threads,
        num_gpus=1 if task.device == "cuda" else 0,
    )
    try:
        for row in made.iter_rows():
            yield Part(int(row["number"]), int(row["films"]), int(row["unusable"]))
    except ray.exceptions.RayError as error:
        raise ClusterStopped(
            f"Ray cannot go on ({str(error).strip().splitlines()[-1]})",
            remedy="Mend what it says, and give the same command again: what is done is kept",
        ) from error


def check_installed() -> None:
    """Say before any work whether Ray is there; raises MissingExtra where it is not."""
    if importlib.util.find_spec("ray") is None:
        raise MissingExtra("Reading on a cluster", "cluster")


@contextmanager
def joined(address: str, cores: int) -> Iterator[None]:
    """A Ray cluster joined at its address, or begun on this machine with some cores and ended afterwards.

    Raises:
        WrongUse: there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would tell its makers of each cluster
    import ray

    here: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise WrongUse(
            f"no Ray cluster answers ({str(error).strip().splitlines()[0]})",
            remedy="Give the address of its head, such as 10.0.0.1:6379, or --ray local",
            subject=address,
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def cores_for(actors: int | None, threads: int) -> int:
    """The cores that a cluster on this machine needs, whatever it has."""
    return max(usable_cores(), (actors or 1) * threads)


def _unusable(part: bytes) -> int:
    """How many films of a part could not be assessed."""
    from pyarrow import parquet

    status = parquet.read_table(io.BytesIO(part), columns=["status"]).column("status").to_pylist()
    return sum(one != "assessed" for one in status)
