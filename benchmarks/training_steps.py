"""How fast a step of training is: eager float32, channels-last, bfloat16 and compiled, each a row.

Usage: python benchmarks/training_steps.py [--backbone NAME] [--size PX] [--batch N] [--steps N]
                                           [--no-compile]

A step is forward, backward and AdamW on random films; each way runs in a process of its own, so that its
memory is told apart. On a GPU the limit is its measured bfloat16 product. Writes
`benchmarks/results/training_steps.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from bonexage.learning.network import BoneAgeNetwork
from bonexage.learning.recipe import NetworkRecipe
from bonexage.learning.start import empty_network
from bonexage.model.runtime import usable_cores
from yardstick import Row, fastest, keep, machine, measured_limits, most_held, multiply_adds

EAGER: Final = "eager float32"
_MATRIX_SIDE: Final = 8192


@dataclass(frozen=True)
class Way:
    """How a step is computed."""

    last: bool = False
    half: bool = False
    compiled: bool = False


WAYS: Final = {
    EAGER: Way(),
    "channels-last": Way(last=True),
    "channels-last, bfloat16": Way(last=True, half=True),
    "channels-last, compiled": Way(last=True, compiled=True),
    "channels-last, bfloat16, compiled": Way(last=True, half=True, compiled=True),
}


def network(backbone: str) -> BoneAgeNetwork:
    return empty_network(NetworkRecipe(backbone=backbone, start="random"))


def measured(way: Way, backbone: str, size: int, batch: int, steps: int) -> tuple[float, float]:
    """Seconds of the fastest step, and the most memory held in 10^6 bytes, in this process."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    layout = torch.channels_last if way.last else torch.contiguous_format
    model = network(backbone).to(device).to(memory_format=layout).train()
    films = torch.rand(batch, 1, size, size, device=device).to(memory_format=layout)
    male, label = torch.ones(batch, 1, device=device), torch.full((batch,), 120.0, device=device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    forward = torch.compile(model) if way.compiled else model

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=way.half):
            said = forward(films, male)
        (said.float() - label).abs().mean().backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()

    taken = fastest(step, steps)
    return taken, most_memory(device)


def most_memory(device: torch.device) -> float:
    """The most that this process held so far, in 10^6 bytes: of the GPU where there is one."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return most_held()


def limit() -> tuple[float, str]:
    """Multiply-adds a second of a plain product, and of which kind."""
    if not torch.cuda.is_available():
        return measured_limits(usable_cores()).multiply_adds, "float32 product of this machine"
    matrix = torch.rand(_MATRIX_SIDE, _MATRIX_SIDE, device="cuda", dtype=torch.bfloat16)

    def product() -> None:
        torch.mm(matrix, matrix)
        torch.cuda.synchronize()

    return _MATRIX_SIDE**3 / fastest(product, 10), "bfloat16 product of this GPU"


def rows(given: argparse.Namespace) -> Iterator[Row]:
    """Each way, against the first."""
    most, kind = limit()
    size = torch.zeros(1, 1, given.size, given.size)
    needed = 3 * multiply_adds(network(given.backbone).eval(), size, torch.ones(1, 1))  # back: twice forward
    first = None
    for name, way in WAYS.items():
        if way.compiled and (given.no_compile or (way.half and not torch.cuda.is_available())):
            continue  # compiling takes minutes: once is enough where bfloat16 gains little
        command = [sys.executable, str(Path(__file__)), "--way", name, "--backbone", given.backbone]
        command += ["--size", str(given.size), "--batch", str(given.batch), "--steps", str(given.steps)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, memory = json.loads(done.stdout.splitlines()[-1])
        first = first or seconds
        yield Row(
            name,
            given.batch / seconds,
            "films a second",
            "" if name == EAGER else EAGER,
            None if name == EAGER else first / seconds,
            of_limit=needed * given.batch / most / seconds,
            remark=f"{memory:.0f} MB held at most; limit: {kind}",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=256, help="rows and columns of the network's input")
    parser.add_argument("--batch", type=int, default=16, help="films of a step")
    parser.add_argument("--steps", type=int, default=5, help="steps of each way; the fastest counts")
    parser.add_argument(
        "--no-compile", action="store_true", help="leave torch.compile out, which takes minutes"
    )
    parser.add_argument(
        "--way", choices=WAYS, help="measure one way alone and print it, for the others' sake"
    )
    given = parser.parse_args()
    torch.set_num_threads(usable_cores())
    if given.way:
        print(json.dumps(measured(WAYS[given.way], given.backbone, given.size, given.batch, given.steps)))
        return
    what = f"{given.backbone}, {given.size} x {given.size} pixels, batches of {given.batch}"
    keep("training_steps", "Steps of training", rows(given), machine() | {"network": what})


if __name__ == "__main__":
    main()
