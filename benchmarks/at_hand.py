"""Where the films lie that benchmarks measure on."""

from __future__ import annotations

import os
from pathlib import Path


def films_folder(held: str) -> Path | None:
    """The folder that `BONEXAGE_DATA` names; None, and told, where it names none.

    Args:
        held: what the folder has to hold, in words.
    """
    data = os.environ.get("BONEXAGE_DATA")
    if data:
        return Path(data)
    print(f"Set BONEXAGE_DATA to the folder that holds {held}: without films nothing is measured.")
    return None
