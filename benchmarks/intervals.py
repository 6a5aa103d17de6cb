"""Whether intervals that follow the film are narrower than others of the same coverage, and whom each holds.

    BONEXAGE_DATA=folder python benchmarks/intervals.py [bundle]

The validation and calibration films of the bundle's own training are read once. Then their children are
divided at random, again and again: a spread is fitted on the first part, intervals are calibrated on the
second and measured on the third. Where labels heap is counted on the films that the network did learn from.
No test film is read. Writes `evaluation/intervals/intervals.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from at_hand import films_folder
from bonexage.assessment import Assessment
from bonexage.disk import write_atomically
from bonexage.evaluation.evaluate import measure
from bonexage.learning.dataset import Part, TrainingFilm
from bonexage.learning.dealt import films_of_bundle
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.model.calibration import BAND_MONTHS, Calibration, Cell, fit_calibration
from bonexage.model.heaping import Heaping, fit_heaping
from bonexage.model.rounding import rounding_of
from bonexage.model.spread import SEXES, HeldOut, fit_spread

OUT: Final = Path(__file__).parents[1] / "evaluation" / "intervals"
COVERAGES: Final = (0.8, 0.9, 0.95)
DIVISIONS: Final = 20
PARTS: Final = (0.35, 0.85)
LEAST_IN_CELL: Final = 15

Films: TypeAlias = Sequence[HeldOut]
Method: TypeAlias = Callable[[Films, Films], Calibration]


@dataclass(frozen=True)
class Tally:
    """What a method's intervals did, over all divisions, at one coverage.

    Attributes:
        width: mean width over that of one width for all, of each division.
        held: share of labels held, of each division.
        by_reading: mean share held in each cell of sex and 24 months of predicted age with enough films.
        by_label: the same by labelled age.
        held_off_heaps: share held of the labels that are less frequent than the months about them, over all
            divisions.
    """

    width: NDArray[np.float64]
    held: NDArray[np.float64]
    by_reading: dict[str, float]
    by_label: dict[str, float]
    held_off_heaps: float

    def as_dict(self) -> dict[str, object]:
        """For JSON: means, the error of the mean width, and the cells that are held least and most."""
        return {
            "width": float(self.width.mean()),
            "width_error": float(self.width.std() / np.sqrt(len(self.width))),
            "held": float(self.held.mean()),
            "held_off_heaps": self.held_off_heaps,
            **{
                f"{end}_{name}": min(cells.items(), key=lambda item: sign * item[1])
                for name, cells in (("by_predicted_age", self.by_reading), ("by_labelled_age", self.by_label))
                for end, sign in (("least", 1), ("most", -1))
            },
        }


def one_width(_: Films, known: Films) -> Calibration:
    """The same width for every film."""
    scores = tuple(sorted(abs(film.reading_months - film.label_months) for film in known))
    return Calibration(tuple(Cell(sex, 0.0, 240.0, scores) for sex in SEXES))


def one_width_a_cell(_: Films, known: Films) -> Calibration:
    """One width for each sex and band of predicted age."""
    return fit_calibration(known)


def without_views(learned: Films, known: Films) -> Calibration:
    """A spread of reading, label and sex, whatever the views say."""
    return fit_calibration(
        known, spread=fit_spread([replace(film, disagreement_months=None) for film in learned])
    )


def following(learned: Films, known: Films) -> Calibration:
    """A spread of all that tells."""
    return fit_calibration(known, spread=fit_spread(learned))


def ending_at_heaps(learned: Films, known: Films, heaping: Heaping) -> Calibration:
    """As bundles of schema 4 have it: the same, each interval ending where labels heap."""
    return fit_calibration(known, spread=fit_spread(learned), heaping=heaping)


def holding_bone_ages(learned: Films, known: Films, heaping: Heaping) -> Calibration:
    """As bundles have it: the same, holding the bone ages that labels were rounded from."""
    return fit_calibration(known, spread=fit_spread(learned), rounding=rounding_of(heaping))


def methods(heaping: Heaping) -> dict[str, Method]:
    """All of them; the first is what the others' widths are set against."""
    return {
        "one width for all": one_width,
        "one width for each sex and band": one_width_a_cell,
        "a spread of reading and label": without_views,
        "the same, and the views' disagreement where it tells": following,
        "the same, ending where labels heap": partial(ending_at_heaps, heaping=heaping),
        "the same, holding what labels were rounded from": partial(holding_bone_ages, heaping=heaping),
    }


def heaping_of(films: Sequence[TrainingFilm]) -> Heaping:
    """Where the labels heap of those films that the network learned from."""
    learned = [each.film for each in films if each.part is Part.TRAINING]
    return fit_heaping((film.sex, film.bone_age_months) for film in learned)


