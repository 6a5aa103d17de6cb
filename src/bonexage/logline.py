"""A line of a service's log: JSON with time, event and facts; of an error, only its kind and its place."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any


def log_line(event: str, when: datetime, **facts: Any) -> str:
    """An event as a line of JSON without its end.

    Args:
        event: a short name for what happened.
        when: with its time zone; the line has it in UTC.
        facts: numbers, codes and identifiers chosen here; no text that a peer or a film brought along.
    """
    return json.dumps(
        {"time": when.astimezone(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
    )


def error_facts(error: BaseException | None) -> dict[str, Any]:
    """What may be told of an error that nobody foresaw: its kind and where it passed, not its words.

    Returns:
        `error`, its kind, and `where`, 'file:line function' for each place in the code, the innermost last.
    """
    frames = traceback.extract_tb(error.__traceback__) if error else []
    where = [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": type(error).__name__, "where": where}
