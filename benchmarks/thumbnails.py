"""Thumbnails of films: squares of few pixels, as some collections of films have them."""

from __future__ import annotations

from typing import Final

from PIL import Image

SIDE: Final = 100


def squeezed(film: Image.Image, side: int = SIDE) -> Image.Image:
    """A film squeezed to a square of `side` x `side` pixels by taking single pixels."""
    return film.resize((side, side), Image.Resampling.NEAREST)
