"""Brings films of hands onto one another, and onto the mean of their shapes, by deformable registration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from bonexage.learning.finding import Place, Pose, likeliest, poses, refine
from bonexage.learning.template import (
    EVEN,
    FRAME,
    MIDDLE,
    Grey,
    Mask,
    Points,
    Template,
    blurred,
    features,
    film_at,
    first_template,
    grid,
    inside_of,
    largest,
    levelled,
    resized,
    retoned,
    sample,
    template_of,
    tones_of,
)

ROUNDS: Final = 3
_LEAST_AREA: Final = 0.05  # of `Fit.narrowest`: below it, a film is left out
_INVERSIONS: Final = 40
_SMOOTH: Final = 5.0  # units over which the step to the mean shape is smoothed
_CARRIES: Final = 5.0  # and how far around the hand the background goes with it
_ROWS: Final = 256  # films are brought together at so many, and the plate is drawn from the films as they are

# Distances from the hand, in rows of the frame, up to which a plate is kept and from which on it is dark.
_KEPT: Final = 1.0
_FADED: Final = 4.0
_FOLDED: Final = 0.1
_DARK: Final = 0.03
_SLIVER: Final = 4  # pixels of a plate
# Part of the frame's height below which hardly any film reaches.
_FOOT: Final = 0.93

# Parts of the frame: margin above the fingertips, length from there to the carpus, breadth of the hand.
_TOP: Final = 0.045
_LENGTH: Final = 0.68
_WIDTH: Final = 0.93


@dataclass(frozen=True, eq=False)
class Fit:
    """A film brought onto a template.

    Attributes:
        film: its number among the films.
        place: roughly where the hand lies in it.
        shift: float64 `[192, 156, 2]`, added to each point of the template before it is placed.
        correlation: with the template, on the hand and close around it.
        narrowest: smallest area (1st percentile over the hand) to which the map shrinks a unit square, the
            overall size of the hand taken out; near 0 where the map folds.
    """

    film: int
    place: Place
    shift: Points
    correlation: float = 0.0
    narrowest: float = 1.0

    @property
    def quality(self) -> float:
        """How well the film lies on the template: alike, and not folded to be so."""
        return self.correlation + 0.1 * min(self.narrowest, 0.5)

    def points(self, rows: int = FRAME[0]) -> Points:
        """Where in the film the points of the template lie, for a picture of so many rows."""
        at = grid(rows)
        return self.place.points(at + sample(self.shift, at))


@dataclass(frozen=True, eq=False)
class Group:
    """Films brought onto their mean shape: the template, and the films that came onto it well, best first."""

    template: Template
    fits: tuple[Fit, ...]


def bring_together(
    films: Sequence[Grey],
    start: Template | None,
    *,
    most: int,
    rounds: int = ROUNDS,
    least_correlation: float = 0.85,
    progress: Callable[[str], None] = lambda text: None,
) -> Group:
    """Bring films onto a template, then both onto the mean of the films' shapes, round by round.

    The first round finds the hand in each film (turned, mirrored, larger or smaller, the fingers more or less
    spread), refines that by an affine and then by a deformable registration. Each later round goes on from
    there towards the median of the best films of the round before, carried to their mean shape. A film that
    correlates too little, or that had to be folded, is left out.

    Args:
        films: float32 `[height, width]` in [0, 1], bone bright.
        start: a hand of about the same age; None to start from the film that is most like the others.
        most: films that are kept, the best.
        rounds: how often the mean shape is taken.
        least_correlation: below it, a film is left out.
        progress: told after each round how it went.
    """
    films = [resized(film, min(film.shape[0], _ROWS)) for film in films]
    sought_twice = start is None
    template = start or first_template(films)
    group = Group(template, ())
    fits: list[Fit] = []
    for turn in range(rounds):
        if turn == 0 or (turn == 1 and sought_twice):
            fits = fits[: len(films) // 2]
            kept = {fit.film for fit in fits}
            bank = poses(template)
            fits += [first_fit(at, film, template, bank) for at, film in enumerate(films) if at not in kept]
        finest = FRAME[0] if turn == rounds - 1 else FRAME[0] // 2
        fits = [_closer(fit, films[fit.film], template, finest) for fit in fits]
        fits.sort(key=lambda fit: -fit.quality)
        good = [fit for fit in fits if fit.correlation >= least_correlation and fit.narrowest >= _LEAST_AREA]
        progress(
            f"round {turn + 1}: {len(good)} of {len(fits)} films, correlation "
            f"{np.median([fit.correlation for fit in fits]):.3f}"
        )
        used = good[:most] if turn == rounds - 1 else fits[: max(3, len(films) // 2)]
        if not used:
            return Group(template, ())
        back = _towards_mean_shape(used, template)
        chosen = {fit.film for fit in used}
        fits = [_carried(fit, back) for fit in fits]
        used = [fit for fit in fits if fit.film in chosen]
        group = Group(template_of(median_hand(films, used, template)), tuple(used))
        template = group.template
    return group


def median_hand(films: Sequence[Grey], fits: Sequence[Fit], template: Template, rows: int = FRAME[0]) -> Grey:
    """The median of films brought onto one another, float32 `[rows, columns]`, tones matched before.

    Where fewer than half of the films reach without being folded, it is 0.
    """
    distance = sample(template.distance, grid(rows))
    hand = distance <= 0
    stack = []
    for fit in fits:
        points = fit.points(rows)
        inside = inside_of(films[fit.film], points)
        level = levelled(film_at(films[fit.film], points), inside, distance)
        stack.append(np.where(inside & _unfolded(points, hand), level, np.nan))
    tones = np.median([tones_of(picture, hand) for picture in stack], axis=0)
    matched = np.stack([retoned(picture, tones_of(picture, hand), tones) for picture in stack])
    covered = np.isfinite(matched).sum(axis=0)
    enough = covered >= max(1, len(fits) / 2)
    matched[:, ~enough] = 0
    return np.asarray(np.nanmedian(matched, axis=0), dtype=np.float32)


def _unfolded(points: Points, hand: Mask) -> Mask:
    """Where a map neither folds nor shrinks an area to a tenth of what it does to the hand on the whole."""
    down, across = np.gradient(points, axis=0), np.gradient(points, axis=1)
    area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    return np.asarray(area / np.median(area[hand]) > _FOLDED)


def on_dark_ground(hand: Grey, template: Template) -> Grey:
    """A median hand whose surroundings (rims of films, markers) and forearm fade into a dark ground."""
    rows = hand.shape[0]
    distance = sample(template.distance, grid(rows))
    ground = np.clip((_FADED - distance) / (_FADED - _KEPT), 0, 1)
    foot = np.clip((_FOOT - np.linspace(0, 1, rows)) / 0.03, 0, 1)[:, np.newaxis]
    return in_one_piece(np.asarray(hand * ground * foot, dtype=np.float32))


def in_one_piece(hand: Grey) -> Grey:
    """A median hand without the slivers that folds leave beside it, the gaps they leave in it filled."""
    known = hand > _DARK
    solid = sitk.BinaryMorphologicalOpening(sitk.GetImageFromArray(known.astype(np.uint8)), [_SLIVER] * 2)
    one = largest(sitk.GetArrayFromImage(solid)).astype(np.uint8)
    whole = sitk.GetArrayFromImage(
        sitk.BinaryMorphologicalClosing(sitk.GetImageFromArray(one), [_SLIVER] * 2)
    )
    near = blurred((hand * known).astype(np.float32), _SLIVER)
    near /= blurred(known.astype(np.float32), _SLIVER).clip(min=1e-3)
    edge = blurred(whole.astype(np.float32), 1.0).clip(0, 1)
    return np.asarray(np.where(known, hand, near) * edge, dtype=np.float32)


def first_fit(number: int, film: Grey, template: Template, bank: Sequence[Pose]) -> Fit:
    """The best of the likeliest places of the hand, each refined, nothing shifted yet."""
    unmoved = np.zeros((*FRAME, 2))
    places = [refine(film, template, place) for place in likeliest(film, bank)]
    tried = [_judged(Fit(number, place, unmoved), _seen(place, film, template), template) for place in places]
    return max(tried, key=lambda fit: fit.quality)


def _seen(place: Place, film: Grey, template: Template) -> Grey:
    """What of a film is compared with the template, as far as it lies there."""
    points = place.points(grid(FRAME[0]))
    inside = inside_of(film, points)
    level = levelled(film_at(film, points), inside, template.distance)
    level = np.where(inside, retoned(level, tones_of(level, template.hand & inside), template.tones), 0)
    return features(level, EVEN) * template.window


def _judged(fit: Fit, seen: Grey, template: Template) -> Fit:
    """The fit with its correlation and narrowest part."""
    near = template.sought > 0
    alike = _correlation(sample(seen, grid(FRAME[0]) + fit.shift)[near], template.features[near])
    return replace(fit, correlation=alike, narrowest=_narrowest(fit.points(), template.hand))


def _closer(fit: Fit, film: Grey, template: Template, finest: int) -> Fit:
    """Go on from a fit with a deformable registration (diffeomorphic demons), from coarse to fine."""
    seen = _seen(fit.place, film, template)
    shift = _demons(template.features, seen, fit.shift, finest)
    return _judged(replace(fit, shift=shift), seen, template)


def _demons(fixed: Grey, moving: Grey, shift: Points, finest: int) -> Points:
    """How far from each point of `fixed` it lies in `moving`, `[192, 156, 2]`, going on from `shift`."""
    for rows in (rows for rows in (48, 96, 192) if rows <= finest):
        unit = FRAME[0] / rows
        blur = unit / 2 if unit > 1 else 0.0
        at = grid(rows)
        demons = sitk.DiffeomorphicDemonsRegistrationFilter()
        demons.SetNumberOfIterations(25 if rows == FRAME[0] else 60)
        demons.SetStandardDeviations(2.0)
        demons.SetSmoothDisplacementField(True)
        demons.SetMaximumUpdateStepLength(1.0)
        pictures = [sitk.GetImageFromArray(sample(blurred(each, blur), at)) for each in (fixed, moving)]
        start = sitk.GetImageFromArray(sample(shift, at) / unit, isVector=True)
        field = demons.Execute(*pictures, start)
        shift = sample(sitk.GetArrayFromImage(field) * unit, grid(FRAME[0]))
    return shift


def _towards_mean_shape(fits: Sequence[Fit], template: Template) -> Points:
    """Where in the template each point of the mean shape lies.

    Place, turn and size of the hand in each film are taken out before the mean is taken.
    """
    here = grid(FRAME[0])
    mean = np.mean([_without_pose(fit.points(), template.hand) for fit in fits], axis=0) - here
    known = np.exp(-np.maximum(template.distance, 0) / _CARRIES).astype(np.float32)
    weight = blurred(known, _SMOOTH) + 1e-4
    shift = np.stack([blurred(mean[..., axis] * known, _SMOOTH) / weight for axis in (0, 1)], axis=-1)
    back = here
    for _ in range(_INVERSIONS):
        back = (back + here - sample(shift, back)) / 2
    return sample(back, _framing(sample(template.hand.astype(np.float32), back) > 0.5))


def _framing(hand: Mask) -> Points:
    """Where the points of the frame lie if the hand is to fill it, fingertips near its top."""
    moved = Template(hand.astype(np.float32), hand)
    above = hand[: int(moved.carpus[1])]
    ys, xs = np.nonzero(above)
    top, left, right = ys.min(), xs.min(), xs.max()
    scale = max((moved.carpus[1] - top) / (_LENGTH * FRAME[0]), (right - left) / (_WIDTH * FRAME[1]))
    corner = np.array([MIDDLE[0], _TOP * FRAME[0]])
    return np.asarray((grid(FRAME[0]) - corner) * scale + np.array([(left + right) / 2, top]))


def _without_pose(points: Points, hand: Mask) -> Points:
    """Points turned, sized, mirrored and moved so as to lie, over the hand, near the template's."""
    matrix, source_middle, target_middle = _similarity(points[hand], grid(FRAME[0])[hand])
    return np.asarray((points - source_middle) @ matrix.T + target_middle)


