"""`python train.py` trains, exports and evaluates once from the published layout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bonexage.model.bundle import load_bundle
from learning.folders import data_folder_with

ROOT = Path(__file__).parents[2]
RECIPE = """
name = "tiny"
[network]
backbone = "test_convnext"
start = "random"
[parts]
validation = 0.2
calibration = 0.2
[[stages]]
height = 64
width = 64
epochs = 1
batch = 8
"""


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_published_layout_is_trained_exported_and_evaluated(tmp_path: Path) -> None:
    data_folder_with(tmp_path / "data", 24, deeper=True)
    data_folder_with(tmp_path / "data", 5, split="test")
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    done = command(tmp_path, "--recipe", "tiny.toml", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert load_bundle(tmp_path / "run" / "bundle").description.name == "tiny"
    assert (tmp_path / "run" / "evaluation" / "evaluation.html").exists()
    assert "Test MAE" in done.stdout
    again = command(tmp_path, "--recipe", "tiny.toml", "--out", "run")
    assert again.returncode == 0, again.stderr


def test_without_films_one_line_says_where_they_belong(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    done = command(tmp_path, "--recipe", "tiny.toml")
    assert done.returncode == 3
    assert "boneage-training-dataset" in done.stderr
    assert "Traceback" not in done.stderr
