"""Two models on the same films: which lies closer to the labels, and whether that is more than chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from bonexage import __version__
from bonexage.assessment import DISCLAIMER, MAX_BONE_AGE_MONTHS, Assessment
from bonexage.decimals import number_in
from bonexage.errors import UnusableData, WrongUse
from bonexage.evaluation.metrics import CONFIDENCE, Figure, agreement, drawn_again, middle_of
from bonexage.evaluation.result import NOT_OFFICIAL, Measured
from bonexage.evaluation.strata import by_sex_and_age
from bonexage.numbers import signed, with_interval
from bonexage.reading.cells import read_table
from bonexage.subject import Sex

JSON_SCHEMA: Final = 1
RESAMPLES: Final = 10_000
PREDICTIONS: Final = "predictions.csv"
_LARGEST_LABEL_DIFFERENCE: Final = 0.1
_NEEDED: Final = ("id", "labelled_months", "bone_age_months")

Key = tuple[str, str, int]
signed_two = partial(signed, decimals=2)


@dataclass(frozen=True)
class Predicted:
    """A film with its label and what a model said, in months; `said_months` is None where it said nothing."""

    id: str
    file: str
    sex: Sex
    labelled_months: float
    said_months: float | None


@dataclass(frozen=True)
class Predictions:
    """What one model said of some films."""

    model: str
    films: tuple[Predicted, ...]


@dataclass(frozen=True)
class Contrast:
    """Two models on some of the films.

    Attributes:
        films: how many.
        children: how many children they are of.
        first: mean absolute error of the first model, months.
        second: of the second.
        difference: first minus second; below zero the first lies closer to the labels.
    """

    films: int
    children: int
    first: Figure
    second: Figure
    difference: Figure

    @property
    def verdict(self) -> str:
        """'first' or 'second' where the interval says that one is closer, 'none' where it does not."""
        if self.difference.high < 0:
            return "first"
        return "second" if self.difference.low > 0 else "none"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "films": self.films,
            "children": self.children,
            "first_mae_months": self.first.as_dict(),
            "second_mae_months": self.second.as_dict(),
            "difference_months": self.difference.as_dict(),
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Comparison:
    """Two models compared on the films that both have said something of.

    Attributes:
        first: the first model.
        second: the second.
        pairs: the films that both assessed, as the first and as the second has them, in the first's order.
        overall: over all of them.
        groups: by sex, then by band of labelled age, each under its name; those without films are left out.
        only_first: films that only the first has or could assess.
        only_second: films that only the second has or could assess.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """

    first: str
    second: str
    pairs: tuple[tuple[Predicted, Predicted], ...]
    overall: Contrast
    groups: tuple[tuple[str, Contrast], ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    resamples: int
    seed: int

    def __str__(self) -> str:
        """One sentence on whether they differ."""
        whole = self.overall
        where = f"On {_count(whole.films, 'film')} of {_count(whole.children, 'child', 'children')}"
        errors = f"mean absolute error {whole.first.value:.2f} against {whole.second.value:.2f} months"
        gap = with_interval(whole.difference.as_dict(), signed_two, unit=" months")
        figures = f"{errors}, difference {gap}"
        if all(one.said_months == other.said_months for one, other in self.pairs):
            return f"{where} there is no difference: {self.first} and {self.second} say the same of each."
        if whole.children == 1:
            return f"{where} it cannot be told whether {self.first} and {self.second} differ ({figures})."
        if whole.verdict == "none":
            return f"{where} no difference between {self.first} and {self.second} is shown ({figures})."
        better, worse = (self.first, self.second) if whole.verdict == "first" else (self.second, self.first)
        return f"{where} the two differ: {better} lies closer to the labels than {worse} ({figures})."

    def as_dict(self) -> dict[str, Any]:
        """For `comparison.json`."""
        return {
            "schema": JSON_SCHEMA,
            "bonexage": __version__,
            "first": self.first,
            "second": self.second,
            "said": str(self),
            **self.overall.as_dict(),
            "groups": [{"name": name, **contrast.as_dict()} for name, contrast in self.groups],
            "only_in_first": list(self.only_first),
            "only_in_second": list(self.only_second),
            "bootstrap": {
                "method": "paired percentile, children drawn with replacement",
                "confidence": CONFIDENCE,
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "note": NOT_OFFICIAL,
            "disclaimer": DISCLAIMER,
        }


def read_predictions(place: Path) -> Predictions:
    """The `predictions.csv` of an evaluation folder, or any CSV with its columns.

    Needed are `id` (of the child), `labelled_months` and `bone_age_months`, empty where there is none;
    `file`, `sex` and `model` are used where they are there.

    Raises:
        WrongUse: there is no such file, a column is missing, or a value is no number of months.
    """
    path = place / PREDICTIONS if place.is_dir() else place
    try:
        header, cells = read_table(path)
    except WrongUse as problem:
        raise WrongUse(
            problem.problem,
            remedy=f"Name a bundle, a folder that `bonexage evaluate` wrote, or a {PREDICTIONS}",
            subject=str(path),
        ) from problem
    if lacking := [name for name in _NEEDED if name not in header]:
        raise WrongUse(
            f"the table has no {' and no '.join(lacking)}",
            remedy=f"Its columns must be those of the {PREDICTIONS} that `bonexage evaluate` writes",
            subject=str(path),
        )
    rows = [{name: cell.text for name, cell in row.items()} for row in cells]
    return Predictions(rows[0].get("model") or place.name, tuple(_predicted(row, path) for row in rows))


def predictions_of(model: str, measured: Sequence[Measured]) -> Predictions:
    """What a model said of films that `evaluate.measure` showed it."""
    return Predictions(
        model,
        tuple(
            Predicted(
                one.film.id,
                one.film.path.name,
                one.film.sex,
                one.film.bone_age_months,
                one.outcome.bone_age_months if isinstance(one.outcome, Assessment) else None,
            )
            for one in measured
        ),
    )


def compare(
    first: Predictions, second: Predictions, *, seed: int = 0, resamples: int = RESAMPLES
) -> Comparison:
    """Compare two models by a paired bootstrap on the films that both have assessed.

    Films are the same if their id and file name are; where several are, they are taken in order. Films of one
    id are of one child, and are drawn together.

    Raises:
        UnusableData: no film is in both, or they give a film different labels.
    """
    said_first, said_second = _by_key(first), _by_key(second)
    both = [key for key in said_first if key in said_second]
    if not both:
        raise UnusableData(
            f"{first.model} and {second.model} have no film in common",
            remedy="Measure both on the same split of the same data folder",
        )
    for key in both:
        labels = said_first[key].labelled_months, said_second[key].labelled_months
        if abs(labels[0] - labels[1]) > _LARGEST_LABEL_DIFFERENCE:
            raise UnusableData(
                f"film {key[0]} is labelled {labels[0]:g} months in one and {labels[1]:g} in the other",
                remedy="Measure both on the same data folder",
            )
    pairs = tuple((said_first[key], said_second[key]) for key in both)
    groups = by_sex_and_age(pairs, lambda pair: pair[0].sex, lambda pair: pair[0].labelled_months)
    work = partial(_contrast, seed=seed, resamples=resamples)
    return Comparison(
        first=first.model,
        second=second.model if second.model != first.model else f"{second.model} (the second)",
        pairs=pairs,
        overall=work(pairs),
        groups=tuple((name, work(some)) for name, some in groups.items()),
        only_first=tuple(key[0] for key in said_first if key not in said_second),
        only_second=tuple(key[0] for key in said_second if key not in said_first),
        resamples=resamples,
        seed=seed,
    )


def paired_difference(
    first_errors: ArrayLike,
    second_errors: ArrayLike,
    children: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Figure:
    """The mean of first minus second over films, with its 95% percentile bootstrap interval.

    Children are drawn with replacement, each with all their films, and both models are seen on the same draws
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993). One child alone has no interval: NaN.

    Args:
        first_errors: absolute errors in months of the first model, `[n]`, n at least 1.
        second_errors: of the second, on the same films.
        children: of which child each film is.
        seed: of the draws.
        resamples: how many draws.
    """
    gap = np.asarray(first_errors, dtype=np.float64) - np.asarray(second_errors, dtype=np.float64)
    names, owner_of = np.unique(np.asarray(children, dtype=str), return_inverse=True)
    if len(names) < 2:
        return Figure(float(gap.mean()), math.nan, math.nan)
    drawn = [
        times @ gap / times.sum(axis=1) for times in drawn_again(owner_of, seed=seed, resamples=resamples)
    ]
    return Figure(float(gap.mean()), *middle_of(np.concatenate(drawn)))


def _contrast(pairs: Sequence[tuple[Predicted, Predicted]], *, seed: int, resamples: int) -> Contrast:
    labelled = [one.labelled_months for one, _ in pairs]
    children = [one.id for one, _ in pairs]
    said = [[film.said_months for film in side] for side in zip(*pairs, strict=True)]
    each = [agreement(model, labelled, children=children, seed=seed, resamples=resamples) for model in said]
    errors = [np.abs(np.asarray(model, dtype=np.float64) - labelled) for model in said]
    gap = paired_difference(errors[0], errors[1], children, seed=seed, resamples=resamples)
    return Contrast(len(pairs), each[0].children, each[0].mae_months, each[1].mae_months, gap)


def _by_key(said: Predictions) -> dict[Key, Predicted]:
    """The films that were assessed, by what makes them the same film."""
    seen: Counter[tuple[str, str]] = Counter()
    found: dict[Key, Predicted] = {}
    for film in said.films:
        seen[film.id, film.file] += 1
        if film.said_months is not None:
            found[film.id, film.file, seen[film.id, film.file]] = film
    return found


def _predicted(row: dict[str, str], path: Path) -> Predicted:
    try:
        said = row["bone_age_months"]
        months = number_in(said, MAX_BONE_AGE_MONTHS) if said else None
        labelled = number_in(row["labelled_months"], MAX_BONE_AGE_MONTHS)
        sex = Sex.parse(row.get("sex") or "U")
    except (ValueError, WrongUse) as problem:
        raise WrongUse(
            f"the row of film {row.get('id')} cannot be read ({problem})", remedy="Mend it", subject=str(path)
        ) from problem
    if not all(0 <= age <= MAX_BONE_AGE_MONTHS for age in (labelled, labelled if months is None else months)):
        raise WrongUse(
            f"film {row['id']} has a bone age outside 0 to {MAX_BONE_AGE_MONTHS:g} months",
            remedy="Give bone ages in months",
            subject=str(path),
        )
    return Predicted(row["id"], row.get("file") or "", sex, labelled, months)


def _count(number: int, one: str, many: str = "") -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many or one + 's'}"
