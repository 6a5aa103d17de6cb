"""Text from elsewhere as a terminal may show it: what would steer the terminal is written as an escape."""

from __future__ import annotations

import unicodedata
from typing import Final

# Control characters, what turns the direction of writing or is not seen, lone surrogates, other line ends.
_STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_LAYOUT: Final = frozenset("\n\t")


def printable(text: str) -> str:
    """A name in one line, each character that steers a terminal or hides as an escape, as Python has it."""
    if text.isprintable():
        return text
    return "".join(_escaped(char) if unicodedata.category(char) in _STEERING else char for char in text)


def printable_lines(text: str) -> str:
    """As `printable`, with the line ends and tabs of a text that was laid out here."""
    return "".join(char if char in _LAYOUT else printable(char) for char in text)


def _escaped(char: str) -> str:
    """As Python writes it in a string."""
    return char.encode("unicode_escape", errors="surrogatepass").decode("ascii")
