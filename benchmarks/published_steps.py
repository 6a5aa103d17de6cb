"""The steps of the command as first published, as a baseline: its model is loaded anew for each film.

Usage: python benchmarks/published_steps.py CHECKPOINT FILM...

The network is ConvNeXt-Tiny at 512 x 512 in PyTorch; each film is opened, squashed, normalised
and read alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bonexage.learning.network import BoneAgeNetwork
from bonexage.learning.recipe import NetworkRecipe
from bonexage.learning.start import empty_network

SIDE = 512
BACKBONE = "convnext_tiny"


def network() -> BoneAgeNetwork:
    """The published network with random weights: how fast it is does not hang on them."""
    return empty_network(NetworkRecipe(backbone=BACKBONE, start="random")).eval()


def loaded(checkpoint: Path) -> BoneAgeNetwork:
    """The network with the weights of a checkpoint."""
    model = network()
    model.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True))
    return model


def prepared(film: str) -> torch.Tensor:
    """A film as the network reads it, `[1, 1, 512, 512]`."""
    with Image.open(film) as picture:
        grey = np.asarray(picture.convert("L").resize((SIDE, SIDE)), dtype=np.float32) / np.float32(255)
    return torch.from_numpy((grey - np.float32(0.5)) / np.float32(0.5))[None, None]


@torch.no_grad()
def months(model: BoneAgeNetwork, film: str) -> float:
    """What the network says of a film."""
    return float(model(prepared(film), torch.ones(1, 1)))


def main() -> None:
    checkpoint = Path(sys.argv[1])
    for film in sys.argv[2:]:
        print(f"{film}: {months(loaded(checkpoint), film):.1f} months")


if __name__ == "__main__":
    main()
