"""Where labels heap, and the nested intervals that hold most of a film's likely labels for their width.

Readers answer with the ages of the atlas: of RSNA's labels, six in seven are the age of a plate
(`experiments/label_noise.py`). So an interval may end where labels are: what it would reach beyond a plate
holds next to none before the next one. Nested intervals that grow towards most probability for their width,
calibrated by the probability they hold, are those of Sesia and Romano (Conformal Prediction using Conditional
Histograms. NeurIPS 2021); the histogram here is that of labels about their heaps, times a Laplace density
about the reading, whose width is the film's spread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.subject import Sex

AGES: Final = np.arange(int(MAX_BONE_AGE_MONTHS) + 1)
"""The whole months in which labels are counted."""

# The width of the intervals on held-out films depends little on these (`benchmarks/intervals.py`).
_ABOUT_MONTHS: Final = 12.0
_COUNTED_BEFORE: Final = 1.0
_DIGITS: Final = 4
_AT_ONCE: Final = 1e-9  # months: what lies at an end already is taken in first
_SEXES: Final = (Sex.FEMALE, Sex.MALE)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Heaping:
    """How many times as frequent each whole month of 0 to 240 is among labels as the months about it.

    Attributes:
        by_sex: by sex ('F', 'M'), 241 numbers above 0; about 1 where labels do not heap.
    """

    by_sex: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        for sex in _SEXES:
            times = np.asarray(self.by_sex.get(sex, ()), dtype=np.float64)
            if len(times) != len(AGES) or not (np.isfinite(times) & (times > 0)).all():
                raise ValueError("heaping is a number above 0 for each month from 0 to 240, for each sex")

    def likely(self, reading_months: float, spread_months: Floats, sex: Sex) -> Floats:
        """The probability of each label, `[241]`.

        Args:
            reading_months: 0 to 240.
            spread_months: the film's spread at each label, `[241]`.
            sex: FEMALE or MALE.
        """
        away = np.abs(AGES - reading_months) / spread_months
        weight = np.asarray(self.by_sex[sex]) * np.exp(away.min() - away) / spread_months
        return np.asarray(weight / weight.sum())

    def to_json(self) -> dict[str, Any]:
        """As it is stored in `bundle.json`."""
        return {sex.value: list(self.by_sex[sex]) for sex in _SEXES}


def heaping_from_json(stored: Mapping[str, Any]) -> Heaping:
    """Read back what `Heaping.to_json` wrote; raises ValueError where it is none."""
    try:
        return Heaping({sex.value: tuple(float(each) for each in stored[sex.value]) for sex in _SEXES})
    except (KeyError, TypeError) as error:
        raise ValueError(f"heaping is incomplete ({error!r})") from None


def fit_heaping(labels: Iterable[tuple[Sex, float]]) -> Heaping:
    """Count labels, each a sex and months from 0 to 240, in whole months."""
    counts = {sex: np.full(len(AGES), _COUNTED_BEFORE) for sex in _SEXES}
    for sex, months in labels:
        if sex in counts:
            counts[sex][round(months)] += 1
    about = np.exp(-np.square((AGES[:, np.newaxis] - AGES) / _ABOUT_MONTHS) / 2)
    about /= about.sum(axis=1, keepdims=True)
    return Heaping(
        {
            sex.value: tuple(np.round(count / (about @ count), _DIGITS).tolist())
            for sex, count in counts.items()
        }
    )


@dataclass(frozen=True, eq=False)
class Nested:
    """Intervals about a reading, each within the next.

    Attributes:
        low: lower ends in months, `[n]`; the first interval is the reading alone.
        high: upper ends, `[n]`.
        mass: the probability of the labels in each, ascending from 0 to 1, `[n]`.
    """

    low: Floats
    high: Floats
    mass: Floats

    def score(self, label_months: float) -> float:
        """The mass of the first interval that holds a label in [0, 240]."""
        return float(self.mass[np.argmax((self.low <= label_months) & (label_months <= self.high))])

    def within(self, mass: float) -> tuple[float, float]:
        """The ends of the last interval of at most that mass."""
        at = int(np.searchsorted(self.mass, mass, side="right")) - 1
        return float(self.low[at]), float(self.high[at])


def nested(reading_months: float, likely: Floats) -> Nested:
    """Grow an interval about a reading to the whole scale, step by step.

    Each step reaches, on the one side or the other, as far as it takes in most probability a month.

    Args:
        reading_months: 0 to 240.
        likely: the probability of each label, `[241]`.
    """
    below = np.concatenate([[0.0], np.cumsum(likely)])  # the probability of ages under each
    up = int(np.searchsorted(AGES, reading_months))  # the next age to take in above, and below
    down = up - 1
    low = high = reading_months
    rows = [(low, high, 0.0)]
    mass = 0.0
    while down >= 0 or up < len(AGES):
        above = (below[up + 1 :] - below[up]) / np.maximum(AGES[up:] - high, _AT_ONCE)
        under = (below[down + 1] - below[: down + 1]) / np.maximum(low - AGES[: down + 1], _AT_ONCE)
        if under.size == 0 or (above.size > 0 and above.max() >= under.max()):
            reached = up + int(above.argmax())
            mass += below[reached + 1] - below[up]
            high, up = float(AGES[reached]), reached + 1
        else:
            reached = int(under.argmax())
            mass += below[down + 1] - below[reached]
            low, down = float(AGES[reached]), reached - 1
        rows.append((low, high, mass))
    lows, highs, masses = np.array(rows).T
    return Nested(lows, highs, np.minimum(masses, 1.0))
