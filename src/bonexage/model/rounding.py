"""What the bone age may be where a reader answered with an age of the atlas.

Readers answer with the ages of plates: of RSNA's labels, nine in ten are such an age
(`experiments/label_noise.py`). A child's bone age does not keep to them, and an interval that holds 90% of
rounded labels holds fewer bone ages. Between the plates at a and b, a reader is taken to answer with either,
the nearer one more often:

    P(label a | bone age m) = (b - m) / (b - a),   a <= m <= b

so with bone ages spread evenly, the bone age behind a label has a triangular density from the plate before to
the plate after it. A label between the plates was not rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.model.heaping import Heaping
from bonexage.subject import Sex

PARTS: Final = 9
"""How many equally likely bone ages stand for each label."""

_SHARES: Final = (np.arange(PARTS) + 0.5) / PARTS
# Plates are at most a year apart where most children are; labels further apart are rare, not rounded.
_FURTHEST_MONTHS: Final = 12.0
_SEXES: Final = (Sex.FEMALE, Sex.MALE)


@dataclass(frozen=True)
class Rounding:
    """The ages that labels are rounded to.

    Attributes:
        ages_months: by sex ('F', 'M'), whole months from 0 to 240, ascending.
    """

    ages_months: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        for sex in _SEXES:
            ages = self.ages_months.get(sex.value, ())
            if sex.value not in self.ages_months or any(before >= after for before, after in pairwise(ages)):
                raise ValueError("the ages that labels are rounded to must ascend, for each sex")
            if not all(0 <= age <= MAX_BONE_AGE_MONTHS for age in ages):
                raise ValueError("the ages that labels are rounded to are months from 0 to 240")

    def bone_ages(self, label_months: float, sex: Sex) -> NDArray[np.float64]:
        """The bone ages that a label may stand for, equally likely, `[PARTS]`, ascending.

        Args:
            label_months: 0 to 240.
            sex: FEMALE or MALE.
        """
        ages = np.asarray(self.ages_months[sex.value])
        if label_months not in ages:
            return np.full(PARTS, label_months)
        at = int(np.searchsorted(ages, label_months))
        below = label_months - ages[at - 1] if at else _FURTHEST_MONTHS
        above = ages[at + 1] - label_months if at + 1 < len(ages) else _FURTHEST_MONTHS
        below, above = min(below, _FURTHEST_MONTHS), min(above, _FURTHEST_MONTHS)
        # quantiles of the triangular density from -below through 0 to above
        width, rising = below + above, below / (below + above)
        moved = np.where(
            rising > _SHARES,
            np.sqrt(_SHARES * width * below) - below,
            above - np.sqrt((1 - _SHARES) * width * above),
        )
        return np.clip(label_months + moved, 0.0, MAX_BONE_AGE_MONTHS)

    def to_json(self) -> dict[str, Any]:
        """As it is stored in `bundle.json`."""
        return {sex.value: list(self.ages_months[sex.value]) for sex in _SEXES}


def rounding_of(heaping: Heaping) -> Rounding:
    """The ages at which labels heap: the months that are more frequent than the months about them."""
    return Rounding(
        {
            sex.value: tuple(float(age) for age in np.flatnonzero(np.asarray(heaping.by_sex[sex]) > 1))
            for sex in _SEXES
        }
    )


def rounding_from_json(stored: Mapping[str, Any]) -> Rounding:
    """Read back what `Rounding.to_json` wrote; raises ValueError where it is none."""
    try:
        return Rounding({sex.value: tuple(float(age) for age in stored[sex.value]) for sex in _SEXES})
    except (KeyError, TypeError) as error:
        raise ValueError(f"rounding is incomplete ({error!r})") from None
