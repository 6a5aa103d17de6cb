"""Where films and answers are stored, if a service is told to: under names of its own, never a client's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bonexage.disk import write_atomically
from bonexage.serving.pool import Answer
from bonexage.serving.problems import Problem
from bonexage.serving.uploads import Upload


def keep(folder: Path, request_id: str, upload: Upload, answers: Sequence[Answer]) -> None:
    """Write each film and its row: `DAY/REQUEST-ID/NUMBER.film` and `.json`, the number counted from 1.

    Raises:
        Problem: the disk refuses.
    """
    place = folder / datetime.now(UTC).date().isoformat() / request_id
    try:
        for number, (film, answer) in enumerate(zip(upload.films, answers, strict=True), start=1):
            write_atomically(place / f"{number}.film", film.data)
            write_atomically(place / f"{number}.json", json.dumps(dict(answer.row), indent=1).encode())
    except OSError:
        raise Problem(
            "not-kept",
            "the service is to store what it is sent, and its disk refuses",
            "Tell the service's keeper",
        ) from None
