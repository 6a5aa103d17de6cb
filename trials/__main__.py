"""Run the trials, all or those named, and write what came out into RELIABILITY.md.

Usage: python -m trials [TRIAL ...]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from trials import training_kills
from trials.reliability import with_section

PAGE: Final = Path(__file__).parents[1] / "RELIABILITY.md"
TRIALS: Final = {"training": training_kills.run}


def main() -> int:
    """Returns the exit code: 1 where a trial found a fault that did harm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=f"by default all: {', '.join(TRIALS)}")
    named = parser.parse_args().trials or list(TRIALS)
    if unknown := set(named) - set(TRIALS):
        parser.error(f"there is no trial {', '.join(sorted(unknown))}")
    all_held = True
    for name in named:
        found = TRIALS[name]()
        text = f"`python -m trials {name}` wrote this section.\n\n{found.text}"
        page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        PAGE.write_text(with_section(page, name.capitalize(), text), encoding="utf-8")
        print(found.text, flush=True)
        all_held &= found.held
    return 0 if all_held else 1


if __name__ == "__main__":
    sys.exit(main())
