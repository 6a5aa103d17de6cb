"""Waiting in the main thread for what other threads do, open to Ctrl-C all the while."""

from __future__ import annotations

from concurrent.futures import Future, wait
from typing import Final, TypeVar

T = TypeVar("T")

_WAKE_SECONDS: Final = 1.0


def result_of(future: Future[T]) -> T:
    """The result of a future, or the error that its work raised.

    Python handles signals in the main thread, and only between its instructions. `Future.result` waits inside
    one instruction: where the system hands a signal to another thread, the main thread sleeps on. So this
    function wakes each second.
    """
    while not future.done():
        wait([future], _WAKE_SECONDS)
    return future.result()
