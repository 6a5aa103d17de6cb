"""How far predicted bone ages lie from labelled ones: each figure with a 95% interval over children."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE: Final = 0.95
LIMITS_SD: Final = 1.96  # Bland and Altman, Lancet 1986: limits of agreement are mean +- 1.96 SD
SHARES: Final = ("within_6_months", "within_12_months", "within_24_months", "covered")
_CELLS_AT_ONCE: Final = 4_000_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """One figure with its 95% interval; NaN where not defined (R² of one film, an interval of one child)."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """`value`, `low` and `high` for JSON, None in place of NaN."""
        return {name: _none_for_nan(getattr(self, name)) for name in ("value", "low", "high")}


@dataclass(frozen=True)
class Agreement:
    """How predicted and labelled bone ages agree over some films; a difference is predicted minus labelled.

    Attributes:
        films: how many films.
        children: how many children they are of.
        mae_months: mean absolute difference, what the field calls mean absolute deviation (MAD).
        median_months: median absolute difference.
        rmse_months: root of the mean squared difference.
        bias_months: mean difference; above zero reads too old.
        r2: coefficient of determination, 1 - SSE / SST about the labels' mean; not a squared correlation.
        limit_low_months: lower Bland-Altman limit of agreement, bias - 1.96 SD.
        limit_high_months: upper limit, bias + 1.96 SD.
        within_6_months: share of films with an absolute difference of at most 6 months, 0 to 1.
        within_12_months: the same for 12 months.
        within_24_months: the same for 24 months.
        covered: share of films whose label lies in the predicted interval; None without intervals.
        interval_width_months: mean width of the predicted intervals; None without intervals.
    """

    films: int
    children: int
    mae_months: Figure
    median_months: Figure
    rmse_months: Figure
    bias_months: Figure
    r2: Figure
    limit_low_months: Figure
    limit_high_months: Figure
    within_6_months: Figure
    within_12_months: Figure
    within_24_months: Figure
    covered: Figure | None = None
    interval_width_months: Figure | None = None

    def figures(self) -> Iterator[tuple[str, Figure]]:
        """Name and figure of each one there is, in the order above."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Figure):
                yield field.name, value

    def as_dict(self) -> dict[str, object]:
        """All of it for JSON; a figure that is not there is left out."""
        counts = {"films": self.films, "children": self.children}
        return counts | {name: figure.as_dict() for name, figure in self.figures()}


