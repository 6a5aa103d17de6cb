"""Run the trials, all or those named, and write what came out into RELIABILITY.md.

Usage: python -m trials [TRIAL ...] [--set NAME=NUMBER ...]
"""

from __future__ import annotations

import argparse
import inspect
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from trials import (
    damaged_results,
    foreign_state,
    node_faults,
    partial_copies,
    service_faults,
    service_load,
    slow_pictures,
    training_kills,
)
from trials.reliability import Found, with_section

PAGE: Final = Path(__file__).parents[1] / "RELIABILITY.md"
TRIALS: Final[dict[str, Callable[..., Found]]] = {
    "training": training_kills.run,
    "service": service_faults.run,
    "load": service_load.run,
    "node": node_faults.run,
    "pictures": slow_pictures.run,
    "partial": partial_copies.run,
    "foreign": foreign_state.run,
    "results": damaged_results.run,
}


def main() -> int:
    """Returns the exit code: 1 where a trial found a fault that did harm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=f"by default all: {', '.join(TRIALS)}")
    parser.add_argument(
        "--set",
        nargs="*",
        default=[],
        metavar="NAME=NUMBER",
        help="counts of a trial, for one that is shorter",
    )
    given = parser.parse_args()
    named = given.trials or list(TRIALS)
    if unknown := set(named) - set(TRIALS):
        parser.error(f"there is no trial {', '.join(sorted(unknown))}")
    counts = {name: int(number) for name, _, number in (each.partition("=") for each in given.set)}
    for name in named:
        if unknown := set(counts) - set(inspect.signature(TRIALS[name]).parameters):
            parser.error(f"the trial {name} has no {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what a trial started ends with it
    all_held = True
    for name in named:
        found = TRIALS[name](**counts)
        command = " ".join(["python -m trials", name, *(["--set", *given.set] if given.set else [])])
        text = f"`{command}` wrote this section.\n\n{found.text}"
        page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        PAGE.write_text(with_section(page, name.capitalize(), text), encoding="utf-8")
        print(found.text, flush=True)
        all_held &= found.held
    return 0 if all_held else 1


if __name__ == "__main__":
    sys.exit(main())
