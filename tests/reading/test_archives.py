"""A zip archive's files are named as if they lay in a folder, and a name leads to its own file alone."""

from __future__ import annotations

import multiprocessing
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonexage.errors import UnreadableFile
from bonexage.reading import archives
from bonexage.reading.archives import member_bytes, members
from bonexage.reading.files import list_films, read_radiograph
from films import write_film
from reading.in_processes import by_program, hash_of


def packed(archive: Path, *files: tuple[str, bytes]) -> Path:
    """An archive with these files, their names as they stand, duplicates among them."""
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in files:
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            opened.writestr(entry, content)
    return archive


@pytest.mark.parametrize(
    "name",
    ["./a/hand.png", "/a/hand.png", "a//hand.png", "a\\hand.png", ".\\a\\.\\hand.png", "../a/./hand.png"],
)
def test_a_film_is_listed_below_the_archive_and_read_however_its_name_is_written(tmp_path: Path, name: str):
    film = write_film(tmp_path / "hand.png")
    archive = packed(tmp_path / "study.zip", (name, film.read_bytes()))
    assert list(list_films([str(archive)])) == [f"{archive}/a/hand.png"]
    read = read_radiograph(f"{archive}/a/hand.png")
    assert (read.pixels == read_radiograph(film).pixels).all()


def test_a_name_leads_to_its_own_file_in_either_case_and_to_none_where_two_would_do(tmp_path: Path):
    archive = packed(
        tmp_path / "a.zip",
        ("A/one.PNG", b"1"),
        ("B/two.png", b"2"),
        ("b/TWO.png", b"3"),
        ("cafe\u0301.png", b"4"),
    )
    assert member_bytes(archive, "a/ONE.png", "") == b"1"
    assert member_bytes(archive, "B/two.png", "") == b"2"
    assert member_bytes(archive, "b/TWO.png", "") == b"3"
    assert member_bytes(archive, "caf\u00e9.png", "") == b"4"
    with pytest.raises(UnreadableFile, match=r"x: there is no such file in the archive"):
        member_bytes(archive, "b/two.PNG", "x")


@pytest.mark.parametrize("outside", ["../secret.png", "a/../../secret.png", "..\\secret.png", "", "/", ".."])
def test_what_leads_out_of_an_archive_is_no_file_in_it(tmp_path: Path, outside: str):
    write_film(tmp_path / "secret.png")
    archive = packed(tmp_path / "a.zip", ("secret.png", b"inside"), ("a/hand.png", b"1"))
    with pytest.raises(UnreadableFile, match="no such file in the archive"):
        member_bytes(archive, outside, "")
    with pytest.raises(UnreadableFile):
        read_radiograph(f"{archive}/{outside}")


def test_two_different_files_of_one_name_are_refused_and_two_equal_ones_are_one(tmp_path: Path):
    archive = packed(
        tmp_path / "a.zip",
        ("./a/hand.png", b"girl"),
        ("a/hand.png", b"boy"),
        ("b/hand.png", b"same"),
        ("b//hand.png", b"same"),
        ("b\\hand.png", b"same"),
    )
    assert members(archive) == ["a/hand.png", "b/hand.png"]
    with pytest.raises(UnreadableFile, match=r"f: the archive holds 2 different files of this name"):
        member_bytes(archive, "a/hand.png", "f")
    assert member_bytes(archive, "b/hand.png", "") == b"same"


parts = st.sampled_from(["a", "b", "A", ".", "..", "", ".hid", "__MACOSX", "x.png", "X.png"])
names = st.builds(
    lambda first, mark: mark.join(first), st.lists(parts, min_size=1, max_size=4), st.sampled_from("/\\")
).filter(lambda name: not name.endswith(("/", "\\")))


@given(st.lists(st.tuples(names, st.binary(min_size=1, max_size=2)), max_size=8))
@settings(max_examples=200, deadline=None)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_listed_name_gives_a_file_that_an_unpacker_would_have_put_there(tmp_path_factory, files):
    archive = tmp_path_factory.mktemp("zip") / "any.zip"
    packed(archive, *files)
    listed = members(archive)
    assert len(set(listed)) == len(listed)
    for name in listed:
        here = {content for written, content in files if _unpacked(written) == name}
        assert here, name
        if len(here) == 1:
            assert {member_bytes(archive, name, "")} == here
        else:
            with pytest.raises(UnreadableFile, match="different files of this name"):
                member_bytes(archive, name, "")


