"""Waiting until something holds, for trials and tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

# A limit for what never comes, however busy the machine is; what comes is waited for no longer than it takes.
PATIENCE_SECONDS: Final = 300.0


def eventually(ask: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """What `ask` returns as soon as that is something.

    Raises:
        AssertionError: it never is.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := ask():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came")
