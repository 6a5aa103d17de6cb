"""One pass over the training films, and one over the validation films: batches, steps and their errors."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bonexage.errors import TrainingStopped
from bonexage.learning.augment import change, draw_changes, weakened
from bonexage.learning.checkpoint import Sums, keep_checkpoint
from bonexage.learning.dataset import Batch, FilmSet, epoch_order, read_batches, shares, split_batches
from bonexage.learning.learner import Learner, Precision, follow, state_of
from bonexage.learning.network import BoneAgeNetwork
from bonexage.learning.processes import Group
from bonexage.learning.recipe import InputRecipe, Loss, Recipe, Stage
from bonexage.learning.show import Screen

KEEP_MINUTES = 10.0
STEPS_UNCHECKED_ON_GPU = 16

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Job:
    """What stays as it is while a run goes on.

    Attributes:
        recipe: what to do.
        out: the run folder.
        group: the processes that do it.
        precision: where and how numbers are computed.
        screen: where progress is shown.
        keep_minutes: a checkpoint is kept within an epoch when so many have passed since the last.
    """

    recipe: Recipe
    out: Path
    group: Group
    precision: Precision
    screen: Screen
    keep_minutes: float = KEEP_MINUTES


def learning_rate(stage: Stage, done: float) -> float:
    """The learning rate when the share `done` (0 to 1) of a stage's steps lies behind."""
    if done < stage.warm_up:
        return stage.learning_rate * done / stage.warm_up
    rest = (done - stage.warm_up) / max(1e-9, 1 - stage.warm_up)
    return stage.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))


def losses_of(predicted: Tensor, labelled: Tensor, how: Loss) -> Tensor:
    """The loss of each film `[B]`, from the readings of its pictures `[pictures, B]` and its label `[B]`.

    The mean over its pictures of the weighted absolute and relative errors, and how far they are read apart:

        mean(absolute * |m - y| + relative * |m - y| / max(y, 1)) + agreement * (max(m) - min(m))
    """
    error = (predicted - labelled).abs()
    losses = (how.absolute * error + how.relative * error / labelled.clamp(min=1.0)).mean(dim=0)
    return losses + how.agreement * (predicted.amax(dim=0) - predicted.amin(dim=0))


def train_epoch(job: Job, films: FilmSet, learner: Learner) -> dict[str, Any]:
    """What is left of one pass over the training films; returns its metrics, each averaged over films."""
    progress, group = learner.progress, job.group
    stage = job.recipe.stages[progress.stage]
    order = epoch_order(
        films,
        seed=_draw(job.recipe, progress.stage, progress.epoch),
        most_from_folder=stage.films,
        least_in_band=stage.least_in_band,
    )
    batches = split_batches(order, stage.batch)
    rates = [
        learning_rate(stage, (progress.epoch * len(batches) + number + 1) / (len(batches) * stage.epochs))
        for number in range(len(batches))
    ]
    places = [shares(len(batch), stage.accumulate, group) for batch in batches]
    first = progress.batch
    wanted = [
        batch[some] for batch, mine in zip(batches[first:], places[first:], strict=True) for some in mine
    ]
    label = f"stage {progress.stage + 1}, epoch {progress.epoch + 1} of {stage.epochs}"
    unchecked: list[tuple[int, Tensor]] = []
    most_unchecked = STEPS_UNCHECKED_ON_GPU if job.precision.device.type == "cuda" else 1
    earlier, waited, began = replace(progress.sums), 0.0, time.perf_counter()
    kept = time.monotonic()
    learner.network.train()
    reader = read_batches(films, wanted, device=job.precision.device)
    with job.screen.films_learned(len(order), label) as advance:
        for number in range(first, len(batches)):
            asked = time.perf_counter()
            parts = [(some, next(reader)) for some in places[number]]
            waited += time.perf_counter() - asked
            tally = _step(job, parts, len(batches[number]), rates[number], learner)
            unchecked.append((len(batches[number]), tally))
            progress.batch = number + 1
            if len(unchecked) < most_unchecked and progress.batch < len(batches):
                continue
            _settle(job, unchecked, learner)
            progress.sums.seconds = earlier.seconds + time.perf_counter() - began
            progress.sums.waited = earlier.waited + waited
            if group.leads and time.monotonic() - kept >= job.keep_minutes * 60:
                keep_checkpoint(job.out, state_of(learner))
                kept = time.monotonic()
            advance(progress.sums.films, _so_far(progress.sums))
    sums = progress.sums
    waited = float(group.add_up(torch.tensor(sums.waited, device=job.precision.device))) / group.size
    return {
        "stage": progress.stage + 1,
        "epoch": progress.epoch + 1,
        "learning_rate": rates[-1],
        "loss": sums.loss / sums.films,
        "train_mae_months": sums.error_months / sums.films,
        "films_per_second": sums.films / sums.seconds,
        "waiting_share": waited / sums.seconds,
    }


