"""BatchNorm over the films of all processes, on the CPU and on GPUs, weighted by each process's films."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
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
        self.weight: nn.Parameter | None = layer.weight
        self.bias: nn.Parameter | None = layer.bias
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
                self._remember(mean, variance, count)
            weight = torch.ones_like(mean) if self.weight is None else self.weight
            bias = torch.zeros_like(mean) if self.bias is None else self.bias
            result: Tensor = _Normalised.apply(shown, weight, bias, mean, variance, count, self.eps)
        else:
            result = functional.batch_norm(
                shown, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        activated: Tensor = self.act(self.drop(result))
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


@torch.no_grad()
def statistics(shown: Tensor, rank: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance `[C]` of `[B, C, ...]` over all processes, and how many numbers a channel has.

    Each process gives its own mean and variance, and they are put together by their counts (Chan, Golub,
    LeVeque 1979), which loses no digits where the mean is large. A process may have no film.
    """
    channels = shown.shape[1]
    here = shown.numel() // channels
    own = torch.zeros(size, 2 * channels + 1, device=shown.device)
    if here:
        mean, variance = torch.batch_norm_update_stats(shown, None, None, 0.0)
        own[rank] = torch.cat([mean.float(), variance.float(), own.new_full((1,), here)])
    table = add_up_over_all(own)
    means, variances, counts = table[:, :channels], table[:, channels:-1], table[:, -1:]
    count = counts.sum()
    weights = counts / count
    middle = (weights * means).sum(0)
    spread = (weights * (variances + (means - middle).square())).sum(0)
    return middle, spread, count


class _Normalised(torch.autograd.Function):
    """Films normalised by the statistics of all processes, to which every process's films contribute.

    A film moves its own value and, through mean and variance, all others' in all processes, so the gradient
    needs two sums over all of them (Ioffe, Szegedy 2015).
    """

    @staticmethod
    def forward(
        context: Any,
        shown: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        """Normalise."""
        context.save_for_backward(shown, weight, mean, variance, count)
        context.eps = eps
        if not len(shown):
            return torch.empty_like(shown)
        return functional.batch_norm(shown, mean, variance, weight, bias, eps=eps)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """What the statistics would give if they were fixed, less what they pass on."""
        shown, weight, mean, variance, count = context.saved_tensors
        moved, weights, biases = gradient, torch.zeros_like(weight), torch.zeros_like(weight)
        scale = (variance + context.eps).rsqrt()
        if len(shown):
            # CUDA's kernel for channels_last insists on saved statistics even where they are not asked for.
            moved, weights, biases = torch.ops.aten.native_batch_norm_backward(
                gradient, shown, weight, mean, variance, mean, scale, False, context.eps, [True, True, True]
            )
        total = add_up_over_all(torch.stack([weights, biases]).float()) / count
        slope = weight * scale * scale * total[0]
        constant = weight * scale * total[1] - slope * mean
        shape = (1, -1, *[1] * (shown.dim() - 2))
        passed_on = torch.addcmul(constant.view(shape), shown, slope.view(shape))
        return moved - passed_on.to(moved.dtype), weights, biases, None, None, None, None
