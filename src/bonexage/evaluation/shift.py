"""Whether two samples differ by more than chance: numbers, or counts by kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

KOLMOGOROV: Final = "Kolmogorov-Smirnov"
FISHER: Final = "Fisher's exact"
CHI_SQUARE: Final = "chi-square"

_MOST_EXACT: Final = 10_000  # of either sample: above it the limiting distribution differs in no digit shown
_LEAST_EXPECTED: Final = 5.0  # Cochran 1954: below it the chi-square distribution is no longer near
_SAME: Final = 1 + 1e-7  # tables as likely as the one seen count too, whatever rounding did

_Table = NDArray[np.float64]


@dataclass(frozen=True)
class Tested:
    """What a test says.

    Attributes:
        test: its name.
        statistic: the largest difference of the two distribution functions, chi-square, or the odds ratio.
        p: how likely samples as far apart are where nothing has changed.
    """

    test: str
    statistic: float
    p: float


def two_samples(one: ArrayLike, other: ArrayLike) -> Tested:
    """The two-sided two-sample Kolmogorov-Smirnov test of numbers `[n]` and `[m]`, n and m at least 1.

    The probability is exact (Hodges: The significance probability of the Smirnov two-sample test. Arkiv för
    Matematik 1958;3:469-486) up to 10,000 numbers a sample and Kolmogorov's limit beyond. Ties make it too
    large rather than too small.
    """
    first, second = (np.sort(np.asarray(each, dtype=np.float64)) for each in (one, other))
    every = np.concatenate([first, second])
    n, m = len(first), len(second)
    below, under = (np.searchsorted(each, every, side="right") for each in (first, second))
    apart = int(np.abs(below * m - under * n).max())
    if max(n, m) > _MOST_EXACT:
        return Tested(KOLMOGOROV, apart / (n * m), _limit(apart / (n * m) * math.sqrt(n * m / (n + m))))
    return Tested(KOLMOGOROV, apart / (n * m), _share_of_orders(n, m, apart))


def two_counts(one: Sequence[int], other: Sequence[int]) -> Tested:
    """Whether two samples spread alike over the same kinds, counted in the same order.

    Kinds of which fewer than five are expected are joined with their smaller neighbour. Two kinds are
    compared by Fisher's exact test, more by the chi-square test of homogeneity.
    """
    table = np.array([one, other], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    while table.shape[1] > 2 and _expected(table).min() < _LEAST_EXPECTED:
        table = _joined(table)
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return Tested(FISHER, 1.0, 1.0)
    if table.shape[1] == 2:
        return _fisher(table.astype(np.int64))
    expected = _expected(table)
    statistic = float(((table - expected) ** 2 / expected).sum())
    return Tested(CHI_SQUARE, statistic, chi_square_tail(statistic, table.shape[1] - 1))


def chi_square_tail(statistic: float, degrees: int) -> float:
    """How likely a chi-square of so many degrees of freedom is to be `statistic` or more.

    The regularised upper incomplete gamma function of degrees / 2, by its recurrence (DLMF 8.8.6).
    """
    half = statistic / 2
    if half <= 0:
        return 1.0
    order, tail = (1.0, math.exp(-half)) if degrees % 2 == 0 else (0.5, math.erfc(math.sqrt(half)))
    while order < degrees / 2:
        tail += math.exp(order * math.log(half) - half - math.lgamma(order + 1))
        order += 1
    return min(1.0, tail)


def _share_of_orders(n: int, m: int, apart: int) -> float:
    """The share of all orders of n and m things in which their shares come `apart` / (n m) apart or more.

    Orders are paths over a grid; those that stay nearer to its diagonal are counted, row by row.
    """
    if apart == 0:
        return 1.0
    places = np.arange(m + 1)
    paths = (places * n < apart).astype(np.float64)
    scale = 0.0
    for row in range(1, n + 1):
        inside = np.abs(row * m - places * n) < apart
        paths = np.where(inside, np.cumsum(np.where(inside, paths, 0.0)), 0.0)
        largest = float(paths.max())
        if largest == 0.0:
            return 1.0
        paths /= largest
        scale += math.log(largest)
    every = math.lgamma(n + m + 1) - math.lgamma(n + 1) - math.lgamma(m + 1)
    nearer = math.exp(min(0.0, scale + math.log(paths[-1]) - every)) if paths[-1] > 0 else 0.0
    return min(1.0, max(0.0, 1.0 - nearer))


def _limit(reach: float) -> float:
    """Kolmogorov's limiting probability of a difference of `reach` or more."""
    if reach < 0.2:
        return 1.0
    terms = (2.0 * (-1.0) ** (k - 1) * math.exp(-2 * (k * reach) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, sum(terms)))


def _expected(table: _Table) -> _Table:
    return np.asarray(np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum())


def _joined(table: _Table) -> _Table:
    """The table with its rarest kind added to the rarer of its neighbours."""
    films = table.sum(axis=0)
    rarest = int(films.argmin())
    beside = [at for at in (rarest - 1, rarest + 1) if 0 <= at < len(films)]
    first = min(rarest, min(beside, key=lambda at: films[at]))
    both = table[:, first : first + 2].sum(axis=1, keepdims=True)
    return np.hstack([table[:, :first], both, table[:, first + 2 :]])


def _fisher(table: NDArray[np.int64]) -> Tested:
    """Two-sided, the sum over all tables with these sums that are no likelier than the one seen."""
    (a, b), (c, d) = table.tolist()
    row, column, total = a + b, a + c, a + b + c + d

    def log_chance(corner: int) -> float:
        return _log_choose(column, corner) + _log_choose(total - column, row - corner)

    every = [log_chance(corner) for corner in range(max(0, row + column - total), min(row, column) + 1)]
    seen = log_chance(a) + math.log(_SAME)
    whole = _log_choose(total, row)
    p = math.fsum(math.exp(each - whole) for each in every if each <= seen)
    odds = a * d / (b * c) if b * c else math.inf
    return Tested(FISHER, odds, min(1.0, p))


def _log_choose(things: int, taken: int) -> float:
    return math.lgamma(things + 1) - math.lgamma(taken + 1) - math.lgamma(things - taken + 1)
