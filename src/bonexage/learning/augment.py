"""Random changes of training films, on tensors and a whole batch at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from bonexage.learning.recipe import Augmentation

_TONE_STEPS = 5


def augment(films: Tensor, how: Augmentation, generator: Generator) -> Tensor:
    """Change films float32 `[B, 1, H, W]` in [0, 1] at random; the result has the same shape and range.

    All chance comes from `generator` (on the CPU), so that a step can be repeated exactly on any device.
    """
    films = _move(films, how, generator)
    films = _lose_resolution(films, how, generator)
    films = _blur(films, how, generator)
    films = _shade(films, how, generator)
    films = _retone(films, how, generator)
    films = _grain(films, how, generator)
    return _occlude(films, how, generator)


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


def _move(films: Tensor, how: Augmentation, generator: Generator) -> Tensor:
    """Rotate, zoom, stretch, shift and mirror, in one resampling; what comes in from outside is black."""
    count, _, height, width = films.shape
    angle = _uniform(count, -how.rotation_degrees, how.rotation_degrees, generator).deg2rad()
    zoom = _log_uniform(count, how.zoom, generator)
    aspect = _log_uniform(count, how.aspect, generator)
    shift = _uniform(2 * count, -2 * how.shift, 2 * how.shift, generator).view(count, 2)
    mirror = 1.0 - 2.0 * _chosen(count, how.flip, generator).float()
    ratio = height / width
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    # Rows map output to input in coordinates from -1 to 1, hence the ratio of the sides.
    rows_x = torch.stack([cos * mirror / aspect, -sin * ratio * mirror, shift[:, 0]], dim=1)
    rows_y = torch.stack([sin / ratio / aspect, cos, shift[:, 1]], dim=1)
    theta = torch.stack([rows_x, rows_y], dim=1).to(films.device)
    grid = functional.affine_grid(theta, [count, 1, height, width], align_corners=False)
    return functional.grid_sample(films, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _lose_resolution(films: Tensor, how: Augmentation, generator: Generator) -> Tensor:
    """Scale some films down to a common random size, by nearest neighbour or smoothly, and up again."""
    count, _, height, width = films.shape
    chosen = _chosen(count, how.low_resolution, generator).to(films.device)
    smallest = min(how.lowest_resolution, height)
    rows = int(torch.randint(smallest, height + 1, (1,), generator=generator))
    mode = "nearest" if bool(_chosen(1, 0.5, generator)) else "area"
    if not bool(chosen.any()):
        return films
    small = functional.interpolate(films[chosen], (rows, max(1, round(rows * width / height))), mode=mode)
    coarse = functional.interpolate(small, (height, width), mode="bilinear", align_corners=False)
    return films.index_put((chosen.nonzero()[:, 0],), coarse)


def _blur(films: Tensor, how: Augmentation, generator: Generator) -> Tensor:
    """A Gaussian blur of some films, with a standard deviation of up to a hundredth of the height."""
    count, _, height, _ = films.shape
    chosen = _chosen(count, how.blur, generator).to(films.device)
    sigma = float(_uniform(1, 0.001, 0.01, generator)) * height
    if not bool(chosen.any()):
        return films
    reach = max(1, math.ceil(2 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=films.device) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    picked = functional.pad(films[chosen], (reach, reach, reach, reach), mode="replicate")
    across = functional.conv2d(picked, kernel.view(1, 1, 1, -1))
    blurred = functional.conv2d(across, kernel.view(1, 1, -1, 1))
    return films.index_put((chosen.nonzero()[:, 0],), blurred)


def _shade(films: Tensor, how: Augmentation, generator: Generator) -> Tensor:
    """Change gamma and contrast."""
    count = films.shape[0]
    gamma = _log_uniform(count, how.gamma, generator).view(count, 1, 1, 1).to(films.device)
    contrast = _log_uniform(count, how.contrast, generator).view(count, 1, 1, 1).to(films.device)
    shaded = films.clamp(0.0, 1.0).pow(gamma)
    middle = shaded.mean(dim=(-2, -1), keepdim=True)
    return ((shaded - middle) * contrast + middle).clamp(0.0, 1.0)


def _retone(films: Tensor, how: Augmentation, generator: Generator) -> Tensor:
    """Change the tones of some films along a random rising curve, as another detector or a print would."""
    count = films.shape[0]
    chosen = _chosen(count, how.tone, generator).to(films.device)
    steps = _log_uniform(count * _TONE_STEPS, (0.3, 3.0), generator).view(count, _TONE_STEPS)
    curve = functional.pad((steps / steps.sum(dim=1, keepdim=True)).cumsum(dim=1), (1, 0)).to(films.device)
    if not bool(chosen.any()):
        return films
    place = films[chosen].clamp(0.0, 1.0) * _TONE_STEPS
    below = place.floor().clamp(max=_TONE_STEPS - 1)
    knots = curve[chosen]
    at = below.long().flatten(1)
    low, high = (knots.gather(1, each).view_as(place) for each in (at, at + 1))
    return films.index_put((chosen.nonzero()[:, 0],), low + (high - low) * (place - below))


def _grain(films: Tensor, how: Augmentation, generator: Generator) -> Tensor:
    """Add the noise of a detector or a scanner, of another strength to each film."""
    if how.grain == 0:
        return films
    strength = _uniform(films.shape[0], 0.0, how.grain, generator).view(-1, 1, 1, 1)
    noise = torch.randn(films.shape, generator=generator) * strength
    return (films + noise.to(films.device)).clamp(0.0, 1.0)


def _occlude(films: Tensor, how: Augmentation, generator: Generator) -> Tensor:
    """Cover some films with one grey rectangle, a tenth to a third of each side."""
    count, _, height, width = films.shape
    chosen = _chosen(count, how.occlusion, generator)
    sides = _uniform(2 * count, 0.1, 0.33, generator).view(count, 2)
    corners = torch.rand(count, 2, generator=generator) * (1 - sides)
    grey = torch.rand(count, 1, 1, 1, generator=generator).to(films.device)
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    in_rows = (rows >= corners[:, :1]) & (rows < corners[:, :1] + sides[:, :1])
    in_columns = (columns >= corners[:, 1:]) & (columns < corners[:, 1:] + sides[:, 1:])
    covered = (in_rows[:, :, None] & in_columns[:, None, :] & chosen[:, None, None])[:, None]
    return torch.where(covered.to(films.device), grey, films)
