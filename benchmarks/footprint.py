"""How large prediction is: the install, the wheel, the memory of an assessor, the start; against PyTorch.

Usage: python benchmarks/footprint.py [--times N]

What is installed is told by the packages' own records, in the environment that this runs in, so both installs
are of one resolution and nothing is fetched. Writes `benchmarks/results/footprint.json`.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

import bonexage
from bonexage.reading.files import list_films
from yardstick import Row, keep, machine

ROOT: Final = Path(__file__).parents[1]
PLATES: Final = Path(bonexage.__file__).parent / "atlas" / "plates"
PEERS: Final = ("torch", "torchvision", "pillow", "pandas")
"""What a reader of radiographs in PyTorch asks for, as the published code does."""

PROMISED_MB: Final = 350.0
_BUILD: Final = "import sys; from flit_core import buildapi; buildapi.build_wheel(sys.argv[1])"
_TELL: Final = "import sys; sys.path.insert(0, sys.argv.pop(1)); from yardstick import most_held; "
_OURS: Final = _TELL + "import bonexage; bonexage.load().assess(sys.argv[1], sex='M'); print(most_held())"
_THEIRS: Final = (
    _TELL + "import published_steps as steps; steps.months(steps.network(), sys.argv[1]); print(most_held())"
)
_IMPORT: Final = "import time; began = time.perf_counter(); import {0}; print(time.perf_counter() - began)"
_BUILD_OF_TORCH: Final = re.compile(r"\+cpu$")


def needed(*names: str) -> set[str]:
    """The packages that some need, themselves included, as far as they are installed here."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in found:
            continue
        try:
            asked = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        left += [re.split(r"[^A-Za-z0-9._-]", each)[0] for each in asked if "extra ==" not in each]
    return found


def megabytes(packages: set[str]) -> float:
    """10^6 bytes of the files of some packages."""
    paths = {
        Path(str(metadata.distribution(name).locate_file(file)))
        for name in packages
        for file in metadata.files(name) or []
    }
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def own_megabytes() -> float:
    """10^6 bytes of this package with its model and plates."""
    return (
        sum(path.stat().st_size for path in Path(bonexage.__file__).parent.rglob("*") if path.is_file()) / 1e6
    )


def wheel_megabytes() -> float:
    """10^6 bytes of the wheel, built here."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", _BUILD, folder], cwd=ROOT, check=True, capture_output=True)
        return next(Path(folder).glob("*.whl")).stat().st_size / 1e6


def told(code: str, *given: str, times: int) -> float:
    """The median of the number that some code prints last, each time in a process of its own."""
    command = [sys.executable, "-c", code, *given]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(times)]
    return statistics.median(float(run.stdout.splitlines()[-1]) for run in runs)


def rows(times: int) -> Iterator[Row]:
    """Each size as how often it goes into the other's."""
    film = next(iter(list_films([str(PLATES)])))
    here = str(Path(__file__).parent)
    kind = "CPU build" if _BUILD_OF_TORCH.search(metadata.version("torch")) else "as locked"
    peers = f"{', '.join(PEERS)} ({kind}) with what they need"
    theirs, ours = megabytes(needed(*PEERS)), megabytes(needed("bonexage") - {"bonexage"}) + own_megabytes()
    yield _smaller("prediction install", ours, theirs, "MB", peers, f"promised: under {PROMISED_MB:.0f} MB")
    wheel = wheel_megabytes()
    yield Row("wheel, model and atlas in it", wheel, "MB")
    ours, theirs = (told(each, here, film, times=times) for each in (_OURS, _THEIRS))
    yield _smaller(
        "memory of an assessor after one film", ours, theirs, "MB", "ConvNeXt-Tiny at 512 in PyTorch"
    )
    ours, theirs = (told(_IMPORT.format(name), times=times) for name in ("bonexage", "torch"))
    yield _smaller("import bonexage", ours, theirs, "s", "import torch", "promised: under 0.3 s")


def _smaller(what: str, ours: float, theirs: float, unit: str, against: str, remark: str = "") -> Row:
    """A size of ours beside that of another."""
    there = f"{theirs:.0f}" if unit == "MB" else f"{theirs:.2f}"
    said = f"theirs: {there} {unit}" + (f"; {remark}" if remark else "")
    return Row(what, ours, unit, against, theirs / ours, remark=said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--times", type=int, default=5, help="runs of each; the median counts")
    given = parser.parse_args()
    keep("footprint", "Size: less is better, the ratio is theirs to ours", rows(given.times), machine())


if __name__ == "__main__":
    main()
