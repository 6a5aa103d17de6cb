"""Draw `docs/page.png`: the page of `bonexage serve` with a plate of the carried atlas, in a real Chromium.

Usage: PYTHONPATH=src:tests python docs/draw_page.py

The plate is a composite and no child's film. It needs chromium and chromedriver.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

from bonexage.atlas.plates import read_plates
from browser import Browser, browser

DOCS = Path(__file__).parent
PLATE = "F-120.png"
YEARS = 9
WIDTH = 1500
COLOURS = 255


def show(page: Browser, address: str, film: Path) -> bytes:
    """The page with that film read as a girl's: PNG."""
    page.narrow(WIDTH)
    page.go(address)
    page.choose("#files", [film])
    page.wait("return document.querySelector('.row')")
    page.run("document.querySelector('input[name=sex][value=F]').click()")
    page.run("document.getElementById('years').value = arguments[0]", YEARS)
    page.run("document.getElementById('read').click()")
    page.wait("return document.querySelector('canvas.film')")
    page.wait("return [...document.images].every((image) => image.complete)")
    return page.picture()


def smaller(png: bytes) -> bytes:
    """The same picture in fewer colours."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.FLOYDSTEINBERG)
    few.save(out, "PNG", optimize=True)
    return out.getvalue()


def main() -> None:
    """Draw it, and name the file."""
    plate = next(each.path for each in read_plates() if each.path.name == PLATE)
    command = [sys.executable, "-m", "bonexage", "serve", "--port", "0", "--workers", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        try:
            said = iter(service.stderr or ())
            address = next(found[1] for line in said if (found := re.search(r" at (http://\S+)", line)))
            with browser() as page:
                png = smaller(show(page, address, plate))
        finally:
            service.terminate()
    (DOCS / "page.png").write_bytes(png)
    print(DOCS / "page.png")


if __name__ == "__main__":
    main()
