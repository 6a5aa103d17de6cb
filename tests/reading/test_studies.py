"""A study is given as it comes, a folder, a disc with its DICOMDIR or a zip archive: its films are found."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from bonexage.errors import UnreadableFile
from bonexage.reading import archives, dicom
from bonexage.reading.files import list_films, read_radiograph
from dicoms import as_bytes, dataset, hand_values, write_dicom
from films import write_film


@pytest.fixture(scope="module", autouse=True)
def _children_end() -> Iterator[None]:
    yield
    dicom._dismiss()


def report() -> Dataset:
    made = dataset(sop_class=uid.Comprehensive3DSRStorage)
    del made.PixelData
    return made


def directory(folder: Path, *files: tuple[str, ...]) -> Path:
    """A DICOMDIR that names these files as images, and a report that lies nowhere."""
    made = Dataset()
    made.file_meta = dataset().file_meta
    made.file_meta.MediaStorageSOPClassUID = uid.MediaStorageDirectoryStorage
    made.DirectoryRecordSequence = Sequence([])
    for kind, file in [("SR DOCUMENT", ("REPORT",)), *(("IMAGE", file) for file in files), ("PATIENT", None)]:
        item = Dataset()
        item.DirectoryRecordType = kind
        if file:
            item.add_new("ReferencedFileID", "CS", list(file))
        made.DirectoryRecordSequence.append(item)
    return write_dicom(folder / "DICOMDIR", made)


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    folder = tmp_path / "disc"
    write_dicom(folder / "IMAGES" / "IM1", dataset(hand_values(seed=1)))
    write_dicom(folder / "IMAGES" / "IM2", dataset(hand_values(seed=2)))
    write_dicom(folder / "IMAGES" / "1.2.3.4", dataset(hand_values(seed=3)))
    write_dicom(folder / "hand.dcm")
    write_dicom(folder / "REPORT", report())
    write_dicom(folder / "report.dcm", report())
    (folder / "README").write_text("no film")
    (folder / "viewer.exe").write_bytes(as_bytes(dataset()))
    write_film(folder / "hand.png")
    return folder


def names(folder: Path, listed: Iterator[str]) -> list[str]:
    return [Path(film).relative_to(folder).as_posix() for film in listed]


def test_a_folder_gives_its_films_and_not_its_reports(disc: Path) -> None:
    directory(disc, ("IMAGES", "IM1"))
    assert names(disc, list_films([str(disc)])) == [
        "hand.dcm",
        "hand.png",
        "IMAGES/1.2.3.4",
        "IMAGES/IM1",
        "IMAGES/IM2",
    ]


def test_a_dicomdir_gives_the_images_that_it_names_in_its_order(disc: Path) -> None:
    named = directory(disc, ("IMAGES", "IM2"), ("IMAGES", "IM1"), ("GONE",))
    assert names(disc, list_films([str(named)])) == ["IMAGES/IM2", "IMAGES/IM1", "GONE"]
    (disc / "IMAGES").rename(disc / "images")
    (disc / "images" / "IM2").rename(disc / "images" / "im2")
    assert names(disc, list_films([str(named)]))[0] == "images/im2"


@pytest.mark.parametrize("outside", [("..", "SECRET"), ("/etc/passwd",), ("", "A")])
def test_a_dicomdir_leads_nowhere_outside_its_folder(disc: Path, outside: tuple[str, ...]) -> None:
    named = directory(disc, outside)
    assert list(list_films([str(named)])) == [str(named)]
    with pytest.raises(UnreadableFile, match="names files outside its folder"):
        read_radiograph(named)


def test_a_dicomdir_without_films_and_one_that_is_none_say_so(disc: Path) -> None:
    with pytest.raises(UnreadableFile, match="the disc holds no film"):
        read_radiograph(directory(disc))
    (disc / "DICOMDIR").write_bytes(b"nonsense" * 40)
    (film,) = list_films([str(disc / "DICOMDIR")])
    with pytest.raises(UnreadableFile, match="not a PNG"):
        read_radiograph(film)


@pytest.mark.parametrize("part", ["..", "a/b", "a\\b", "", "new\nline"])
def test_what_a_disc_s_index_names_is_no_more_than_a_name(monkeypatch, part: str) -> None:
    monkeypatch.setattr(dicom, "asked", lambda *_: ({"files": [["IMAGES", part]]}, b""))
    with pytest.raises(UnreadableFile, match="outside its folder"):
        dicom.films_of_disc(b"", "DICOMDIR")


def zipped(disc: Path, name: str = "study.zip") -> Path:
    archive = disc.parent / name
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in sorted(disc.rglob("*")):
            if file.is_file():
                opened.write(file, file.relative_to(disc).as_posix())
        opened.writestr("__MACOSX/hand.png", b"litter")
        opened.writestr(".hidden/hand.png", b"litter")
    return archive


def test_an_archive_is_read_as_the_folder_that_it_holds(disc: Path) -> None:
    archive = zipped(disc)
    films = list(list_films([str(archive)]))
    assert sorted(names(archive, iter(films))) == sorted(names(disc, list_films([str(disc)])))
    for film in films:
        within, beside = read_radiograph(film), read_radiograph(disc / Path(film).relative_to(archive))
        assert np.array_equal(within.pixels, beside.pixels)
        assert within.provenance.sha256 == beside.provenance.sha256
        assert within.provenance.name == film


def test_an_archive_without_films_a_damaged_one_and_a_missing_member_say_so(
    tmp_path: Path, disc: Path
) -> None:
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as opened:
        opened.writestr("notes.txt", "no film")
    assert list(list_films([str(empty)])) == [str(empty)]
    with pytest.raises(UnreadableFile, match="the archive holds no film"):
        read_radiograph(empty)
    archive = zipped(disc)
    with pytest.raises(UnreadableFile, match="no such file in the archive"):
        read_radiograph(archive / "gone.png")
    archive.write_bytes(archive.read_bytes()[:500])
    assert list(list_films([str(archive)])) == [str(archive)]
    with pytest.raises(UnreadableFile, match="archive is damaged"):
        read_radiograph(archive)


def test_a_member_that_unpacks_to_more_than_a_film_can_be_is_refused(disc: Path, monkeypatch) -> None:
    archive = zipped(disc)
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1000)
    with pytest.raises(UnreadableFile, match=r"hand\.dcm: it unpacks to more than"):
        read_radiograph(archive / "hand.dcm")
