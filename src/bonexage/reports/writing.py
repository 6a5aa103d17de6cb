"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from bonexage.errors import WrongUse


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file beside its place and move it there; folders on the way are made; text is UTF-8.

    A file that was there is replaced in one step, so that no reader ever sees half of either.

    Raises:
        WrongUse: it cannot be written there.
    """
    data = content.encode() if isinstance(content, str) else content
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise WrongUse(
            f"it cannot be written ({error.strerror or error})",
            remedy="Name a place that you may write to and that has room",
            subject=str(path),
        ) from error
