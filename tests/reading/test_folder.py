"""A data folder is read flat or one folder deeper; films that are missing are all named."""

from __future__ import annotations

from pathlib import Path

import pytest

from bonexage.errors import UnusableData
from bonexage.reading.folder import LabelledFilm, read_films, read_split
from bonexage.subject import Sex


def lay_out(folder: Path, split: str, films: list[str], *, deeper: bool = False) -> Path:
    name = f"boneage-{split}-dataset"
    inner = folder / name / name if deeper else folder / name
    inner.mkdir(parents=True)
    for film in films:
        (inner / film).touch()
    ids = "".join(f"{Path(film).stem},120,True\n" for film in films)
    (folder / f"{name}.csv").write_text(f"id,boneage,male\n{ids}")
    return inner


@pytest.mark.parametrize("deeper", [False, True])
@pytest.mark.parametrize("split", ["training", "test"])
def test_a_split_is_read_flat_or_one_folder_deeper(tmp_path, split, deeper):
    inner = lay_out(tmp_path, split, ["7.png", "3.JPG", "5.tif", "4.jpeg"], deeper=deeper)
    films, problems = read_split(tmp_path, split)
    assert [film.path for film in films] == [inner / name for name in ("7.png", "3.JPG", "5.tif", "4.jpeg")]
    assert films[0] == LabelledFilm("7", inner / "7.png", 120.0, Sex.MALE)
    assert problems == ()


def test_labels_may_lie_among_the_films(tmp_path):
    inner = lay_out(tmp_path, "test", ["1.png"])
    (tmp_path / "boneage-test-dataset.csv").rename(inner / "boneage-test-dataset.csv")
    assert len(read_split(tmp_path, "test")[0]) == 1


def test_missing_films_are_all_named(tmp_path):
    inner = lay_out(tmp_path, "training", ["1.png", "2.png", "3.png"])
    (inner / "1.png").unlink()
    (inner / "3.png").unlink()
    with pytest.raises(UnusableData, match=r"2 of the 3 films are missing: 1, 3\. .*--skip-unreadable"):
        read_split(tmp_path, "training")


def test_missing_films_can_be_skipped_and_are_recorded(tmp_path):
    inner = lay_out(tmp_path, "training", ["1.png", "2.png"])
    (inner / "1.png").unlink()
    films, problems = read_split(tmp_path, "training", skip_unreadable=True)
    assert [film.id for film in films] == ["2"]
    assert problems == (f"{inner / '1'}: there is no such film",)


def test_a_folder_without_the_layout_says_what_is_missing(tmp_path):
    with pytest.raises(UnusableData, match=r"there is no boneage-training-dataset\.csv"):
        read_split(tmp_path, "training")
    (tmp_path / "boneage-training-dataset.csv").write_text("id,boneage,male\n1,2,True\n")
    with pytest.raises(UnusableData, match="there is no folder boneage-training-dataset"):
        read_split(tmp_path, "training")
    (tmp_path / "boneage-training-dataset").mkdir()
    with pytest.raises(UnusableData, match="none of the 1 films"):
        read_split(tmp_path, "training", skip_unreadable=True)


def test_any_folder_of_films_and_any_labels_can_be_read(tmp_path):
    inner = lay_out(tmp_path, "test", ["1.png"])
    labels = (tmp_path / "boneage-test-dataset.csv").rename(tmp_path / "films.csv")
    assert len(read_films(inner, labels)[0]) == 1
    with pytest.raises(UnusableData, match="the folder cannot be read"):
        read_films(tmp_path / "gone", labels)


@pytest.mark.parametrize(
    ("folder", "split", "count"),
    [
        ("rsna-299px", "training", 10411),
        ("rsna-299px", "test", 1000),
        ("rsna-640px", "training", 934),
        ("rsna-original", "test", 16),
    ],
)
def test_the_real_folders_are_read_whole(data_folder, folder, split, count):
    films, problems = read_split(data_folder / folder, split)
    assert len(films) == count
    assert problems == ()
    assert all(0 < film.bone_age_months <= 240 for film in films)
