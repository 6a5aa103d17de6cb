"""The container file and the systemd unit: what they run exists, and little may be done by it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from configparser import RawConfigParser
from pathlib import Path

import pytest
import typer.main

from bonexage.cli.app import app
from services import served

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "docs" / "bonexage.service"
SERVE = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]


def instructions() -> list[tuple[str, str]]:
    """The container file's instructions in their order, each a word and the rest."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Containerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


def last(word: str) -> str:
    """The last stage's instruction of that name."""
    stage = instructions()[max(at for at, (name, _) in enumerate(instructions()) if name == "FROM") :]
    (rest,) = [rest for name, rest in stage if name == word]
    return rest


def test_the_image_is_slim_and_its_version_named() -> None:
    for _, image in [each for each in instructions() if each[0] == "FROM"]:
        assert re.match(r"\S+/python:3\.\d+-slim-\w+( AS build)?$", image), image


def test_it_runs_as_nobody_in_particular_and_tells_whether_it_is_well() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last("USER"))
    assert last("STOPSIGNAL") == "SIGTERM"
    assert "--timeout" in last("HEALTHCHECK")


def test_everything_in_it_comes_from_the_lock_and_from_here() -> None:
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    assert [rest for rest in installs if "--require-hashes" not in rest and "--no-index" not in rest] == []
    assert not [word for word, _ in instructions() if word == "ADD"]
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest:
            assert [name for name in rest.split()[:-1] if not (ROOT / name).exists()] == []


def test_what_it_copies_is_enough_to_build_the_package(tmp_path: Path) -> None:
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest:
            for name in rest.split()[:-1]:
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                copy(ROOT / name, tmp_path / name)
    for model in tmp_path.rglob("*.onnx"):
        model.write_bytes(b"")  # packing them takes seconds
    build = "from flit_core import buildapi; buildapi.build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert "bonexage/serving/app.py" in zipfile.ZipFile(wheel).namelist()


def test_what_it_starts_can_be_typed() -> None:
    command = json.loads(last("ENTRYPOINT"))
    assert command[:2] == ["bonexage", "serve"]
    given = SERVE.make_context("serve", command[2:]).params
    assert (given["host"], str(given["port"])) == ("0.0.0.0", last("EXPOSE"))


def test_its_health_check_tells_a_service_that_runs_from_none(tmp_path: Path) -> None:
    check = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    with served(tmp_path) as service:
        code = check[2].replace("http://127.0.0.1:8000", service.address)
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode != 0


def test_the_unit_starts_what_can_be_typed() -> None:
    unit = RawConfigParser(strict=False, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT, encoding="utf-8")
    command = shlex.split(unit["Service"]["ExecStart"])
    assert command[1] == "serve"
    given = SERVE.make_context("serve", command[2:]).params
    assert int(unit["Service"]["TimeoutStopSec"]) > given["drain_seconds"]
    assert given["token_file"].name == unit["Service"]["LoadCredential"].partition(":")[0]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_the_unit_is_sound_and_hardened_in_the_eyes_of_systemd(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    text = re.sub(
        r"^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text(encoding="utf-8"), flags=re.M
    )
    unit.write_text(text, encoding="utf-8")
    sound = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert sound.returncode == 0, sound.stderr
    assert unit.name not in sound.stderr
    # Out of 100: 0 is as little exposed as can be, 20 is what systemd calls OK.
    judged = ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit]
    exposed = subprocess.run(judged, capture_output=True, text=True, check=False)
    assert exposed.returncode == 0, exposed.stdout[-400:]
