"""The parts of a Markdown page that commands write, each between its two markers."""

from __future__ import annotations

import re
from pathlib import Path

from bonexage.disk import write_atomically


def with_region(text: str, name: str, body: str) -> str:
    """`text` with `body` between `<!-- NAME: written by ... -->` and `<!-- end of NAME -->`.

    Raises:
        ValueError: the markers are not there, or more than once.
    """
    begin, end = rf"<!-- {re.escape(name)}: written by [^\n]* -->", f"<!-- end of {name} -->"
    region = re.compile(rf"({begin})\n.*?{re.escape(end)}", flags=re.DOTALL)
    replaced, places = region.subn(lambda found: f"{found[1]}\n{body}\n{end}", text)
    if places != 1:
        raise ValueError(f"the text must hold one region from '<!-- {name}: written by' to '{end}'")
    return replaced


def write_region(path: Path, name: str, body: str) -> None:
    """Rewrite a region of a file in place."""
    write_atomically(path, with_region(path.read_text(encoding="utf-8"), name, body).encode())
