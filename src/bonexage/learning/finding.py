"""Finds where in a film a template's hand lies: its place, turn and size, and how far the fingers spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bonexage.learning.template import (
    BRIGHTEST,
    EVEN,
    FRAME,
    MIDDLE,
    Grey,
    Points,
    Template,
    blurred,
    brightness,
    features,
    film_at,
    grid,
    inside_of,
    resized,
    resized_to,
    sample,
)

_SEARCH: Final = 48  # pixels of a film's long side where the template is first looked for
_CANVAS: Final = 96
_SPREADS: Final = (0.7, 0.85, 1.0, 1.2, 1.4)
_TURNS: Final = tuple(np.deg2rad(np.arange(-60, 61, 15)).tolist())
_SIZES: Final = tuple(np.geomspace(0.6, 1.3, 6).tolist())
_STARTS: Final = 6
_MIRROR_PENALTY: Final = 0.1

_DIRECTIONS: Final = np.deg2rad(np.arange(-75, 76, 15))
_ENDED: Final = np.concatenate([[np.deg2rad(-120)], _DIRECTIONS, [np.deg2rad(120)]])
_LOOSENESS: Final = (0.15, 0.08, 0.12)  # how far each of `Place.bends` commonly goes
_LOOSENESS_BETWEEN: Final = (0.07, 0.05, 0.08)  # and how far those of neighbouring directions differ
_CORRELATED: Final = 20  # neighbouring points that say much the same
_STEPS: Final = 10


@dataclass(frozen=True, eq=False)
class Place:
    """Where a hand lies in a film: each finger turned and stretched, then all mapped about the middle.

    Attributes:
        pivot: the carpus of the template that was sought, from which the fingers spread.
        bends: float64 `[3, 11]`: for directions every 15 degrees about the pivot the turn (radians), the
            share by which what lies there is stretched, and by which it is the more so, the farther out.
        matrix: float64 `[2, 2]`.
        middle: where in the film the middle of the template's frame lies.
    """

    pivot: NDArray[np.float64]
    bends: NDArray[np.float64]
    matrix: NDArray[np.float64]
    middle: NDArray[np.float64]

    def points(self, at: Points) -> Points:
        """Where in the film points of the template lie."""
        angle, length = _polar(at, self.pivot)
        turn, stretch, more = (np.interp(angle, _ENDED, [0.0, *each, 0.0]) for each in self.bends)
        bent = _from_polar(angle + turn, length * (1 + stretch + more * length / FRAME[0]), self.pivot)
        return np.asarray((bent - MIDDLE) @ self.matrix.T + self.middle)


@dataclass(frozen=True, eq=False)
class Pose:
    """A template turned, sized, mirrored and its fingers spread, ready to be slid over a film."""

    pivot: NDArray[np.float64]
    spread: float
    turn: NDArray[np.float64]
    shape: NDArray[np.complexfloating]
    window: NDArray[np.complexfloating]
    area: float
    norm: float
    penalty: float


def poses(template: Template) -> tuple[Pose, ...]:
    """All the ways in which a template's hand is looked for."""
    y, x = np.mgrid[0:_CANVAS, 0:_CANVAS]
    canvas = np.stack([x, y], axis=-1) - _CANVAS / 2
    layers = {
        size: [
            blurred(each, FRAME[0] / (2 * _SEARCH * size))
            for each in (template.sought, template.sought * template.pixels)
        ]
        for size in _SIZES
    }
    return tuple(
        _pose(template, layers[size], canvas, spread, _turn(angle, mirror) * _SEARCH * size / FRAME[0])
        for size, spread, angle, mirror in product(_SIZES, _SPREADS, _TURNS, (1, -1))
    )


def _turn(angle: float, mirror: int) -> NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror, 1.0]))


def _pose(
    template: Template, layers: Sequence[Grey], canvas: Points, spread: float, turn: NDArray[np.float64]
) -> Pose:
    at = _spread(canvas @ np.linalg.inv(turn).T + MIDDLE, template.carpus, 1 / spread)
    inside = ((at >= 0) & (at <= 2 * MIDDLE)).all(axis=-1)
    window, shape = (np.where(inside, sample(each, at), np.float32(0)) for each in layers)
    area = max(float(window.sum()), 1e-6)
    shape = shape - window * np.float32(shape.sum() / area)
    return Pose(
        pivot=template.carpus,
        spread=spread,
        turn=turn,
        shape=np.conj(np.fft.rfft2(shape)),
        window=np.conj(np.fft.rfft2(window)),
        area=area,
        norm=max(float(np.sqrt((shape**2).sum())), 1e-6),
        penalty=_MIRROR_PENALTY if np.linalg.det(turn) < 0 else 0.0,
    )


