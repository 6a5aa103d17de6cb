"""What processes of a group do in the tests; a module of its own, for started processes import it by name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bonexage.errors import UnusableData
from bonexage.learning import epoch as passing
from bonexage.learning.augment import draw_changes
from bonexage.learning.dataset import Batch, shares
from bonexage.learning.epoch import Job
from bonexage.learning.learner import choose_precision, first_state, learner_from
from bonexage.learning.processes import Group
from bonexage.learning.recipe import Recipe
from bonexage.learning.show import silent_screen
from trials.waiting import PATIENCE_SECONDS

# So long a process would go on by itself: far longer than a test waits for its end.
COMPUTING_SECONDS = 10 * PATIENCE_SECONDS


def take_steps(group: Group, recipe: Recipe, batches: Sequence[int], out: Path) -> None:
    """Some steps on drawn films; process 0 keeps the gradients, sums and buffers.

    AdamW turns rounding in a gradient that should be zero into a step of full length, so plain descent is
    taken here.
    """
    precision = choose_precision(recipe.optimiser, group.device)
    learner = learner_from(first_state(recipe, None, lambda line: None), recipe, precision, group)
    learner.optimiser = torch.optim.SGD(learner.network.parameters(), lr=0.0)
    learner.network.train()
    job = Job(recipe, out.parent, group, precision, silent_screen())
    draw = np.random.default_rng(0)
    kept = []
    for number, count in enumerate(batches):
        films = torch.from_numpy(draw.integers(0, 255, (count, 1, 64, 64), dtype=np.uint8))
        male = torch.from_numpy(draw.integers(0, 2, (count, 1)).astype(np.float32))
        months = torch.from_numpy(draw.uniform(1, 228, count).astype(np.float32))
        parts = [
            (places, Batch(films[places], male[places], months[places]))
            for places in shares(count, recipe.stages[0].accumulate, group)
        ]
        learner.progress.batch = number
        tally = group.add_up(passing._step(job, parts, count, 1e-3, learner))
        gradients = {name: each.grad for name, each in learner.network.named_parameters()}
        kept.append(
            {"tally": tally, "gradients": {k: v.clone() for k, v in gradients.items() if v is not None}}
        )
    if group.leads:
        torch.save({"steps": kept, "network": learner.network.state_dict()}, out)


def draw_alike(group: Group, recipe: Recipe, out: Path) -> None:
    """Keep the changes of a batch's films, put together from the processes' shares."""
    how = replace(recipe.augmentation, flip=0.5)
    changes = draw_changes(7, (64, 64), how, torch.Generator().manual_seed(3))
    (places,) = shares(7, 1, group)
    whole = torch.zeros(7, 2, 3)
    whole[places] = changes.of(places).theta
    group.add_up(whole)
    if group.leads:
        torch.save(whole, out)


def compare_notes(group: Group, out: Path) -> None:
    """Use all that a group offers, and keep what each process got."""
    slow = group.share(lambda: (time.sleep(1.0), {"from": group.rank})[1])
    total = group.add_up(torch.tensor([1.0, float(group.rank)]))
    mine = group.cut(np.arange(5)).tolist()
    kept = {"share": slow, "sum": total.tolist(), "cut": mine, "largest": group.largest(10.0 - group.rank)}
    torch.save(kept, out / f"{group.rank}.pt")


def end_badly(group: Group, how: str) -> None:
    """Process 1 fails in some way, while process 0 waits for it or computes for long."""
    if group.rank == 1:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "told":
            raise UnusableData("a planted fault", remedy="Take it out", subject="film.png")
        if how == "told at length":  # more than a pipe holds
            raise UnusableData("x" * 300_000, remedy="Take it out")
        if how == "silent":
            os._exit(1)
        raise ZeroDivisionError("planted")
    if how == "busy":
        time.sleep(COMPUTING_SECONDS)
    group.add_up(torch.ones(1))


def note_and_wait(group: Group, out: Path) -> None:
    """Tell this process's number in a file, and compute for long."""
    (out / f"{group.rank}.partial").write_text(str(os.getpid()), encoding="utf-8")
    (out / f"{group.rank}.partial").replace(out / f"{group.rank}.pid")
    time.sleep(COMPUTING_SECONDS)
