"""A recipe and data folders become a trained network: the loop, and all that a run keeps."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bonexage.errors import TrainingStopped, UnusableData, WrongUse
from bonexage.learning.augment import augment, weakened
from bonexage.learning.cache import Cache, build_cache
from bonexage.learning.checkpoint import (
    Progress,
    chance_state,
    load_checkpoint,
    restore_chance,
    save_checkpoint,
)
from bonexage.learning.dataset import (
    Batch,
    FilmSet,
    Part,
    TrainingFilm,
    epoch_order,
    film_set,
    gather_films,
    read_batches,
    split_batches,
)
from bonexage.learning.network import BoneAgeNetwork
from bonexage.learning.recipe import InputRecipe, Loss, Optimiser, Recipe, Stage
from bonexage.learning.records import METRICS, epoch_line, introduction, write_metrics, write_records
from bonexage.learning.show import Screen
from bonexage.learning.start import empty_network, start_network
from bonexage.model.preprocess import Preprocessing


@dataclass(frozen=True)
class Precision:
    """Where and how numbers are computed: the device, and the type under autocast (None: float32)."""

    device: torch.device
    autocast: torch.dtype | None


@dataclass
class Learner:
    """What changes while training: the network, its running average, the optimiser, and how far it came."""

    network: BoneAgeNetwork
    average: BoneAgeNetwork
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    progress: Progress
    started_from: str


def train(
    recipe: Recipe,
    folders: Sequence[Path],
    out: Path,
    *,
    resume: bool = False,
    init: Path | None = None,
    cache_folder: Path | None = None,
    skip_unreadable: bool = False,
    screen: Screen | None = None,
) -> Path:
    """Train as the recipe says and keep everything in the run folder `out`.

    Args:
        recipe: what to do.
        folders: data folders in the RSNA layout.
        out: the run folder; must be new, unless `resume`.
        resume: go on from the last checkpoint in `out`.
        init: weights to start from, instead of the recipe's.
        cache_folder: where preprocessed films are kept; by default `cache` beside the run folder.
        skip_unreadable: go on without films that are missing or unreadable, and record them.
        screen: where progress is shown.

    Returns:
        The run folder.

    Raises:
        UnusableData: films are missing or unreadable, or a part is empty.
        WrongUse: the run folder is taken, or the recipe cannot be followed.
        TrainingStopped: the loss is no longer a number; the last good checkpoint is kept.
    """
    if (out / "last.pt").exists() and not resume:
        raise WrongUse(
            "there is a run here already",
            remedy="Go on with --resume, or name another folder",
            subject=str(out),
        )
    out.mkdir(parents=True, exist_ok=True)
    screen = screen or Screen()
    with screen.logged(out / "log.txt"):
        films, skipped = gather_films(folders, recipe.parts, skip_unreadable=skip_unreadable)
        precision = choose_precision(recipe.optimiser)
        learner = _continue(recipe, out, precision) if resume else _begin(recipe, init, precision, screen)
        screen.say(
            introduction(
                recipe, films, learner.network, learner.started_from, precision.device, precision.autocast
            )
        )
        while learner.progress.stage < len(recipe.stages):
            cache = build_cache(
                [film.film.path for film in films],
                preprocessing_of(recipe, learner.progress.stage),
                cache_folder or out.parent / "cache",
                skip_unreadable=skip_unreadable,
                progress=screen.films_read,
            )
            usable = [film for film in films if film.film.path in cache.row_of]
            write_records(recipe, usable, cache, [*skipped, *cache.unreadable], out)
            _run_stage(recipe, usable, cache, learner, precision, out, screen)
        screen.say(f"Done: {out}. Lowest validation error {learner.progress.best_months:.2f} months.")
    return out


def preprocessing_of(recipe: Recipe, stage: int) -> Preprocessing:
    """How films are prepared in a stage; the last stage's is the model's."""
    size, how = recipe.stages[stage], recipe.input
    return Preprocessing(how.geometry, size.height, size.width, (how.mean,), (how.std,))


def choose_precision(how: Optimiser) -> Precision:
    """A GPU where there is one (bfloat16, else float16 with scaled gradients), or float32 on the CPU."""
    if not torch.cuda.is_available():
        return Precision(torch.device("cpu"), None)
    device = torch.device("cuda")
    if how.precision == "float32":
        return Precision(device, None)
    return Precision(device, torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)


def learning_rate(stage: Stage, done: float) -> float:
    """The learning rate when the share `done` (0 to 1) of a stage's steps lies behind."""
    if done < stage.warm_up:
        return stage.learning_rate * done / stage.warm_up
    rest = (done - stage.warm_up) / max(1e-9, 1 - stage.warm_up)
    return stage.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))


