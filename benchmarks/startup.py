"""How soon it is there: `import bonexage` (promised: under 0.3 s) and one film cold (promised: under 3 s).

Each is a process of its own, started several times; the median counts.

Usage: python benchmarks/startup.py [--film FILE] [--model BUNDLE] [--times N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import bonexage
from bonexage.reading.files import list_films
from bonexage.reports.writing import write_whole

PLATES = Path(bonexage.__file__).parent / "atlas" / "plates"
IMPORT = "import time; began = time.perf_counter(); import bonexage; print(time.perf_counter() - began)"
PROMISED_SECONDS = {"import": 0.3, "film": 3.0}


def seconds_of(command: Sequence[str], times: int) -> float:
    """Median wall time of a command, from its start to its end."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def import_seconds(times: int) -> float:
    """Median time of the import alone, in a fresh interpreter."""
    command = [sys.executable, "-c", IMPORT]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(times)]
    return statistics.median(float(run.stdout) for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--film", help="a film; by default a plate of the carried atlas")
    parser.add_argument("--model", help="a bundle; by default the carried one")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    given = parser.parse_args()
    film = given.film or next(iter(list_films([str(PLATES)])))
    command = [sys.executable, "-m", "bonexage", "predict", film, "--sex", "F"]
    if given.model:
        command += ["--model", given.model]
    seconds = {"import": import_seconds(given.times), "film": seconds_of(command, given.times)}
    for name, what in (("import", "import bonexage"), ("film", "one film, cold")):
        print(f"{what:<18}{seconds[name]:>8.3f} s   (promised: under {PROMISED_SECONDS[name]:g} s)")
    if given.json:
        figures = {
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            "cores": os.cpu_count(),
        }
        write_whole(given.json, json.dumps(figures, indent=2) + "\n")
    if any(seconds[name] >= most for name, most in PROMISED_SECONDS.items()):
        sys.exit("It starts slower than promised.")


if __name__ == "__main__":
    main()
