"""Films by sex and by band of labelled bone age, as all figures are broken down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.subject import Sex

BAND_MONTHS: Final = 24

Film = TypeVar("Film")


def bands_of(months: ArrayLike) -> NDArray[np.float64]:
    """Where the band of each age begins, in months; the last band holds 240 too."""
    ages = np.asarray(months, dtype=np.float64)
    return np.minimum(ages // BAND_MONTHS * BAND_MONTHS, MAX_BONE_AGE_MONTHS - BAND_MONTHS)


def by_sex_and_age(
    films: Sequence[Film], sex_of: Callable[[Film], Sex], labelled_months: Callable[[Film], float]
) -> dict[str, list[Film]]:
    """The films of girls and boys, then of each band of labelled bone age; only groups that have some."""
    groups = {
        name: [film for film in films if sex_of(film) is sex]
        for sex, name in ((Sex.FEMALE, "girls"), (Sex.MALE, "boys"))
    }
    band_of = bands_of([labelled_months(film) for film in films])
    for low in range(0, int(MAX_BONE_AGE_MONTHS), BAND_MONTHS):
        groups[f"{low} to {low + BAND_MONTHS} months"] = [
            film for film, band in zip(films, band_of, strict=True) if band == low
        ]
    return {name: some for name, some in groups.items() if some}
