"""What changes while training: the network, its running average, the optimiser; and how they are computed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bonexage.learning.checkpoint import Progress, progress_from
from bonexage.learning.network import BoneAgeNetwork
from bonexage.learning.norm import SharedNorm, share_norms
from bonexage.learning.processes import Group
from bonexage.learning.recipe import Optimiser, Recipe
from bonexage.learning.start import empty_network, start_network


@dataclass(frozen=True)
class Precision:
    """Where and how numbers are computed: the device, and the type under autocast (None: float32)."""

    device: torch.device
    autocast: torch.dtype | None


@dataclass
class Learner:
    """What changes while training.

    Attributes:
        network: what learns.
        run: the same, compiled where the recipe says so.
        average: the running average of its weights.
        optimiser: AdamW.
        scaler: of the gradients, in float16.
        progress: how far it came.
        started_from: what its weights were at first, in words.
    """

    network: BoneAgeNetwork
    run: Callable[[Tensor, Tensor], Tensor]
    average: BoneAgeNetwork
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    progress: Progress
    started_from: str


def choose_precision(how: Optimiser, device: torch.device) -> Precision:
    """On a GPU bfloat16, or else float16 with scaled gradients; on the CPU float32; or what is asked for."""
    if how.precision == "bfloat16":
        return Precision(device, torch.bfloat16)
    if device.type != "cuda" or how.precision == "float32":
        return Precision(device, None)
    has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return Precision(device, torch.bfloat16 if has_bfloat16 else torch.float16)


def first_state(
    recipe: Recipe, init: Path | None, say: Callable[[str], None], *, require_init: bool = False
) -> dict[str, Any]:
    """What a checkpoint of a run that has not begun would hold."""
    torch.manual_seed(recipe.seed)
    network, started_from = start_network(recipe.network, init, say, require=require_init)
    weights = network.state_dict()
    return {
        "network": weights,
        "average": weights,
        "optimiser": None,
        "scaler": None,
        "progress": asdict(Progress()),
        "started_from": started_from,
    }


def learner_from(
    saved: Mapping[str, Any], recipe: Recipe, precision: Precision, group: Group | None = None
) -> Learner:
    """The learner that a checkpoint holds, on its device."""
    network = empty_network(recipe.network)
    network.load_state_dict(saved["network"])
    share_norms(network, group or Group())
    network.to(precision.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).eval().requires_grad_(False)
    average.load_state_dict(saved["average"])
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=recipe.optimiser.weight_decay)
    if saved["optimiser"] is not None:
        optimiser.load_state_dict(saved["optimiser"])
    scaler = torch.amp.GradScaler(precision.device.type, enabled=precision.autocast is torch.float16)
    if saved["scaler"]:  # none at first, and empty where the run was not in float16 before
        scaler.load_state_dict(saved["scaler"])
    if precision.device.type == "cpu" and precision.autocast:
        _widen_strided(network)
    run = _compiled(network) if recipe.optimiser.compile else network
    progress = progress_from(saved["progress"])
    return Learner(network, run, average, optimiser, scaler, progress, saved["started_from"])


def _widen_strided(network: nn.Module) -> None:
    """Let depthwise convolutions that skip places compute in float32.

    On the CPU their gradients take several times as long in bfloat16, more than all that it saves elsewhere.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1 and max(layer.stride) > 1:
            layer.forward = partial(_in_float32, layer.forward)  # type: ignore[method-assign]


def _in_float32(forward: Callable[[Tensor], Tensor], shown: Tensor) -> Tensor:
    with torch.autocast(shown.device.type, enabled=False):
        return forward(shown.float())


def _compiled(network: BoneAgeNetwork) -> Callable[[Tensor, Tensor], Tensor]:
    """The network compiled, but for the layers that talk to other processes."""
    for layer in network.modules():
        if isinstance(layer, SharedNorm):
            layer.forward = torch.compiler.disable(layer.forward)  # type: ignore[method-assign, no-untyped-call]
    return torch.compile(network)


def state_of(learner: Learner) -> dict[str, Any]:
    """What a checkpoint of the learner holds."""
    return {
        "network": learner.network.state_dict(),
        "average": learner.average.state_dict(),
        "optimiser": learner.optimiser.state_dict(),
        "scaler": learner.scaler.state_dict(),
        "progress": asdict(learner.progress),
        "started_from": learner.started_from,
    }


@torch.no_grad()
def follow(learner: Learner, decay: float) -> None:
    """Move the running average towards the network; early on it follows faster."""
    step = learner.progress.step
    keep = min(decay, (1 + step) / (10 + step))
    newest = learner.network.state_dict()
    for key, value in learner.average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(newest[key], 1 - keep)
        else:
            value.copy_(newest[key])
