"""Random changes of training films, on tensors and a whole batch at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn import functional

from bonexage.learning.recipe import Augmentation

_TONE_STEPS = 5


@dataclass(frozen=True)
class Changes:
    """What is to happen to each of `n` films, on the CPU.

    Attributes:
        theta: `[n, 2, 3]`, output to input coordinates from -1 to 1.
        coarse: `[n]`, which films lose resolution, to `coarse_rows` rows, by `coarse_mode`.
        blurred: `[n]`, which films are blurred, with the standard deviation `sigma` in pixels.
        gamma: `[n]`, the exponent on grey values.
        contrast: `[n]`, the factor on the distance from the film's mean grey.
        covered: `[n]`, which films get a rectangle.
        corners: `[n, 2]`, its upper left corner, as shares of height and width.
        sides: `[n, 2]`, its height and width, likewise.
        grey: `[n]`, of the rectangle.
        toned: `[n]`, which films get other tones.
        curve: `[n, 6]`, what evenly spaced grey values from 0 to 1 then become.
        noise: `[n, 1, H, W]`, added to them, or `[n, 1, 1, 1]` where there is none.
    """

    theta: Tensor
    coarse: Tensor
    coarse_rows: int
    coarse_mode: str
    blurred: Tensor
    sigma: float
    gamma: Tensor
    contrast: Tensor
    covered: Tensor
    corners: Tensor
    sides: Tensor
    grey: Tensor
    toned: Tensor
    curve: Tensor
    noise: Tensor

    def of(self, members: NDArray[np.int64]) -> Changes:
        """Those of some of the films."""
        chosen = torch.from_numpy(members)
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        some: dict[str, Any] = {
            name: value[chosen] for name, value in values.items() if isinstance(value, Tensor)
        }
        return replace(self, **some)


def augment(films: Tensor, how: Augmentation, generator: Generator) -> Tensor:
    """Change films float32 `[B, 1, H, W]` in [0, 1] at random; the result has the same shape and range.

    All chance comes from `generator` (on the CPU), so that a step can be repeated exactly on any device.
    """
    count, _, height, width = films.shape
    return change(films, draw_changes(count, (height, width), how, generator))


def draw_changes(count: int, size: tuple[int, int], how: Augmentation, generator: Generator) -> Changes:
    """Draw what is to happen to `count` films of `size` (height, width).

    It is drawn for a whole batch, so that a film changes alike however the batch is cut up among processes.
    """
    height, width = size
    theta = _draw_moves(count, height / width, how, generator)
    coarse = _chosen(count, how.low_resolution, generator)
    smallest = min(how.lowest_resolution, height)
    coarse_rows = int(torch.randint(smallest, height + 1, (1,), generator=generator))
    coarse_mode = "nearest" if bool(_chosen(1, 0.5, generator)) else "area"
    blurred = _chosen(count, how.blur, generator)
    sigma = float(_uniform(1, 0.001, 0.01, generator)) * height
    gamma = _log_uniform(count, how.gamma, generator)
    contrast = _log_uniform(count, how.contrast, generator)
    covered = _chosen(count, how.occlusion, generator)
    sides = _uniform(2 * count, 0.1, 0.33, generator).view(count, 2)
    corners = torch.rand(count, 2, generator=generator) * (1 - sides)
    grey = torch.rand(count, generator=generator)
    toned = _chosen(count, how.tone, generator)
    steps = _log_uniform(count * _TONE_STEPS, (0.3, 3.0), generator).view(count, _TONE_STEPS)
    curve = functional.pad((steps / steps.sum(dim=1, keepdim=True)).cumsum(dim=1), (1, 0))
    noise = _draw_noise(count, size, how.grain, generator)
    return Changes(
        theta,
        coarse,
        coarse_rows,
        coarse_mode,
        blurred,
        sigma,
        gamma,
        contrast,
        covered,
        corners,
        sides,
        grey,
        toned,
        curve,
        noise,
    )


def change(films: Tensor, changes: Changes) -> Tensor:
    """Change films float32 `[B, 1, H, W]` as was drawn for them; there may be none."""
    if not len(films):
        return films
    films = _move(films, changes.theta)
    films = _lose_resolution(films, changes)
    films = _blur(films, changes)
    films = _shade(films, changes)
    films = _retone(films, changes)
    films = _add_noise(films, changes)
    return _occlude(films, changes)


def weakened(how: Augmentation, strength: float) -> Augmentation:
    """The same augmentation at a strength from 0 (none but the mirror) to 1 (as it is)."""

    def nearer_one(bounds: tuple[float, float]) -> tuple[float, float]:
        return bounds[0] ** strength, bounds[1] ** strength

    return replace(
        how,
        rotation_degrees=how.rotation_degrees * strength,
        zoom=nearer_one(how.zoom),
        aspect=nearer_one(how.aspect),
        shift=how.shift * strength,
        gamma=nearer_one(how.gamma),
        contrast=nearer_one(how.contrast),
        blur=how.blur * strength,
        occlusion=how.occlusion * strength,
        low_resolution=how.low_resolution * strength,
        tone=how.tone * strength,
        grain=how.grain * strength,
    )


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _log_uniform(count: int, bounds: tuple[float, float], generator: Generator) -> Tensor:
    return _uniform(count, math.log(bounds[0]), math.log(bounds[1]), generator).exp()


def _chosen(count: int, probability: float, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator) < probability


def _draw_moves(count: int, ratio: float, how: Augmentation, generator: Generator) -> Tensor:
    """Rotations, zooms, stretches, shifts and mirrors `[n, 2, 3]` of films whose sides have this ratio."""
    angle = _uniform(count, -how.rotation_degrees, how.rotation_degrees, generator).deg2rad()
    zoom = _log_uniform(count, how.zoom, generator)
    aspect = _log_uniform(count, how.aspect, generator)
    shift = _uniform(2 * count, -2 * how.shift, 2 * how.shift, generator).view(count, 2)
    mirror = 1.0 - 2.0 * _chosen(count, how.flip, generator).float()
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    # Rows map output to input in coordinates from -1 to 1, hence the ratio of the sides.
    rows_x = torch.stack([cos * mirror / aspect, -sin * ratio * mirror, shift[:, 0]], dim=1)
    rows_y = torch.stack([sin / ratio / aspect, cos, shift[:, 1]], dim=1)
    return torch.stack([rows_x, rows_y], dim=1)


def _move(films: Tensor, theta: Tensor) -> Tensor:
    """All moves in one resampling; what comes in from outside is black."""
    height, width = films.shape[-2:]
    theta = theta.to(films.device)
    x, y = ((torch.arange(side, device=films.device) * 2 + 1) / side - 1 for side in (width, height))
    grid = over_grid(theta[:, :, :2], theta[:, :, 2:], x, y).permute(0, 2, 3, 1)
    return functional.grid_sample(films, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def over_grid(matrices: Tensor, middles: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Where the points of a grid come to lie: a sum over rows and columns, not a product for each point.

    Args:
        matrices: `[n, 2, 2]`.
        middles: where the point (0, 0) comes to lie, `[n, 2, 1]`.
        x: of the grid's columns, `[W]`.
        y: of its rows, `[H]`.

    Returns:
        `matrices @ (x, y) + middles` for each point, `[n, 2, H, W]`.
    """
    across, down = (matrices[:, :, axis, None] * steps for axis, steps in enumerate((x, y)))
    return across[:, :, None, :] + (down + middles)[:, :, :, None]


