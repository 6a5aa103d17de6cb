"""Waiting until something holds, for trials and tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(ask: Callable[[], Any], seconds: float = 60.0) -> Any:
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
