"""A study is given as it comes, a folder, a disc with its DICOMDIR or a zip archive: its films are found."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from bonexage.errors import UnreadableFile
from bonexage.reading import archives, decoder, dicom
from bonexage.reading.files import list_films, read_radiograph
from dicoms import as_bytes, dataset, hand_values, write_dicom
from films import write_film


@pytest.fixture(scope="module", autouse=True)
def _children_end() -> Iterator[None]:
    yield
    decoder.dismiss()


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


@pytest.mark.parametrize(
    ("indexed", "lying"),
    [
        (("IMAGES", "IM9"), ("IMAGES", "IM9.dcm")),
        (("IMAGES", "IM9"), ("IMAGES", "IM9.DCM")),
        (("IMAGES", "IM9"), ("images", "im9.dcm")),
        (("IMAGES", "IM9"), ("Images", "Im9")),
        (("images", "im9"), ("IMAGES", "IM9")),
        (("IMAGES", "IM9"), ("IMAGES", "IM9.")),
        (("IMAGES", "IM9"), ("IMAGES", "IM9;1")),
        (("IMAGES", "IM9"), ("IMAGES", "IM9.;1")),
        (("IMAGES", "IM9."), ("IMAGES", "IM9")),
        (("IMAGES", "IM9.;1"), ("images", "im9.dcm")),
        (("IMAGES", "IM9.DCM"), ("IMAGES", "IM9")),
        (("IMAGES", "IM9.DCM"), ("IMAGES", "IM9.DCM;1")),
        (("IMAGES", "IM9"), ("IMAGES", "IM9.IMA")),
        (("DICOM", "PAT1", "IM9"), ("dicom", "Pat1.", "IM9.dcm")),
        (("DICOM/PAT1/IM9",), ("DICOM", "PAT1", "IM9")),
        (("DICOM\\PAT1", "IM9"), ("DICOM", "PAT1", "im9")),
        ((".", "IM9"), ("IM9",)),
        (("IMAGES ", " IM9 "), ("IMAGES", "IM9")),
    ],
)
def test_a_file_of_a_disc_is_found_under_the_name_that_copying_has_left_it(
    tmp_path: Path, indexed: tuple[str, ...], lying: tuple[str, ...]
) -> None:
    film = write_dicom(tmp_path.joinpath(*lying))
    write_dicom(film.parent / "IM99")
    assert list(list_films([str(directory(tmp_path, indexed))])) == [str(film)]


@pytest.mark.parametrize(
    ("lying", "taken"),
    [
        (("IM9", "im9", "IM9.dcm"), "IM9"),
        (("im9", "IM9.dcm"), "im9"),
        (("IM9.", "IM9.dcm"), "IM9."),
        (("im9", "Im9"), None),
        (("IM9.dcm", "IM9.ima"), None),
        (("IM9.txt",), None),
        (("IM99",), None),
    ],
)
def test_of_two_files_that_come_as_near_neither_is_taken(
    tmp_path: Path, lying: tuple[str, ...], taken: str | None
) -> None:
    for name in lying:
        write_dicom(tmp_path / name)
    if len(list(tmp_path.iterdir())) < len(lying):
        pytest.skip("this system knows no names that differ in case alone")
    (found,) = list_films([str(directory(tmp_path, ("IM9",)))])
    assert found == str(tmp_path / (taken or "IM9"))


def test_a_folder_of_a_film_s_name_is_not_taken_for_it(tmp_path: Path) -> None:
    film = write_dicom(tmp_path / "IM9" / "IM9.dcm")
    named = directory(tmp_path, ("IM9", "IM9"), ("IM9",))
    assert list(list_films([str(named)])) == [str(film), str(tmp_path / "IM9")]


def test_the_index_may_have_a_version_too(tmp_path: Path) -> None:
    film = write_dicom(tmp_path / "IM9;1")
    named = directory(tmp_path, ("IM9",))
    for name in ("dicomdir", "DICOMDIR;1", "DICOMDIR.", "dicomdir.;1"):
        named = named.rename(tmp_path / name)
        assert list(list_films([str(named)])) == [str(film)]


def test_a_disc_of_many_files_under_other_names_is_searched_once(tmp_path: Path, monkeypatch) -> None:
    folder, real, looks = tmp_path / "images", os.scandir, []
    folder.mkdir()
    for number in range(300):
        (folder / f"im{number}.dcm").touch()
    named = directory(tmp_path, *(("IMAGES", f"IM{number}") for number in range(300)))
    monkeypatch.setattr(os, "scandir", lambda path: looks.append(path) or real(path))
    assert len([film for film in list_films([str(named)]) if film.endswith(".dcm")]) == 300
    assert len(looks) <= 3


@pytest.mark.parametrize(
    "name", ["IM000001", "1.2.840.113619", "slice.IMA", "slice.ima", "IM1.;1", "a.dcm;1", "a.img", "a.dcm "]
)
@pytest.mark.parametrize(
    "syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian]
)
@pytest.mark.parametrize("begin", ["preamble", "mark", "group-2", "data-set"])
def test_a_film_in_a_folder_is_known_by_its_content(
    tmp_path: Path, name: str, syntax: str, begin: str
) -> None:
    whole = as_bytes(dataset(syntax=syntax))
    first = b"\x00\x08\x00\x16" if syntax == uid.ExplicitVRBigEndian else b"\x08\x00\x16\x00"
    starts = {"preamble": 0, "mark": 128, "group-2": 132, "data-set": whole.index(first)}
    (tmp_path / name).write_bytes(whole[starts[begin] :])
    (film,) = list_films([str(tmp_path)])
    assert Path(film).name == name
    assert read_radiograph(film).provenance.kind == "dicom"


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
def test_a_report_without_preamble_is_not_listed(tmp_path: Path, syntax: str) -> None:
    made = report()
    made.file_meta.TransferSyntaxUID = syntax
    whole = as_bytes(made)
    (tmp_path / "SR000001").write_bytes(whole[whole.index(b"\x08\x00\x16\x00") :])
    write_dicom(tmp_path / "IM000001")
    assert [Path(film).name for film in list_films([str(tmp_path)])] == ["IM000001"]


def test_a_file_that_is_called_ima_and_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.IMA").write_bytes(b"no film")
    (film,) = list_films([str(tmp_path)])
    with pytest.raises(UnreadableFile, match=r"a\.IMA: this is not a DICOM file"):
        read_radiograph(film)


def test_a_pattern_matches_dicom_films_by_their_content(disc: Path) -> None:
    found = list(list_films([str(disc / "**" / "*")]))
    assert sorted(names(disc, iter(found))) == sorted(names(disc, list_films([str(disc)])))


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
    with pytest.raises(UnreadableFile, match="this is an archive, not a film") as caught:
        read_radiograph(archive)
    assert next(list_films([str(archive)])) in caught.value.sentence
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
