"""What is refused of a kind is measured with a locator that saw no picture of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from write_trust import left_out

import refusal_left_out
from films import write_film
from refusal_left_out import GROUPS, groups_of, kind_of, locator_without


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    kinds = [kind for group in GROUPS.values() for kind in group]
    names = [f"{kind}-{number}.png" for kind in kinds for number in (1, 2)]
    return [write_film(tmp_path / name, at, 40, 30) for at, name in enumerate(names)]


def test_every_kind_is_left_out_once_alone_or_with_its_like(pictures: list[Path]) -> None:
    kinds = sorted({kind_of(picture) for picture in pictures})
    for each in (False, True):
        left = groups_of(pictures, each=each)
        assert sorted(kind for group in left.values() for kind in group) == kinds
    with pytest.raises(ValueError, match="foot"):
        groups_of([*pictures, Path("foot-1.png")], each=False)


def test_a_locator_learns_from_the_pictures_of_other_kinds_alone_and_is_kept(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []

    def train(hands: object, others: torch.Tensor, **_: object) -> torch.nn.Module:
        seen.append(others.numpy())
        return torch.nn.Identity()

    monkeypatch.setattr(refusal_left_out, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(refusal_left_out, "train_locator", train)
    monkeypatch.setattr(refusal_left_out, "locator_to_onnx", lambda network: b"a locator")
    for group, kinds in GROUPS.items():
        assert locator_without(group, kinds, pictures, None, 3) == b"a locator"
        left_out_of_it = [picture for picture in pictures if kind_of(picture) in kinds]
        assert len(seen.pop()) == len(pictures) - len(left_out_of_it)
    monkeypatch.setattr(refusal_left_out, "train_locator", None)
    assert locator_without(*next(iter(GROUPS.items())), pictures, None, 3) == b"a locator"


def test_the_page_tells_each_kind_with_its_interval() -> None:
    row = {"kind": "knee", "pictures": 6, "share": 5 / 6, "low": 0.36, "high": 1.0}
    hands = row | {"kind": "hands", "share": 0.99, "pictures": 89}
    told = "\n".join(left_out({"steps": 1500, "groups": {"limbs": {"refused": [row], "hands": hands}}}))
    assert "| knee (limbs) | 6 | 83 (36 to 100) | 99 of 89 |" in told
    assert "1,500 steps" in told