def held_out_readings(assessor: Assessor, films: Sequence[TrainingFilm]) -> list[HeldOut]:
    """Those films that it did not learn from, as the bundle reads them."""
    held_out = [each.film for each in films if each.part is not Part.TRAINING]
    read = measure(assessor, held_out, progress=tell)
    return [
        HeldOut(
            one.film.id,
            one.film.sex,
            one.outcome.bone_age_months,
            one.film.bone_age_months,
            one.outcome.readings[0].disagreement_months,
        )
        for one in read
        if isinstance(one.outcome, Assessment)
    ]


def tell(done: int, total: int) -> None:
    if done % 200 == 0 or done == total:
        print(f"{done} of {total} films read", flush=True)


def divisions(films: Films) -> Iterator[tuple[Films, Films, Films]]:
    """The films in three parts, child by child, divided at random again and again."""
    rng = np.random.default_rng(0)
    children = sorted({film.child for film in films})
    for _ in range(DIVISIONS):
        drawn = dict(zip(children, rng.permutation(len(children)) / len(children), strict=True))
        part_of = [int(np.searchsorted(PARTS, drawn[film.child], side="right")) for film in films]
        first, second, third = (
            [film for film, its in zip(films, part_of, strict=True) if its == part] for part in range(3)
        )
        yield first, second, third


def intervals(calibration: Calibration, films: Films, coverage: float) -> NDArray[np.float64]:
    """The ends of each film's interval, `[n, 2]`."""
    given = [
        calibration.interval(
            film.reading_months, film.sex, coverage, disagreement_months=film.disagreement_months
        )
        for film in films
    ]
    return np.array([(each.low_months, each.high_months) for each in given])


def tally(films: Films, heaping: Heaping) -> dict[str, dict[float, Tally]]:
    """What each method does at each coverage."""
    tried = methods(heaping)
    widths: dict[tuple[str, float], list[float]] = {}
    shares: dict[tuple[str, float], list[float]] = {}
    cells: dict[tuple[str, float, bool], dict[str, list[bool]]] = {}
    off: dict[tuple[str, float], list[bool]] = {}
    for learned, known, new in divisions(films):
        labels = np.array([film.label_months for film in new])
        off_heaps = np.array([heaping.by_sex[film.sex][round(film.label_months)] < 1 for film in new])
        for name, method in tried.items():
            calibration = method(learned, known)
            for coverage in COVERAGES:
                ends = intervals(calibration, new, coverage)
                held = (ends[:, 0] <= labels) & (labels <= ends[:, 1])
                widths.setdefault((name, coverage), []).append(float(np.ptp(ends, axis=1).mean()))
                shares.setdefault((name, coverage), []).append(float(held.mean()))
                off.setdefault((name, coverage), []).extend(held[off_heaps].tolist())
                for by_label in (False, True):
                    into = cells.setdefault((name, coverage, by_label), {})
                    for film, its in zip(new, held.tolist(), strict=True):
                        into.setdefault(_cell(film, by_label), []).append(its)
    constant = next(iter(tried))

    def shares_of(name: str, coverage: float, by_label: bool) -> dict[str, float]:
        return {
            cell: float(np.mean(held))
            for cell, held in cells[name, coverage, by_label].items()
            if len(held) >= LEAST_IN_CELL * DIVISIONS
        }

    return {
        name: {
            coverage: Tally(
                np.array(widths[name, coverage]) / np.array(widths[constant, coverage]),
                np.array(shares[name, coverage]),
                shares_of(name, coverage, False),
                shares_of(name, coverage, True),
                float(np.mean(off[name, coverage])),
            )
            for coverage in COVERAGES
        }
        for name in tried
    }


def _cell(film: HeldOut, by_label: bool) -> str:
    low = BAND_MONTHS * min((film.label_months if by_label else film.reading_months) // BAND_MONTHS, 9)
    return f"{film.sex.word}s {low:.0f} to {low + BAND_MONTHS:.0f} months"


def main() -> None:
    data = films_folder("the data folders")
    if data is None:
        return
    assessor = Assessor(load_bundle(*sys.argv[1:2]))
    all_films = films_of_bundle(assessor.bundle, data)
    films = held_out_readings(assessor, all_films)
    found = tally(films, heaping_of(all_films))
    for name, by_coverage in found.items():
        print(name)
        for coverage, one in by_coverage.items():
            said = one.as_dict()
            print(
                f"  {coverage:.0%}: {said['width']:.3f} of one width for all, holds {said['held']:.1%}; "
                f"least {said['least_by_predicted_age']} by reading, {said['least_by_labelled_age']} by label"
            )
    stored = {
        "model": assessor.model,
        "films": len(films),
        "divisions": DIVISIONS,
        "methods": {
            name: {f"{coverage:.0%}": one.as_dict() for coverage, one in by_coverage.items()}
            for name, by_coverage in found.items()
        },
    }
    write_atomically(OUT / "intervals.json", (json.dumps(stored, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