def loss_of(predicted: Tensor, labelled: Tensor, how: Loss) -> Tensor:
    """Weighted sum of the mean absolute error in months and the mean relative error."""
    error = (predicted - labelled).abs()
    return how.absolute * error.mean() + how.relative * (error / labelled.clamp(min=1.0)).mean()


def _begin(recipe: Recipe, init: Path | None, precision: Precision, screen: Screen) -> Learner:
    torch.manual_seed(recipe.seed)
    network, started_from = start_network(recipe.network, init, screen.say)
    return _learner(recipe, network, precision, Progress(), started_from)


def _continue(recipe: Recipe, out: Path, precision: Precision) -> Learner:
    saved = load_checkpoint(out / "last.pt")
    network = empty_network(recipe.network)
    network.load_state_dict(saved["network"])
    learner = _learner(recipe, network, precision, Progress(**saved["progress"]), saved["started_from"])
    learner.average.load_state_dict(saved["average"])
    learner.optimiser.load_state_dict(saved["optimiser"])
    learner.scaler.load_state_dict(saved["scaler"])
    restore_chance(saved["chance"])
    return learner


def _learner(
    recipe: Recipe, network: BoneAgeNetwork, precision: Precision, progress: Progress, started_from: str
) -> Learner:
    network.to(precision.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=recipe.optimiser.weight_decay)
    scaler = torch.amp.GradScaler(precision.device.type, enabled=precision.autocast is torch.float16)
    return Learner(network, average, optimiser, scaler, progress, started_from)


def _run_stage(
    recipe: Recipe,
    films: Sequence[TrainingFilm],
    cache: Cache,
    learner: Learner,
    precision: Precision,
    out: Path,
    screen: Screen,
) -> None:
    """Run what is left of a stage, keeping a checkpoint after every epoch, and step to the next."""
    progress = learner.progress
    stage = recipe.stages[progress.stage]
    training = film_set(films, Part.TRAINING, cache.pixels, cache.row_of)
    validation = film_set(films, Part.VALIDATION, cache.pixels, cache.row_of)
    if len(training) < 2 or len(validation) < 1:
        raise UnusableData(
            f"{len(training)} films are left for training and {len(validation)} for validation",
            remedy="Give more films, or change the recipe's [parts]",
        )
    while progress.epoch < stage.epochs and not _patience_spent(stage, progress):
        began = time.perf_counter()
        row = _train_epoch(recipe, training, learner, precision, screen)
        predicted = predict_films(learner.average, validation, recipe.input, stage.batch, precision)
        error = float(np.abs(predicted - validation.months).mean())
        progress.epoch += 1
        is_best = error < progress.best_months
        if is_best:
            progress.best_months, progress.best_epoch = error, progress.epoch
        row |= {"validation_mae_months": error, "seconds": time.perf_counter() - began}
        progress.rows.append({name: row[name] for name in METRICS})
        _keep(learner, out, is_best=is_best)
        screen.say(epoch_line(progress.rows[-1], stage, is_best=is_best))
    progress.stage, progress.epoch = progress.stage + 1, 0
    if progress.stage < len(recipe.stages):
        progress.best_months, progress.best_epoch = math.inf, 0


def _train_epoch(
    recipe: Recipe, films: FilmSet, learner: Learner, precision: Precision, screen: Screen
) -> dict[str, Any]:
    """One pass over the training films; returns its row of metrics, each averaged over films."""
    progress = learner.progress
    stage = recipe.stages[progress.stage]
    chance = np.random.SeedSequence([recipe.seed, progress.stage, progress.epoch])
    order_seed, augment_seed = (int(word) for word in chance.generate_state(2))
    generator = torch.Generator().manual_seed(augment_seed)
    order = epoch_order(films, seed=order_seed, most_from_folder=stage.films)
    batches = split_batches(order, stage.batch)
    steps = len(batches) * stage.epochs
    rate = loss_sum = error_sum = 0.0
    seen = 0
    began = time.perf_counter()
    learner.network.train()
    label = f"stage {progress.stage + 1}, epoch {progress.epoch + 1} of {stage.epochs}"
    with screen.films_learned(len(order), label) as advance:
        for number, batch in enumerate(read_batches(films, batches)):
            rate = learning_rate(stage, (progress.epoch * len(batches) + number + 1) / steps)
            loss, error = _step(recipe, batch, rate, learner, precision, generator)
            loss_sum += loss * len(batch.months)
            error_sum += error * len(batch.months)
            seen += len(batch.months)
            advance(
                seen, f"MAE {error_sum / seen:.1f} months, {seen / (time.perf_counter() - began):.0f} films/s"
            )
    return {
        "stage": progress.stage + 1,
        "epoch": progress.epoch + 1,
        "learning_rate": rate,
        "loss": loss_sum / seen,
        "train_mae_months": error_sum / seen,
        "films_per_second": seen / (time.perf_counter() - began),
    }


