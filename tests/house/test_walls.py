"""The walls between rooms hold, and would be missed if they did not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _lint_imports(source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package under `source`, from `folder`."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_rooms_import_downwards_only(tmp_path: Path) -> None:
    done = _lint_imports(ROOT / "src", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        pytest.param("errors.py", "import bonexage.radiograph", id="upwards"),
        pytest.param("model/runtime.py", "import torch", id="torch-outside-learning"),
        pytest.param("clinic/growth.py", "import bonexage.reading.files", id="between-neighbours"),
        pytest.param("strays.py", '"""A room that nobody gave a place."""', id="room-without-a-place"),
    ],
)
def test_a_planted_breach_is_found(tmp_path: Path, module: str, line: str) -> None:
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("*.onnx", "*.png", "__pycache__")
    )
    with (tmp_path / "src" / "bonexage" / module).open("a", encoding="utf-8") as opened:
        opened.write(f"\n{line}\n")
    done = _lint_imports(tmp_path / "src", tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr


def test_importing_bonexage_takes_under_three_tenths_of_a_second_of_computing() -> None:
    asked = "import time; start = time.process_time(); import bonexage; print(time.process_time() - start)"
    taken = [
        float(
            subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
        )
        for _ in range(5)
    ]
    assert min(taken) < 0.3
