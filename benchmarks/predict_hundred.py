"""How much faster a hundred films are read than by the steps of the command as first published.

Those loaded the model anew for each film, then read, preprocessed and ran that film alone. Both ways use the
same model and films, in the same process, one after the other.

Usage: python benchmarks/predict_hundred.py [--model BUNDLE] [--films FOLDER] [--number N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import bonexage
from bonexage.model.assessor import Assessor, assess_many
from bonexage.model.bundle import load_bundle
from bonexage.reading.files import list_films
from bonexage.reports.writing import write_whole
from bonexage.subject import Sex, Subject

PLATES = Path(bonexage.__file__).parent / "atlas" / "plates"
BOY = Subject(Sex.MALE)


def as_published(films: Sequence[str], model: Path | None) -> list[float]:
    """The model is loaded again for each film."""
    return [Assessor(load_bundle(model)).assess(film, Sex.MALE).bone_age_months for film in films]


def as_now(films: Sequence[str], model: Path | None) -> list[float]:
    """The model is loaded once; films are decoded beside the network."""
    outcomes = assess_many(Assessor(load_bundle(model)), films, lambda _: BOY)
    return [outcome.bone_age_months for outcome in outcomes if isinstance(outcome, bonexage.Assessment)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, help="a bundle; by default the carried one")
    parser.add_argument("--films", type=Path, default=PLATES, help="a folder of films; by default the plates")
    parser.add_argument("--number", type=int, default=100, help="how many films, repeated if need be")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    given = parser.parse_args()
    films = list(islice(cycle(list(list_films([str(given.films)]))), given.number))
    if not films:
        parser.error(f"there is no film in {given.films}")
    as_now(films[:2], given.model)  # libraries are loaded and files are in memory for both
    seconds, months = {}, {}
    for name, way in (("published", as_published), ("now", as_now)):
        began = time.perf_counter()
        months[name] = way(films, given.model)
        seconds[name] = time.perf_counter() - began
    apart = max(abs(a - b) for a, b in zip(months["published"], months["now"], strict=True))
    figures = {
        "model": load_bundle(given.model).model,
        "films": len(films),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "ratio": round(seconds["published"] / seconds["now"], 2),
        "largest_difference_months": round(apart, 4),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
    print(f"{'way':<12}{'seconds':>10}{'films a second':>18}")
    for name, value in seconds.items():
        print(f"{name:<12}{value:>10.2f}{len(films) / value:>18.1f}")
    print(f"ratio {figures['ratio']}, readings at most {apart:.4f} months apart, model {figures['model']}")
    if given.json:
        write_whole(given.json, json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
