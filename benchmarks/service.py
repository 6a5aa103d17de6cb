"""Whether the service under many clients is as fast as the bare runtime, answers in time, and does not grow.

Both read the composite plates with the carried model, in the same run on the same cores. Linux only.

Usage: python benchmarks/service.py [--seconds N] [--clients N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bonexage.reports.writing import write_whole


def main() -> int:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from trials.service_load import measure, told

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300, help="how long the service is under load")
    parser.add_argument("--clients", type=int, default=32, help="how many ask at the same time")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    given = parser.parse_args()
    load = measure(given.seconds, given.clients)
    print(told(load))
    if given.json:
        write_whole(given.json, json.dumps(load.as_dict(), indent=2) + "\n")
    return 1 if load.harms else 0


if __name__ == "__main__":
    sys.exit(main())
