"""The parts of README.md that commands write, each between its two markers."""

from __future__ import annotations

import re
from pathlib import Path

from bonexage.disk import write_atomically


def with_region(text: str, name: str, body: str) -> str:
    """`text` with `body` between the markers of a region.

    Raises:
        ValueError: the markers are not there, or more than once.
    """
    begin, end = f"<!-- {name}: written by a command -->", f"<!-- end of {name} -->"
    region = re.compile(rf"{re.escape(begin)}\n.*?{re.escape(end)}", flags=re.DOTALL)
    replaced, places = region.subn(lambda _: f"{begin}\n{body}\n{end}", text)
    if places != 1:
        raise ValueError(f"the text must hold {begin} and {end} once")
    return replaced


def write_region(path: Path, name: str, body: str) -> None:
    """Rewrite a region of a file in place."""
    write_atomically(path, with_region(path.read_text(encoding="utf-8"), name, body).encode())
