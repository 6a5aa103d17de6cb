"""A locator that cannot be trained or measured is refused before the long work, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from bonexage.errors import UnreadableFile, UnusableData
from bonexage.learning import locator
from bonexage.learning.locator import make_locator
from learning.folders import data_folder_with


def test_without_hands_to_learn_from_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_folder_with(tmp_path / "drawn", 6)
    others = sorted((data / "boneage-training-dataset").glob("*.png"))[:2]
    monkeypatch.setattr(locator, "find_hands", lambda films, table, **_: {})
    monkeypatch.setattr(locator, "train_locator", lambda *_, **__: pytest.fail("it was trained"))
    with pytest.raises(UnusableData, match="hands were found in 0 films"):
        make_locator([data], others, tmp_path / "locator.onnx")
    assert not (tmp_path / "locator.onnx").exists()


def test_a_picture_without_a_hand_that_cannot_be_read_is_told_before_hands_are_sought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_folder_with(tmp_path / "drawn", 6)
    (tmp_path / "no.png").write_bytes(b"no picture")
    monkeypatch.setattr(locator, "find_hands", lambda *_, **__: pytest.fail("hands were sought"))
    with pytest.raises(UnreadableFile, match=r"no\.png"):
        make_locator([data], [tmp_path / "no.png"], tmp_path / "locator.onnx")