def likeliest(film: Grey, bank: Sequence[Pose]) -> list[Place]:
    """The places, differing in turn or size, at which the template correlates best with the film."""
    shrink = _SEARCH / max(film.shape)
    size = tuple(max(1, round(side * shrink)) for side in film.shape)
    small = resized_to(film, size)
    edge = np.median(np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]]))
    canvas = np.full((_CANVAS, _CANVAS), edge, dtype=np.float32)
    top, left = (_CANVAS - size[0]) // 2, (_CANVAS - size[1]) // 2
    canvas[top : top + size[0], left : left + size[1]] = small
    canvas -= canvas.mean()
    plain, square = np.fft.rfft2(canvas), np.fft.rfft2(canvas**2)
    unit = FRAME[0] / size[0]
    step = (np.arange(_CANVAS) + _CANVAS // 2) % _CANVAS - _CANVAS // 2
    allowed = np.outer(*(np.abs(step) <= side // 2 for side in size))
    found = []
    for pose in bank:
        inner = np.fft.irfft2(plain * pose.shape, s=canvas.shape)
        total = np.fft.irfft2(plain * pose.window, s=canvas.shape)
        squares = np.fft.irfft2(square * pose.window, s=canvas.shape)
        variance = np.maximum(squares - total**2 / pose.area, 1e-6 * pose.area)
        alike = inner / (np.sqrt(variance) * pose.norm)
        best = int(np.argmax(alike * allowed))
        y, x = divmod(best, _CANVAS)
        middle = np.array([step[x] + _CANVAS / 2 - left, step[y] + _CANVAS / 2 - top])
        score = float(alike.flat[best]) - pose.penalty
        bends = np.stack([(pose.spread - 1) * _DIRECTIONS, *np.zeros((2, _DIRECTIONS.size))])
        place = Place(pose.pivot, bends, pose.turn * unit, (middle + 0.5) * unit - 0.5)
        found.append((score, place))
    found.sort(key=lambda each: -each[0])
    chosen: list[Place] = []
    for _, place in found:
        least = 0.1 * np.linalg.norm(place.matrix)
        if all(
            np.linalg.norm(place.matrix - other.matrix) > least or np.any(place.bends != other.bends)
            for other in chosen
        ):
            chosen.append(place)
        if len(chosen) == _STARTS:
            break
    return chosen


def refine(film: Grey, template: Template, place: Place) -> Place:
    """Refine a place by least squares: fingers, turn and size first, then fingers and an affine map."""
    whole = place.points(grid(FRAME[0]))
    low, high = brightness(film_at(film, whole), inside_of(film, whole), template.distance)
    small = resized(film, min(film.shape[0], FRAME[0]))
    level = np.clip((small - low) / (high - low), 0, BRIGHTEST).astype(np.float32)
    per_pixel = FRAME[0] / small.shape[0]
    scale = float(np.sqrt(abs(np.linalg.det(place.matrix)))) / per_pixel
    seen = features(level, EVEN * scale)
    found = place
    for rows, free in ((48, False), (96, True)):
        unit = FRAME[0] / rows
        coarse = blurred(seen, unit * scale / 2)
        slopes = [np.gradient(coarse, axis=axis) / per_pixel for axis in (1, 0)]
        picture = np.stack([coarse, *slopes], axis=-1)
        wanted = sample(blurred(template.features, unit / 2), grid(rows))
        for _ in range(_STEPS):
            found = _step(found, place, template, picture, wanted, free=free)
    sound = np.isfinite(found.matrix).all() and np.abs(found.bends).max() < 1
    return found if sound else place


def _step(
    place: Place, first: Place, template: Template, picture: Grey, wanted: Grey, *, free: bool
) -> Place:
    """One Gauss-Newton step towards the place where the film, its contrast matched, is closest to `wanted`.

    Args:
        place: where the hand is thought to lie.
        first: where it was thought to lie at first; fingers are held to that.
        template: what is looked for.
        picture: the film and its slopes along x and y, `[height, width, 3]`.
        wanted: the template's features, on the grid on which they are compared.
        free: whether the matrix may be any, or only turn and size may change.
    """
    rows = wanted.shape[0]
    used = sample(template.sought, grid(rows)) > 0.5
    at = grid(rows)[used]
    angle, length = _polar(at, place.pivot)
    hats = _hats(angle)
    turn, stretch, more = place.bends @ hats.T
    farther = length / FRAME[0]
    bent = _from_polar(angle + turn, length * (1 + stretch + more * farther), place.pivot)
    read = sample(picture, (bent - MIDDLE) @ place.matrix.T + place.middle).astype(np.float64)
    value, slope = read[:, 0] - read[:, 0].mean(), read[:, 1:]
    aim = wanted[used].astype(np.float64)
    aim -= aim.mean()
    gain = float(value @ aim) / max(float(value @ value), 1e-9)
    rest = aim - gain * value

    turned = place.matrix @ np.array([[0.0, -1.0], [1.0, 0.0]])
    changes = np.eye(4) if free else np.stack([place.matrix.ravel(), turned.ravel()])
    inner = (slope[:, :, None] * (bent - MIDDLE)[:, None, :]).reshape(-1, 4) @ changes.T
    before = slope @ place.matrix
    out = bent - place.pivot
    aside = before[:, 1] * out[:, 0] - before[:, 0] * out[:, 1]
    outward = (before * out).sum(axis=1) / np.maximum(np.hypot(*out.T), 1e-6) * length
    fingers = [each[:, None] * hats for each in (aside, outward, outward * farther)]
    slopes = gain * np.concatenate([inner, slope, *fingers], axis=1)
    slopes -= slopes.mean(axis=0)
    normal = slopes.T @ slopes
    normal += np.diag(np.diag(normal) * 1e-2 + 1e-9)
    right = slopes.T @ rest
    hold = _CORRELATED * float(rest @ rest) / rest.size * _holding()
    normal[-len(hold) :, -len(hold) :] += hold
    right[-len(hold) :] += hold @ (first.bends - place.bends).ravel()
    step = np.linalg.solve(normal, right)
    count = len(changes)
    step *= min(1.0, 0.15 / max(float(np.abs(np.delete(step, [count, count + 1])).max()), 1e-9))
    return Place(
        place.pivot,
        place.bends + step[count + 2 :].reshape(place.bends.shape),
        place.matrix + (step[:count] @ changes).reshape(2, 2),
        place.middle + step[count : count + 2],
    )


def _holding() -> NDArray[np.float64]:
    """What holds `Place.bends` to where they were: each, and each to those of the next directions."""
    count = _DIRECTIONS.size
    neighbours = np.diff(np.eye(count), axis=0)
    whole = np.zeros((3 * count, 3 * count))
    for at, (loose, between) in enumerate(zip(_LOOSENESS, _LOOSENESS_BETWEEN, strict=True)):
        part = slice(at * count, (at + 1) * count)
        whole[part, part] = np.eye(count) / loose**2 + neighbours.T @ neighbours / between**2
    return whole


def _polar(points: Points, pivot: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angle from straight up, towards the right, and distance of points from the pivot."""
    away = points - pivot
    return np.arctan2(away[..., 0], -away[..., 1]), np.hypot(away[..., 0], away[..., 1])


def _from_polar(
    angle: NDArray[np.float64], length: NDArray[np.float64], pivot: NDArray[np.float64]
) -> Points:
    return np.asarray(pivot + np.stack([np.sin(angle) * length, -np.cos(angle) * length], axis=-1))


def _hats(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each direction counts at an angle: `[points, 11]`."""
    peaks = np.eye(_ENDED.size)[1:-1]
    return np.stack([np.interp(angle, _ENDED, peak) for peak in peaks], axis=-1)


def _spread(points: Points, pivot: NDArray[np.float64], by: float) -> Points:
    """Spread the fingers: turn each point about the pivot, in proportion to its angle from straight up."""
    angle, length = _polar(points, pivot)
    known = np.linspace(-np.pi, np.pi, 361)
    share = np.clip((np.deg2rad(120) - np.abs(known)) / np.deg2rad(60), 0, 1)
    share = share**2 * (3 - 2 * share)
    if by >= 1:
        turned = np.interp(angle, known, known * (1 + (by - 1) * share))
    else:
        turned = np.interp(angle, known * (1 + (1 / by - 1) * share), known)
    return _from_polar(turned, length, pivot)
