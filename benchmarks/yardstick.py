"""What benchmarks share: rows that set a speed against another of the same run, and what the machine can do.

A benchmark writes its rows to `benchmarks/results/NAME.json`; `docs/write_benchmarks.py` makes BENCHMARKS.md
of them, and `benchmarks/check_ratios.py` holds their ratios against the committed ones.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import bonexage
from bonexage.disk import write_atomically
from bonexage.model.runtime import usable_cores
from bonexage.reading.files import list_films

if TYPE_CHECKING:
    from torch import Tensor, nn

PLATES: Final = Path(bonexage.__file__).parent / "atlas" / "plates"
RESULTS: Final = Path(__file__).parent / "results"
RESULTS_VARIABLE: Final = "BONEXAGE_BENCH"
"""Names another folder for the results, as `make bench-check` does."""

_MATRIX_SIDE: Final = 1536
_MEMORY_BYTES: Final = 256_000_000
_TIMES: Final = 5


@dataclass(frozen=True)
class Row:
    """One speed.

    Attributes:
        what: what is fast or slow.
        speed: how many `unit` it does.
        unit: such as 'films a second'; more is better.
        against: what the ratio is to, or nothing where it stands for itself.
        ratio: the speed over the other's, both of this run; or a share from 0 to 1. More is better.
        goal: what the ratio is to reach.
        of_limit: share of what the machine can do at most, where that can be told.
        remark: what else is to be known.
    """

    what: str
    speed: float
    unit: str
    against: str = ""
    ratio: float | None = None
    goal: float | None = None
    of_limit: float | None = None
    remark: str = ""


@dataclass(frozen=True)
class Limits:
    """What this machine measurably does: a plain float32 matrix product, and moving memory.

    Attributes:
        multiply_adds: a second.
        memory_bytes: read and written, a second.
    """

    multiply_adds: float
    memory_bytes: float


def measured_limits(threads: int) -> Limits:
    """Measure the machine; torch does the product, for NumPy's threads cannot be set from here."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    matrix = torch.rand(_MATRIX_SIDE, _MATRIX_SIDE)
    product = fastest(lambda: torch.mm(matrix, matrix), _TIMES)
    torch.set_num_threads(before)
    source = np.ones(_MEMORY_BYTES, dtype=np.uint8)
    target = np.empty_like(source)
    moved = fastest(lambda: np.copyto(target, source), _TIMES)
    return Limits(_MATRIX_SIDE**3 / product, 2 * _MEMORY_BYTES / moved)


def seconds_of(work: Callable[[], object]) -> float:
    """Wall time of some work."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def fastest(work: Callable[[], object], times: int) -> float:
    """The shortest of several runs, after one that is not counted: other work can only slow one down."""
    work()
    return min(seconds_of(work) for _ in range(times))


def in_turns(works: Mapping[str, Callable[[], object]], times: int) -> dict[str, float]:
    """The shortest run of each, where they take turns, so that what else the machine does meets all alike."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(times):
        for name, work in works.items():
            taken[name].append(seconds_of(work))
    return {name: min(several) for name, several in taken.items()}


def median_of(work: Callable[[], object], times: int) -> float:
    """The median time of several runs."""
    return statistics.median(seconds_of(work) for _ in range(times))


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """How long at least one of some spans lasted."""
    total, until = 0.0, float("-inf")
    for began, ended in sorted(spans):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


def multiply_adds(model: nn.Module, *given: Tensor) -> float:
    """The multiply-adds of a network's convolutions and matrix products, for some input."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*given)
    return float(counter.get_total_flops()) / 2


def most_held() -> float:
    """The most memory that this process held so far, in 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage tells is the parent's, where that held more
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def machine() -> dict[str, Any]:
    """What it is measured on, and how busy that was before."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"cores": usable_cores(), "machine": platform.machine(), "load_before": load}


def films_to_read(number: int) -> list[str]:
    """So many films, the same ones again if need be."""
    data = os.environ.get("BONEXAGE_DATA")
    folder = Path(data) / "rsna-640px" / "boneage-test-dataset" if data else PLATES
    return list(islice(cycle(list(list_films([str(folder if folder.is_dir() else PLATES)]))), number))


def results_folder() -> Path:
    """Where results go: the committed ones' folder, or another that the environment names."""
    return Path(os.environ.get(RESULTS_VARIABLE) or RESULTS)


def keep(name: str, title: str, rows: Iterable[Row], about: Mapping[str, Any]) -> None:
    """Print rows and write them to `NAME.json` with what they were measured on."""
    rows = list(rows)
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:8.2f}"
        against = f" against {row.against}" if row.against else ""
        print(f"{row.speed:12.3f} {row.unit:<18}{ratio:>9}{against}: {row.what} {row.remark}".rstrip())
    stored = {"title": title, "about": dict(about), "rows": [asdict(row) for row in rows]}
    text = json.dumps(stored, indent=1, ensure_ascii=False) + "\n"
    write_atomically(results_folder() / f"{name}.json", text.encode())