def agreement(
    predicted: ArrayLike,
    labelled: ArrayLike,
    *,
    intervals: ArrayLike | None = None,
    children: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> Agreement:
    """Compare predicted with labelled bone ages.

    Intervals are 95% percentile bootstrap intervals: children, not films, are drawn with replacement, each
    with all their films. A share of 0 or 1, which no draw moves, has the exact interval instead. The order of
    the films changes nothing.

    Args:
        predicted: months `[n]`.
        labelled: months `[n]`.
        intervals: predicted low and high, months `[n, 2]`, where the model gives intervals.
        children: an identifier for each film; None where every film is of another child.
        seed: of the resampling; the same seed gives the same intervals.
        resamples: how many times children are drawn, at least 1.

    Raises:
        ValueError: no film, shapes that differ, a value that is not finite, or no resamples.
    """
    table = _tabulate(predicted, labelled, intervals)
    if resamples < 1:
        raise ValueError(f"at least one resample is needed, not {resamples}")
    owners = np.arange(len(table)) if children is None else np.asarray(children, dtype=str)
    if owners.shape != (len(table),):
        raise ValueError(f"{len(table)} films but {owners.size} children")
    # A fixed order, so that the draw does not depend on the order the films came in.
    order = np.lexsort((*table.T, *(() if children is None else (owners,))))
    table = table[order]
    _, owner_of = np.unique(np.arange(len(table)) if children is None else owners[order], return_inverse=True)
    count = int(owner_of.max()) + 1

    values = {name: float(one[0]) for name, one in _statistics(np.ones((1, len(table))), table).items()}
    ends = _percentiles(table, owner_of, seed=seed, resamples=resamples) if count > 1 else {}
    ends |= {name: _exact_ends(values[name], count) for name in SHARES if values.get(name) in (0, 1)}
    return Agreement(
        films=len(table),
        children=count,
        **{name: Figure(value, *ends.get(name, (math.nan, math.nan))) for name, value in values.items()},
    )


def _exact_ends(share: float, children: int) -> tuple[float, float]:
    """The exact interval of a share of 0 or 1, which no draw moves (Clopper, Pearson, Biometrika 1934)."""
    tail = ((1 - CONFIDENCE) / 2) ** (1 / children)
    return (tail, 1.0) if share else (0.0, 1 - tail)


def _tabulate(predicted: ArrayLike, labelled: ArrayLike, intervals: ArrayLike | None) -> Floats:
    """One row a film: predicted, labelled and, where there are any, the interval's low and high."""
    first, second = (np.asarray(given, dtype=np.float64) for given in (predicted, labelled))
    if first.ndim != 1 or first.shape != second.shape or first.size == 0:
        raise ValueError(f"predicted {first.shape} and labelled {second.shape} must be [n], n at least 1")
    columns = [first, second]
    if intervals is not None:
        ends = np.asarray(intervals, dtype=np.float64)
        if ends.shape != (first.size, 2):
            raise ValueError(f"intervals {ends.shape} must be [{first.size}, 2]")
        columns += [ends[:, 0], ends[:, 1]]
    table = np.stack(columns, axis=1)
    if not np.isfinite(table).all():
        raise ValueError("bone ages must be finite")
    return table


def _percentiles(
    table: Floats, owner_of: NDArray[np.intp], *, seed: int, resamples: int
) -> dict[str, tuple[float, float]]:
    """Low and high end of every figure over resamples of the children."""
    parts = [_statistics(times, table) for times in drawn_again(owner_of, seed=seed, resamples=resamples)]
    ends: dict[str, tuple[float, float]] = {}
    for name in parts[0]:
        drawn_values = np.concatenate([part[name] for part in parts])
        drawn_values = drawn_values[~np.isnan(drawn_values)]
        if drawn_values.size:
            ends[name] = middle_of(drawn_values)
    return ends


def drawn_again(owner_of: NDArray[np.intp], *, seed: int, resamples: int) -> Iterator[Floats]:
    """Children drawn with replacement, as many as there are, each with all their films.

    Args:
        owner_of: the number of the child of each film, `[n]`, from 0 without a gap.
        seed: of the draws.
        resamples: how many draws.

    Yields:
        How often each film was drawn, `[r, n]`; the `r` add up to `resamples`.
    """
    rng = np.random.default_rng(seed)
    count = int(owner_of.max()) + 1
    at_once = max(1, _CELLS_AT_ONCE // len(owner_of))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = rng.integers(count, size=(rows, count)) + count * np.arange(rows)[:, np.newaxis]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        yield times[:, owner_of].astype(np.float64)


def mean_over_children(
    values: ArrayLike, children: Sequence[str] | None = None, *, seed: int = 0, resamples: int = 2000
) -> Figure:
    """The mean of values `[n]` with its 95% percentile bootstrap interval.

    Args:
        values: one a film.
        children: of which child each film is; None where every film is of another child.
        seed: of the resampling.
        resamples: how many times children are drawn.
    """
    known = np.asarray(values, dtype=np.float64)
    owners = np.arange(len(known)) if children is None else np.asarray(children, dtype=str)
    drawn = drawn_again(np.unique(owners, return_inverse=True)[1], seed=seed, resamples=resamples)
    means = [times @ known / times.sum(axis=1) for times in drawn]
    return Figure(float(known.mean()), *middle_of(np.concatenate(means)))


def middle_of(values: Floats) -> tuple[float, float]:
    """The ends between which the middle 95% of the values lie."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return float(low), float(high)


def _statistics(times: Floats, table: Floats) -> dict[str, Floats]:
    """Every figure for films taken `times` `[r, n]` times each: arrays `[r]`.

    Sums go through products with `times`, about the plain means so that no digits are lost.
    """
    predicted, labelled = table[:, 0], table[:, 1]
    difference = predicted - labelled
    away = np.abs(difference)
    total = times.sum(axis=1)

    def mean(what: Floats | NDArray[np.bool_]) -> Floats:
        share: Floats = times @ what.astype(np.float64) / total
        return share

    def squares(what: Floats) -> Floats:
        """Sum of squares about the mean of each row."""
        centred = what - what.mean()
        left: Floats = np.maximum(times @ centred**2 - (times @ centred) ** 2 / total, 0.0)
        return left

    bias = mean(difference)
    mean_square = mean(difference**2)
    # One film alone has no spread, labels all alike have no variance to explain: not defined, so NaN.
    sd = np.sqrt(np.divide(squares(difference), total - 1, out=np.full_like(total, np.nan), where=total > 1))
    spread = squares(labelled)
    explained = spread > 1e-9 * total
    unexplained = np.divide(mean_square * total, spread, out=np.full_like(total, np.nan), where=explained)
    figures = {
        "mae_months": mean(away),
        "median_months": _median(times, away),
        "rmse_months": np.sqrt(mean_square),
        "bias_months": bias,
        "r2": 1 - unexplained,
        "limit_low_months": bias - LIMITS_SD * sd,
        "limit_high_months": bias + LIMITS_SD * sd,
        "within_6_months": mean(away <= 6),
        "within_12_months": mean(away <= 12),
        "within_24_months": mean(away <= 24),
    }
    if table.shape[1] > 2:
        low, high = table[:, 2], table[:, 3]
        figures["covered"] = mean((low <= labelled) & (labelled <= high))
        figures["interval_width_months"] = mean(high - low)
    return figures


def _median(times: Floats, values: Floats) -> Floats:
    """Median `[r]` of `values` `[n]`, each taken `times` `[r, n]` times."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    reached = np.cumsum(times[:, order], axis=1)
    total = reached[:, -1]
    lower = (reached > ((total - 1) // 2)[:, np.newaxis]).argmax(axis=1)
    upper = (reached > (total // 2)[:, np.newaxis]).argmax(axis=1)
    middle: Floats = (ranked[lower] + ranked[upper]) / 2
    return middle


def _none_for_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
