"""The trial of the node plants what it says: films that differ, and files damaged after their head."""

from __future__ import annotations

import io
import random

import pydicom

from bonexage.reading.dicom_meta import file_meta
from trials.node_faults import mutated_file
from trials.node_process import plate_film


def written(number: int) -> bytes:
    out = io.BytesIO()
    plate_film(number).save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_each_number_gives_another_film_that_can_be_read() -> None:
    films = [written(number) for number in (0, 1, 35)]
    pixels = {pydicom.dcmread(io.BytesIO(film)).pixel_array.tobytes() for film in films}
    assert len(pixels) == len(films)


def test_a_mutated_film_differs_after_its_head_and_not_in_it() -> None:
    chance, film, whole = random.Random(1), plate_film(3), written(3)
    head = file_meta(whole).end
    assert head > 200
    mutated = [mutated_file(film, chance) for _ in range(20)]
    assert all(each[:head] == whole[:head] for each in mutated)
    assert len({whole, *mutated}) > 15
