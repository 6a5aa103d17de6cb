"""A recipe and data folders become a trained network: a run, its stages, and what is kept of them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bonexage.disk import remove_partial, write_atomically
from bonexage.errors import TrainingStopped, UnusableData, WrongUse
from bonexage.learning.cache import Cache, build_cache, map_films
from bonexage.learning.checkpoint import (
    BEST,
    LAST,
    Progress,
    Sums,
    has_run,
    keep_checkpoint,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from bonexage.learning.dataset import (
    FilmSet,
    Part,
    TrainingFilm,
    film_rows,
    film_set,
    gather_films,
    resident,
)
from bonexage.learning.distil import Lesson, taught
from bonexage.learning.epoch import KEEP_MINUTES, Job, train_epoch, validation_error
from bonexage.learning.learner import (
    Learner,
    choose_precision,
    first_state,
    learner_from,
    state_of,
)
from bonexage.learning.memory import keep_memory, memory_megabytes
from bonexage.learning.processes import Group, number_to_start, start, this_process, was_restarted
from bonexage.learning.recipe import Recipe, Stage
from bonexage.learning.records import (
    METRICS,
    TENSORBOARD,
    epoch_line,
    introduction,
    write_metrics,
    write_records,
)
from bonexage.learning.resume import check_films, check_recipe
from bonexage.learning.show import Screen, silent_screen
from bonexage.learning.start import RANDOM_FOR_WANT
from bonexage.model.bundle import load_bundle
from bonexage.model.preprocess import Preprocessing

LOG = "log.txt"
LOCATOR = "locator.onnx"
SHARE_OF_FREE_MEMORY = 0.4


def train(
    recipe: Recipe,
    folders: Sequence[Path],
    out: Path,
    *,
    resume: bool = False,
    init: Path | None = None,
    require_init: bool = False,
    cache_folder: Path | None = None,
    locator: Path | None = None,
    skip_unreadable: bool = False,
    screen: Screen | None = None,
    processes: int = 0,
    keep_minutes: float = KEEP_MINUTES,
) -> Path:
    """Train as the recipe says and keep everything in the run folder `out`.

    Args:
        recipe: what to do.
        folders: data folders in the RSNA layout.
        out: the run folder; must be new, unless `resume`.
        resume: go on from the last checkpoint in `out`; the recipe may have further stages at its end. Where
            torchrun starts the processes again after a failure, the run goes on in any case.
        init: weights to start from, instead of the recipe's.
        require_init: stop where the run would start from random weights.
        cache_folder: where preprocessed films are kept; by default `cache` beside the run folder.
        locator: the network that finds hands, for the geometry 'hand'; the carried model's by default.
        skip_unreadable: go on without films that are missing or unreadable, and record them.
        screen: where progress is shown, if the run takes place in this process.
        processes: how many share the work; 0 takes one for each GPU that is visible, or this one alone.
        keep_minutes: a checkpoint is kept after each epoch, and within it when so many have passed.

    Returns:
        The run folder.

    Raises:
        UnusableData: films are missing or unreadable, a part is empty, or they are no longer a resumed run's.
        WrongUse: the run folder is taken, or the recipe cannot be followed, or is no longer a resumed run's.
        TrainingStopped: the loss is no longer a number, the disk refuses, or a process has died; the last
            good checkpoint is kept.
    """
    resume = resume or (was_restarted() and has_run(out))
    if has_run(out) and not resume:
        raise WrongUse(
            "there is a run here already",
            remedy="Go on with --resume, or name another folder",
            subject=str(out),
        )
    if resume and not has_run(out) and not (out / LOG).exists():
        load_checkpoint(out / LAST)  # there is none, and this says so
    work = partial(
        train_together,
        recipe=recipe,
        folders=tuple(folders),
        out=out,
        resume=resume,
        init=init,
        require_init=require_init,
        cache_folder=cache_folder or out.parent / "cache",
        locator=choose_locator(recipe, locator, out if resume else None),
        skip_unreadable=skip_unreadable,
        keep_minutes=keep_minutes,
    )
    number = number_to_start(processes)
    if number > 1:
        start(work, number)
        return out
    with this_process() as group:
        work(group, screen=screen)
    return out


def preprocessing_of(recipe: Recipe, stage: int) -> Preprocessing:
    """How films are prepared in a stage; the last stage's is the model's."""
    size, how = recipe.stages[stage], recipe.input
    return Preprocessing(how.geometry, size.height, size.width, (how.mean,), (how.std,))


def train_together(
    group: Group,
    *,
    recipe: Recipe,
    folders: Sequence[Path],
    out: Path,
    resume: bool,
    init: Path | None,
    require_init: bool,
    cache_folder: Path,
    locator: bytes | None,
    skip_unreadable: bool,
    keep_minutes: float,
    screen: Screen | None = None,
) -> None:
    """What one of the processes of a run does, which have met as `group`; the rest is as `train` has it."""
    screen = (screen or Screen()) if group.leads else silent_screen()
    keep_memory()
    job = Job(recipe, out, group, choose_precision(recipe.optimiser, group.device), screen, keep_minutes)
    try:
        with screen.logged(out / LOG if group.leads else None):
            state = group.share(lambda: _state_to_start_from(job, resume, init, require_init))
            films, skipped = group.share(
                lambda: gather_films(folders, recipe.parts, skip_unreadable=skip_unreadable)
            )
            learner = learner_from(state, recipe, job.precision, group)
            device, kind = job.precision.device, job.precision.autocast
            screen.say(introduction(recipe, films, learner.network, learner.started_from, device, kind))
            while learner.progress.stage < len(recipe.stages):
                cache = _one_cache(job, films, learner.progress.stage, cache_folder, locator, skip_unreadable)
                usable = [film for film in films if film.film.path in cache.row_of]
                learned = _taught(job, films, cache, cache_folder) if recipe.distil.teacher else usable
                if group.leads:
                    if resume and has_run(out):
                        check_films(film_rows(usable, cache.hashes), out)
                    write_records(recipe, usable, cache, [*skipped, *cache.unreadable], out)
                    if locator:
                        write_atomically(out / LOCATOR, locator)
                    _mend(job, learner)
                resume = False
                _run_stage(job, learned, cache, learner)
            if learner.started_from == RANDOM_FOR_WANT:
                screen.say(f"This run started from {RANDOM_FOR_WANT}, which costs accuracy.")
            screen.say(f"Done: {out}. Lowest validation error {learner.progress.best_months:.2f} months.")
    except OSError as problem:
        raise TrainingStopped(
            f"a file cannot be read or written ({problem.strerror or problem})",
            remedy="Make room or mend it, then go on from the last checkpoint with --resume",
            subject=str(problem.filename or out),
        ) from problem


def _state_to_start_from(job: Job, resume: bool, init: Path | None, require_init: bool) -> dict[str, Any]:
    anew = partial(first_state, job.recipe, init, job.screen.say, require_init=require_init)
    if not resume:
        return anew()
    for folder in (job.out, job.out / TENSORBOARD):
        remove_partial(folder)
    if not has_run(job.out):
        job.screen.say("The run was stopped before anything was kept, and begins anew.")
        return anew()
    check_recipe(job.recipe, job.out)
    return newest_checkpoint(job.out, job.screen.say)


def choose_locator(recipe: Recipe, file: Path | None, run: Path | None) -> bytes | None:
    """The network that finds hands, where the recipe's films are placed by it.

    Args:
        recipe: what to do.
        file: a locator, as `bonexage train-locator` writes it; None for the carried model's.
        run: a run that goes on with the one it has.

    Raises:
        WrongUse: it cannot be read, or the carried model has none.
    """
    if recipe.input.geometry != "hand":
        return None
    kept = run / LOCATOR if run else None
    chosen = kept if kept and kept.is_file() else file
    if chosen is None:
        carried = load_bundle().locator
        if carried is None:
            raise WrongUse("the carried model finds no hands", remedy="Name a locator with --locator")
        return carried
    try:
        return chosen.read_bytes()
    except OSError as problem:
        raise WrongUse(
            f"the locator cannot be read ({problem.strerror})",
            remedy="Name a file that train-locator wrote",
            subject=str(chosen),
        ) from problem


def _one_cache(
    job: Job,
    films: Sequence[TrainingFilm],
    stage: int,
    folder: Path,
    locator: bytes | None,
    skip_unreadable: bool,
) -> Cache:
    """The films placed for a stage: by one process, while the others wait."""
    how = preprocessing_of(job.recipe, stage)

    def build() -> Cache:
        paths = [film.film.path for film in films]
        report = job.screen.films_read
        cache = build_cache(
            paths, how, folder, locator=locator, skip_unreadable=skip_unreadable, progress=report
        )
        return replace(cache, pixels=map_films(how, folder, (), locator))

    cache = job.group.share(build)
    return replace(cache, pixels=map_films(how, folder, cache.row_of.values(), locator))


def _taught(job: Job, films: Sequence[TrainingFilm], cache: Cache, folder: Path) -> tuple[TrainingFilm, ...]:
    """The films that can be read, with the labels that a teacher has moved: its readings, by one process."""
    lesson = Lesson(films, cache.hashes, job.out, folder)
    return job.group.share(lambda: taught(job.recipe.distil, lesson, job.screen.say, job.screen.films_read))


def _mend(job: Job, learner: Learner) -> None:
    """Keep the first checkpoint, or complete what a run that was killed between two writes left undone."""
    progress = learner.progress
    if not has_run(job.out):
        keep_checkpoint(job.out, state_of(learner))
    if progress.best_epoch and progress.best_epoch == progress.epoch and not progress.batch:
        save_checkpoint(job.out / BEST, state_of(learner))
    if progress.rows:
        write_metrics(progress.rows, job.out)
    if progress.step:
        done = f"{progress.epoch} epochs and {progress.batch} batches"
        job.screen.say(f"Going on in stage {progress.stage + 1} after {done}")


def _run_stage(job: Job, films: Sequence[TrainingFilm], cache: Cache, learner: Learner) -> None:
    """Run what is left of a stage, keeping a checkpoint after every epoch, and step to the next."""
    progress = learner.progress
    stage = job.recipe.stages[progress.stage]
    training = _near(film_set(films, Part.TRAINING, cache.pixels, cache.row_of), job.precision.device)
    validation = _near(film_set(films, Part.VALIDATION, cache.pixels, cache.row_of), job.precision.device)
    if len(training) < 2 or len(validation) < 1:
        raise UnusableData(
            f"{len(training)} films are left for training and {len(validation)} for validation",
            remedy="Give more films, or change the recipe's [parts]",
        )
    while progress.epoch < stage.epochs and not _patience_spent(stage, progress):
        row = train_epoch(job, training, learner)
        began = time.perf_counter()
        error = validation_error(job, validation, learner)
        row |= {
            "validation_mae_months": error,
            "seconds": progress.sums.seconds + time.perf_counter() - began,
            "memory_mb": job.group.largest(memory_megabytes(job.precision.device)),
        }
        progress.epoch, progress.batch, progress.sums = progress.epoch + 1, 0, Sums()
        is_best = error < progress.best_months
        if is_best:
            progress.best_months, progress.best_epoch = error, progress.epoch
        progress.rows.append({name: row[name] for name in METRICS})
        if job.group.leads:
            _keep_epoch(job, learner, is_best=is_best)
        job.screen.say(epoch_line(progress.rows[-1], stage, is_best=is_best))
    progress.stage, progress.epoch = progress.stage + 1, 0
    if progress.stage < len(job.recipe.stages):
        progress.best_months, progress.best_epoch = math.inf, 0


def _near(films: FilmSet, device: torch.device) -> FilmSet:
    """The films in a GPU's memory where they leave room enough for the network, or as they are."""
    if device.type != "cuda":
        return films
    free, _ = torch.cuda.mem_get_info(device)
    return resident(films, device, free * SHARE_OF_FREE_MEMORY)


def _keep_epoch(job: Job, learner: Learner, *, is_best: bool) -> None:
    """Keep what an epoch came to. A kill in between is mended by the resumed run."""
    content = state_of(learner)
    keep_checkpoint(job.out, content)
    if is_best:
        save_checkpoint(job.out / BEST, content)
    write_metrics(learner.progress.rows, job.out)


def _patience_spent(stage: Stage, progress: Progress) -> bool:
    return bool(stage.patience) and progress.epoch - progress.best_epoch >= stage.patience
