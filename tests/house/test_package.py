"""What is built can be installed: the wheel and the sdist hold what they need and no more."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import bonexage

ROOT = Path(__file__).parents[2]
_BUILD = "import sys; from flit_core import buildapi; buildapi.build_{0}(sys.argv[1])"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(_built("wheel", tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> tarfile.TarFile:
    return tarfile.open(_built("sdist", tmp_path_factory.mktemp("sdist")))


def _built(kind: str, folder: Path) -> Path:
    subprocess.run([sys.executable, "-c", _BUILD.format(kind), folder], cwd=ROOT, check=True)
    (built,) = folder.iterdir()
    return built


def _about(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def test_the_wheel_holds_the_model_the_plates_and_the_types(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {
        "bonexage/py.typed",
        "bonexage/model/carried/bundle.json",
        "bonexage/model/carried/model.onnx",
        "bonexage/model/carried/CARD.md",
        "bonexage/atlas/plates/plates.csv",
    } <= names
    assert any(name.startswith("bonexage/atlas/plates/") and name.endswith(".png") for name in names)


def test_the_wheel_holds_every_module_and_nothing_of_the_tests(wheel: zipfile.ZipFile) -> None:
    modules = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    assert modules <= set(wheel.namelist())
    assert all(name.startswith(("bonexage/", "bonexage-")) for name in wheel.namelist())
    assert not [name for name in wheel.namelist() if name.endswith((".pyc", ".pth", ".pt"))]


def test_the_carried_model_is_at_most_40_mb(wheel: zipfile.ZipFile) -> None:
    carried = [one for one in wheel.infolist() if one.filename.startswith("bonexage/model/carried/")]
    assert sum(one.file_size for one in carried) <= 40e6


def test_the_wheel_installs_the_command(wheel: zipfile.ZipFile) -> None:
    assert "bonexage=bonexage.cli:main" in _about(wheel, "entry_points.txt").replace(" ", "")


def test_a_plain_install_asks_for_no_training_library(wheel: zipfile.ZipFile) -> None:
    lines = [line for line in _about(wheel, "METADATA").splitlines() if line.startswith("Requires-Dist:")]
    plain = [line for line in lines if "extra ==" not in line]
    assert plain
    assert not [line for line in plain if "torch" in line or "timm" in line]


def test_the_wheel_carries_the_licence_with_its_note_on_the_weights(wheel: zipfile.ZipFile) -> None:
    (licence,) = (name for name in wheel.namelist() if name.endswith("LICENSE"))
    assert "non-commercial" in wheel.read(licence).decode()


def test_the_version_is_the_package_s_own(wheel: zipfile.ZipFile) -> None:
    assert f"\nVersion: {bonexage.__version__}\n" in _about(wheel, "METADATA")
    assert f"version: {bonexage.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_sdist_holds_the_package_its_recipes_and_its_tests(sdist: tarfile.TarFile) -> None:
    names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"src/bonexage/py.typed", "recipes/published.toml", "tests/conftest.py", "LICENSE"} <= names
    assert not [name for name in names if name.endswith(".pyc")]
