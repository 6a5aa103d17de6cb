"""Whose a state folder is: a marker file says so, and a folder that holds other things is refused."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from bonexage.disk import sync_folder
from bonexage.errors import WrongUse
from bonexage.node.queue import FILE
from bonexage.node.schema import is_queue

MARKER: Final = "bonexage-state.txt"
_SENTENCE: Final = b"bonexage keeps its queue and patients' films in this folder. Put nothing else here.\n"


def claim(folder: Path) -> None:
    """Mark a folder as the state folder of a node or watched folder; one that is marked stays as it is.

    A folder that is empty is marked, and so is one with a queue that an earlier version made.

    Args:
        folder: a folder that exists.

    Raises:
        WrongUse: it holds other things.
        OSError: it cannot be read or written to.
    """
    check_ownership(folder)
    if is_claimed(folder):
        return
    with suppress(FileExistsError), (folder / MARKER).open("xb") as marker:
        marker.write(_SENTENCE)
        marker.flush()
        os.fsync(marker.fileno())
    sync_folder(folder)


def check_ownership(folder: Path) -> None:
    """As `claim`, but marks nothing."""
    if is_claimed(folder):
        return
    with os.scandir(folder) as entries:
        is_empty = next(entries, None) is None
    # Looked at again: another process may have marked it, and used it, since.
    if not is_empty and not is_queue(folder / FILE) and not is_claimed(folder):
        raise WrongUse(_problem(folder), remedy=_REMEDY, subject=str(folder))


def is_claimed(folder: Path) -> bool:
    """Whether a folder is marked as a state folder."""
    try:
        return stat.S_ISREG((folder / MARKER).lstat().st_mode)
    except OSError:
        return False


_REMEDY: Final = "Name a folder that is empty or does not exist yet"


def _problem(folder: Path) -> str:
    if (folder / FILE).exists():
        return f"the folder is not empty, and its {FILE} is no queue that this version can use"
    return "the folder is not empty and is no state folder of bonexage"
