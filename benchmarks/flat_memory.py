"""Whether memory stays flat: the most that `bonexage predict` held, for some films and for ten times as many.

Usage: python benchmarks/flat_memory.py [--model BUNDLE] [--films FOLDER] [--number N] [--json FILE]

Not for Windows, which does not tell what a process held.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

import bonexage
from bonexage.reading.files import list_films
from bonexage.reports.writing import write_whole

PLATES = Path(bonexage.__file__).parent / "atlas" / "plates"
TIMES = 10
PROMISED_GROWTH = 1.15


def most_megabytes(films: list[str], number: int, model: str | None) -> float:
    """The largest resident size of one run of the command over so many films, in 10^6 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "names.txt"
        names.write_text("\n".join(islice(cycle(films), number)) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "bonexage", "predict", str(names), "--sex", "F"]
        command += ["--out", str(Path(folder) / "out.csv"), *(["--model", model] if model else [])]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{' '.join(command)} failed")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", help="a bundle; by default the carried one")
    parser.add_argument("--films", default=str(PLATES), help="a folder of films; by default the plates")
    parser.add_argument(
        "--number", type=int, default=1000, help="films of the smaller run, repeated if need be"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    given = parser.parse_args()
    films = [str(Path(film).resolve()) for film in list_films([given.films])]
    numbers = (given.number, given.number * TIMES)
    most = {number: most_megabytes(films, number, given.model) for number in numbers}
    growth = most[numbers[1]] / most[numbers[0]]
    for number, megabytes in most.items():
        print(f"{number:>8} films {megabytes:>8.1f} MB")
    print(f"ratio {growth:.3f} (promised: at most {PROMISED_GROWTH})")
    if given.json:
        figures = {"megabytes": {str(number): round(held, 1) for number, held in most.items()}}
        write_whole(given.json, json.dumps(figures, indent=2) + "\n")
    if growth > PROMISED_GROWTH:
        sys.exit("Memory grows with the number of films.")


if __name__ == "__main__":
    main()
