"""Films as the locator is shown them in training: hands anywhere, in any style, and pictures of no hand."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional

from bonexage.atlas.plates import Plate, plate_pixels
from bonexage.learning.aspect import read_restored
from bonexage.learning.augment import over_grid
from bonexage.learning.hands import FoundHand
from bonexage.model.frame import whole_film
from bonexage.model.locate import LOCATOR_SIDE
from bonexage.reading.files import read_radiograph

BASE_SIDE: Final = 256
_NEGATIVES: Final = 0.25


@dataclass(frozen=True)
class Hands:
    """Films and where their hands lie.

    Attributes:
        films: uint8 `[n, 256, 256]`, each in the upper left corner of its square, its longer side 256.
        sizes: height and width of each film there, float32 `[n, 2]`.
        matrices: of the hands' frames, in pixels of `films`, float32 `[n, 2, 2]`.
        middles: float32 `[n, 2]`.
    """

    films: Tensor
    sizes: Tensor
    matrices: Tensor
    middles: Tensor

    def __len__(self) -> int:
        return len(self.films)


def gather_hands(
    found: Mapping[Path, FoundHand], squeezed: Collection[Path] = (), plates: Sequence[Plate] = ()
) -> Hands:
    """Read the films in which a hand was found, and plates of the atlas, whose frame is the whole picture.

    Args:
        found: where the hands lie.
        squeezed: the films that are read at their mean aspect ratio, as the hand was sought in them.
        plates: printed hands, as an atlas shows them.
    """
    films, sizes, matrices, middles = [], [], [], []
    for pixels, frame in chain(
        ((read_restored(path, squeezed=path in squeezed), hand.frame) for path, hand in found.items()),
        ((picture, whole_film(picture.shape)) for picture in (plate_pixels(plate.path) for plate in plates)),
    ):
        square, size, scale = _squared(pixels)
        films.append(square)
        sizes.append(size)
        matrices.append(frame.matrix * scale)
        middles.append(frame.middle * scale)
    return Hands(
        torch.from_numpy(np.stack(films)),
        *(torch.tensor(np.array(each), dtype=torch.float32) for each in (sizes, matrices, middles)),
    )


def gather_others(pictures: Sequence[Path]) -> Tensor:
    """Pictures that show no hand, as `Hands.films`."""
    return torch.from_numpy(np.stack([_squared(read_radiograph(path).pixels)[0] for path in pictures]))


def _squared(pixels: NDArray[np.float32]) -> tuple[NDArray[np.uint8], tuple[int, int], float]:
    scale = BASE_SIDE / max(pixels.shape)
    height, width = (max(1, round(side * scale)) for side in pixels.shape)
    film = Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), Image.Resampling.BILINEAR)
    square = np.zeros((BASE_SIDE, BASE_SIDE), dtype=np.uint8)
    square[:height, :width] = np.rint(np.clip(np.asarray(film), 0, 1) * 255)
    return square, (height, width), scale


@dataclass(frozen=True)
class Views:
    """Pictures as the locator sees them, and what it should answer.

    Attributes:
        pictures: float32 `[B, 1, 96, 96]` in [0, 1].
        answers: float32 `[B, 8]` as `ANSWER`, the last two 0 or 1.
    """

    pictures: Tensor
    answers: Tensor


def draw_views(hands: Hands, others: Tensor, count: int, draw: Generator) -> Views:
    """Films turned, sized, moved, mirrored, squeezed, cropped and lit at random, and pictures of no hand."""
    answers = _drawn_answers(count, draw)
    members = torch.randint(len(hands), (count,), generator=draw)
    in_square = torch.rand(count, generator=draw) < 0.35
    ratio = hands.sizes[members, 0] / hands.sizes[members, 1]
    stretch = torch.where(in_square, ratio, torch.ones(count)).log() / 2
    answers[:, 2] += stretch
    answers[:, 3] -= stretch
    pictures = _seen(hands, members, answers, draw)
    bad = torch.rand(count, generator=draw) < _NEGATIVES
    answers[:, 7] = (~bad).float()
    pictures = torch.where(bad[:, None, None, None], _no_hands(pictures, others, draw), pictures)
    return Views(_styled(pictures, draw), answers)


def _between(count: int, low: float, high: float, draw: Generator) -> Tensor:
    return torch.rand(count, generator=draw) * (high - low) + low


def _drawn_answers(count: int, draw: Generator) -> Tensor:
    """Where hands should lie: half of them as in a whole film, half as when they are looked at again."""
    again = torch.rand(count, generator=draw) < 0.5
    size = torch.where(
        again,
        _between(count, math.log(0.68), math.log(0.94), draw),
        _between(count, math.log(0.3), math.log(1.15), draw),
    )
    uneven = torch.where(
        torch.rand(count, generator=draw) < 0.4, _between(count, -0.07, 0.07, draw), torch.zeros(count)
    )
    kind = torch.rand(count, generator=draw)
    quarter = torch.randint(1, 4, (count,), generator=draw) * 90.0
    degrees = torch.where(
        kind < 0.6,
        _between(count, -30, 30, draw),
        torch.where(kind < 0.8, quarter + _between(count, -20, 20, draw), _between(count, -180, 180, draw)),
    )
    degrees = torch.where(again, _between(count, -12, 12, draw), degrees)
    room = ((1.1 - size.exp()) / 2).clamp(min=0.06)
    room = torch.where(again, torch.full((count,), 0.08), room)
    mirrored = torch.rand(count, generator=draw) < torch.where(again, 0.1, 0.4)
    turn = degrees.deg2rad()
    return torch.stack(
        [
            _between(count, -1, 1, draw) * room,
            _between(count, -1, 1, draw) * room,
            size + uneven,
            size - uneven,
            turn.cos(),
            turn.sin(),
            mirrored.float(),
            torch.ones(count),
        ],
        dim=1,
    )


def matrices_of(answers: Tensor, mirrored: Tensor) -> Tensor:
    """The matrices `[B, 2, 2]` of the frames that answers mean."""
    length = answers[:, 4:6].norm(dim=1).clamp(min=1e-4)
    cosine, sine = answers[:, 4] / length, answers[:, 5] / length
    across, down = answers[:, 2].exp(), answers[:, 3].exp()
    sign = 1 - 2 * mirrored
    rows = [
        torch.stack([across * cosine * sign, -across * sine], 1),
        torch.stack([down * sine * sign, down * cosine], 1),
    ]
    return torch.stack(rows, dim=1)


def _seen(hands: Hands, members: Tensor, answers: Tensor, draw: Generator) -> Tensor:
    """The chosen films, their hands where the answers say; outside them, and where cropped, a ground."""
    count = len(members)
    fine = LOCATOR_SIDE * 2
    steps = (torch.arange(fine) + 0.5) / fine - 0.5
    inverse = torch.linalg.inv(matrices_of(answers, answers[:, 6]))
    middle = inverse @ -answers[:, :2, None]
    in_frame = over_grid(inverse, middle, steps, steps)
    matrices, middles = hands.matrices[members], hands.middles[members, :, None]
    scale = 2 / BASE_SIDE  # of films whose sides reach from -1 to 1
    moved = scale * (matrices @ middle + middles) - 1
    places = over_grid(scale * matrices @ inverse, moved, steps, steps)
    films = hands.films[members, None].float() / 255
    seen = functional.grid_sample(films, places.permute(0, 2, 3, 1), mode="bilinear", align_corners=False)
    within = (places >= -1) & (places <= scale * hands.sizes[members].flip(1)[:, :, None, None] - 1)
    inside = within[:, 0] & within[:, 1]
    cropped = torch.rand(count, generator=draw) < 0.4
    reach = torch.stack([_between(count, 0.38, 0.7, draw) for _ in range(4)], dim=1)
    left, right, above, below = reach.T[:, :, None, None]
    u, v = in_frame[:, 0], in_frame[:, 1]
    near = (u > -left) & (u < right) & (v > -above - 0.08) & (v < below)
    inside = inside & (near | ~cropped[:, None, None])
    kind = torch.rand(count, generator=draw)
    ground = torch.where(kind < 0.6, torch.zeros(count), torch.rand(count, generator=draw))
    return functional.avg_pool2d(torch.where(inside[:, None], seen, ground[:, None, None, None]), 2)


def _no_hands(hands: Tensor, others: Tensor, draw: Generator) -> Tensor:
    """As many pictures without a whole hand: others, hands cut up or cropped past use, shapes, nothing."""
    count = len(hands)
    pictures = []
    for number in range(count):
        kind = float(torch.rand(1, generator=draw))
        if kind < 0.45:
            member = int(torch.randint(len(others), (1,), generator=draw))
            pictures.append(_random_crop(others[member].float()[None] / 255, 0.4, draw))
        elif kind < 0.65:
            pictures.append(_shuffled(hands[number], draw))
        elif kind < 0.85:
            pictures.append(_random_crop(hands[number], 0.2, draw, most=0.45))
        else:
            rows = int(torch.randint(2, 13, (1,), generator=draw))
            blobs = torch.rand(1, 1, rows, rows, generator=draw)
            pictures.append(
                functional.interpolate(blobs, (LOCATOR_SIDE, LOCATOR_SIDE), mode="bicubic")[0].clamp(0, 1)
            )
    return torch.stack(pictures)


def _random_crop(picture: Tensor, least: float, draw: Generator, *, most: float = 1.0) -> Tensor:
    side = int(picture.shape[-1] * float(_between(1, least, most, draw)))
    top, left = (int(torch.randint(picture.shape[-1] - side + 1, (1,), generator=draw)) for _ in range(2))
    part = picture[:, top : top + side, left : left + side]
    turned = torch.rot90(part, int(torch.randint(4, (1,), generator=draw)), (1, 2))
    return functional.interpolate(
        turned[None], (LOCATOR_SIDE, LOCATOR_SIDE), mode="area" if side > LOCATOR_SIDE else "bilinear"
    )[0]


def _shuffled(picture: Tensor, draw: Generator) -> Tensor:
    """A picture whose tiles were exchanged."""
    tiles = (2, 3, 4)[int(torch.randint(3, (1,), generator=draw))]
    side = LOCATOR_SIDE // tiles
    cells = picture.unfold(1, side, side).unfold(2, side, side).reshape(-1, side, side)
    order = torch.randperm(len(cells), generator=draw)
    rows = cells[order].view(tiles, tiles, side, side).permute(0, 2, 1, 3)
    return rows.reshape(1, LOCATOR_SIDE, LOCATOR_SIDE)


def _styled(pictures: Tensor, draw: Generator) -> Tensor:
    """Other tones, gradients, markers, less resolution, grain; a few inverted."""
    count = len(pictures)
    shape = (count, 1, 1, 1)
    pictures = pictures.clamp(0, 1) ** _between(count, math.log(0.4), math.log(2.2), draw).exp().view(shape)
    steps = torch.linspace(-0.5, 0.5, LOCATOR_SIDE)
    slopes = _between(2 * count, -0.3, 0.3, draw).view(2, *shape) * (torch.rand(shape, generator=draw) < 0.3)
    pictures = pictures + slopes[0] * steps.view(1, 1, -1, 1) + slopes[1] * steps.view(1, 1, 1, -1)
    for _ in range(2):
        sides = _between(2 * count, 0.02, 0.15, draw).view(2, count)
        corners = torch.rand(2, count, generator=draw)
        ys, xs = ((steps + 0.5)[None] - corners[axis][:, None] for axis in (0, 1))
        covered = (
            ((ys > 0) & (ys < sides[0][:, None]))[:, None, :, None]
            & ((xs > 0) & (xs < sides[1][:, None]))[:, None, None, :]
            & (torch.rand(shape, generator=draw) < 0.3)
        )
        pictures = torch.where(covered, torch.rand(shape, generator=draw), pictures)
    coarse = torch.rand(count, generator=draw) < 0.3
    rows = int(torch.randint(28, LOCATOR_SIDE, (1,), generator=draw))
    if bool(coarse.any()):
        small = functional.interpolate(pictures[coarse], (rows, rows), mode="area")
        back = functional.interpolate(small, (LOCATOR_SIDE, LOCATOR_SIDE), mode="bilinear")
        pictures = pictures.index_put((coarse.nonzero()[:, 0],), back)
    grain = torch.randn(pictures.shape, generator=draw) * _between(count, 0, 0.04, draw).view(shape)
    contrast, light = (
        _between(count, 0.45, 1.2, draw).view(shape),
        _between(count, -0.1, 0.25, draw).view(shape),
    )
    pictures = ((pictures + grain) * contrast + light).clamp(0, 1)
    return torch.where(torch.rand(shape, generator=draw) < 0.1, 1 - pictures, pictures)
