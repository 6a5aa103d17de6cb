"""Whether intervals hold the share of labels that they promise: over all children, and cell by cell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bonexage.assessment import MAX_BONE_AGE_MONTHS, Assessment
from bonexage.evaluation.metrics import Figure, Floats, drawn_again, middle_of
from bonexage.evaluation.strata import BAND_MONTHS, bands_of
from bonexage.numbers import one_decimal, with_interval
from bonexage.reading.folder import LabelledFilm
from bonexage.subject import Sex

SIGNIFICANT: Final = 0.01
FEW_CHILDREN: Final = 2

Pairs = Sequence[tuple[LabelledFilm, Assessment]]


@dataclass(frozen=True)
class HeldCell:
    """How many labels the intervals of some children hold.

    Attributes:
        sex: whose; None for all.
        low_months: ages from here; None for all.
        high_months: to here, not included, but for the last band, which holds 240.
        children: how many.
        held: of how many of them the label lies in the interval.
        p: two-sided binomial probability of a share as far from the promised one, were that true.
        adjusted: the same after Holm's correction for all cells of the test.
    """

    sex: Sex | None
    low_months: float | None
    high_months: float | None
    children: int
    held: int
    p: float
    adjusted: float

    @property
    def share(self) -> float:
        """Share of the labels that are held, 0 to 1."""
        return self.held / self.children

    @property
    def departs(self) -> bool:
        """Whether the share departs from what is promised, significant at 1% after the correction."""
        return self.adjusted < SIGNIFICANT

    @property
    def name(self) -> str:
        """The cell in words, such as 'girls, 96 to 120 months'."""
        if self.sex is None or self.low_months is None or self.high_months is None:
            return "all children"
        return f"{self.sex.word}s, {self.low_months:.0f} to {self.high_months:.0f} months"

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        place: dict[str, object] = {"cell": self.name}
        if self.sex is not None:
            place |= {"sex": self.sex.value, "low_months": self.low_months, "high_months": self.high_months}
        counts = {"children": self.children, "held": self.held, "share": self.share}
        return place | counts | {"p": self.p, "p_holm": self.adjusted, "departs": self.departs}


@dataclass(frozen=True)
class CoverageTest:
    """Intervals tested on labelled films, the first film of each child.

    Attributes:
        coverage: the share that the intervals are built to hold.
        by_reading: all children, then each cell of sex and 24 months of predicted age, in which calibration
            promises the coverage; Holm's correction is over these.
        by_label: the same by labelled age, which no calibration can promise; corrected over these.
        width_months: mean width.
        constant_width_months: mean width of intervals of one width for all that hold as many of these labels.
        width_ratio: the first over the second, with its 95% bootstrap interval over children.
    """

    coverage: float
    by_reading: tuple[HeldCell, ...]
    by_label: tuple[HeldCell, ...]
    width_months: float
    constant_width_months: float
    width_ratio: Figure

    @property
    def departures(self) -> tuple[tuple[str, HeldCell], ...]:
        """The cells that depart, each with whether it is one 'read' or one 'labelled' as that age."""
        read = [("read", cell) for cell in self.by_reading if cell.departs]
        labelled = [("labelled", cell) for cell in self.by_label if cell.departs and cell.sex is not None]
        return (*read, *labelled)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "coverage": self.coverage,
            "significance": SIGNIFICANT,
            "correction": "Holm, over all children and the cells of each table",
            "by_predicted_age": [cell.as_dict() for cell in self.by_reading],
            "by_labelled_age": [cell.as_dict() for cell in self.by_label],
            "width_months": self.width_months,
            "constant_width_months": self.constant_width_months,
            "width_ratio": self.width_ratio.as_dict(),
        }

    def sentences(self) -> Iterator[str]:
        """What was found, for people."""
        overall = self.by_reading[0]
        yield (
            f"The {self.coverage:.0%} intervals hold the labels of {overall.share:.1%} of "
            f"{overall.children:,} children (p = {overall.p:.2g})."
        )
        found = [f"{cell.name} {how} ({cell.share:.0%} of {cell.children})" for how, cell in self.departures]
        if found:
            yield f"Departures from {self.coverage:.0%} significant at 1% (Holm): {'; '.join(found)}."
        else:
            yield f"No cell of sex and 24 months departs from {self.coverage:.0%} at the 1% level (Holm)."
        ratio = with_interval(self.width_ratio.as_dict(), lambda value: f"{value:.2f}")
        yield (
            f"Their mean width is {one_decimal(self.width_months)} months, {ratio} times that of intervals "
            "of one width for all that hold as many."
        )


def examine_coverage(pairs: Pairs, coverage: float, *, seed: int = 0, resamples: int = 2000) -> CoverageTest:
    """Test the intervals of assessed films; a child's later films are left out, as they tell nothing new.

    Args:
        pairs: labelled films, each with its assessment, all of which have an interval.
        coverage: the share that the intervals are built to hold.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Raises:
        ValueError: there is no film, or an assessment has no interval.
    """
    first: dict[str, tuple[LabelledFilm, Assessment]] = {}
    for film, said in pairs:
        first.setdefault(film.id, (film, said))
    rows = [
        (said.bone_age_months, film.bone_age_months, said.interval.low_months, said.interval.high_months)
        for film, said in first.values()
        if said.interval is not None
    ]
    if not rows or len(rows) < len(first):
        raise ValueError("every film needs an interval for its coverage to be tested")
    table = np.array(sorted(rows))
    order = sorted(range(len(rows)), key=rows.__getitem__)
    children = [list(first.values())[i][0] for i in order]
    sexes = [film.sex for film in children]
    held = (table[:, 2] <= table[:, 1]) & (table[:, 1] <= table[:, 3])
    by_reading, by_label = (_cells(sexes, table[:, column], held, coverage) for column in (0, 1))
    width, constant = (float(each[0]) for each in _widths(np.ones((1, len(table))), table))
    ratio = _width_ratio(table, seed, resamples)
    return CoverageTest(coverage, by_reading, by_label, width, constant, ratio)


def binomial_p(held: int, children: int, share: float) -> float:
    """Two-sided probability, under `share`, of a count no more likely than `held` of `children`."""
    logs = [
        math.lgamma(children + 1)
        - math.lgamma(k + 1)
        - math.lgamma(children - k + 1)
        + k * math.log(share)
        + (children - k) * math.log1p(-share)
        for k in range(children + 1)
    ]
    likely = np.exp(logs)
    return min(1.0, float(likely[likely <= likely[held] * (1 + 1e-7)].sum()))


def holm(probabilities: Sequence[float]) -> list[float]:
    """Probabilities corrected for their number (Holm, Scandinavian Journal of Statistics 1979;6:65-70)."""
    adjusted = [0.0] * len(probabilities)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(probabilities)), key=probabilities.__getitem__)):
        largest = max(largest, min(1.0, (len(probabilities) - rank) * probabilities[at]))
        adjusted[at] = largest
    return adjusted


def _cells(
    sexes: Sequence[Sex], ages: Floats, held: NDArray[np.bool_], coverage: float
) -> tuple[HeldCell, ...]:
    """All children, then each sex and band of 24 months that has some."""
    band_of = bands_of(ages)
    places: list[tuple[Sex | None, float | None]] = [(None, None)]
    places += sorted({(sex, float(low)) for sex, low in zip(sexes, band_of, strict=True)})
    cells = []
    for sex, low in places:
        here = np.array([sex in (None, its) for its in sexes]) & (low is None or band_of == low)
        count, inside = int(here.sum()), int(held[here].sum())
        p = binomial_p(inside, count, coverage)
        high = None if low is None else low + BAND_MONTHS
        cells.append(HeldCell(sex, low, high, count, inside, p, p))
    corrected = holm([cell.p for cell in cells])
    return tuple(replace(cell, adjusted=p) for cell, p in zip(cells, corrected, strict=True))


def _widths(times: Floats, table: Floats) -> tuple[Floats, Floats]:
    """Mean width of the intervals, and of those of one width that hold as many labels, each `[r]`.

    `times` `[r, n]` says how often each of the rows (reading, label, low, high) was drawn.
    """
    reading, label, low, high = table.T
    total = times.sum(axis=1)
    missed = np.abs(reading - label)
    order = np.argsort(missed, kind="stable")
    reached = np.cumsum(times[:, order], axis=1)
    wanted = times @ ((low <= label) & (label <= high)).astype(np.float64)
    half = missed[order][(reached >= wanted[:, np.newaxis]).argmax(axis=1)][:, np.newaxis]
    constant = np.minimum(reading + half, MAX_BONE_AGE_MONTHS) - np.maximum(reading - half, 0.0)
    return times @ (high - low) / total, (times * constant).sum(axis=1) / total


def _width_ratio(table: Floats, seed: int, resamples: int) -> Figure:
    """Mean width over that of one width for all; not defined where that is nothing."""

    def ratios(times: Floats) -> Floats:
        width, constant = _widths(times, table)
        return np.divide(width, constant, out=np.full_like(width, np.nan), where=constant > 0)

    value = float(ratios(np.ones((1, len(table))))[0])
    draws = drawn_again(np.arange(len(table)), seed=seed, resamples=resamples)
    drawn = np.concatenate([ratios(times) for times in draws])
    drawn = drawn[~np.isnan(drawn)]
    if len(table) < FEW_CHILDREN or not drawn.size:
        return Figure(value, math.nan, math.nan)
    return Figure(value, *middle_of(drawn))
