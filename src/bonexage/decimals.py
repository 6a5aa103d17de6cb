"""Numbers as people and programs write them: digits, with a decimal point or a decimal comma."""

from __future__ import annotations

import re
from typing import Final

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_THOUSANDS: Final = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)


def number_in(text: str, most: float) -> float:
    """The number that a text holds, whose size is not checked.

    `12,5` is twelve and a half. `1,200` is one and a fifth, but no number where `most` allows twelve hundred.

    Raises:
        ValueError: it holds none, or it may stand for two.
    """
    text = text.strip()
    if _DECIMAL_COMMA.fullmatch(text):
        if _THOUSANDS.fullmatch(text) and abs(float(text.replace(",", ""))) <= most:
            raise ValueError(f"{text!r} may stand for two numbers")
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no number")
    return float(text)
