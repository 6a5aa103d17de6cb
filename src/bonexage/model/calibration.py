"""Split-conformal intervals whose width follows the film, from films that nothing else was fitted on.

Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World (2005); by group, as 'Mondrian' there. The
groups are the sex and the band of the predicted age, both of which are known for a new film.

Of an ensemble of folds some member has learned from every film, and scores are out of fold: each is that of
the member that never saw the child. Such are the residuals of CV+ (Barber, Candès, Ramdas, Tibshirani:
Predictive inference with the jackknife+. Annals of Statistics 2021;49(1):486-507), which lays intervals about
every member's answer and holds labels with at least 1 - 2a - sqrt(2 / n) where 1 - a is asked for and n films
are there. Here one interval is laid about the mean of the members' answers, and no such bound is proved. But
the mean lies on average at least as close to the label as its members do, for |mean - y| is at most the mean
of |member - y|: so the intervals are more likely too wide than too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np

from bonexage.assessment import MAX_BONE_AGE_MONTHS, Interval
from bonexage.model.heaping import AGES, Heaping, Nested, heaping_from_json, nested
from bonexage.model.rounding import Rounding, rounding_from_json
from bonexage.model.spread import HeldOut, Spread, spread_from_json
from bonexage.subject import Sex

BAND_MONTHS: Final = 24.0
LEAST_FILMS: Final = 40
_BANDS: Final = round(MAX_BONE_AGE_MONTHS / BAND_MONTHS)
_PLAIN: Final = "split-conformal"
_NORMALISED: Final = "normalised-split-conformal"
_ROUNDED: Final = "rounded-normalised-split-conformal"
_NESTED: Final = "nested-split-conformal"
_LABELS: Final = np.linspace(0.0, MAX_BONE_AGE_MONTHS, 961)
_EVERY_SECOND: Final = 0.5
_DIGITS: Final = 6
_LAST_DIGIT: Final = 10.0**-_DIGITS


@dataclass(frozen=True)
class Cell:
    """The scores of one sex in one range of predicted ages.

    Attributes:
        sex: FEMALE or MALE.
        low_months: predicted ages from here, included.
        high_months: up to here, not included (the last cell includes 240). A range wider than 24 months
            was merged from several bands because one of them had fewer than 40 films.
        scores: of each calibration film |predicted - labelled| over its spread, or in months where the
            calibration has no spread, or the mass of the first of its nested intervals that holds the label
            where it knows how labels heap; ascending. Where labels are taken for rounded, the scores of the
            bone ages that they may stand for, thinned to as many as there are films.
        seen_months: the least and the most predicted age among them, or None where that was not kept.
    """

    sex: Sex
    low_months: float
    high_months: float
    scores: tuple[float, ...]
    seen_months: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.sex is Sex.UNKNOWN or not 0 <= self.low_months < self.high_months <= MAX_BONE_AGE_MONTHS:
            raise ValueError(f"not a calibration cell: {self.sex!r} {self.low_months} to {self.high_months}")
        if any(not 0 <= score < math.inf for score in self.scores):
            raise ValueError("the scores of a calibration cell must be numbers from 0")
        if any(before > after for before, after in pairwise(self.scores)):
            raise ValueError("the scores of a calibration cell must ascend")
        if self.seen_months and not (
            self.low_months <= self.seen_months[0] <= self.seen_months[1] <= self.high_months
        ):
            raise ValueError("a calibration cell has seen ages that are not its own")

    @property
    def bands(self) -> int:
        """How many 24-month bands were merged into this cell (1: none)."""
        return round((self.high_months - self.low_months) / BAND_MONTHS)


@dataclass(frozen=True)
class Calibration:
    """Scores by sex and predicted age, from which an interval of any coverage is read.

    Attributes:
        cells: of each sex, one after another from 0 to 240 months.
        spread: what the scores are in, or None for months.
        network: sha256 of the network it was made for, or None where that was not kept.
        films: which films these are, a few words.
        out_of_fold: each score is not of the whole model, but of those members that never saw the child.
        heaping: where labels heap, for intervals that end there; or None for such as end anywhere. Needs a
            spread. The share that is promised is then one of labels that heap like these: of ages on a
            continuous scale an interval holds fewer.
        rounding: the ages that labels were rounded to, for intervals that hold the bone age behind the label;
            or None for intervals that hold the label. Needs a spread.
    """

    cells: tuple[Cell, ...]
    spread: Spread | None = None
    network: str | None = None
    films: str = ""
    out_of_fold: bool = False
    heaping: Heaping | None = None
    rounding: Rounding | None = None

    def __post_init__(self) -> None:
        if self.spread is None and not (self.heaping is None and self.rounding is None):
            raise ValueError("a calibration that knows how labels heap or are rounded needs a spread")
        if self.heaping is not None and self.rounding is not None:
            raise ValueError("intervals end where labels heap or hold what was rounded: not both")
        for sex in (Sex.FEMALE, Sex.MALE):
            edges = [(cell.low_months, cell.high_months) for cell in self.cells if cell.sex is sex]
            if edges and (
                edges[0][0] != 0.0
                or edges[-1][1] != MAX_BONE_AGE_MONTHS
                or any(before[1] != after[0] for before, after in pairwise(edges))
            ):
                raise ValueError(f"the cells of sex {sex} must follow one another from 0 to 240 months")

    @property
    def count(self) -> int:
        """How many films it was made from."""
        return sum(len(cell.scores) for cell in self.cells)

    def interval(
        self, months: float, sex: Sex, coverage: float, *, disagreement_months: float | None = None
    ) -> Interval:
        """The interval about a prediction of `months` in [0, 240] that holds the label with `coverage`.

        With `rounding` it holds the bone age behind the label with `coverage`, and more of the labels.

        Where the films are too few for the coverage asked for (or none of that sex), it is all of 0 to 240
        months. Below the least and above the most predicted age of its films it reaches to the end of the
        scale. `coverage` lies in (0, 1).
        """
        ends = self._ends_of_films(months, sex, coverage, disagreement_months) or (0.0, MAX_BONE_AGE_MONTHS)
        return opened(Interval(*ends, coverage), months, self.seen_months(sex))

    def may_be(
        self, label_months: float, months: float, sex: Sex, *, disagreement_months: float | None = None
    ) -> bool:
        """Whether a prediction of `months` is an ordinary one for a label as high as this.

        It is where the interval that holds the label of every second film reaches so far. Where there are no
        films of that sex, nothing says so. How far the predictions of its films go is no matter: those of a
        poor model, or of films of about one age, end early.
        """
        ends = self._ends_of_films(months, sex, _EVERY_SECOND, disagreement_months)
        return ends is not None and ends[1] >= label_months

    def _ends_of_films(
        self, months: float, sex: Sex, coverage: float, disagreement_months: float | None
    ) -> tuple[float, float] | None:
        """The ends of an interval as its films alone have it; None where they are too few."""
        reach = _reach(self._scores(months, sex), coverage)
        return self._ends(months, sex, reach, disagreement_months) if reach < math.inf else None

    def score(self, film: HeldOut) -> float:
        """What the label of a film, as it is, comes to in what the scores of the cells are in."""
        return _score(film, self.spread, self.heaping)

    def seen_months(self, sex: Sex) -> tuple[float, float] | None:
        """The least and the most predicted age of its films of a sex, or None where that was not kept."""
        seen = [cell.seen_months for cell in self.cells if cell.sex is sex and cell.seen_months]
        return (seen[0][0], seen[-1][1]) if seen else None

    def _scores(self, months: float, sex: Sex) -> tuple[float, ...]:
        of_sex = [cell for cell in self.cells if cell.sex is sex]
        for cell in of_sex:
            if months < cell.high_months:
                return cell.scores
        return of_sex[-1].scores if of_sex else ()

    def _ends(
        self, months: float, sex: Sex, reach: float, disagreement_months: float | None
    ) -> tuple[float, float]:
        """The outermost labels whose score is at most `reach`."""
        if self.spread is None:
            return max(0.0, months - reach), min(MAX_BONE_AGE_MONTHS, months + reach)
        if self.heaping is not None:
            return _nested(self.heaping, self.spread, months, sex, disagreement_months).within(
                reach + _LAST_DIGIT
            )
        labels = np.sort(np.append(_LABELS, months))
        spreads = self.spread.months(months, labels, sex, disagreement_months)
        over = np.abs(labels - months) - reach * spreads
        inside = np.flatnonzero(over <= 0)
        first, last = int(inside[0]), int(inside[-1])
        low, high = float(labels[first]), float(labels[last])
        if first > 0:
            low = float(np.interp(0.0, [over[first], over[first - 1]], [low, labels[first - 1]]))
        if last < len(labels) - 1:
            high = float(np.interp(0.0, [over[last], over[last + 1]], [high, labels[last + 1]]))
        return low, high

    def to_json(self) -> dict[str, Any]:
        """As it is stored in `bundle.json`."""
        plain = self.spread is None
        heaps = {} if self.heaping is None else {"heaping": self.heaping.to_json()}
        rounded = {} if self.rounding is None else {"rounding": self.rounding.to_json()}
        return {
            "method": _PLAIN if plain else _NESTED if heaps else _ROUNDED if rounded else _NORMALISED,
            "network": self.network,
            "films": self.films,
            "out_of_fold": self.out_of_fold,
            "spread": None if self.spread is None else self.spread.to_json(),
            **heaps,
            **rounded,
            "cells": [
                {
                    "sex": cell.sex.value,
                    "low_months": cell.low_months,
                    "high_months": cell.high_months,
                    "bands": cell.bands,
                    "seen_months": list(cell.seen_months) if cell.seen_months else None,
                    "films": len(cell.scores),
                    "residuals_months" if plain else "scores": list(cell.scores),
                }
                for cell in self.cells
            ],
        }


def opened(interval: Interval, months: float, known: tuple[float, float] | None) -> Interval:
    """The interval, open to the end of the scale on the side where `months` lies outside the ages `known`."""
    if known is None or known[0] <= months <= known[1]:
        return interval
    low = 0.0 if months < known[0] else interval.low_months
    high = MAX_BONE_AGE_MONTHS if months > known[1] else interval.high_months
    return Interval(low, high, interval.coverage)


def calibration_from_json(stored: Mapping[str, Any]) -> Calibration:
    """Read back what `Calibration.to_json` wrote, here or in an earlier version.

    Raises:
        ValueError: it is no calibration of this kind.
    """
    method = stored.get("method")
    if method not in (_PLAIN, _NORMALISED, _ROUNDED, _NESTED) or not isinstance(stored.get("cells"), list):
        raise ValueError("not a split-conformal calibration")
    try:
        scores = "residuals_months" if method == _PLAIN else "scores"
        return Calibration(
            tuple(_cell_from_json(cell, scores) for cell in stored["cells"]),
            None if method == _PLAIN else spread_from_json(stored["spread"]),
            None if stored.get("network") is None else str(stored["network"]),
            str(stored.get("films", "")),
            bool(stored.get("out_of_fold", False)),
            heaping_from_json(stored["heaping"]) if method == _NESTED else None,
            rounding_from_json(stored["rounding"]) if method == _ROUNDED else None,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a calibration cell is incomplete ({error!r})") from None


def _cell_from_json(stored: Mapping[str, Any], name: str) -> Cell:
    scores = tuple(float(score) for score in stored[name])
    if stored["films"] != len(scores):
        raise ValueError("a calibration cell names another number of films than it has")
    seen = stored.get("seen_months")
    if seen is not None:
        least, most = seen
        seen = (float(least), float(most))
    low, high = float(stored["low_months"]), float(stored["high_months"])
    return Cell(Sex(stored["sex"]), low, high, scores, seen)


def fit_calibration(
    films: Sequence[HeldOut],
    *,
    spread: Spread | None = None,
    network: str | None = None,
    of: str = "",
    out_of_fold: bool = False,
    heaping: Heaping | None = None,
    rounding: Rounding | None = None,
) -> Calibration:
    """Sort scores into cells by sex and 24-month bands of the predicted age.

    A band with fewer than 40 films is merged with whichever neighbour has fewer, smallest band first, until
    none is left or the sex has one cell. A sex without films has no cell.

    Args:
        films: films that neither the network nor the spread was fitted on.
        spread: what to measure their differences in; None for months.
        network: sha256 of the network that read them, or of the ensemble that those who did are members of.
        of: which films they are, a few words.
        out_of_fold: they were read by the members that never saw the child.
        heaping: of the labels of other films, where intervals are to end at labels; needs a spread.
        rounding: what labels of other films are rounded to, where intervals are to hold the bone age behind
            the label; needs a spread.
    """
    cells: list[Cell] = []
    for sex in (Sex.FEMALE, Sex.MALE):
        scored = [
            (film.reading_months, [_score(each, spread, heaping) for each in _unrounded(film, rounding)])
            for film in films
            if film.sex is sex
        ]
        if scored:
            cells.extend(_cells(sex, scored))
    return Calibration(tuple(cells), spread, network, of, out_of_fold, heaping, rounding)


def _unrounded(film: HeldOut, rounding: Rounding | None) -> list[HeldOut]:
    """The film with each bone age that its label may stand for."""
    if rounding is None:
        return [film]
    return [replace(film, label_months=float(age)) for age in rounding.bone_ages(film.label_months, film.sex)]


def _score(film: HeldOut, spread: Spread | None, heaping: Heaping | None) -> float:
    if spread is None:
        return abs(film.reading_months - film.label_months)
    if heaping is None:
        return round(spread.score(film), _DIGITS)
    about = _nested(heaping, spread, film.reading_months, film.sex, film.disagreement_months)
    return round(about.score(film.label_months), _DIGITS)


def _nested(
    heaping: Heaping, spread: Spread, months: float, sex: Sex, disagreement_months: float | None
) -> Nested:
    """The nested intervals of a film."""
    return nested(months, heaping.likely(months, spread.months(months, AGES, sex, disagreement_months), sex))


def _cells(sex: Sex, films: Sequence[tuple[float, Sequence[float]]]) -> list[Cell]:
    bands: list[list[tuple[float, Sequence[float]]]] = [[] for _ in range(_BANDS)]
    for months, scores in films:
        bands[min(int(months // BAND_MONTHS), _BANDS - 1)].append((months, scores))
    edges = [BAND_MONTHS * i for i in range(_BANDS + 1)]
    while len(bands) > 1 and min(map(len, bands)) < LEAST_FILMS:
        smallest = min(range(len(bands)), key=lambda i: len(bands[i]))
        neighbours = [i for i in (smallest - 1, smallest + 1) if 0 <= i < len(bands)]
        first = min(smallest, min(neighbours, key=lambda i: len(bands[i])))
        bands[first : first + 2] = [bands[first] + bands[first + 1]]
        del edges[first + 1]
    return [
        Cell(
            sex,
            low,
            high,
            _thinned([scores for _, scores in band]),
            (min(months for months, _ in band), max(months for months, _ in band)),
        )
        for (low, high), band in zip(pairwise(edges), bands, strict=True)
    ]


def _thinned(scores: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """As many scores as there are films, ascending: of all films' scores together every so manieth."""
    each = len(scores[0]) if scores else 1
    return tuple(sorted(score for of_film in scores for score in of_film)[each - 1 :: each])


def _reach(scores: Sequence[float], coverage: float) -> float:
    """The ceil((n + 1) * coverage)-th smallest score; infinite where there are not that many."""
    rank = math.ceil(round((len(scores) + 1) * coverage, 9))
    return scores[rank - 1] if rank <= len(scores) else math.inf
