"""What a network's weights start from: ImageNet, a file, or chance, and never silently."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from bonexage.errors import WrongUse
from bonexage.learning.network import BoneAgeNetwork, build_features
from bonexage.learning.recipe import NetworkRecipe
from bonexage.learning.weight_packages import PACKAGES, installed_weights, named_as_timm

SMALLEST_MATCH = 0.9
RANDOM_FOR_WANT = "random weights (ImageNet weights could not be had)"
_COUNTER = "num_batches_tracked"  # of BatchNorm; nothing depends on it where the momentum is a number


def start_network(
    recipe: NetworkRecipe, init: Path | None, say: Callable[[str], None], *, require: bool = False
) -> tuple[BoneAgeNetwork, str]:
    """Build the network and load what it starts from; returns both, the latter in words.

    A file `init` wins over the recipe. ImageNet weights come from an installed package of weights
    (`weight_packages`), else from the hub that timm and torchvision know. Where none can be had the run
    goes on from random weights and says so, unless they are required.

    Raises:
        WrongUse: no such backbone, a file that does not hold weights for it, or weights that are required and
            cannot be had.
    """
    network = empty_network(recipe)
    if init is not None:
        return network, load_weights(network, init)
    if recipe.start == "random":
        if require:
            raise WrongUse(
                "the recipe starts from random weights", remedy='Set start = "imagenet", or give --init FILE'
            )
        return network, "random weights, as the recipe says"
    packaged = installed_weights(recipe.backbone)
    if packaged is not None:
        return network, f"ImageNet weights: {load_weights(network, packaged)}"
    try:
        pretrained, _ = build_features(recipe.backbone, recipe.backbone_options, pretrained=True)
    except Exception as problem:  # a download fails in as many ways as there are networks
        reason = f"{type(problem).__name__}: {problem}".splitlines()[0].split(". ")[0]
        if require:
            raise WrongUse(
                f"ImageNet weights for {recipe.backbone} could not be had ({reason})",
                remedy=_where_weights_are(recipe.backbone),
            ) from problem
        say(
            f"ImageNet weights for {recipe.backbone} could not be had ({reason}). Training starts from "
            f"random weights and will end less accurate. {_where_weights_are(recipe.backbone)}."
        )
        return network, RANDOM_FOR_WANT
    network.features.load_state_dict(pretrained.state_dict())
    return network, f"ImageNet weights of {recipe.backbone}"


def _where_weights_are(backbone: str) -> str:
    if backbone in PACKAGES:
        return f"Install the package {PACKAGES[backbone].distribution}, or give a file with --init"
    return "Give a file with --init"


def empty_network(recipe: NetworkRecipe) -> BoneAgeNetwork:
    """The network a recipe describes, with random weights; raises `WrongUse` where it cannot be built."""
    try:
        features, channels = build_features(recipe.backbone, recipe.backbone_options)
    except (ValueError, TypeError) as problem:
        raise WrongUse(
            f"the backbone cannot be built ({problem})", remedy="Mend the recipe's [network]"
        ) from problem
    return BoneAgeNetwork(
        features,
        channels,
        dropout=recipe.dropout,
        pooling=recipe.pooling,
        output=recipe.output,
        sex=recipe.sex,
    )


def load_weights(network: BoneAgeNetwork, file: Path) -> str:
    """Load a backbone's or a whole network's weights from a file; says what was loaded.

    Reads safetensors, or a `.pth` with `weights_only=True`; timm's, torchvision's and EfficientNet-PyTorch's
    backbone keys and this package's own all fit. A classifier in the file is left out, and the counters of
    BatchNorm may be missing.

    Raises:
        WrongUse: the file is missing or damaged, or fits less than nine tenths of the backbone.
    """
    wanted = network.state_dict()
    backbone = [key for key in wanted if key.startswith("features.") and not key.endswith(_COUNTER)]
    state = named_as_timm(read_state(file), (key.removeprefix("features.") for key in backbone))
    found = {key: value for key, value in state.items() if _fits(wanted, key, value)}
    if not any(key.startswith("features.") for key in found):
        found = {
            f"features.{key}": value
            for key, value in state.items()
            if _fits(wanted, f"features.{key}", value)
        }
    matched = sum(key in found for key in backbone)
    if matched < SMALLEST_MATCH * len(backbone):
        raise WrongUse(
            f"the file holds {matched} of the backbone's {len(backbone)} tensors",
            remedy="Give the weights of the recipe's backbone",
            subject=str(file),
        )
    network.load_state_dict({**wanted, **found})
    what = "network" if any(key.startswith("head.") for key in found) else "backbone"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return f"{what} weights in {file.name} (sha256 {digest[:12]}, {len(found)} tensors)"


def read_state(file: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors or `.pth` file, never unpickling anything else.

    A `module.` before the keys and a dict around them (`model_state_dict`, `state_dict`, `model`; of a run's
    own checkpoint `average`) are taken off.

    Raises:
        WrongUse: the file is missing, damaged, holds more than tensors, or no tensors.
    """
    try:
        content = _read_tensors(file)
    except OSError as problem:
        raise WrongUse(
            f"the weights cannot be read ({problem.strerror or problem})",
            remedy="Name a .safetensors or .pth file",
            subject=str(file),
        ) from problem
    except Exception as problem:  # safetensors and torch each raise their own kinds
        raise WrongUse(
            "the file is damaged, or holds more than weights, and is not unpickled",
            remedy="Save the state_dict alone, or as .safetensors",
            subject=str(file),
        ) from problem
    for wrapper in ("model_state_dict", "state_dict", "model", "average"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    tensors = {
        str(key).removeprefix("module."): value
        for key, value in (content.items() if isinstance(content, Mapping) else ())
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise WrongUse("the file holds no weights", remedy="Give a state_dict", subject=str(file))
    return tensors


def _read_tensors(file: Path) -> object:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    return torch.load(file, map_location="cpu", weights_only=True)


def _fits(wanted: Mapping[str, Tensor], key: str, value: Tensor) -> bool:
    return key in wanted and wanted[key].shape == value.shape
