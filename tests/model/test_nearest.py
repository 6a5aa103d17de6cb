"""The plate that a film looks most like to the network is told where it is not next to the answer."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bonexage.assessment import NearestPlate
from bonexage.errors import BundleError
from bonexage.model.assessor import Assessor, assess_many
from bonexage.model.bundle import load_bundle
from bonexage.model.nearest import PlateEmbeddings, pack_plates
from bonexage.subject import Sex, Subject
from films import write_film
from models import small_bundle, small_network

PLATES = [
    NearestPlate(f"{number:064x}", sex, months)
    for number, (sex, months) in enumerate(
        (sex, months) for sex in (Sex.FEMALE, Sex.MALE) for months in (24.0, 96.0, 180.0)
    )
]
EMBEDDINGS = np.array([[at, at % 3] for at in range(6)], dtype=np.float32)


def test_the_nearest_of_the_sex_is_found() -> None:
    known = PlateEmbeddings(pack_plates(PLATES, EMBEDDINGS))
    for at, plate in enumerate(PLATES):
        assert known.nearest(EMBEDDINGS[at] + np.float32(0.1), plate.sex) == plate
    other = known.nearest(EMBEDDINGS[0], Sex.MALE)
    assert other is not None
    assert other.sex is Sex.MALE
    assert known.nearest(EMBEDDINGS[0], Sex.UNKNOWN) is None
    with pytest.raises(BundleError, match="plates"):
        known.nearest(np.zeros(3, np.float32), Sex.MALE)


def saved(rows: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, rows, allow_pickle=True)
    return out.getvalue()


@pytest.mark.parametrize(
    "damaged",
    [
        lambda: b"",
        lambda: b"no array",
        lambda: pack_plates(PLATES, EMBEDDINGS)[:-7],
        lambda: saved(np.zeros(3)),
        lambda: saved(np.array([{"a": 1}], dtype=object)),
        lambda: pack_plates(PLATES, np.full((6, 2), np.nan, np.float32)),
        lambda: pack_plates([NearestPlate("0", Sex.MALE, 900.0)], EMBEDDINGS[:1]),
    ],
)
def test_what_are_no_plates_is_a_broken_bundle(damaged: Callable[[], bytes]) -> None:
    with pytest.raises(BundleError, match="plates cannot be read"):
        PlateEmbeddings(damaged())


@pytest.mark.parametrize(
    ("months", "at", "told"),
    [
        (24.0, 3, False),
        (24.0, 4, False),
        (24.0, 5, True),
        (96.0, 5, False),
        (150.0, 3, True),
        (230.0, 5, False),
    ],
)
def test_a_plate_disagrees_that_is_not_next_to_the_bone_age(months: float, at: int, told: bool) -> None:
    known = PlateEmbeddings(pack_plates(PLATES, EMBEDDINGS))
    assert known.disagreeing(EMBEDDINGS[at], Sex.MALE, months) == (PLATES[at] if told else None)
    assert known.disagreeing(EMBEDDINGS[at], Sex.UNKNOWN, months) is None


def test_an_assessment_tells_it_alone_and_in_a_stream_and_a_bundle_keeps_it(tmp_path: Path) -> None:
    film = str(write_film(tmp_path / "film.png"))
    plates = [NearestPlate("a" * 64, Sex.FEMALE, 12.0), NearestPlate("b" * 64, Sex.MALE, 12.0)]
    others = [
        NearestPlate("c" * 64, sex, months) for sex in (Sex.FEMALE, Sex.MALE) for months in (30.0, 45.0)
    ]
    near, far = [[0, 0], [0, 1]], [[9, 9]] * 4
    packed = pack_plates([*plates, *others], np.array([*near, *far], np.float32))
    small_bundle(tmp_path / "m.zip", plates=packed)
    bundle = load_bundle(tmp_path / "m.zip")
    assert bundle.plates == packed
    assessor = Assessor(bundle, threads=1)
    girl, boy, unknown = (assessor.assess(film, sex) for sex in ("F", "M", "U"))
    assert (girl.nearest, boy.nearest, unknown.nearest) == (*plates, None)
    (streamed,) = assess_many(assessor, [film], lambda _: Subject(Sex.FEMALE))
    assert streamed == girl
    without = Assessor(small_bundle(tmp_path / "bare.zip"), threads=1)
    assert without.assess(film, "F").nearest is None
    mute = small_bundle(tmp_path / "mute.zip", plates=packed, onnx=small_network(outputs=["months"]))
    assert Assessor(mute, threads=1).assess(film, "F").nearest is None


def test_plates_of_another_bundle_are_told_by_their_hash(tmp_path: Path) -> None:
    for name, times in (("one", 1), ("other", 2)):
        small_bundle(tmp_path / name, plates=pack_plates(PLATES, times * EMBEDDINGS))
    (tmp_path / "one" / "plates.npy").write_bytes((tmp_path / "other" / "plates.npy").read_bytes())
    with pytest.raises(BundleError, match=r"plates\.npy does not have the hash"):
        load_bundle(tmp_path / "one")