def _step(
    job: Job, parts: Sequence[tuple[Places, Batch]], count: int, rate: float, learner: Learner
) -> Tensor:
    """One optimiser step on this process's share of a batch, run in parts one after the other.

    The loss is the mean over all `count` films of the batch, whatever share of them each process and part
    has. Chance is drawn anew from the seed and the place of the step in the run, for the whole batch.

    Returns:
        The sum of the losses and that of the absolute errors in months of this process's films, `[2]`.
    """
    recipe, progress, precision = job.recipe, learner.progress, job.precision
    network, optimiser, scaler = learner.network, learner.optimiser, learner.scaler
    stage = recipe.stages[progress.stage]
    seed = _draw(recipe, progress.stage, progress.epoch, progress.batch)
    how = weakened(recipe.augmentation, stage.augmentation)
    chance = torch.Generator().manual_seed(seed)
    pictures = [
        draw_changes(count, (stage.height, stage.width), how, chance)
        for _ in range(2 if recipe.loss.agreement else 1)
    ]
    torch.manual_seed(_draw(recipe, progress.stage, progress.epoch, progress.batch, job.group.rank + 1))
    optimiser.zero_grad(set_to_none=True)
    tally = torch.zeros(2, device=precision.device)
    for places, batch in parts:
        grey = _to_grey(batch.films, precision)
        films = torch.cat([change(grey, changes.of(places)) for changes in pictures])
        male = batch.male.to(precision.device, non_blocking=True).repeat(len(pictures), 1)
        months = batch.months.to(precision.device, non_blocking=True)
        with _autocast(precision):
            predicted = learner.run(_normalise(films, recipe.input), male).reshape(len(pictures), -1)
        losses = losses_of(predicted, months, recipe.loss)
        scaler.scale(losses.sum() / count).backward()  # type: ignore[no-untyped-call]
        errors = (predicted.detach() - months).abs().mean(dim=0)
        tally += torch.stack([losses.detach().sum(), errors.sum()])
    job.group.add_up_gradients(network)
    for group in optimiser.param_groups:
        group["lr"] = rate
    scaler.unscale_(optimiser)
    nn.utils.clip_grad_norm_(network.parameters(), recipe.optimiser.clip)
    scaler.step(optimiser)
    scaler.update()
    progress.step += 1
    follow(learner, recipe.optimiser.ema)
    return tally


def _draw(recipe: Recipe, *place: int) -> int:
    """A number drawn from the recipe's seed for one place in the run."""
    return int(np.random.SeedSequence([recipe.seed, *place]).generate_state(1)[0])


def _settle(job: Job, unchecked: list[tuple[int, Tensor]], learner: Learner) -> None:
    """Add steps to the epoch's sums, over all processes; stop where one is no number."""
    progress = learner.progress
    tallies = job.group.add_up(torch.stack([tally for _, tally in unchecked])).tolist()
    for back, ((films, _), (loss, error)) in enumerate(zip(unchecked, tallies, strict=True)):
        if not math.isfinite(loss):
            raise TrainingStopped(
                f"the loss of step {progress.step - len(unchecked) + 1 + back} is not a number",
                remedy="Its last good checkpoint is kept: start from that with --init, learning more slowly",
            )
        progress.sums.films += films
        progress.sums.loss += loss
        progress.sums.error_months += error
    unchecked.clear()


def _so_far(sums: Sums) -> str:
    return f"MAE {sums.error_months / sums.films:.1f} months, {sums.films / sums.seconds:.0f} films/s"


def validation_error(job: Job, films: FilmSet, learner: Learner) -> float:
    """Mean absolute error in months over all validation films, each read by one of the processes."""
    stage = job.recipe.stages[learner.progress.stage]
    mine = job.group.cut(np.arange(len(films)))
    at_once = math.ceil(stage.batch / job.group.size / stage.accumulate)
    months = torch.zeros(len(films), dtype=torch.float64, device=job.precision.device)
    if len(mine):
        some = predict_films(learner.average, films.of(mine), job.recipe.input, at_once, job.precision)
        months[torch.from_numpy(mine)] = torch.from_numpy(some).double().to(months.device)
    predicted = job.group.add_up(months).cpu().numpy()
    return float(np.abs(predicted - films.months).mean())


@torch.no_grad()
def predict_films(
    network: BoneAgeNetwork, films: FilmSet, how: InputRecipe, batch: int, precision: Precision
) -> NDArray[np.float32]:
    """Bone ages in months, float32 `[n]`, of all films in their order, nothing changed at random."""
    network.eval()
    order = np.arange(len(films))
    months = []
    parts = [order[start : start + batch] for start in range(0, len(order), batch)]
    for part in read_batches(films, parts, device=precision.device):
        with _autocast(precision):
            shown = _normalise(_to_grey(part.films, precision), how)
            months.append(network(shown, part.male.to(precision.device)).float().cpu())
    return torch.cat(months).numpy()


def _to_grey(films: Tensor, precision: Precision) -> Tensor:
    """uint8 films to float32 in [0, 1] on the device."""
    return films.to(precision.device, non_blocking=True).float().div_(255)


def _normalise(films: Tensor, how: InputRecipe) -> Tensor:
    return (films - how.mean) / how.std


def _autocast(precision: Precision) -> torch.autocast:
    enabled = precision.autocast is not None
    return torch.autocast(precision.device.type, dtype=precision.autocast or torch.bfloat16, enabled=enabled)
