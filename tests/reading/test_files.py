"""A path that cannot be read is one typed error; what was asked for becomes paths, in order."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bonexage.errors import MissingExtra, UnreadableFile, WrongUse
from bonexage.reading import files
from bonexage.reading.files import list_films, read_radiograph
from dicoms import write_dicom
from films import write_film
from hands import drawn_hand
from heics import heic


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "hand.png"
    Image.fromarray(np.rint(drawn_hand(60, 50) * 255).astype(np.uint8)).save(path)
    return path


def test_a_film_is_read_under_the_name_given(film, monkeypatch):
    assert read_radiograph(film).provenance.name == str(film)
    monkeypatch.chdir(film.parent)
    assert read_radiograph("./hand.png").provenance.name == "./hand.png"


def test_the_content_counts_and_not_the_suffix(film):
    renamed = film.rename(film.with_suffix(".jpg"))
    assert read_radiograph(renamed).provenance.kind == "png"


def test_a_page_may_be_named(tmp_path):
    pages = [Image.new("L", (40, 30)), Image.fromarray(np.rint(drawn_hand(60, 50) * 255).astype(np.uint8))]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    assert read_radiograph(tmp_path / "two.tif", page=2).pixels.shape == (60, 50)


def test_a_missing_file_is_an_error_with_the_file_and_the_remedy():
    with pytest.raises(UnreadableFile, match=r"no/such.png: there is no such file\. Check the path\."):
        read_radiograph("no/such.png")


def test_an_empty_file_is_an_error(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(UnreadableFile, match=r"empty\.png: the file is empty"):
        read_radiograph(tmp_path / "empty.png")


def test_a_folder_is_an_error(tmp_path):
    with pytest.raises(UnreadableFile, match="this is a folder, not a film"):
        read_radiograph(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
def test_a_pipe_is_an_error_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadableFile, match="this is not a file"):
        read_radiograph(tmp_path / "pipe.png")


def test_a_file_that_may_not_be_read_is_an_error(film, monkeypatch):
    def refused(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(UnreadableFile, match="may not be read"):
        read_radiograph(film)


def test_a_failing_disk_is_an_error(film, monkeypatch):
    def failing(_: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", failing)
    with pytest.raises(UnreadableFile, match=r"cannot be read \(Input/output error\)"):
        read_radiograph(film)


@pytest.mark.parametrize("name", ["a\x00b.png", "x" * 5000, ""])
def test_an_impossible_path_is_an_error(name):
    with pytest.raises(UnreadableFile):
        read_radiograph(name)


def test_a_huge_file_is_an_error_before_it_is_read(film, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    with pytest.raises(UnreadableFile, match="larger than"):
        read_radiograph(film)


@pytest.mark.parametrize("name", ["hand.dcm", "IM000001"])
def test_a_dicom_film_is_read_by_its_content_whatever_its_name(tmp_path, name):
    assert read_radiograph(write_dicom(tmp_path / name)).provenance.kind == "dicom"


def test_a_file_that_is_called_dicom_and_is_none_says_so(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"no film at all" * 20)
    with pytest.raises(UnreadableFile, match=r"a\.dcm: this is not a DICOM file"):
        read_radiograph(tmp_path / "a.dcm")


def test_without_pydicom_a_dicom_file_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install .*\[dicom\]"):
        read_radiograph(write_dicom(tmp_path / "a.dcm"))


def test_films_may_be_read_on_many_threads_at_once(film):
    read: list[tuple[int, ...]] = []
    threads = [
        threading.Thread(target=lambda: read.append(read_radiograph(film).pixels.shape)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [(60, 50)] * 8


# What was asked for becomes paths.


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b.PNG",
        "a.jpg",
        "notes.md",
        "sub/c.tiff",
        "sub/deep/d.WebP",
        ".hidden/e.png",
        "sub/.f.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(*paths: str) -> list[str]:
    return [Path(path).as_posix() for path in list_films(paths)]


def test_files_are_listed_as_given_and_in_order(tree):
    assert list(list_films(["b.PNG", "./a.jpg", "notes.md"])) == ["b.PNG", "./a.jpg", "notes.md"]


def test_what_is_not_there_is_listed_as_given(tree):
    assert listed("nowhere.png", "no/*.png") == ["nowhere.png", "no/*.png"]


def test_a_folder_lists_its_pictures_and_those_below_sorted(tree):
    assert listed(".") == ["a.jpg", "b.PNG", "sub/c.tiff", "sub/deep/d.WebP"]


def test_a_folder_without_pictures_is_listed_as_given(tree):
    (tree / "none").mkdir()
    assert listed("none", "a.jpg") == ["none", "a.jpg"]


def test_patterns_match_pictures_also_below(tree):
    assert listed("*") == ["a.jpg", "b.PNG"]
    assert listed("**/*.tiff", str(tree / "sub" / "?.tiff")) == [
        "sub/c.tiff",
        (tree / "sub/c.tiff").as_posix(),
    ]


def test_a_pattern_of_other_files_lists_them(tree):
    assert listed("*.md") == ["notes.md"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tree):
    (tree / "hand[1].png").touch()
    assert listed("hand[1].png") == ["hand[1].png"]


@pytest.mark.parametrize("name", ["films.txt", "films.lst", "FILMS.TXT", "@films"])
def test_a_list_file_names_a_path_a_line(tree, name):
    (tree / name.lstrip("@")).write_bytes("\ufeffa.jpg\r\n\r\n  gone.png \r\nsub/ü b.png".encode())
    assert listed(name) == ["a.jpg", "gone.png", "sub/ü b.png"]


def test_a_list_that_cannot_be_read_is_wrong_use_at_once(tree):
    with pytest.raises(WrongUse, match=r"missing\.txt: the list of films cannot be read"):
        list_films(["@missing.txt"])
    (tree / "binary.txt").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(WrongUse, match=r"binary\.txt: .*UTF-8"):
        list_films(["binary.txt"])


def test_a_dash_reads_names_from_the_standard_input(tree, monkeypatch):
    assert list(list_films(["b.PNG", "-"], stdin=io.StringIO("a.jpg\nx.png\n"))) == [
        "b.PNG",
        "a.jpg",
        "x.png",
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO("y.png"))
    assert listed("-") == ["y.png"]


def test_the_standard_input_is_read_as_it_comes(tree):
    def endless():
        while True:
            yield "a.jpg\n"

    films = list_films(["-"], stdin=endless())
    assert [next(films) for _ in range(3)] == ["a.jpg"] * 3


def test_a_link_in_a_circle_is_walked_once(tree):
    try:
        (tree / "sub" / "again").symlink_to(tree, target_is_directory=True)
    except OSError:
        pytest.skip("no links on this system")
    assert listed(".") == ["a.jpg", "b.PNG", "sub/c.tiff", "sub/deep/d.WebP"]


def test_a_folder_that_may_not_be_entered_is_listed_itself(tree, monkeypatch):
    real = os.scandir

    def refused(folder):
        if Path(folder).name == "deep":
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", refused)
    assert listed(".") == ["a.jpg", "b.PNG", "sub/c.tiff", "sub/deep"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "AVIF"])
@pytest.mark.parametrize("name", ["IMG_0001", "hand.", "1.2.840.113619", "hand.dcm", "hand.png"])
def test_a_picture_in_a_folder_is_known_and_read_by_its_content(tmp_path, name, kind):
    Image.new("L", (50, 60), 90).save(tmp_path / name, kind)
    (film,) = list_films([str(tmp_path)])
    assert Path(film).name == name
    assert read_radiograph(film).provenance.kind == kind.lower()


@pytest.mark.parametrize("name", ["hand.heic", "hand", "hand.HEIF", "hand.hif"])
def test_a_picture_of_a_phone_is_listed_and_read(tmp_path, name):
    pytest.importorskip("pi_heif")
    (tmp_path / name).write_bytes(heic(np.full((60, 50), 90, np.uint8)))
    (film,) = list_films([str(tmp_path)])
    assert read_radiograph(film).provenance.kind == "heic"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", True),
        (b"\x89PNG\r\n\x1a\n", True),
        (b"\xff\x4f\xff\x51\x00\x2f", True),
        (b"GIF89a\x01\x00\x01\x00", True),
        (b"Read me\r\n\tfirst", False),
        ("Zum Öffnen".encode("cp1252"), False),
        (b"#!/bin/sh\n\x1b[31m", False),
    ],
)
def test_a_file_without_a_suffix_that_is_neither_film_nor_text_is_named(tmp_path, content, named):
    (tmp_path / "IM0001").write_bytes(content)
    write_film(tmp_path / "hand.png")
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        archive.writestr("IM0001", content)
        archive.write(tmp_path / "hand.png", "hand.png")
    for place in (tmp_path, tmp_path / "study.zip"):
        listed = [Path(film).name for film in list_films([str(place)])]
        assert listed == (["IM0001"] if named else []) + ["hand.png"]
    if named:
        with pytest.raises(UnreadableFile):
            read_radiograph(tmp_path / "IM0001")
