"""A template: the hand that films are brought onto, what of it is compared, and how bright a film of it is.

All positions are (x, y) in units of a frame of `FRAME` rows and columns; a picture of any height fills the
same frame, its pixels larger or smaller. A film's own frame is as tall. So a map from a template to a film is
one array of positions, whatever the resolution of either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from PIL import Image

from bonexage.errors import UnusableData

Grey: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]
Points: TypeAlias = NDArray[np.float64]

FRAME: Final = (192, 156)
MIDDLE: Final = np.array([(FRAME[1] - 1) / 2, (FRAME[0] - 1) / 2])
EVEN: Final = 4.0
"""Units over which brightness is evened out before films are compared."""
BRIGHTEST: Final = 1.3

_FLESH: Final = 0.12  # brightness of thin flesh
_SMOOTH_SKIN: Final = 1.5  # units over which the outline of a hand is smooth
_REACH: Final = 10  # units around the hand that are compared
_LEVELS: Final = np.linspace(0.02, 0.995, 40)  # quantiles at which tones are matched


@dataclass(frozen=True, eq=False)
class Template:
    """A hand that films are brought onto: float32 `[192, 156]`, 0 background, about 1 the brightest bone."""

    pixels: Grey
    hand: Mask

    @cached_property
    def distance(self) -> Grey:
        """How far outside the hand each pixel lies, in pixels; negative inside."""
        picture = sitk.GetImageFromArray(self.hand.astype(np.uint8))
        found = sitk.SignedMaurerDistanceMap(picture, squaredDistance=False, useImageSpacing=False)
        return np.asarray(sitk.GetArrayFromImage(found))

    @property
    def window(self) -> Grey:
        """1 on the hand and close around it, falling to 0 twice as far away."""
        return np.clip(2 - self.distance / _REACH, 0, 1).astype(np.float32)

    @cached_property
    def features(self) -> Grey:
        """What is compared with a film."""
        return features(self.pixels, EVEN) * self.window

    @cached_property
    def carpus(self) -> NDArray[np.float64]:
        """The middle of the carpus, from which the fingers spread: just above the arm."""
        rows = np.nonzero(self.hand.any(axis=1))[0]
        lower = rows[(rows > rows[0] + 0.6 * np.ptp(rows)) & (rows < rows[0] + 0.9 * np.ptp(rows))]
        widths = self.hand[lower].sum(axis=1)
        narrow = int(widths.min())
        row = max(int(lower[int(np.argmax(widths <= 1.08 * narrow))]) - narrow // 4, 0)
        return np.array([float(np.nonzero(self.hand[row])[0].mean()), float(row)])

    @cached_property
    def sought(self) -> Grey:
        """1 where a film is compared: on and around the hand, without most of the arm."""
        below = np.arange(FRAME[0])[:, None] > self.carpus[1] + FRAME[0] / 6
        return np.asarray((self.distance <= 1.5 * _REACH) & ~below, dtype=np.float32)

    @cached_property
    def tones(self) -> NDArray[np.float64]:
        """How bright the hand is, at the quantiles `_LEVELS`."""
        return tones_of(self.pixels, self.hand)


def first_template(films: Sequence[Grey]) -> Template:
    """The film that is most like the others, as a start: its hand, filling the frame.

    Raises:
        UnusableData: no hand stands out in it.
    """
    small = np.stack([blurred(_thumbnail(film), 1.5).ravel() for film in films])
    film = films[int(np.argmax(np.median(np.atleast_2d(np.corrcoef(small)), axis=1)))]
    rows, columns = FRAME
    half = resized(film, rows)
    hand = largest(_standing_out(blurred(half, 1.5)))
    if not 0.03 < hand.mean() < 0.9:
        raise UnusableData(
            "no hand stands out from the background", remedy="Give films with a dark background"
        )
    ys, xs = np.nonzero(hand)
    height, width = np.ptp(ys) + 1, np.ptp(xs) + 1
    scale = max(height / (0.86 * rows), width / (0.86 * columns))
    corner = np.array([(xs.min() + xs.max()) / 2 - scale * columns / 2, ys.max() - scale * 0.98 * rows])
    pixels = sample(half, grid(rows) * scale + corner)
    found = Template(pixels, sample(hand.astype(np.float32), grid(rows) * scale + corner) > 0.5)
    level = levelled(pixels, np.ones(FRAME, dtype=bool), found.distance)
    return template_of((level * np.clip(2 - found.distance / 4, 0, 1)).astype(np.float32))


def template_of(pixels: Grey) -> Template:
    """A picture of a hand, such as a plate, as a template; it fills the frame's height."""
    small = sample(_antialiased(pixels), grid(FRAME[0]))
    hand = largest(blurred(small, 0.7) > 0.6 * _FLESH)
    return Template(small, largest(blurred(hand.astype(np.float32), _SMOOTH_SKIN) > 0.5))


def _antialiased(pixels: Grey) -> Grey:
    return blurred(pixels, 0.4 * (pixels.shape[0] / FRAME[0] - 1))


def largest(bright: Mask) -> Mask:
    """The largest bright thing without its holes."""
    filled = sitk.BinaryFillhole(sitk.GetImageFromArray(bright.astype(np.uint8)))
    return np.asarray(sitk.GetArrayFromImage(sitk.RelabelComponent(sitk.ConnectedComponent(filled))) == 1)


