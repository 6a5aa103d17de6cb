"""Importing the package is light: nothing heavy is loaded before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bonexage

HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "SimpleITK",
    "pydicom",
    "onnxruntime",
    "numpy",
    "PIL",
    "matplotlib",
    "rich",
)


def _loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; sys.stdout.write(' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_import_bonexage_loads_nothing_heavy() -> None:
    loaded = _loaded_by("import bonexage")
    assert "bonexage" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_predicting_never_loads_pytorch() -> None:
    code = "import bonexage.cli.app, bonexage.model.assessor, bonexage.reports.table, bonexage.reports.text"
    assert _loaded_by(code).isdisjoint(
        {"torch", "torchvision", "timm", "SimpleITK", "pydicom", "onnxruntime"}
    )


def test_the_command_line_starts_without_numpy() -> None:
    assert _loaded_by("import bonexage.cli").isdisjoint({"numpy", "onnxruntime", "matplotlib", "PIL"})


@pytest.mark.parametrize("name", bonexage.__all__)
def test_every_promised_name_is_there(name: str) -> None:
    assert getattr(bonexage, name) is not None
    assert name in dir(bonexage)


def test_a_name_that_is_not_there_says_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'guess'"):
        _ = bonexage.guess  # type: ignore[attr-defined]
