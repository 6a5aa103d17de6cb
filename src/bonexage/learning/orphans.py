"""A process started for training ends when the one that started it has ended, even by `kill -9`."""

from __future__ import annotations

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Call it first in a started process: nothing of a killed run goes on to write beside the resumed one."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
