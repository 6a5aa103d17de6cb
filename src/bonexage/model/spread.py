"""How far labels lie from readings: a spread that follows the film, the child and the age asked about.

The spread of a film with reading m, at a label y, is exp(level + a(m) + b(y) + c * disagreement), where a
and b are piecewise linear in months, apart for girls and boys. It is what an absolute difference is measured
in before conformal calibration (normalised residuals: Papadopoulos, Gammerman, Vovk. Normalized nonconformity
measures for regression conformal prediction. AIA 2008). It also follows y because readings are drawn towards
the ages that are frequent: an interval reaches further on the side where labels are read short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.subject import Sex

KNOTS_MONTHS: Final = tuple(24.0 * knot for knot in range(1, 10))
SEXES: Final = (Sex.FEMALE, Sex.MALE)

# Chosen by the mean width of intervals of equal coverage on held-out films (`benchmarks/intervals.py`).
_STIFFNESS_OF_AGE: Final = 0.05
_STIFFNESS_OF_DISAGREEMENT: Final = 0.03
_FOLDS: Final = 5
_STEPS: Final = 50
_LARGEST_STEP: Final = 2.0
_SMALL: Final = 1e-9
_LARGEST_LOGARITHM: Final = 50.0  # of a spread that a bundle makes up: beyond it numbers overflow

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """A labelled film that the network did not learn from, and how it was read.

    Attributes:
        child: an identifier; films of one child share it.
        sex: FEMALE or MALE.
        reading_months: 0 to 240.
        label_months: 0 to 240.
        disagreement_months: how far the network's views of the film lie apart, or None where it has but one.
    """

    child: str
    sex: Sex
    reading_months: float
    label_months: float
    disagreement_months: float | None = None

    def __post_init__(self) -> None:
        if self.sex is Sex.UNKNOWN:
            raise ValueError("a film must be a girl's or a boy's to be calibrated on")
        if not all(0 <= months <= MAX_BONE_AGE_MONTHS for months in (self.reading_months, self.label_months)):
            raise ValueError("predicted and labelled ages must be months from 0 to 240")


@dataclass(frozen=True)
class Disagreement:
    """What disagreement of the views adds to the logarithm of the spread.

    Attributes:
        mean: of log(1 + months) over the films of the fit.
        sd: of the same.
        weight: for one standard deviation.
    """

    mean: float
    sd: float
    weight: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.mean, self.sd, self.weight]).all() and self.sd > 0):
            raise ValueError("disagreement of the views has a mean, an sd above 0 and a weight")

    def at(self, months: float | None) -> float:
        """What so many months add; nothing where they are not known."""
        return 0.0 if months is None else self.weight * (float(np.log1p(months)) - self.mean) / self.sd


@dataclass(frozen=True)
class Spread:
    """A fitted spread.

    Attributes:
        level: logarithm of months.
        by_reading: by sex ('F', 'M'), what a reading at each of `KNOTS_MONTHS` adds.
        by_label: by sex, what a label at each of them adds.
        disagreement: what disagreement of the views adds, or None where it foretells nothing.
    """

    level: float
    by_reading: Mapping[str, tuple[float, ...]]
    by_label: Mapping[str, tuple[float, ...]]
    disagreement: Disagreement | None = None

    def __post_init__(self) -> None:
        for weights in (self.by_reading, self.by_label):
            if set(weights) != set(SEXES) or any(len(each) != len(KNOTS_MONTHS) for each in weights.values()):
                raise ValueError("a spread has nine weights for each sex")
        flat = [
            self.level,
            *(w for by in (self.by_reading, self.by_label) for each in by.values() for w in each),
        ]
        if not np.isfinite(flat).all():
            raise ValueError("the weights of a spread must be numbers")

    def months(
        self,
        reading_months: float,
        labels_months: ArrayLike,
        sex: Sex,
        disagreement_months: float | None = None,
    ) -> Floats:
        """The spread in months at each of the labels `[n]`, of one film with this reading."""
        of_film = self.level + float(np.interp(reading_months, KNOTS_MONTHS, self.by_reading[sex]))
        if self.disagreement is not None:
            of_film += self.disagreement.at(disagreement_months)
        of_labels = np.interp(np.asarray(labels_months), KNOTS_MONTHS, self.by_label[sex])
        return np.asarray(np.exp(np.clip(of_film + of_labels, -_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)))

    def score(self, film: HeldOut) -> float:
        """How many spreads a film's label lies from its reading."""
        spread = self.months(film.reading_months, [film.label_months], film.sex, film.disagreement_months)[0]
        return abs(film.reading_months - film.label_months) / float(spread)

    def to_json(self) -> dict[str, Any]:
        """As it is stored in `bundle.json`."""
        return {"knots_months": list(KNOTS_MONTHS), **asdict(self)}


