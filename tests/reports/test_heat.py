"""The picture of what moved an answer shows the map where it lies, and says whose answer it is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bonexage.assessment import Assessment
from bonexage.reports.heat import heat_picture, map_picture
from bonexage.subject import Sex, Subject
from hands import drawn_hand

FILM = drawn_hand(200, 160)


def picture(months: NDArray[np.float32]) -> NDArray[np.int64]:
    said = Assessment(
        file="a", subject=Subject(Sex.FEMALE), bone_age_months=120.0, interval=None, model="m@1"
    )
    png = heat_picture(FILM, months, said)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.int64)


def blob(row: int, column: int, months: float) -> NDArray[np.float32]:
    laid = np.zeros(FILM.shape, dtype=np.float32)
    laid[row - 15 : row + 15, column - 15 : column + 15] = months
    return laid


def film_panels(shown: NDArray[np.int64]) -> NDArray[np.int64]:
    """The part of the picture left of the colour bar."""
    return shown[:, : int(shown.shape[1] * 0.86)]


@pytest.mark.parametrize(("months", "channel"), [(4.0, 0), (-4.0, 2)])
def test_older_is_red_and_younger_blue_and_only_where_it_moved(months: float, channel: int) -> None:
    same = blob(150, 30, months)  # so that both are drawn on one scale
    still, moved = (film_panels(picture(same + blob(60, 80, each))) for each in (0.0, months))
    changed = np.abs(still - moved).sum(axis=2) > 30
    assert 0.005 < changed.mean() < 0.1
    rows, columns = np.nonzero(changed)
    assert columns.min() > moved.shape[1] * 0.45, "the film on the left stays as it is"
    assert rows.mean() < moved.shape[0] / 2
    colour = moved[changed].mean(axis=0)
    assert colour[channel] == colour.max()
    assert colour.max() > colour.min() + 40


def test_a_map_that_moved_nothing_is_not_stretched_to_full_colour() -> None:
    still, faint = (film_panels(picture(blob(60, 80, each))) for each in (0.0, 1e-3))
    assert np.abs(still - faint).max() < 25


@pytest.mark.parametrize(("months", "channel"), [(4.0, 0), (-4.0, 2)])
def test_a_map_alone_lies_over_its_film_as_large_as_the_film_is_wide(months: float, channel: int) -> None:
    same = blob(150, 130, months)  # so that both are drawn on one scale
    pngs = [map_picture(FILM, same + blob(60, 40, each)) for each in (0.0, months)]
    still, moved = (np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.int64) for png in pngs)
    assert still.shape[0] > still.shape[1], "as upright as its film"
    changed = np.abs(film_panels(still) - film_panels(moved)).sum(axis=2) > 30
    rows, columns = np.nonzero(changed)
    assert rows.mean() < moved.shape[0] / 2
    assert columns.mean() < moved.shape[1] / 2
    colour = film_panels(moved)[changed].mean(axis=0)
    assert colour[channel] == colour.max()


def test_which_way_the_answer_moved_is_seen_without_colours_too() -> None:
    white = []
    for months in (4.0, -4.0):
        grey = np.asarray(Image.open(io.BytesIO(map_picture(FILM, blob(60, 80, months)))).convert("L"))
        height, width = grey.shape
        white.append((grey[height // 10 : height // 2, width // 10 : width * 7 // 10] > 245).sum())
    solid, dashed = white
    assert dashed > 0
    assert solid > 1.2 * dashed