def _standing_out(pixels: Grey) -> Mask:
    """What is brighter than the background of a film, by more than half of Otsu's threshold."""
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.Execute(sitk.GetImageFromArray(pixels))
    floor = float(np.percentile(pixels, 5))
    return np.asarray(pixels > floor + 0.6 * (otsu.GetThreshold() - floor))


def levelled(pixels: Grey, inside: Mask, distance: Grey) -> Grey:
    """Background around the hand to 0, its brightest bone to 1."""
    low, high = brightness(pixels, inside, distance)
    return np.asarray(np.clip((pixels - low) / (high - low), 0, BRIGHTEST), dtype=np.float32)


def brightness(pixels: Grey, inside: Mask, distance: Grey) -> tuple[float, float]:
    """How bright a film is around the hand, and in its brightest bone."""
    hand = distance <= 0
    ring = (distance > 3) & (distance <= _REACH) & inside
    if not ring.any() or not (hand & inside).any():
        return 0.0, 1.0
    low = float(np.median(pixels[ring]))
    return low, max(float(np.quantile(pixels[hand & inside], 0.99)), low + 1e-3)


def features(level: Grey, even: float) -> Grey:
    """A levelled film, evened out: 0 background, 0.25 flesh, more where it stands out of what is around it.

    So the bones of fingers count as much as those of the arm, and bone for more than the hand's outline.
    """
    flesh = np.clip(level / _FLESH, 0, 1)
    around = blurred(level, even) / (0.05 + blurred(flesh, even))
    bone = np.clip(level / (0.05 + around) - 0.7, 0, 0.8)
    return np.asarray(flesh * (0.25 + bone), dtype=np.float32)


def tones_of(pixels: Grey, hand: Mask) -> NDArray[np.float64]:
    """How bright a hand is, from its darkest to its brightest parts."""
    values = pixels[hand & np.isfinite(pixels)]
    if values.size == 0:
        return np.asarray(_LEVELS)
    return np.asarray(np.quantile(values, _LEVELS)) + np.arange(_LEVELS.size) * 1e-6


def retoned(pixels: Grey, tones: NDArray[np.float64], wanted: NDArray[np.float64]) -> Grey:
    """Brighten or darken so that a hand of these tones gets the wanted ones; NaN stays NaN."""
    known = np.concatenate([[min(0.0, tones[0] - 1e-3)], tones])
    changed = np.interp(pixels, known, np.concatenate([[0.0], wanted]))
    return np.where(np.isnan(pixels), np.nan, changed).astype(np.float32)


def grid(rows: int) -> Points:
    """The positions of the pixels of a picture of so many rows that fills the frame."""
    unit = FRAME[0] / rows
    y, x = np.mgrid[0:rows, 0 : round(FRAME[1] / unit)]
    return np.stack([x, y], axis=-1) * unit + (unit - 1) / 2


def sample(picture: NDArray[Any], points: Points) -> NDArray[Any]:
    """A picture `[rows, columns, ...]` that fills the frame, read at points, bilinear; outside, its edge."""
    unit = FRAME[0] / picture.shape[0]
    return _bilinear(picture, (points - (unit - 1) / 2) / unit)


def film_at(film: Grey, points: Points) -> Grey:
    """A film read at points."""
    return np.asarray(sample(film, points), dtype=np.float32)


def inside_of(film: Grey, points: Points) -> Mask:
    """Which points lie in the film."""
    unit = FRAME[0] / film.shape[0]
    limit = np.array([film.shape[1] * unit - 0.5, FRAME[0] - 0.5])
    return np.asarray(((points >= -0.5) & (points <= limit)).all(axis=-1))


def _bilinear(picture: NDArray[Any], at: Points) -> NDArray[Any]:
    rows, columns = picture.shape[:2]
    x, y = np.clip(at[..., 0], 0, columns - 1), np.clip(at[..., 1], 0, rows - 1)
    left, top = np.minimum(x.astype(int), max(columns - 2, 0)), np.minimum(y.astype(int), max(rows - 2, 0))
    right, bottom = np.minimum(left + 1, columns - 1), np.minimum(top + 1, rows - 1)
    across, down = x - left, y - top
    if picture.ndim == 3:
        across, down = across[..., None], down[..., None]
    upper = picture[top, left] * (1 - across) + picture[top, right] * across
    lower = picture[bottom, left] * (1 - across) + picture[bottom, right] * across
    mixed = upper * (1 - down) + lower * down
    return np.asarray(mixed.astype(picture.dtype))


def blurred(pixels: Grey, sigma: float) -> Grey:
    """A picture under a Gaussian blur of sigma pixels; none where sigma is not positive."""
    if sigma <= 0:
        return pixels
    picture = sitk.GetImageFromArray(np.ascontiguousarray(pixels, dtype=np.float32))
    return np.asarray(sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(picture, sigma)))


def resized(pixels: Grey, rows: int) -> Grey:
    """A picture scaled to so many rows."""
    return resized_to(pixels, (rows, max(1, round(pixels.shape[1] * rows / pixels.shape[0]))))


def resized_to(pixels: Grey, size: tuple[int, ...]) -> Grey:
    """A picture scaled to (rows, columns), antialiased where that is smaller."""
    picture = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _thumbnail(film: Grey, side: int = 64) -> Grey:
    shrink = side / max(film.shape)
    size = tuple(max(1, round(length * shrink)) for length in film.shape)
    small = resized_to(film, size)
    canvas = np.zeros((side, side), dtype=np.float32)
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    canvas[top : top + size[0], left : left + size[1]] = small - np.percentile(small, 5)
    return canvas
