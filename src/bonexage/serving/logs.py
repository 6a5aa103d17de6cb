"""The service's log: a line of JSON an event, with nothing in it that a client wrote or a film holds."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from bonexage.logline import error_facts, log_line

LOGGER: Final = "bonexage.serving"
_QUIET: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "multipart", "python_multipart")


def log() -> logging.Logger:
    """The logger of the service's events."""
    return logging.getLogger(LOGGER)


def event(what: str, *, level: int = logging.INFO, **facts: Any) -> None:
    """Log one event; the facts are numbers, codes, routes and identifiers that the service made itself."""
    log().log(level, what, extra={"facts": facts})


def failure(what: str, error: BaseException, **facts: Any) -> None:
    """Log an error that nobody foresaw: its kind and where it arose, but not what it says."""
    event(what, level=logging.ERROR, **error_facts(error), **facts)


class Lines(logging.Formatter):
    """Records as lines of JSON; of what libraries log, their own words without what was put into them."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        facts: dict[str, Any] = {"level": record.levelname.lower()}
        if record.name == LOGGER:
            what, facts = record.msg, facts | getattr(record, "facts", {})
        else:
            what = "library"
            facts |= {"library": record.name, "said": str(record.msg).splitlines()[0][:200]}
            if record.exc_info and record.exc_info[1]:
                facts |= error_facts(record.exc_info[1])
        return log_line(what, datetime.fromtimestamp(record.created, UTC), **facts)


def start_logging(stream: TextIO = sys.stderr) -> None:
    """Send the service's log, and that of the libraries it runs on, to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines())
    for name in (LOGGER, *_QUIET):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO if name == LOGGER else logging.WARNING)
