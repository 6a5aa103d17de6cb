"""The command that installs an extra works from wherever the package was installed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bonexage import extras
from bonexage.errors import MissingExtra, UnreadableFile, how_to_install
from bonexage.extras import install_command, reinstall_command
from bonexage.serving.problems import for_client
from bonexage.serving.words import LANGUAGES, words

ROOT = Path(__file__).parents[1]
REQUIRED = tuple(
    f"{needed} ; extra == '{extra}'"
    for extra, packages in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ].items()
    for needed in packages
)
PIP = [sys.executable, "-m", "pip", "install"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="commands are taken apart as a POSIX shell does")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a record of an installation in the place of this one's; None is one that pip did not write."""

    def record(direct_url: dict[str, Any] | None) -> None:
        texts = {"direct_url.json": None if direct_url is None else json.dumps(direct_url)}
        monkeypatch.setattr(
            extras, "distribution", lambda _: SimpleNamespace(requires=REQUIRED, read_text=texts.get)
        )

    return record


def _checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "a check out's"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    return folder


def test_a_checkout_is_named_as_it_was_installed(installed: Any, tmp_path: Path) -> None:
    folder = _checkout(tmp_path)
    installed({"url": folder.as_uri(), "dir_info": {}})
    assert shlex.split(install_command("dicom")) == [*PIP, f"{folder}[dicom]"]
    installed({"url": folder.as_uri(), "dir_info": {"editable": True}})
    assert shlex.split(install_command("dicom")) == [*PIP, "--editable", f"{folder}[dicom]"]


def test_a_wheel_is_named_while_it_is_there_and_then_the_packages(installed: Any, tmp_path: Path) -> None:
    wheel = tmp_path / "bonexage-1-py3-none-any.whl"
    wheel.touch()
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert shlex.split(install_command("report")) == [*PIP, f"{wheel}[report]"]
    wheel.unlink()
    assert shlex.split(install_command("report")) == [*PIP, "reportlab"]


def test_a_checkout_that_has_gone_is_not_named(installed: Any, tmp_path: Path) -> None:
    installed({"url": (tmp_path / "gone").as_uri(), "dir_info": {"editable": True}})
    assert shlex.split(install_command("parquet")) == [*PIP, "pyarrow"]


def test_an_address_is_named_with_its_version(installed: Any) -> None:
    url = "https://example.org/bonexage"
    installed({"url": url, "vcs_info": {"vcs": "git", "commit_id": "0" * 40, "requested_revision": "main"}})
    assert shlex.split(install_command("fhir")) == [*PIP, f"bonexage[fhir] @ git+{url}@{'0' * 40}"]
    installed({"url": f"{url}-1-py3-none-any.whl", "archive_info": {}})
    assert shlex.split(install_command("fhir")) == [*PIP, f"bonexage[fhir] @ {url}-1-py3-none-any.whl"]


@pytest.mark.parametrize("extra", sorted({line.split("'")[1] for line in REQUIRED}))
def test_without_a_source_all_packages_of_the_extra_are_named(installed: Any, extra: str) -> None:
    installed(None)
    named = shlex.split(install_command(extra))[len(PIP) :]
    assert named
    assert not [name for name in named if re.search(r"bonexage|[<>=;]", name)]
    own = {
        re.split(r"[<>=;\s]", line)[0]
        for line in REQUIRED
        if f"'{extra}'" in line and not line.startswith("bonexage")
    }
    assert own <= set(named)


def test_an_extra_that_holds_others_names_their_packages(installed: Any) -> None:
    installed(None)
    assert {"pydicom", "fhir.resources", "pynetdicom"} <= set(shlex.split(install_command("node")))
    assert {"torch", "pynetdicom", "uvicorn", "ray[data]"} <= set(shlex.split(install_command("all")))


def test_a_checkout_that_was_never_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "distribution", missing)
    assert shlex.split(install_command("learn")) == [*PIP, f"{ROOT}[learn]"]


def test_an_environment_without_pip_is_filled_by_uv(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    uv = ["uv", "pip", "install", "--python", sys.executable]
    assert shlex.split(install_command("report")) == [*uv, "reportlab"]


def test_a_package_that_was_changed_is_put_in_its_place_again() -> None:
    assert shlex.split(reinstall_command("weights")) == [*PIP, "--force-reinstall", "--no-deps", "weights"]


def test_the_command_ends_the_message_so_that_it_can_be_copied() -> None:
    error = MissingExtra("Reading DICOM", "dicom")
    assert str(error).endswith(f"Install them with: {install_command('dicom')}")
    assert str(error.about("a.dcm")).endswith(f"with: {install_command('dicom')}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_client_of_a_service_is_sent_to_its_operator(language: str) -> None:
    for error in (
        MissingExtra("Reading DICOM", "dicom"),
        UnreadableFile("a", remedy=how_to_install("dicom")),
    ):
        seen = for_client(error)
        assert type(seen) is type(error)
        assert seen.problem == error.problem
        assert "pip" not in str(seen)
        assert sys.executable not in str(seen)
        assert words(language).translated(seen.remedy)
    assert for_client(UnreadableFile("a", remedy="Do b")).remedy == "Do b"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This package without its models, which make it large, as a wheel."""
    home = tmp_path_factory.mktemp("it is built")
    keep = shutil.ignore_patterns("__pycache__", "*.onnx", "*.png", "*.npy")
    shutil.copytree(ROOT / "src", home / "checkout" / "src", ignore=keep)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, home / "checkout" / name)
    build = "import sys; from flit_core import buildapi; buildapi.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, home], cwd=home / "checkout", check=True)
    (built,) = home.glob("*.whl")
    return built


@pytest.mark.parametrize("source", ["wheel", "checkout", "editable"])
def test_the_command_is_obeyed_where_the_package_was_installed(
    wheel: Path, tmp_path: Path, source: str
) -> None:
    flags = {
        "wheel": [wheel],
        "checkout": [wheel.parent / "checkout"],
        "editable": ["--editable", wheel.parent / "checkout"],
    }[source]
    home = tmp_path / "an environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    (site,) = (home / "lib").glob("python*/site-packages")
    ours = Path(importlib.util.find_spec("pip").origin).parents[1]  # type: ignore[union-attr, arg-type]
    (site / "with_ours.pth").write_text(f"{ours}\n", encoding="utf-8")  # pip and flit_core of here
    python = home / "bin" / "python"
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_FIND_LINKS")}
    install = [python, "-m", "pip", "install", *offline, "--ignore-installed"]
    subprocess.run([*install, *flags], env=env, check=True)
    ask = "from bonexage.extras import install_command; print(install_command('dicom'))"
    told = subprocess.run([python, "-c", ask], env=env, cwd=home, capture_output=True, text=True, check=True)
    command = told.stdout.strip()
    assert shlex.split(command)[:4] == [str(python), "-m", "pip", "install"]
    assert command.endswith("[dicom]'")
    done = subprocess.run(
        f"{command} {' '.join(offline)}", shell=True, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "does not provide the extra" not in done.stderr
