"""BatchNorm over the films of all processes, on the CPU and on GPUs, weighted by each process's films."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bonexage.learning.processes import Group, add_up_over_all


def share_norms(network: nn.Module, group: Group) -> None:
    """Let every BatchNorm in `network` see the films of all processes; keys and weights stay as they are.

    torch's own SyncBatchNorm refuses the CPU and knows nothing of timm's BatchNorm with an activation.
    A process that is alone keeps the layers it has.
    """
    if group.size == 1:
        return
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, _BatchNorm):
                setattr(parent, name, SharedNorm(layer, group.rank, group.size))


class SharedNorm(nn.Module):
    """Takes the place of a BatchNorm layer and holds its parameters, buffers and, if any, activation."""

    def __init__(self, layer: _BatchNorm, rank: int, size: int) -> None:
        super().__init__()
        self.rank, self.size = rank, size
        self.eps, self.momentum = layer.eps, layer.momentum
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(layer, name))
        # timm's layers end in these.
        self.drop = getattr(layer, "drop", nn.Identity())
        self.act = getattr(layer, "act", nn.Identity())
        self.training = layer.training

    def forward(self, shown: Tensor) -> Tensor:
        """Normalise `[B, C, ...]`; statistics are computed in float32, the result has the input's type."""
        if self.training or self.running_mean is None or self.running_var is None:
            mean, variance, count = statistics(shown, self.rank, self.size)
            if self.training:
                self._remember(mean.detach(), variance.detach(), count)
        else:
            mean, variance = self.running_mean, self.running_var
        scale = (variance + self.eps).rsqrt()
        shift = -mean * scale
        if self.weight is not None:
            scale = scale * self.weight
            shift = shift * self.weight + self.bias
        shape = (1, -1, *[1] * (shown.dim() - 2))
        result = torch.addcmul(shift.view(shape), shown.float(), scale.view(shape))
        activated: Tensor = self.act(self.drop(result.to(shown.dtype)))
        return activated

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Follow the statistics as BatchNorm does: the variance that is kept is the unbiased one."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), share)


def statistics(shown: Tensor, rank: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance `[C]` of `[B, C, ...]` over all processes, and how many numbers a channel has.

    Each process gives its own mean and variance, and they are put together by their counts (Chan, Golub,
    LeVeque 1979), which loses no digits where the mean is large. A process may have no film.
    """
    numbers = shown.float()
    over = [axis for axis in range(numbers.dim()) if axis != 1]
    channels = numbers.shape[1]
    here = numbers.numel() // channels
    mean = numbers.sum(over) / max(1, here)
    apart = numbers - mean.view(1, -1, *[1] * (numbers.dim() - 2))
    variance = apart.square().sum(over) / max(1, here)
    own = torch.cat([mean, variance, mean.new_full((1,), here)])
    table = torch.zeros(size, len(own), dtype=own.dtype, device=own.device)
    table = _SumOverProcesses.apply(torch.cat([table[:rank], own[None], table[rank + 1 :]]))
    means, variances, counts = table[:, :channels], table[:, channels:-1], table[:, -1:]
    count = counts.sum().detach()
    weights = counts / count
    middle = (weights * means).sum(0)
    spread = (weights * (variances + (means - middle).square())).sum(0)
    return middle, spread, count


class _SumOverProcesses(torch.autograd.Function):
    """The sum over processes. Each uses the sum, so each one's gradient is the sum of all gradients."""

    @staticmethod
    def forward(context: Any, numbers: Tensor) -> Tensor:
        """Add up over the processes."""
        return _sum(numbers)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """Add up the gradients over the processes."""
        return _sum(gradient)


def _sum(numbers: Tensor) -> Tensor:
    return add_up_over_all(numbers.clone(memory_format=torch.contiguous_format))
