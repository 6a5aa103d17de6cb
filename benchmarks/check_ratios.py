"""Whether anything got slower: ratios measured now against the committed ones; fails past 20%.

Usage: python benchmarks/check_ratios.py FOLDER   (with results measured now)
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from yardstick import RESULTS

MOST_LOST: Final = 0.2


@dataclass(frozen=True)
class Change:
    """A ratio then and now; None where it is not there."""

    name: str
    what: str
    then: float
    now: float | None

    @property
    def slower(self) -> bool:
        """Whether it is gone, or has fallen by more than what may be lost."""
        return self.now is None or self.now < self.then * (1 - MOST_LOST)


def ratios(path: Path) -> dict[str, float]:
    """The ratios of one benchmark by what they are of."""
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return {row["what"]: row["ratio"] for row in rows if row["ratio"] is not None}


def changes(committed: Path, measured: Path) -> Iterator[Change]:
    """Every committed ratio beside that of now, of the benchmarks that were run: some need films."""
    for path in sorted(committed.glob("*.json")):
        if not (measured / path.name).is_file():
            continue
        now = ratios(measured / path.name)
        for what, then in ratios(path).items():
            yield Change(path.stem, what, then, now.get(what))


def main() -> None:
    found = list(changes(RESULTS, Path(sys.argv[1])))
    if not found:
        sys.exit(f"Nothing measured is also in {RESULTS}: make bench writes what is compared with.")
    slower = [change for change in found if change.slower]
    for change in found:
        now = "not measured" if change.now is None else f"{change.now:.2f}"
        mark = "  SLOWER" if change.slower else ""
        print(f"{change.name}: {change.what}: {change.then:.2f}, now {now}{mark}")
    if slower:
        sys.exit(f"{len(slower)} of {len(found)} ratios are worse by more than {MOST_LOST:.0%}.")


if __name__ == "__main__":
    main()
