"""A run for each fold of the children, and what each says of the children it was never shown."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from bonexage.assessment import MAX_BONE_AGE_MONTHS, Assessment
from bonexage.errors import WrongUse
from bonexage.evaluation.evaluate import write_evaluation
from bonexage.evaluation.result import Evaluation, Measured
from bonexage.evaluation.runs import State, read_run
from bonexage.learning.cache import Cache, build_cache
from bonexage.learning.checkpoint import has_run
from bonexage.learning.dataset import Part, TrainingFilm, film_rows, film_set, gather_films
from bonexage.learning.epoch import KEEP_MINUTES, predict_films
from bonexage.learning.learner import Precision
from bonexage.learning.members import read_member, read_record
from bonexage.learning.processes import number_to_start, start, this_process, was_restarted
from bonexage.learning.recipe import Recipe, recipe_from_table
from bonexage.learning.resume import check_films, check_recipe
from bonexage.learning.show import Screen, silent_screen
from bonexage.learning.train import LOG, choose_locator, preprocessing_of, train_together
from bonexage.model.bundle import OUT_OF_FOLD
from bonexage.subject import Subject


@dataclass(frozen=True)
class Fold:
    """One fold: its number from 1, its recipe, and its run folder."""

    number: int
    recipe: Recipe
    run: Path


@dataclass(frozen=True)
class _Films:
    """The films of all folds.

    Attributes:
        of_fold: for each fold the films that can be read, with their parts in that fold.
        cache: the films placed for the last stage.
        skipped: a sentence for each film that cannot be read or is missing.
    """

    of_fold: tuple[tuple[TrainingFilm, ...], ...]
    cache: Cache
    skipped: tuple[str, ...]


def folds_in(recipe: Recipe, out: Path, number: int) -> tuple[Fold, ...]:
    """The folds: the recipe with the parts of each, and the folders `fold-1`, `fold-2` ... in `out`."""
    return tuple(
        Fold(n, replace(recipe, parts=replace(recipe.parts, folds=number, fold=n)), _place(out, n))
        for n in range(1, max(1, number) + 1)
    )


def runs_in(folder: Path) -> tuple[Path, ...]:
    """The run in a folder, which is the folder itself, or the runs of all its folds.

    Raises:
        WrongUse: some of the folds are not finished.
    """
    first = _place(folder, 1)
    if not first.is_dir():
        return (folder,)
    recipe = recipe_from_table(read_record(first, "recipe.json"), source=str(first / "recipe.json"))
    runs = [fold.run for fold in folds_in(recipe, folder, recipe.parts.folds)]
    unfinished = [run.name for run in runs if read_run(run).state is not State.FINISHED]
    if unfinished:
        raise WrongUse(
            f"not finished: {', '.join(unfinished)}",
            remedy=f"Go on with: bonexage train ... --folds {len(runs)} --resume. Or name the runs to take",
            subject=str(folder),
        )
    return tuple(runs)


def _place(out: Path, number: int) -> Path:
    return out / f"fold-{number}"


def train_folds(
    recipe: Recipe,
    folders: Sequence[Path],
    out: Path,
    *,
    folds: int,
    resume: bool = False,
    init: Path | None = None,
    require_init: bool = False,
    cache_folder: Path | None = None,
    locator: Path | None = None,
    skip_unreadable: bool = False,
    screen: Screen | None = None,
    processes: int = 0,
    keep_minutes: float = KEEP_MINUTES,
) -> Evaluation:
    """Train a network for each fold, one after the other, and measure all films out of fold.

    The children are dealt out to the folds as `split_children` says: a child with several films, in several
    data folders, is in one fold. Each fold has a run folder of its own in `out`, which is one that `train`
    could have made. Then each film is read by the network of its child's fold, which neither learned from
    the child nor was chosen by it, and `out` gets what `bonexage evaluate` writes, `predictions.csv` first.

    Args:
        recipe: what to do; its parts but for the folds hold for each fold.
        folders: data folders in the RSNA layout.
        out: the folder; must hold no run, unless `resume`.
        folds: in how many folds the children are divided, at least 2.
        resume: pass over the folds that are finished, and go on with the one that is not.
        init: weights that each fold starts from, instead of the recipe's. Were they learned from these
            children, nothing would be out of fold.
        require_init: as for `train`.
        cache_folder: where preprocessed films are kept; by default `cache` beside `out`.
        locator: as for `train`.
        skip_unreadable: as for `train`.
        screen: as for `train`.
        processes: as for `train`; they share the work of one fold at a time.
        keep_minutes: as for `train`.

    Returns:
        What the networks said of the films they had not seen, with the figures.

    Raises:
        WrongUse: `folds` is below 2, `out` is taken, or what `train` raises.
        UnusableData: as for `train`.
        TrainingStopped: as for `train`.
    """
    each = folds_in(recipe, out, folds)
    cache_folder = cache_folder or out.parent / "cache"
    number = number_to_start(processes)
    with this_process() as group:
        screen = (screen or Screen()) if group.leads else silent_screen()
        begun = group.share(partial(_begun, each, out, resume or was_restarted()))
        kept = next((fold.run for fold in each if fold.number in begun), None)
        finder = choose_locator(recipe, locator, kept)
        read = partial(
            _read_films,
            each,
            folders,
            cache_folder,
            locator=finder,
            skip_unreadable=skip_unreadable,
            screen=screen,
        )
        if group.leads and begun:
            _check_folds(each, read())
        for fold in each:
            if begun.get(fold.number) is State.FINISHED:
                screen.say(f"Fold {fold.number} of {folds} is finished: {fold.run}")
                continue
            screen.say(f"Fold {fold.number} of {folds}: {fold.run}")
            work = partial(
                train_together,
                recipe=fold.recipe,
                folders=tuple(folders),
                out=fold.run,
                resume=fold.number in begun,
                init=init,
                require_init=require_init,
                cache_folder=cache_folder,
                locator=finder,
                skip_unreadable=skip_unreadable,
                keep_minutes=keep_minutes,
            )
            if number > 1:
                start(work, number)
            else:
                work(group, screen=screen)
        return group.share(lambda: _measure(each, read(), out, group.device))


def _begun(folds: Sequence[Fold], out: Path, resume: bool) -> dict[int, State]:
    """How far the folds are that have kept a checkpoint, by their numbers.

    Raises:
        WrongUse: there are some and none was to be, or the other way round, or their recipe has changed.
    """
    begun = {fold.number: read_run(fold.run).state for fold in folds if has_run(fold.run)}
    tried = any((fold.run / LOG).exists() for fold in folds)
    if has_run(out) or (begun and not resume):
        raise WrongUse(
            "there is a run here already",
            remedy="Go on with --resume and as many folds, or name another folder",
            subject=str(out),
        )
    if resume and not (begun or tried or was_restarted()):
        raise WrongUse(
            "no fold has begun here", remedy="Leave out --resume, or name another folder", subject=str(out)
        )
    for fold in folds:
        if has_run(fold.run):
            check_recipe(fold.recipe, fold.run)
    return begun


def _read_films(
    folds: Sequence[Fold],
    folders: Sequence[Path],
    cache_folder: Path,
    *,
    locator: bytes | None,
    skip_unreadable: bool,
    screen: Screen,
) -> _Films:
    """The films of all folds, placed for the last stage."""
    recipe = folds[0].recipe
    gathered = [gather_films(folders, fold.recipe.parts, skip_unreadable=skip_unreadable) for fold in folds]
    films, missing = gathered[0]
    cache = build_cache(
        [each.film.path for each in films],
        preprocessing_of(recipe, len(recipe.stages) - 1),
        cache_folder,
        locator=locator,
        skip_unreadable=skip_unreadable,
        progress=screen.films_read,
    )
    usable = tuple(tuple(one for one in own if one.film.path in cache.row_of) for own, _ in gathered)
    return _Films(usable, cache, (*missing, *cache.unreadable))


def _check_folds(folds: Sequence[Fold], films: _Films) -> None:
    """Raise `UnusableData` where a fold that has begun would go on with other films, before any work."""
    for fold, own in zip(folds, films.of_fold, strict=True):
        if has_run(fold.run):
            check_films(film_rows(own, films.cache.hashes), fold.run)


def _measure(folds: Sequence[Fold], films: _Films, out: Path, device: torch.device) -> Evaluation:
    """Let each fold's network read its own children's films, and write what that comes to."""
    _check_folds(folds, films)
    said: dict[Path, Measured] = {}
    names = []
    for fold, own in zip(folds, films.of_fold, strict=True):
        member = read_member(fold.run)
        names.append(member.name)
        held_out = [one.film for one in own if one.part is Part.CALIBRATION]
        if not held_out:
            continue
        months = predict_films(
            member.network.to(device),
            film_set(own, Part.CALIBRATION, films.cache.pixels, films.cache.row_of),
            member.recipe.input,
            member.recipe.stages[-1].batch,
            Precision(device, None),
        )
        for film, age in zip(held_out, months.clip(0.0, MAX_BONE_AGE_MONTHS).tolist(), strict=True):
            assessment = Assessment(film.path.name, Subject(film.sex), age, None, member.name)
            said[film.path] = Measured(film, assessment)
    recipe = folds[0].recipe
    how = preprocessing_of(recipe, len(recipe.stages) - 1)
    together = hashlib.sha256("\n".join(names).encode()).hexdigest()
    return write_evaluation(
        [said[one.film.path] for one in films.of_fold[0]],
        out,
        model=f"{recipe.name}-{len(folds)}-folds@{together[:12]}",
        model_facts=(
            ("Backbone", recipe.network.backbone),
            ("Input", f"{how.height} x {how.width} pixels, {how.geometry}"),
            ("Networks", ", ".join(names)),
        ),
        data=" + ".join(dict.fromkeys(one.folder.resolve().name for one in films.of_fold[0])),
        split=OUT_OF_FOLD,
        missing=films.skipped,
        note=f"Each film was read by that one of {len(folds)} networks which neither learned from its child "
        "nor was chosen by it.",
    )
