"""What a network starts from is always said, and never unpickled."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from bonexage.errors import WrongUse
from bonexage.learning import start, weight_packages
from bonexage.learning.network import build_features
from bonexage.learning.recipe import NetworkRecipe
from bonexage.learning.start import empty_network, load_weights, read_state, start_network

SMALL = NetworkRecipe(backbone="test_convnext")
LITE = NetworkRecipe(backbone="tf_efficientnet_lite0")


def test_imagenet_weights_that_cannot_be_had_are_said_and_training_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_network(backbone: str, options: Any = None, *, pretrained: bool = False) -> Any:
        if pretrained:
            raise OSError("no route to host")
        return build_features(backbone, options)

    monkeypatch.setattr(start, "build_features", without_network)
    said: list[str] = []
    network, started_from = start_network(SMALL, None, said.append)
    assert network.channels > 0
    assert "random" in started_from
    assert "could not be had" in said[0]
    assert "--init" in said[0]


def test_required_weights_that_cannot_be_had_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_network(backbone: str, options: Any = None, *, pretrained: bool = False) -> Any:
        if pretrained:
            raise OSError("no route to host")
        return build_features(backbone, options)

    monkeypatch.setattr(start, "build_features", without_network)
    with pytest.raises(WrongUse, match="could not be had"):
        start_network(SMALL, None, lambda line: None, require=True)
    with pytest.raises(WrongUse, match="random"):
        start_network(replace(SMALL, start="random"), None, lambda line: None, require=True)


def test_an_installed_package_of_weights_is_what_imagenet_means() -> None:
    package = weight_packages.PACKAGES["tf_efficientnet_lite0"]
    file = weight_packages.installed_weights("tf_efficientnet_lite0")
    assert file is not None, f"{package.distribution} is part of the learn extra"
    lines: list[str] = []
    network, started_from = start_network(LITE, None, lines.append, require=True)
    assert not lines
    assert package.sha256[:12] in started_from
    # An independent reference: the file's tensors come in the order of timm's, classifier last.
    in_order = [value for key, value in read_state(file).items() if not key.endswith("num_batches_tracked")]
    loaded = {
        key: value
        for key, value in network.features.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    assert len(in_order) == len(loaded) + 2
    for (key, value), expected in zip(loaded.items(), in_order, strict=False):
        assert torch.equal(value, expected), key


def test_another_file_in_the_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = weight_packages.PACKAGES["tf_efficientnet_lite1"]
    assert weight_packages.installed_weights("test_convnext") is None
    file = tmp_path / package.module / package.file
    file.parent.mkdir(parents=True)
    (tmp_path / package.module / "__init__.py").write_text("raise RuntimeError('never imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for content in (None, b"other weights"):
        if content:
            file.write_bytes(content)
        with pytest.raises(WrongUse, match="does not hold the weights"):
            weight_packages.installed_weights("tf_efficientnet_lite1")


def test_counters_of_batch_norm_may_be_missing(tmp_path: Path) -> None:
    torch.manual_seed(1)
    features, _ = build_features("tf_efficientnet_lite0")
    state = {
        key: value for key, value in features.state_dict().items() if not key.endswith("num_batches_tracked")
    }
    save_file(state, tmp_path / "w.safetensors")
    network = empty_network(LITE)
    load_weights(network, tmp_path / "w.safetensors")
    assert all(torch.equal(network.features.state_dict()[key], value) for key, value in state.items())


def test_a_recipe_may_ask_for_random_weights() -> None:
    said: list[str] = []
    _, started_from = start_network(
        NetworkRecipe(backbone="test_convnext", start="random"), None, said.append
    )
    assert "random" in started_from
    assert not said


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_backbone_file_is_loaded(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(1)
    features, _ = build_features("test_convnext")
    state = {**features.state_dict(), "classifier.weight": torch.zeros(3, 3)}
    file = tmp_path / f"backbone{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    network, started_from = start_network(SMALL, file, lambda line: None)
    assert started_from.startswith("backbone weights in backbone")
    assert all(
        torch.equal(network.features.state_dict()[key], value) for key, value in features.state_dict().items()
    )


def test_a_whole_network_is_loaded_with_its_head(tmp_path: Path) -> None:
    torch.manual_seed(1)
    trained = empty_network(SMALL)
    torch.save(
        {"model_state_dict": {f"module.{k}": v for k, v in trained.state_dict().items()}}, tmp_path / "n.pth"
    )
    network = empty_network(SMALL)
    assert load_weights(network, tmp_path / "n.pth").startswith("network weights")
    assert torch.equal(network.head[2].weight, trained.head[2].weight)


def test_a_runs_own_checkpoint_is_loaded_as_it_would_be_exported(tmp_path: Path) -> None:
    torch.manual_seed(1)
    learned, average = empty_network(SMALL).state_dict(), empty_network(SMALL).state_dict()
    torch.save({"network": learned, "average": average, "progress": {"epoch": 3}}, tmp_path / "best.pt")
    network = empty_network(SMALL)
    load_weights(network, tmp_path / "best.pt")
    assert torch.equal(network.head[2].weight, average["head.2.weight"])


def test_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    features, _ = build_features("test_resnet")
    save_file(features.state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(WrongUse, match="of the backbone's"):
        load_weights(empty_network(SMALL), tmp_path / "other.safetensors")


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_a_file_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    torch.save({"features.0": Trap(sprung)}, tmp_path / "trap.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Trap(sprung)))
    for name in ("trap.pth", "plain.pth"):
        with pytest.raises(WrongUse, match="not unpickled"):
            read_state(tmp_path / name)
    assert not sprung.exists()
    torch.load(tmp_path / "trap.pth", weights_only=False)  # the trap works where it is let
    assert sprung.exists()


def test_missing_damaged_and_empty_files_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    for name, why in (
        ("none.pth", "cannot be read"),
        ("bad.safetensors", "damaged"),
        ("empty.pth", "no weights"),
    ):
        with pytest.raises(WrongUse, match=why):
            read_state(tmp_path / name)


def test_a_backbone_that_cannot_be_built_is_wrong_use() -> None:
    with pytest.raises(WrongUse, match="no_such_net"):
        empty_network(NetworkRecipe(backbone="no_such_net"))
