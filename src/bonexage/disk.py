"""Writing files whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

# Earlier versions put the file's own name in front of the eight digits.
_PARTIAL: Final = re.compile(r"\.(.+\.)?[0-9a-f]{8}\.partial", re.DOTALL)


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step: a reader sees the old file or the new one, never a part.

    Folders on the way are made. Raises OSError where the disk refuses; the old file is then untouched.
    """
    with opened_atomically(path) as file:
        file.write(content)


def write_durably(path: Path, content: bytes) -> None:
    """Put `content` at `path` as `write_atomically` does, and return when it would outlive a power cut."""
    write_atomically(path, content)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk too, where the system can say so."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def opened_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, as `write_atomically` does for what does not fit into memory.

    It takes its place at `path` when the block ends. Where the block or the disk raises, it is gone, and what
    was at `path` before is untouched. What a killed process leaves behind `remove_partial` finds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the file's own name, so that a name as long as a system allows can be written.
    partial = path.with_name(f".{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def remove_partial(folder: Path) -> None:
    """Remove what killed processes left half written in a folder; no other may be writing there now.

    Only files named as `opened_atomically` names them are removed.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if _PARTIAL.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