def _step(
    recipe: Recipe,
    batch: Batch,
    rate: float,
    learner: Learner,
    precision: Precision,
    generator: torch.Generator,
) -> tuple[float, float]:
    """One optimiser step; returns the loss and the mean absolute error in months."""
    network, optimiser, scaler = learner.network, learner.optimiser, learner.scaler
    how = weakened(recipe.augmentation, recipe.stages[learner.progress.stage].augmentation)
    films = augment(_to_grey(batch.films, precision), how, generator)
    male, months = batch.male.to(precision.device), batch.months.to(precision.device)
    with _autocast(precision):
        predicted = network(_normalise(films, recipe.input), male)
    loss = loss_of(predicted, months, recipe.loss)
    if not math.isfinite(loss.item()):
        raise TrainingStopped(
            f"the loss of step {learner.progress.step + 1} is not a number",
            remedy="The last good checkpoint is kept: lower the learning rate and start from it with --init",
        )
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    scaler.unscale_(optimiser)
    nn.utils.clip_grad_norm_(network.parameters(), recipe.optimiser.clip)
    scaler.step(optimiser)
    scaler.update()
    learner.progress.step += 1
    _follow(learner.average, network, recipe.optimiser.ema, learner.progress.step)
    return loss.item(), (predicted.detach() - months).abs().mean().item()


@torch.no_grad()
def _follow(average: BoneAgeNetwork, network: BoneAgeNetwork, decay: float, step: int) -> None:
    """Move the running average towards the network; early on it follows faster."""
    keep = min(decay, (1 + step) / (10 + step))
    newest = network.state_dict()
    for key, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(newest[key], 1 - keep)
        else:
            value.copy_(newest[key])


@torch.no_grad()
def predict_films(
    network: BoneAgeNetwork, films: FilmSet, how: InputRecipe, batch: int, precision: Precision
) -> NDArray[np.float32]:
    """Bone ages in months, float32 `[n]`, of all films in their order, nothing changed at random."""
    network.eval()
    order = np.arange(len(films))
    months = []
    for part in read_batches(films, [order[start : start + batch] for start in range(0, len(order), batch)]):
        with _autocast(precision):
            shown = _normalise(_to_grey(part.films, precision), how)
            months.append(network(shown, part.male.to(precision.device)).float().cpu())
    return torch.cat(months).numpy()


def _to_grey(films: Tensor, precision: Precision) -> Tensor:
    """uint8 films to float32 in [0, 1] on the device."""
    return films.to(precision.device, non_blocking=True).float() / 255


def _normalise(films: Tensor, how: InputRecipe) -> Tensor:
    return (films - how.mean) / how.std


def _autocast(precision: Precision) -> torch.autocast:
    enabled = precision.autocast is not None
    return torch.autocast(precision.device.type, dtype=precision.autocast or torch.bfloat16, enabled=enabled)


def _patience_spent(stage: Stage, progress: Progress) -> bool:
    return bool(stage.patience) and progress.epoch - progress.best_epoch >= stage.patience


def _keep(learner: Learner, out: Path, *, is_best: bool) -> None:
    """Write the checkpoints and the metrics."""
    content = {
        "network": learner.network.state_dict(),
        "average": learner.average.state_dict(),
        "optimiser": learner.optimiser.state_dict(),
        "scaler": learner.scaler.state_dict(),
        "progress": vars(learner.progress),
        "started_from": learner.started_from,
        "chance": chance_state(),
    }
    save_checkpoint(out / "last.pt", content)
    if is_best:
        save_checkpoint(out / "best.pt", content)
    write_metrics(learner.progress.rows, out)
