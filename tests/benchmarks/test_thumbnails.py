"""Thumbnails are squares of single pixels of their films."""

from __future__ import annotations

import numpy as np
from PIL import Image

from films import radiograph
from refusal import thumbnails
from thumbnails import squeezed


def test_a_thumbnail_holds_no_grey_that_its_film_does_not_hold() -> None:
    film = np.random.default_rng(0).integers(0, 128, (299, 299), dtype=np.uint8) * 2
    small = np.asarray(squeezed(Image.fromarray(film)))
    assert small.shape == (100, 100)
    assert set(np.unique(small)) <= set(np.unique(film))


def test_films_are_shown_as_thumbnails_one_by_one() -> None:
    films = [radiograph(seed) for seed in range(2)]
    small = list(thumbnails(films))
    assert [each.pixels.shape for each in small] == [(100, 100)] * 2
    assert [each.provenance.name for each in small] == [each.provenance.name for each in films]
