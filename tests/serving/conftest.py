"""What all tests of the service share: where its films lie, and its page in a browser.

Pictures of the page are left in the folder that BONEXAGE_SHOTS names, else in pytest's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from bonexage.atlas.plates import read_plates
from browser import Browser, browser
from dicoms import as_bytes, dataset
from services import Served, png, served
from windows import opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a service's model and films lie."""
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def service(window: Browser, folder: Path) -> Iterator[Served]:
    with served(folder) as started:
        yield started


@pytest.fixture
def page(window: Browser, service: Served) -> Browser:
    return opened(window, service)


@pytest.fixture(scope="module")
def film(folder: Path) -> Path:
    """A plate of the atlas, smaller."""
    plate = next(each for each in read_plates() if each.path.name == "F-120.png")
    path = folder / "plate.png"
    with Image.open(plate.path) as picture:
        picture.reduce(2).save(path)
    return path


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = Path(os.environ.get("BONEXAGE_SHOTS") or tmp_path_factory.mktemp("shots"))
    place.mkdir(parents=True, exist_ok=True)
    return place


@pytest.fixture(scope="module")
def girl(folder: Path) -> Path:
    """A film whose header states a girl of ten."""
    path = folder / "girl.dcm"
    path.write_bytes(as_bytes(dataset(PatientSex="F", PatientAge="120M")))
    return path


@pytest.fixture(scope="module")
def boy(folder: Path) -> Path:
    """A film whose header states a boy and no age."""
    path = folder / "boy.dcm"
    path.write_bytes(as_bytes(dataset(PatientSex="M")))
    return path


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    """A picture, which has no header."""
    path = folder / "plain.png"
    path.write_bytes(png(1))
    return path
