"""Where films and answers are stored, if a service is told to: under names of its own, never a client's."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bonexage.disk import write_atomically
from bonexage.errors import WrongUse
from bonexage.serving.pool import Answer
from bonexage.serving.problems import Problem
from bonexage.serving.uploads import Upload


def check_keeping(folder: Path) -> None:
    """Make the folder where it is missing, and see that files can be written in it.

    Raises:
        WrongUse: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise WrongUse(
            f"films and answers cannot be stored there ({error.strerror or error})",
            remedy="Name a folder in which the service may write, or leave --keep out",
            subject=str(folder),
        ) from None


def keep(folder: Path, upload: Upload, answers: Sequence[Answer]) -> str:
    """Write each film and its row, `NUMBER.film` and `.json` from 1 on, for this account alone to read.

    Returns:
        The place in the folder, `DAY/UUID`, which no earlier request had.

    Raises:
        Problem: the disk refuses.
    """
    name = f"{datetime.now(UTC).date().isoformat()}/{uuid.uuid4()}"
    place = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        place.mkdir(mode=0o700)
        for number, (film, answer) in enumerate(zip(upload.films, answers, strict=True), start=1):
            write_atomically(place / f"{number}.film", film.data)
            write_atomically(place / f"{number}.json", json.dumps(dict(answer.row), indent=1).encode())
    except OSError:
        raise Problem(
            "not-kept",
            "the service is to store what it is sent, and its disk refuses",
            "Tell the service's keeper",
        ) from None
    return name