def spread_from_json(stored: Mapping[str, Any]) -> Spread:
    """Read back what `Spread.to_json` wrote.

    Raises:
        ValueError: it is no spread of this kind.
    """
    try:
        if tuple(stored["knots_months"]) != KNOTS_MONTHS:
            raise ValueError("the knots of a spread are others than this version's")
        by_reading, by_label = (
            {str(sex): tuple(float(weight) for weight in weights) for sex, weights in stored[name].items()}
            for name in ("by_reading", "by_label")
        )
        said = stored["disagreement"]
        told = None if said is None else Disagreement(**{key: float(value) for key, value in said.items()})
        return Spread(float(stored["level"]), by_reading, by_label, told)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a spread is incomplete ({error!r})") from None


def fit_spread(films: Sequence[HeldOut]) -> Spread:
    """Fit the spread to held-out films: the mode of a Laplace likelihood with Gaussian priors on its weights.

    Disagreement of the views is used where all films have it and it foretells the differences of children
    that were left out (five folds of children).

    Raises:
        ValueError: there is no film.
    """
    if not films:
        raise ValueError("a spread needs films to be fitted to")
    plain = _Design(films, None)
    seen = [film.disagreement_months for film in films if film.disagreement_months is not None]
    if len(seen) < len(films) or float(np.ptp(seen)) < _SMALL:
        return plain.fit()
    logs = np.log1p(seen)
    with_views = _Design(films, Disagreement(float(logs.mean()), float(logs.std()), 0.0))
    better = with_views.loss_when_left_out() < plain.loss_when_left_out()
    return (with_views if better else plain).fit()


class _Design:
    """The films of a fit as a matrix `[films, weights]`, and what they miss their labels by."""

    def __init__(self, films: Sequence[HeldOut], disagreement: Disagreement | None) -> None:
        self._disagreement = disagreement
        of_sex = np.array([[film.sex is sex for sex in SEXES] for film in films], dtype=np.float64)
        reading = np.array([film.reading_months for film in films])
        label = np.array([film.label_months for film in films])
        parts = [np.ones((len(films), 1))]
        parts += [_hats(months) * of_sex[:, [i]] for months in (reading, label) for i in range(len(SEXES))]
        stiff = [0.0] + [_STIFFNESS_OF_AGE] * (2 * len(SEXES) * len(KNOTS_MONTHS))
        if disagreement is not None:
            one = replace(disagreement, weight=1.0)
            parts.append(np.array([[one.at(film.disagreement_months)] for film in films]))
            stiff.append(_STIFFNESS_OF_DISAGREEMENT)
        self._matrix = np.hstack(parts)
        self._stiffness = np.array(stiff)
        self._missed = np.abs(reading - label)
        _, child = np.unique([film.child for film in films], return_inverse=True)
        self._fold = child % _FOLDS

    def fit(self) -> Spread:
        """The spread of all films."""
        weights = self._weights(np.ones(len(self._missed), dtype=bool))
        level, rest = float(weights[0]), weights[1:]
        tables = rest[: 2 * len(SEXES) * len(KNOTS_MONTHS)].reshape(2, len(SEXES), len(KNOTS_MONTHS))
        by_reading, by_label = (
            {sex.value: tuple(row.tolist()) for sex, row in zip(SEXES, table, strict=True)}
            for table in tables
        )
        told = self._disagreement and replace(self._disagreement, weight=float(weights[-1]))
        return Spread(level, by_reading, by_label, told)

    def loss_when_left_out(self) -> float:
        """The mean loss on each fold of children under the spread of the others."""
        losses = np.zeros(len(self._missed))
        for fold in range(_FOLDS):
            out = self._fold == fold
            logs = self._matrix[out] @ self._weights(~out)
            losses[out] = self._missed[out] * np.exp(-logs) + logs
        return float(losses.mean())

    def _weights(self, chosen: NDArray[np.bool_]) -> Floats:
        """The weights for some of the films, by Newton's method on a convex loss."""
        matrix, missed = self._matrix[chosen], self._missed[chosen]
        weights = np.zeros(matrix.shape[1])
        weights[0] = np.log(max(float(missed.mean()) if missed.size else 1.0, _SMALL))
        for _ in range(_STEPS):
            ratio = missed * np.exp(-matrix @ weights)
            slope = matrix.T @ (1 - ratio) / len(missed) + self._stiffness * weights
            bend = (matrix * ratio[:, np.newaxis]).T @ matrix / len(missed) + np.diag(
                self._stiffness + _SMALL
            )
            step = np.linalg.solve(bend, slope)
            step *= min(1.0, _LARGEST_STEP / max(float(np.abs(matrix @ step).max()), _SMALL))
            weights -= step
            if float(np.abs(step).max()) < _SMALL:
                break
        return weights


def _hats(months: Floats) -> Floats:
    """How much of each knot `[n, 9]` a month has in linear interpolation."""
    unit = np.eye(len(KNOTS_MONTHS))
    return np.stack([np.interp(months, KNOTS_MONTHS, row) for row in unit], axis=1)