def _lose_resolution(films: Tensor, changes: Changes) -> Tensor:
    """Scale some films down to a common size, by nearest neighbour or smoothly, and up again."""
    if not bool(changes.coarse.any()):
        return films
    _, _, height, width = films.shape
    chosen = changes.coarse.nonzero()[:, 0].to(films.device)
    rows = changes.coarse_rows
    size = (rows, max(1, round(rows * width / height)))
    small = functional.interpolate(films[chosen], size, mode=changes.coarse_mode)
    coarse = functional.interpolate(small, (height, width), mode="bilinear", align_corners=False)
    return films.index_put((chosen,), coarse)


def _blur(films: Tensor, changes: Changes) -> Tensor:
    """A Gaussian blur of some films."""
    if not bool(changes.blurred.any()):
        return films
    chosen = changes.blurred.nonzero()[:, 0].to(films.device)
    reach = max(1, math.ceil(2 * changes.sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=films.device) / changes.sigma) ** 2)
    kernel = kernel / kernel.sum()
    picked = functional.pad(films[chosen], (reach, reach, reach, reach), mode="replicate")
    across = functional.conv2d(picked, kernel.view(1, 1, 1, -1))
    return films.index_put((chosen,), functional.conv2d(across, kernel.view(1, 1, -1, 1)))


def _shade(films: Tensor, changes: Changes) -> Tensor:
    """Change gamma and contrast."""
    if bool((changes.gamma == 1).all() and (changes.contrast == 1).all()):
        return films
    gamma = changes.gamma.view(-1, 1, 1, 1).to(films.device)
    contrast = changes.contrast.view(-1, 1, 1, 1).to(films.device)
    shaded = films.clamp(0.0, 1.0).pow(gamma)
    middle = shaded.mean(dim=(-2, -1), keepdim=True)
    return ((shaded - middle) * contrast + middle).clamp(0.0, 1.0)


def _retone(films: Tensor, changes: Changes) -> Tensor:
    """Change the tones of some films along a rising curve, as another detector or a print would."""
    chosen = changes.toned
    if not bool(chosen.any()):
        return films
    members, knots = chosen.nonzero()[:, 0].to(films.device), changes.curve[chosen].to(films.device)
    place = films[members].clamp(0.0, 1.0) * _TONE_STEPS
    below = place.floor().clamp(max=_TONE_STEPS - 1)
    at = below.long().flatten(1)
    low, high = (knots.gather(1, each).view_as(place) for each in (at, at + 1))
    return films.index_put((members,), low + (high - low) * (place - below))


def _draw_noise(count: int, size: tuple[int, int], most: float, generator: Generator) -> Tensor:
    """The noise of a detector or a scanner, of another strength for each film."""
    if most == 0:
        return torch.zeros(count, 1, 1, 1)
    strength = _uniform(count, 0.0, most, generator).view(-1, 1, 1, 1)
    return torch.randn((count, 1, *size), generator=generator) * strength


def _add_noise(films: Tensor, changes: Changes) -> Tensor:
    if changes.noise.shape[-2:] != films.shape[-2:]:
        return films
    return (films + changes.noise.to(films.device)).clamp(0.0, 1.0)


def _occlude(films: Tensor, changes: Changes) -> Tensor:
    """Cover some films with one grey rectangle, a tenth to a third of each side."""
    if not bool(changes.covered.any()):
        return films
    _, _, height, width = films.shape
    chosen = changes.covered
    members, grey = chosen.nonzero()[:, 0].to(films.device), changes.grey[chosen].view(-1, 1, 1, 1)
    corners, ends = changes.corners[chosen], (changes.corners + changes.sides)[chosen]
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    in_rows = (rows >= corners[:, :1]) & (rows < ends[:, :1])
    in_columns = (columns >= corners[:, 1:]) & (columns < ends[:, 1:])
    covered = (in_rows[:, :, None] & in_columns[:, None, :])[:, None].to(films.device)
    return films.index_put((members,), torch.where(covered, grey.to(films.device), films[members]))
