"""The memory of a training: how much it takes, and that it is kept between steps."""

from __future__ import annotations

import ctypes
import math
import sys

import torch

# mallopt(3) of the GNU C library.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER = 2**31 - 1


def keep_memory() -> None:
    """Let this process keep the memory that it frees, where the C library is GNU's.

    By default that library gives every large tensor back, and the system empties each page anew when the next
    step asks for it: up to half the time of a step on the CPU.
    """
    if not sys.platform.startswith("linux"):
        return
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_MMAP_MAX, 0)
        tune(_TRIM_THRESHOLD, _NEVER)


def memory_megabytes(device: torch.device) -> float:
    """The most memory used, in 10^6 bytes: of the GPU, or of this process; NaN where not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if sys.platform == "win32":
        return math.nan
    import resource

    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held * (1 if sys.platform == "darwin" else 1024) / 1e6
