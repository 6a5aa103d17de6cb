"""How many films a run has learned from and in how many steps, each film as often as it came."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bonexage.learning.dataset import FilmSet, Part, epoch_order, split_batches
from bonexage.learning.recipe import Stage


@dataclass(frozen=True)
class Learned:
    """What a finished run has learned from.

    Attributes:
        films: films, each as often as it came.
        steps: of the optimiser.
    """

    films: int
    steps: int


def learned(run: Path, stages: Sequence[Stage]) -> Learned:
    """What a run that did all epochs of its stages has learned from, by the films in its record."""
    films = _training_films(run)
    orders = [
        epoch_order(films, seed=0, most_from_folder=stage.films, least_in_band=stage.least_in_band)
        for stage in stages
    ]
    steps = [len(split_batches(order, stage.batch)) for order, stage in zip(orders, stages, strict=True)]
    return Learned(
        films=sum(stage.epochs * len(order) for stage, order in zip(stages, orders, strict=True)),
        steps=sum(stage.epochs * number for stage, number in zip(stages, steps, strict=True)),
    )


def _training_films(run: Path) -> FilmSet:
    """The training films of a run without their pixels."""
    with (run / "films.csv").open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["part"] == Part.TRAINING.value]
    _, folders = np.unique([row["folder"] for row in rows], return_inverse=True)
    return FilmSet(
        pixels=np.empty((0, 1, 1), dtype=np.uint8),
        rows=np.arange(len(rows)),
        months=np.array([float(row["bone_age_months"]) for row in rows], dtype=np.float32),
        male=np.zeros(len(rows), dtype=np.float32),
        folder=folders,
    )