def _unpacked(name: str) -> str:
    """Where Python's own unpacking puts a file, on a system that knows both slashes."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def test_an_archive_is_parsed_once_for_listing_and_reading_in_any_number_of_threads(
    tmp_path: Path, monkeypatch
):
    archive = packed(
        tmp_path / "many.zip", *((f"d/{at:04}", b"no film") for at in range(500)), ("x.png", b"x")
    )
    opened = []
    real = zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda *file: opened.append(file) or real(*file))
    assert list(list_films([str(archive)])) == [f"{archive}/x.png"]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda at: member_bytes(archive, f"d/{at:04}", ""), range(500)))
    assert set(read) == {b"no film"}
    assert len(opened) == 1


def test_threads_read_their_own_files(tmp_path: Path):
    contents = [bytes([at]) * 70_000 for at in range(32)]
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for at, content in enumerate(contents):
            opened.writestr(f"{at}.png", content)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda at: member_bytes(archive, f"{at % 32}.png", ""), range(320)))
    assert read == contents * 10


def test_an_archive_that_was_replaced_is_parsed_anew(tmp_path: Path):
    archive = packed(tmp_path / "a.zip", ("x.png", b"before"))
    assert member_bytes(archive, "x.png", "") == b"before"
    packed(tmp_path / "new.zip", ("x.png", b"after that")).replace(archive)
    assert member_bytes(archive, "x.png", "") == b"after that"


@pytest.mark.parametrize("way", multiprocessing.get_all_start_methods())
def test_processes_read_from_one_archive_at_the_same_time(tmp_path: Path, way: str):
    named = [f"{at}.png" for at in range(20)]
    archive = packed(tmp_path / "a.zip", *((name, name.encode() * 9_000) for name in named))
    assert members(archive) == sorted(named)
    assert by_program("archive", way, archive) == [hash_of(name.encode() * 9_000) for name in sorted(named)]


def test_an_archive_of_too_many_files_is_refused_before_its_list_is_read(tmp_path: Path, monkeypatch):
    archive = packed(tmp_path / "a.zip", *((f"{at}.png", b"1") for at in range(30)))
    monkeypatch.setattr(archives._File, "most", 1000)
    with pytest.raises(UnreadableFile, match=r"a\.zip: the archive holds more than 100,000 files"):
        members(archive)
    monkeypatch.undo()
    monkeypatch.setattr(archives, "MAX_MEMBERS", 20)
    with pytest.raises(UnreadableFile, match="the archive holds more than 20 files"):
        members(archive)


def test_an_encrypted_member_and_an_unknown_packing_are_told_apart(tmp_path: Path):
    archive = packed(tmp_path / "a.zip", ("hand.png", b"12345"))
    plain = archive.read_bytes()
    directory = plain.index(b"PK\x01\x02")
    for at, value, problem in ((8, 1, "the archive is encrypted"), (10, 98, "packed by a method")):
        changed = bytearray(plain)
        changed[directory + at] = value
        archive.write_bytes(changed)
        os.utime(archive, ns=(value, value))
        with pytest.raises(UnreadableFile, match=problem):
            member_bytes(archive, "hand.png", "")


def test_a_name_that_is_called_utf_8_and_is_not_hides_no_film(tmp_path: Path):
    film = write_film(tmp_path / "hand.png")
    archive = packed(tmp_path / "a.zip", ("håXX.png", film.read_bytes()), ("é.png", film.read_bytes()))
    archive.write_bytes(archive.read_bytes().replace("håXX".encode(), b"h\xff\xfe\x80X"))
    listed = list(list_films([str(archive)]))
    assert len(listed) == 2
    assert listed[1] == f"{archive}/é.png"
    for name in listed:
        assert (read_radiograph(name).pixels == read_radiograph(film).pixels).all()


def test_an_archive_in_an_archive_is_named_and_refused(tmp_path: Path):
    film = write_film(tmp_path / "hand.png")
    inner = packed(tmp_path / "inner.zip", ("hand.png", film.read_bytes()))
    outer = packed(
        tmp_path / "outer.zip", ("a.png", film.read_bytes()), ("more/INNER.Zip", inner.read_bytes())
    )
    assert list(list_films([str(outer)])) == [f"{outer}/a.png", f"{outer}/more/INNER.Zip"]
    with pytest.raises(UnreadableFile, match=r"this is an archive in an archive\. Unpack both"):
        read_radiograph(f"{outer}/more/INNER.Zip")
    with pytest.raises(UnreadableFile, match=r"Name a film in it, such as .*a\.png"):
        read_radiograph(outer)
    only = packed(tmp_path / "only.zip", ("inner.zip", inner.read_bytes()))
    with pytest.raises(UnreadableFile, match="the archive holds no film"):
        read_radiograph(only)
