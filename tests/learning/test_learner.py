"""How numbers are computed in a step: which layers are widened, and that memory is kept from step to step."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from bonexage.learning.learner import Precision, first_state, learner_from
from bonexage.learning.processes import CPU
from bonexage.learning.recipe import NetworkRecipe, Recipe

LIGHT = Recipe("light", network=NetworkRecipe("mobilenetv2_035", start="random"))


def test_depthwise_layers_that_skip_places_compute_in_float32_and_others_do_not() -> None:
    learner = learner_from(first_state(LIGHT, None, str), LIGHT, Precision(CPU, torch.bfloat16))
    strided, others = set(), set()
    for layer in learner.network.features.modules():
        if isinstance(layer, nn.Conv2d):
            kinds = strided if layer.groups > 1 and layer.stride[0] > 1 else others
            layer.register_forward_hook(lambda layer, shown, given, kinds=kinds: kinds.add(given.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        learner.run(torch.rand(2, 1, 64, 64), torch.ones(2, 1))
    assert (strided, others) == ({torch.float32}, {torch.bfloat16})


def test_widened_layers_leave_the_average_its_own_weights() -> None:
    saved = first_state(LIGHT, None, str)
    wide = learner_from(saved, LIGHT, Precision(CPU, torch.bfloat16))
    plain = learner_from(saved, LIGHT, Precision(CPU, None))
    film, male = torch.rand(2, 1, 64, 64), torch.ones(2, 1)
    with torch.no_grad():
        for weights in wide.network.parameters():
            weights.zero_()
        assert torch.equal(wide.average(film, male), plain.average(film, male))


def test_bfloat16_learns_what_float32_learns() -> None:
    saved = first_state(replace(LIGHT, seed=3), None, str)
    film, male = torch.rand(4, 1, 64, 64), torch.ones(4, 1)
    steps = []
    for kind in (None, torch.bfloat16):
        learner = learner_from(saved, LIGHT, Precision(CPU, kind))
        learner.network.eval()  # nothing is dropped at random
        with torch.autocast("cpu", torch.bfloat16, enabled=kind is not None):
            learner.run(film, male).sum().backward()
        steps.append(learner.network.head[2].weight.grad)
    exact, rounded = (step.flatten() for step in steps)
    assert torch.cosine_similarity(exact, rounded, dim=0) > 0.99


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library of Linux is meant")
def test_memory_once_freed_is_not_asked_of_the_system_again() -> None:
    code = (
        "import resource, sys, torch; from bonexage.learning.memory import keep_memory\n"
        "if sys.argv[1] == 'kept': keep_memory()\n"
        "def step(): torch.ones(16_000_000)\n"
        "for _ in range(20): step()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(5): step()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    faults = {
        how: int(subprocess.run([sys.executable, "-c", code, how], capture_output=True, check=True).stdout)
        for how in ("kept", "given-back")
    }
    assert faults["kept"] < faults["given-back"] / 50