def without_bends(fit: Fit, hand: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A matrix `[2, 2]` (of turn, size and mirror) and a middle that place a hand as `fit` does, nearly."""
    matrix, source_middle, target_middle = _similarity(grid(FRAME[0])[hand], fit.points()[hand])
    return matrix, target_middle + matrix @ (MIDDLE - source_middle)


def _similarity(source: Points, target: Points) -> tuple[NDArray[np.float64], Points, Points]:
    """The matrix `[2, 2]` that brings points `[n, 2]` nearest to others, and the middles of both."""
    source_middle, target_middle = source.mean(axis=0), target.mean(axis=0)
    u, s, vt = np.linalg.svd((target - target_middle).T @ (source - source_middle))
    scale = s.sum() / ((source - source_middle) ** 2).sum()
    return scale * (u @ vt), source_middle, target_middle


def _narrowest(points: Points, hand: Mask) -> float:
    free = _without_pose(points, hand)
    dx, dy = np.gradient(free, axis=1), np.gradient(free, axis=0)
    area = dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]
    return float(np.percentile(area[hand], 1))


def _carried(fit: Fit, back: Points) -> Fit:
    """The same fit for a template that was moved: `back` tells where in the old one its points lie."""
    return replace(fit, shift=back + sample(fit.shift, back) - grid(FRAME[0]))


def _correlation(one: Grey, other: Grey) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 and other.std() > 0 else 0.0
