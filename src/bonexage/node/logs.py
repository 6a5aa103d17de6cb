"""The log: a JSON line an event, of words and numbers that are chosen here, so that no patient is in it."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final, TextIO

from bonexage.logline import error_facts, log_line

Value = str | int | float | bool | None
Log = Callable[..., None]
"""Called as log(event, **facts): a fact is never a text that an object or a peer brought along."""

# Libraries that put what they were given into their messages; of these only who spoke is told.
_LIBRARIES: Final = ("highdicom", "py.warnings", "pydicom", "pynetdicom")


def json_lines(stream: TextIO | None = None) -> Log:
    """A log that writes to a stream, the standard error if none is given, from any thread.

    A stream that takes nothing, as on a full disk, stops no work: its lines are lost.
    """
    lock = threading.Lock()

    def log(event: str, **facts: Value) -> None:
        line = log_line(event, datetime.now(UTC), **facts)
        with lock, suppress(OSError, ValueError):
            where = sys.stderr if stream is None else stream
            where.write(f"{line}\n")
            where.flush()

    return log


class _Mute(logging.Handler):
    """Tells that a library warned, and not what of."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log("library-warning", library=record.name.partition(".")[0], line=record.lineno)


@contextmanager
def libraries_without_words(log: Log) -> Iterator[None]:
    """Let what libraries log, warn of and raise pass through `log`, without their words, while this lasts."""
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    hook = threading.excepthook
    threading.excepthook = lambda ended: log("thread-ended", **error_facts(ended.exc_value))
    logging.captureWarnings(True)
    for logger in loggers:
        logger.handlers[:], logger.propagate = [_Mute(log)], False
    try:
        yield
    finally:
        logging.captureWarnings(False)
        threading.excepthook = hook
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers[:], logger.propagate = handlers, propagate
