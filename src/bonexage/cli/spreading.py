"""What `predict` does where films are spread: over shares of the list, or over a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bonexage.cli.front import SOME_UNUSABLE, conclude
from bonexage.cli.outcomes import Tally, note, progress, to_table, told
from bonexage.errors import ClusterStopped, WrongUse

if TYPE_CHECKING:
    from bonexage.cli.subjects import Subjects
    from bonexage.cluster.films import AskedFilm
    from bonexage.model.bundle import Bundle
    from bonexage.model.runtime import Device


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be read, as `predict` was asked.

    Attributes:
        paths: films, folders, addresses, tables of films.
        children: whom the films show.
        out: the folder for the parts of the table.
        settings: what the rows depend on, as JSON knows it.
        coverage: share of children the intervals are to hold.
        page: the page of files with several pages, counted from 1.
        threads: CPU threads of a network.
        views: views of a hand whose mean is the answer; None for the bundle's own number.
        device: what the network runs on.
    """

    paths: list[str]
    children: Subjects
    out: str
    settings: Mapping[str, Any]
    coverage: float
    page: int | None
    threads: int | None
    views: int | None
    device: Device


def check_spread(ways: Mapping[str, str | None], out: str | None, beside: Mapping[str, object]) -> None:
    """Say before any work whether what was asked for goes with spreading the films.

    Args:
        ways: the options that spread them, by name.
        out: where the table is to go.
        beside: options that make something of one run over all films, by name.

    Raises:
        WrongUse: it does not.
    """
    named = [name for name, given in ways.items() if given is not None]
    others = [name for name, given in beside.items() if given]
    if len(named) > 1:
        raise WrongUse(f"{' and '.join(named)} exclude one another", remedy="Give one of them")
    if named and out is None:
        raise WrongUse(
            f"{named[0]} writes a table in parts", remedy="Give --out with a folder, as readings.parquet"
        )
    if named and others:
        raise WrongUse(f"{others[0]} does not go with {named[0]}", remedy="Leave one of them out")


def predict_shard(text: str, asked: Asked, bundle: Bundle) -> None:
    """Read one share of the films into a table of its own; one that is there already stays as it is."""
    from bonexage.cluster.films import names_and_subjects
    from bonexage.cluster.folder import Folder, settle_settings
    from bonexage.cluster.shards import parse_shard
    from bonexage.model.assessor import Assessor, assess_many
    from bonexage.reports.table import check_table_path

    shard = parse_shard(text)
    out = Path(asked.out)
    part = shard.path(out)
    check_table_path(part)
    settle_settings(Folder(asked.out), {**asked.settings, "shards": shard.of})
    every = _passing(asked)
    if part.exists():
        note(f"This share is finished: {part}")
        for _ in every if asked.children.table else ():
            pass
        if not asked.children.do_fit():
            raise typer.Exit(SOME_UNUSABLE)
        return
    assessor = Assessor(bundle, threads=asked.threads, views=asked.views, device=asked.device)
    tally = Tally()
    films, known = names_and_subjects(shard.mine(every))
    with to_table(part, asked.settings, tally, resume=True, empty=True) as sink:
        outcomes = assess_many(
            assessor, sink.remaining(films), known, coverage=asked.coverage, page=asked.page
        )
        for _ in told(outcomes, sink.add, tally):
            pass
    conclude(tally, str(asked.settings["model"]), fits=asked.children.do_fit())


def _passing(asked: Asked) -> Iterator[AskedFilm]:
    """The films of the whole list, each called against the table of subjects as it passes."""
    from bonexage.cluster.films import asked_films

    for film in asked_films(asked.paths, asked.children.of):
        asked.children.call(film.file)
        yield film


def predict_on_cluster(address: str, asked: Asked, bundle: Bundle, actors: int | None, block: int) -> None:
    """Read the films with Ray, each block into a part; parts that are there already stay as they are."""
    from bonexage.cluster.batch import TRIED, Task, check_installed, cores_for, joined, make_parts, parts_made
    from bonexage.cluster.films import FILMS, asked_films, blocks_of_list, keep_list, names_of_list
    from bonexage.cluster.folder import Folder, settle_settings
    from bonexage.reading.remote import is_address

    check_installed()
    threads = asked.threads or 1
    folder = Folder(asked.out if is_address(asked.out) else str(Path(asked.out).absolute()))
    settings = {**asked.settings, "paths": asked.paths, "films_a_part": block}
    settle_settings(folder, settings)
    folder.tidy()
    for name in folder.names():
        if name.startswith(TRIED):
            folder.remove(name)
    if FILMS not in folder.names():
        keep_list(asked_films(asked.paths, asked.children.of), folder)
    blocks = blocks_of_list(folder, block)
    made = parts_made(folder, blocks)
    there = {part.number for part in made}
    todo = [each for each in blocks if each.number not in there]
    tally = Tally(
        done=sum(part.films for part in made),
        unusable=sum(part.unusable for part in made),
        total=sum(each.films for each in blocks),
    )
    if made:
        note(f"{len(made)} of {len(blocks)} parts are there already, with the list of films of then.")
    task = Task(
        bundle=bundle,
        folder=folder,
        coverage=asked.coverage,
        page=asked.page,
        threads=threads,
        views=asked.views,
        device=asked.device,
    )
    if todo:
        with joined(address, cores_for(actors, threads)), progress(tally) as say:
            for part in make_parts(task, todo, actors):
                tally.done += part.films
                tally.unusable += part.unusable
                say(None)
    there_now = folder.names()
    if missing := [each.part for each in todo if each.part not in there_now]:
        raise ClusterStopped(
            f"{len(missing)} of {len(blocks)} parts could not be made, such as {missing[0]}",
            remedy="Give the same command again: what is done is kept",
            subject=asked.out,
        )
    note(f"Table: {asked.out}, {len(blocks)} parts")
    for name in names_of_list(folder) if asked.children.table else ():
        asked.children.call(name)
    conclude(tally, str(asked.settings["model"]), fits=asked.children.do_fit())
