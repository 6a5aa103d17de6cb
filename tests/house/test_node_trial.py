"""The trial of the node plants what it says: films that differ, and files damaged after their head."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pydicom

from bonexage.node.sameness import content_in
from bonexage.reading.dicom_meta import file_meta
from trials.foreign_state import planted
from trials.node_faults import mutated_file
from trials.node_process import plate_film
from trials.partial_copies import HOW, SYNTAXES, damaged, packed


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


def test_a_damaged_copy_has_the_films_uid_and_cannot_be_read() -> None:
    chance, film = random.Random(2), plate_film(4)
    whole = [packed(film, syntax) for syntax in SYNTAXES]
    assert len({content_in(each) for each in whole}) == 1, "the same film in each packing"
    for how in HOW:
        for each in whole[2:]:
            copy = damaged(each, how, chance)
            assert file_meta(copy).sop_uid == film.SOPInstanceUID
            assert content_in(copy) == ""
    assert content_in(damaged(whole[0], "cut", chance)) == ""


def test_files_of_others_are_as_many_as_was_said_and_all_differ(tmp_path: Path) -> None:
    made = planted(tmp_path, random.Random(3), least=9)
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) == len(files) == len(set(files)) >= 9
