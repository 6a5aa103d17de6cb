"""Files of a report appear whole or not at all, and a place that refuses them is named."""

from __future__ import annotations

from pathlib import Path

from bonexage.disk import write_atomically
from bonexage.errors import WrongUse


def write_whole(path: Path, content: bytes | str) -> None:
    """Put `content` at `path` in one step; folders on the way are made.

    Text is written as UTF-8; what of a file's name is no text becomes an escape.

    Raises:
        WrongUse: it cannot be written there.
    """
    try:
        write_atomically(
            path, content.encode(errors="backslashreplace") if isinstance(content, str) else content
        )
    except OSError as error:
        raise WrongUse(
            f"it cannot be written ({error.strerror or error})",
            remedy="Name a place that you may write to and that has room",
            subject=str(path),
        ) from error
