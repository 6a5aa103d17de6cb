"""The page RELIABILITY.md: a section a trial, each replaced by its own trial alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

HEAD: Final = """# Reliability

What came of trials that plant faults for many minutes. `make faults` runs them all; each writes its section.
"""


@dataclass(frozen=True)
class Found:
    """What a trial found.

    Attributes:
        text: its section in Markdown, without the heading.
        held: whether no fault did harm.
    """

    text: str
    held: bool


def with_section(page: str, title: str, text: str) -> str:
    """The page with the section `title` holding `text`: in its old place, or at the end where it is new."""
    section = f"## {title}\n\n{text.strip()}\n"
    page = page or HEAD
    old = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", flags=re.MULTILINE | re.DOTALL)
    found = old.search(page)
    if found is None:
        return f"{page.rstrip()}\n\n{section}"
    rest = page[found.end() :]
    return page[: found.start()] + section + (f"\n{rest}" if rest else "")
