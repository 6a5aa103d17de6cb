"""Answers remembered by their Idempotency-Key, so that a request sent twice is done once."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from bonexage.serving.problems import Problem

SECONDS: Final = 600.0
MOST_BYTES: Final = 64_000_000
REPLAYED: Final = "Idempotency-Replayed"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True)
class _Kept:
    """The answer to a request, None while it is being made."""

    fingerprint: str
    until: float
    answer: Response | None = None

    @property
    def size(self) -> int:
        return len(self.answer.body) if self.answer else 0


class Again:
    """The answers of the last ten minutes to requests with a key, in memory, the oldest forgotten first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most_bytes: int = MOST_BYTES) -> None:
        self._clock = clock
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def begin(self, key: str, fingerprint: str) -> Response | None:
        """The answer that a request with this key was given before; None where it is to be done now.

        Raises:
            Problem: the key is none, belongs to another request, or to one that is still being answered.
        """
        if not _KEY.fullmatch(key):
            raise Problem(
                "wrong-use", "the Idempotency-Key is no key", "Give 1 to 128 visible ASCII characters"
            )
        self._forget()
        kept = self._kept.get(key)
        if kept is None:
            self._kept[key] = _Kept(fingerprint, self._clock() + SECONDS)
            return None
        if kept.fingerprint != fingerprint:
            raise Problem(
                "key-reused",
                "this Idempotency-Key came with another request before",
                "Give each request a key of its own",
            )
        if kept.answer is None:
            raise Problem(
                "key-in-use",
                "the request with this Idempotency-Key is still being answered",
                "Ask again later; Retry-After says when",
                headers={"Retry-After": "1"},
            )
        return Response(kept.answer.body, kept.answer.status_code, {REPLAYED: "true"}, kept.answer.media_type)

    def finish(self, key: str, answer: Response | None) -> None:
        """Remember an answer; None where the request may be tried again."""
        begun = self._kept.pop(key)
        if answer is not None:
            self._kept[key] = _Kept(begun.fingerprint, self._clock() + SECONDS, answer)
        self._forget()

    def _forget(self) -> None:
        """Forget what is old, and the oldest answers where all of them take too much memory."""
        now, size = self._clock(), sum(kept.size for kept in self._kept.values())
        for key, kept in list(self._kept.items()):
            if kept.answer is not None and (kept.until < now or size > self._most_bytes):
                size -= kept.size
                del self._kept[key]
