"""The network as an ONNX graph that also gives its embedding and what moved its answer."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.errors import BundleError
from bonexage.learning.network import LINEAR_SLOPE, BoneAgeNetwork, Output
from bonexage.model.preprocess import Preprocessing
from bonexage.model.runtime import Runtime

LARGEST_DIFFERENCE_MONTHS = 0.05

Networks: TypeAlias = BoneAgeNetwork | Sequence[BoneAgeNetwork]

# What a graph gives, and the open dimensions of each: months `[batch]`, of all views together; the pooled
# features `[batch, channels]`, of several networks side by side; the activation map in months
# `[batch, height / 32, width / 32]`; and the months of each view `[batch, views]`, network by network, that
# of the film as it is before that of its mirror image.
OUTPUTS = {
    "months": {0: "batch"},
    "embedding": {0: "batch"},
    "activation_map": {0: "batch", 1: "rows", 2: "columns"},
    "views": {0: "batch"},
}


class Explained(nn.Module):
    """The network for use: months, embedding, activation map and views in one pass, without autograd.

    The activation map is the exact first-order share of each place in the feature map in the answer:
    gradient of the months times the features, summed over channels (Selvaraju et al., Grad-CAM, ICCV
    2017, without its averaging). It sums to the gradient of the months by the pooled features times
    these, for GeM, which is homogeneous of degree one, as for the mean.
    """

    def __init__(self, network: BoneAgeNetwork, *, mirror: bool = False) -> None:
        """`mirror` gives the mean over the film and its mirror image, whose map is turned back first."""
        super().__init__()
        self.network = network
        self.mirror = mirror
        self.eval()

    def forward(self, radiograph: Tensor, male: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `OUTPUTS` names, in its order."""
        months, embedding, share = self._view(radiograph, male)
        if not self.mirror:
            return months, embedding, share, months[:, None]
        again, its_embedding, its_share = self._view(radiograph.flip(-1), male)
        return (
            (months + again) / 2,
            (embedding + its_embedding) / 2,
            (share + its_share.flip(-1)) / 2,
            torch.stack([months, again], dim=1),
        )

    def _view(self, radiograph: Tensor, male: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Months `[B]`, embedding `[B, C]` and activation map in months `[B, H/32, W/32]` of one view."""
        features = self.network.feature_map(radiograph)
        pooled = self.network.pool(features)
        slope = self._slope(pooled, male)[:, : self.network.channels]
        share = self.network.pool.shares(features, pooled) * slope[:, :, None, None]
        return self.network.months(pooled, male), pooled, share.sum(dim=1)

    def _slope(self, pooled: Tensor, male: Tensor) -> Tensor:
        """The gradient of the months by what the head reads `[B, C + 32]`, written out layer by layer."""
        norm, second_norm = (cast("nn.BatchNorm1d", self.network.head[place]) for place in (0, 4))
        first, second, last = (cast("nn.Linear", self.network.head[place]) for place in (2, 6, 8))
        wide = first(norm(self.network.fused(pooled, male)))
        narrow = second(second_norm(nn.functional.mish(wide)))
        steepness = _output_slope(last(nn.functional.mish(narrow)), self.network.output)
        slope = MAX_BONE_AGE_MONTHS * steepness * last.weight
        slope = (slope * _mish_slope(narrow)) @ second.weight
        slope = (slope * _norm_slope(second_norm) * _mish_slope(wide)) @ first.weight
        return slope * _norm_slope(norm)


class Ensemble(nn.Module):
    """Several networks for use as one, each shown the same film."""

    def __init__(self, members: Sequence[Explained]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.eval()

    def forward(self, radiograph: Tensor, male: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `OUTPUTS` names: the mean of the members' months and of their activation maps.

        A map being the shares of its network's months, the mean of the maps is that of their mean.
        """
        each = [member(radiograph, male) for member in self.members]
        months, embeddings, maps, views = zip(*each, strict=True)
        return (
            torch.stack(months).mean(dim=0),
            torch.cat(embeddings, dim=1),
            torch.stack(maps).mean(dim=0),
            torch.cat(views, dim=1),
        )


def in_use(networks: Networks, *, mirror: bool = False) -> Explained | Ensemble:
    """What a graph is made of: a network for use, or several as one."""
    given = [networks] if isinstance(networks, BoneAgeNetwork) else networks
    members = [Explained(network.cpu().float(), mirror=mirror) for network in given]
    return members[0] if len(members) == 1 else Ensemble(members)


def _output_slope(score: Tensor, output: Output) -> Tensor:
    """The derivative of the network's output, from 0 to 1, by its score."""
    if output == "linear":
        return torch.full_like(score, LINEAR_SLOPE)
    certainty = torch.sigmoid(score)
    return certainty * (1 - certainty)


def _mish_slope(x: Tensor) -> Tensor:
    """The derivative of Mish, x * tanh(softplus(x)) (Misra, BMVC 2020)."""
    bent = torch.tanh(nn.functional.softplus(x))
    return bent + x * torch.sigmoid(x) * (1 - bent * bent)


def _norm_slope(norm: nn.BatchNorm1d) -> Tensor:
    """The derivative of a BatchNorm in use: its weight over its running standard deviation."""
    return norm.weight * torch.rsqrt(cast("Tensor", norm.running_var) + norm.eps)


def to_onnx(networks: Networks, how: Preprocessing, *, mirror: bool = False) -> bytes:
    """A network, or several as one, as ONNX: any batch, and any height and width that are multiples of 32.

    Inputs `radiograph` `[batch, 1 or 3, height, width]` (normalised) and `male` `[batch, 1]`; outputs
    `OUTPUTS`. What comes beside the months takes no time that can be measured: the backbone takes it all.
    """
    module = in_use(networks, mirror=mirror)
    example = (torch.zeros(2, len(how.mean), 64, 64), torch.tensor([[0.0], [1.0]]))
    with warnings.catch_warnings(), torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        # The exporter that follows the tape takes timm's size-dependent padding; it is called deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", message="Converting a tensor to a Python")
        torch.onnx.export(
            module,
            example,
            Path(folder) / "model.onnx",
            input_names=["radiograph", "male"],
            output_names=list(OUTPUTS),
            dynamic_axes={
                "radiograph": {0: "batch", 2: "height", 3: "width"},
                "male": {0: "batch"},
                **OUTPUTS,
            },
            opset_version=17,
            dynamo=False,
        )
        return (Path(folder) / "model.onnx").read_bytes()


def largest_difference_months(
    networks: Networks,
    onnx: bytes,
    films: NDArray[np.float32],
    male: NDArray[np.float32],
    *,
    mirror: bool = False,
) -> float:
    """The largest difference of the graph from its networks in months, over films `[n, 1 or 3, H, W]`.

    Raises:
        BundleError: it is above 0.05 months.
    """
    runtime = Runtime(onnx)
    module = in_use(networks, mirror=mirror)
    largest = 0.0
    for film, sex in zip(films, male, strict=True):
        with torch.no_grad():
            expected = float(module(torch.from_numpy(film[None]), torch.from_numpy(sex[None]))[0])
        found = float(runtime.run(film[None], sex[None]).months[0])
        largest = max(largest, abs(found - expected))
    if largest > LARGEST_DIFFERENCE_MONTHS:
        raise BundleError(
            f"the ONNX graph differs from the network by {largest:.3f} months",
            remedy=f"Report this with the backbone's name: at most {LARGEST_DIFFERENCE_MONTHS} is allowed",
        )
    return largest
