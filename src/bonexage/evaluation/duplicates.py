"""Films that are there twice: the same bytes by their hash, the same picture by likeness.

A film is shrunk to 64 x 64. What stands out there against its surroundings is hardly touched by another size,
format, window or by noise. At 24 x 24 it is the perceptual hash, by which each film finds those most like it;
at 48 x 48 it is compared with each of them, moved and enlarged a little, and their correlation decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage.model.runtime import usable_cores

Small = NDArray[np.uint8]
Floats = NDArray[np.float32]

SIDE: Final = 64
# Among all pairs of different films of the RSNA training set, 10,411 at 100 px and 886 at 640 px, none
# correlates above 0.92; copies of such films saved anew nearly all correlate above 0.95. At 299 px a single
# pair of 10,411 films reaches 0.93.
ALIKE: Final = 0.93
SAME: Final = 0.95

_HASH_SIDE: Final = 24
_HASH_REACH: Final = 5
# How like two hashes are at least where the films are worth comparing ...
_HASHES_ALIKE: Final = 0.5
# ... and with how many others, those most like it, a film is compared.
_NEAREST: Final = 2
_SIDE: Final = 48
_REACH: Final = 9
# Copies may be cropped by up to 4% a side and moved by as much: parts left out, and moves in 1/48.
_CROPS: Final = (0.0, 0.02, 0.04)
_MOVES: Final = (-2, -1, 0, 1, 2)
_MARGIN: Final = 4
# What is fainter than this part of the range of grey is grain.
_GRAIN: Final = 0.02
_AT_ONCE: Final = 512


@dataclass(frozen=True)
class Alike:
    """Two films that are nearly the same picture: their places in the list, and their correlation."""

    first: int
    second: int
    correlation: float


def shrink(pixels: Floats) -> Small:
    """A film `[height, width]` in [0, 1] as it is compared: uint8 `[64, 64]`, its range of grey spread."""
    film = Image.fromarray(np.ascontiguousarray(pixels)).resize((SIDE, SIDE), Image.Resampling.BOX)
    small = np.asarray(film, dtype=np.float32)
    low, high = np.percentile(small, (1, 99))
    spread = (small - low) / max(float(high - low), 1 / 255)
    return np.asarray(np.rint(np.clip(spread, 0.0, 1.0) * 255.0), dtype=np.uint8)


def exact_duplicates(hashes: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """The groups of places, two or more in each, that hold the same content hash."""
    places: dict[str, list[int]] = {}
    for place, content in enumerate(hashes):
        places.setdefault(content, []).append(place)
    return tuple(tuple(group) for group in places.values() if len(group) > 1)


def near_duplicates(films: Sequence[Small]) -> tuple[Alike, ...]:
    """Pairs of films that are nearly the same picture, most alike first.

    Films with nothing on them are like no other. The comparison of hashes takes time with the square of the
    number of films, that of pictures with their number: half a minute in all for 11,000 films on two cores.

    Args:
        films: as `shrink` made them.

    Returns:
        Pairs with a correlation of `ALIKE` or more, each once, the first before the second.
    """
    if len(films) < 2:
        return ()
    stack = np.stack(films)
    pairs = _candidates(stack)
    parts = [pairs[start : start + _AT_ONCE] for start in range(0, len(pairs), _AT_ONCE)]
    with ThreadPoolExecutor(usable_cores()) as pool:
        likenesses = pool.map(lambda part: correlations(stack[part[:, 0]], stack[part[:, 1]]), parts)
        found = [
            Alike(int(one), int(other), round(float(value), 4))
            for part, likeness in zip(parts, likenesses, strict=True)
            for (one, other), value in zip(part, likeness, strict=True)
            if value >= ALIKE
        ]
    return tuple(sorted(found, key=lambda pair: (-pair.correlation, pair.first, pair.second)))


def correlations(some: Small, others: Small) -> Floats:
    """How alike films `[n, 64, 64]` are to as many others, one by one: the best correlation of each pair.

    It is taken over small moves, and over crops of either film.
    """
    best = np.full(len(some), -1.0, dtype=np.float32)
    middle = slice(_MARGIN, _SIDE - _MARGIN)
    moved = [slice(_MARGIN + move, _SIDE - _MARGIN + move) for move in _MOVES]
    cropped = [
        [local_contrast(resized(films, _SIDE, crop), _REACH) for crop in _CROPS] for films in (some, others)
    ]
    zooms = [(0, at) for at in range(len(_CROPS))] + [(at, 0) for at in range(1, len(_CROPS))]
    for one, other in zooms:
        fixed = unit_rows(cropped[0][one][:, middle, middle])
        for rows in moved:
            for columns in moved:
                likeness = np.einsum("np,np->n", fixed, unit_rows(cropped[1][other][:, rows, columns]))
                best = np.maximum(best, likeness)
    return best


def _candidates(films: Small) -> NDArray[np.intp]:
    """Pairs worth comparing, `[pairs, 2]`: each film with those whose hashes are most like its own."""
    hashes = unit_rows(local_contrast(resized(films, _HASH_SIDE), _HASH_REACH))
    number = min(_NEAREST, len(films) - 1)
    pairs = set()
    for start in range(0, len(films), _AT_ONCE):
        likeness = hashes[start : start + _AT_ONCE] @ hashes.T
        here = np.arange(len(likeness))
        likeness[here, start + here] = -1.0
        nearest = np.argpartition(-likeness, number - 1, axis=1)[:, :number]
        for place, others in zip(here, nearest, strict=True):
            for other in others:
                if likeness[place, other] >= _HASHES_ALIKE:
                    pairs.add((min(start + place, other), max(start + place, other)))
    return np.array(sorted(pairs), dtype=np.intp).reshape(-1, 2)


def resized(films: Small, side: int, crop: float = 0.0) -> Floats:
    """Films in [0, 1] at another size, without a part of each side: float32 `[n, side, side]`."""
    how = Image.Resampling.BILINEAR
    box = (crop * SIDE, crop * SIDE, SIDE - crop * SIDE, SIDE - crop * SIDE)
    scaled = [np.asarray(Image.fromarray(film).resize((side, side), how, box=box)) for film in films]
    return np.asarray(np.stack(scaled), dtype=np.float32) / np.float32(255)


def local_contrast(films: Floats, reach: int) -> Floats:
    """What stands out against the `reach` x `reach` pixels about it, in parts of the contrast there."""
    beside = films - _mean_about(films, reach)
    contrast = np.sqrt(np.maximum(_mean_about(beside * beside, reach), 0)) + _GRAIN
    return np.asarray(beside / contrast, dtype=np.float32)


def _mean_about(films: Floats, reach: int) -> Floats:
    """The mean over `reach` x `reach` pixels about each, the rim repeated outwards."""
    pad = ((0, 0), (reach // 2 + 1, reach // 2), (0, 0))
    for _ in range(2):
        padded = np.pad(films, pad, mode="edge")
        sums = np.cumsum(padded, axis=1, dtype=np.float64)
        mean = np.asarray((sums[:, reach:] - sums[:, :-reach]) / reach, dtype=np.float32)
        films = mean.transpose(0, 2, 1)
    return films


def unit_rows(films: Floats) -> Floats:
    """Films as rows of mean 0 and length 1, so that a product of two is their correlation; plain ones 0."""
    rows = films.reshape(len(films), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.sqrt(np.einsum("np,np->n", rows, rows))[:, np.newaxis]
    unit: Floats = rows / np.where(length > 1e-3, length, np.inf)
    return unit
