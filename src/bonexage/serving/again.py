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
MOST_KEYS: Final = 10_000
_OVERHEAD: Final = 1000  # bytes that a key takes beside its answer's body
REPLAYED: Final = "Idempotency-Replayed"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True)
class _Kept:
    """The answer to a request, and when it is forgotten."""

    fingerprint: str
    until: float
    answer: Response

    @property
    def size(self) -> int:
        return len(self.answer.body) + _OVERHEAD


class Again:
    """The answers of the last ten minutes to requests with a key, in memory, the oldest forgotten first.

    How many keys and bytes are kept is limited. A request costs the same however many there are: answers lie
    in the order in which they are forgotten, and what they take is counted as they come and go.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        most_bytes: int = MOST_BYTES,
        most_keys: int = MOST_KEYS,
    ) -> None:
        self._clock = clock
        self._most_bytes = most_bytes
        self._most_keys = most_keys
        self._under_way: dict[str, str] = {}
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    def begin(self, key: str, fingerprint: str) -> Response | None:
        """The answer that a request with this key was given before; None where it is to be done now.

        Raises:
            Problem: the key belongs to another request, or to one that is still being answered.
        """
        self._forget()
        kept = self._kept.get(key)
        if (kept.fingerprint if kept else self._under_way.get(key, fingerprint)) != fingerprint:
            raise Problem(
                "key-reused",
                "this Idempotency-Key came with another request before",
                "Give each request a key of its own",
            )
        if kept:
            return Response(
                kept.answer.body, kept.answer.status_code, {REPLAYED: "true"}, kept.answer.media_type
            )
        if key in self._under_way:
            raise Problem(
                "key-in-use",
                "the request with this Idempotency-Key is still being answered",
                "Ask again later; Retry-After says when",
                headers={"Retry-After": "1"},
            )
        self._under_way[key] = fingerprint
        return None

    def finish(self, key: str, answer: Response | None) -> None:
        """Remember an answer; None where the request may be tried again."""
        fingerprint = self._under_way.pop(key)
        if answer is None:
            return
        kept = _Kept(fingerprint, self._clock() + SECONDS, answer)
        if (
            kept.size <= self._most_bytes
        ):  # a larger one would drive out all others, and be forgotten with them
            self._kept[key] = kept
            self._bytes += kept.size
            self._forget()

    def _forget(self) -> None:
        """Forget what is old, and the oldest answers where there are too many or they are too large."""
        while self._kept:
            key, oldest = next(iter(self._kept.items()))
            too_many = len(self._kept) > self._most_keys or self._bytes > self._most_bytes
            if not too_many and oldest.until >= self._clock():
                return
            del self._kept[key]
            self._bytes -= oldest.size


def check_key(key: str) -> None:
    """Refuse what is no key.

    Raises:
        Problem: it is not 1 to 128 visible ASCII characters.
    """
    if not _KEY.fullmatch(key):
        raise Problem("wrong-use", "the Idempotency-Key is no key", "Give 1 to 128 visible ASCII characters")
