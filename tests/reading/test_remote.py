"""Films at an address: listed and read like those on disk."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest

from bonexage.errors import MissingExtra, UnreadableFile, WrongUse
from bonexage.reading import remote
from bonexage.reading.files import list_films, read_radiograph
from bonexage.reading.remote import is_address
from films import write_film

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def address(tmp_path: Path) -> str:
    """A folder in memory: b.png, a/c.jpg, notes.txt and a hidden film."""
    folder = f"memory://{uuid.uuid4().hex}"
    for name in ("b.png", "a/c.jpg", ".hidden/d.png"):
        film = write_film(tmp_path / Path(name).name, seed=len(name))
        with fsspec.open(f"{folder}/{name}", "wb") as file:
            file.write(film.read_bytes())
    with fsspec.open(f"{folder}/notes.txt", "wb") as file:
        file.write(b"no film")
    return folder


def test_the_films_at_an_address_are_listed_and_no_others(address: str) -> None:
    found = [name.partition(address.removeprefix("memory://"))[2] for name in list_films([address])]
    assert found == ["/a/c.jpg", "/b.png"]


def test_a_pattern_in_an_address_is_obeyed(address: str) -> None:
    assert [Path(name).name for name in list_films([f"{address}/*.png"])] == ["b.png"]


def test_a_film_at_an_address_is_the_film_on_disk(address: str, tmp_path: Path) -> None:
    (name,) = list_films([f"{address}/*.png"])
    there, here = read_radiograph(name), read_radiograph(tmp_path / "b.png")
    assert there.provenance.name == name
    assert there.provenance.sha256 == here.provenance.sha256
    np.testing.assert_array_equal(there.pixels, here.pixels)


def test_a_file_address_is_read_too(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.png")
    there, here = read_radiograph(film.as_uri()), read_radiograph(film)
    np.testing.assert_array_equal(there.pixels, here.pixels)


def test_an_address_without_a_film_is_named_so_that_it_is_reported(address: str) -> None:
    assert list(list_films([f"{address}/nowhere"])) == [f"{address}/nowhere"]
    with pytest.raises(UnreadableFile, match="there is no such file"):
        read_radiograph(f"{address}/nowhere.png")


def test_what_another_package_raises_is_told_with_the_address(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoCredentials(Exception):
        pass

    def refuse(*_: object) -> None:
        raise NoCredentials("Unable to locate credentials")

    for call in ("find", "size"):
        monkeypatch.setattr(type(fsspec.filesystem("memory")), call, refuse)
    for asked in (remote.files_at, read_radiograph):
        with pytest.raises(UnreadableFile, match=r"Unable to locate credentials.*your right to it"):
            asked(address)
    assert list(list_films([address])) == [address]


def test_a_film_that_is_too_large_is_refused_before_it_is_fetched(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bonexage.reading.files.MAX_BYTES", 10)
    with pytest.raises(UnreadableFile, match="larger than"):
        read_radiograph(f"{address}/b.png")


def test_an_address_of_an_unknown_kind_is_a_sentence() -> None:
    with pytest.raises(WrongUse, match="cannot be read"):
        read_radiograph("nosuch://bucket/film.png")


def test_without_fsspec_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install .*\[cluster\]"):
        read_radiograph("s3://bucket/film.png")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s3://bucket/film.png", True),
        ("memory://films", True),
        ("C://films/a.png", False),
        ("https://archive/studies/1.2", False),
        ("films/a.png", False),
        ("films://", False),
    ],
)
def test_what_is_an_address(name: str, expected: bool) -> None:
    assert is_address(name) is expected
