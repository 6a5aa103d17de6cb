"""The state of a training run on disk: written atomically, read without unpickling."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bonexage.errors import WrongUse


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        stage: the stage that goes on, counted from 0.
        epoch: finished epochs of that stage.
        step: optimiser steps since the run began.
        best_months: the stage's lowest validation error so far, in months.
        best_epoch: the epoch of the stage that gave it, counted from 1; 0 before the first.
        rows: what `metrics.csv` holds, a row an epoch.
    """

    stage: int = 0
    epoch: int = 0
    step: int = 0
    best_months: float = math.inf
    best_epoch: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint in one step: the old one stays until the new one is whole and on disk."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save(dict(content), file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        WrongUse: there is none, or it is damaged.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WrongUse(
            "there is no checkpoint", remedy="Name a run folder that train has written", subject=str(path)
        ) from None
    except Exception as problem:  # torch.load raises whatever the damage leads to
        raise WrongUse(
            "the checkpoint is damaged", remedy="Go on from another, or start anew", subject=str(path)
        ) from problem
    return content


def chance_state() -> dict[str, Tensor]:
    """The state of torch's random numbers on the CPU and every GPU (they drive dropout)."""
    state = {"cpu": torch.get_rng_state()}
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        state[f"cuda{number}"] = torch.cuda.get_rng_state(number)
    return state


def restore_chance(state: dict[str, Tensor]) -> None:
    """Put torch's random numbers back to where `chance_state` found them."""
    torch.set_rng_state(state["cpu"])
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        if f"cuda{number}" in state:
            torch.cuda.set_rng_state(state[f"cuda{number}"], number)
