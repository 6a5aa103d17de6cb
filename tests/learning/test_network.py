"""The network as published, pinned shape by shape."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from bonexage.learning.network import BoneAgeNetwork, GeM, build_features
from bonexage.learning.recipe import NetworkRecipe
from bonexage.learning.start import empty_network


@pytest.fixture(scope="module")
def published() -> BoneAgeNetwork:
    torch.manual_seed(0)
    return BoneAgeNetwork(*build_features("convnext_tiny")).eval()


def test_shapes_are_the_published_ones(published: BoneAgeNetwork) -> None:
    films, male = torch.rand(2, 1, 96, 64), torch.tensor([[0.0], [1.0]])
    with torch.no_grad():
        features = published.feature_map(films)
        pooled = published.pool(features)
        encoded = published.sex_encoder(male)
        assert features.shape == (2, 768, 3, 2)
        assert pooled.shape == (2, 768)
        assert encoded.shape == (2, 32)
        assert published.months(pooled, male).shape == (2,)
    layers = [type(layer) for layer in published.head]
    assert layers == [
        nn.BatchNorm1d,
        nn.Dropout,
        nn.Linear,
        nn.Mish,
        nn.BatchNorm1d,
        nn.Dropout,
        nn.Linear,
        nn.Mish,
        nn.Linear,
    ]
    assert [tuple(published.head[place].weight.shape) for place in (2, 6, 8)] == [
        (512, 800),
        (64, 512),
        (1, 64),
    ]
    assert [published.head[place].p for place in (1, 5)] == [0.5, 0.4]
    assert published.pool.p.item() == 3.0


def test_keys_are_the_published_ones(published: BoneAgeNetwork) -> None:
    from torchvision.models import convnext_tiny

    of_features = {f"features.{key}" for key in convnext_tiny().features.state_dict()}
    keys = set(published.state_dict())
    assert {key for key in keys if key.startswith("features.")} == of_features
    assert {".".join(key.split(".")[:3]) for key in keys if key.startswith("sex_")} == {
        f"sex_encoder.fc.{place}" for place in (0, 1, 3)
    }
    assert {".".join(key.split(".")[:2]) for key in keys if key.startswith("head")} == {
        f"head.{place}" for place in (0, 2, 4, 6, 8)
    }
    assert "pool.p" in keys


def test_a_batch_of_one_gives_one_age(published: BoneAgeNetwork) -> None:
    with torch.no_grad():
        months = published(torch.rand(1, 1, 64, 64), torch.ones(1, 1))
    assert months.shape == (1,)
    assert 0 < months.item() < 240


def test_one_grey_channel_is_three_equal_ones(published: BoneAgeNetwork) -> None:
    film, male = torch.rand(1, 1, 64, 64), torch.zeros(1, 1)
    with torch.no_grad():
        assert torch.equal(published(film, male), published(film.repeat(1, 3, 1, 1), male))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gem_is_safe_in_half_precision(dtype: torch.dtype) -> None:
    # 60 cubed leaves float16: computed in it, the mean would be infinite.
    features = torch.full((1, 4, 3, 3), 60.0, dtype=dtype)
    pooled = GeM()(features)
    assert pooled.dtype == torch.float32
    assert torch.allclose(pooled, torch.full((1, 4), 60.0))


def test_gem_stays_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert GeM()(torch.rand(1, 4, 3, 3, dtype=torch.bfloat16)).dtype == torch.float32


def test_the_head_is_not_rounded_under_autocast(published: BoneAgeNetwork) -> None:
    pooled, male = torch.rand(5, published.channels), torch.ones(5, 1)
    with torch.no_grad():
        exact = published.months(pooled, male)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(published.months(pooled, male), exact)


def test_gem_lies_between_mean_and_maximum() -> None:
    features = torch.rand(3, 5, 7, 6) + 0.1
    assert torch.allclose(GeM(1.0)(features), features.mean(dim=(-2, -1)), atol=1e-5)
    assert torch.allclose(GeM(300.0)(features), features.amax(dim=(-2, -1)), rtol=0.05)
    pooled = GeM(3.0)(features)
    assert (pooled >= features.mean(dim=(-2, -1))).all()
    assert (pooled <= features.amax(dim=(-2, -1))).all()


def test_gem_keeps_its_exponent_positive() -> None:
    gem = GeM(-2.0)
    assert gem.exponent().item() > 0
    assert torch.isfinite(gem(torch.rand(1, 2, 3, 3))).all()


@pytest.mark.parametrize(("backbone", "channels"), [("resnet50", 2048), ("efficientnet_v2_m", 1280)])
def test_published_alternatives_have_their_features(backbone: str, channels: int) -> None:
    features, given = build_features(backbone)
    with torch.no_grad():
        assert features.eval()(torch.rand(1, 3, 64, 64)).shape == (1, channels, 2, 2)
    assert given == channels


def small(**changes: Any) -> BoneAgeNetwork:
    torch.manual_seed(0)
    return empty_network(NetworkRecipe(backbone="test_convnext", **changes)).eval()


def test_what_a_recipe_leaves_out_is_as_published(published: BoneAgeNetwork) -> None:
    made = empty_network(NetworkRecipe())
    assert {k: v.shape for k, v in made.state_dict().items()} == {
        k: v.shape for k, v in published.state_dict().items()
    }
    assert made.output == published.output == "sigmoid"


def test_average_pooling_is_the_mean_and_has_no_exponent() -> None:
    network = small(pooling="average")
    features = torch.randn(2, network.channels, 3, 2)
    assert torch.allclose(network.pool(features), features.flatten(2).mean(dim=2), atol=1e-6)
    assert small().state_dict().keys() - network.state_dict().keys() == {"pool.p"}


def test_a_network_without_sex_answers_alike_for_both() -> None:
    film, both = torch.rand(1, 1, 64, 64).expand(2, -1, -1, -1), torch.tensor([[0.0], [1.0]])
    with torch.no_grad():
        told, untold = small()(film, both), small(sex=False)(film, both)
    assert abs(float(told[0] - told[1])) > 1e-4
    assert float(untold[0]) == pytest.approx(float(untold[1]), abs=1e-5)
    assert not any(key.startswith("sex") for key in small(sex=False).state_dict())


def test_a_linear_output_starts_like_the_sigmoid_and_has_no_bounds() -> None:
    bounded, free = small(), small(output="linear")
    pooled, male = torch.rand(4, bounded.channels), torch.ones(4, 1)
    near: list[torch.Tensor] = []
    for network in (bounded, free):
        for far, bias in ((False, 0.01), (True, 50.0)):
            with torch.no_grad():
                network.head[8].weight.zero_()
                network.head[8].bias.fill_(bias)
                months = network.months(pooled, male)
            if far:
                assert (months > 240).all() == (network is free)
            else:
                near.append(months)
    assert torch.allclose(*near, atol=1e-3)
    assert near[0][0].item() == pytest.approx(120.6, abs=1e-3)


def test_any_timm_backbone_fits() -> None:
    features, channels = build_features("test_convnext")
    network = BoneAgeNetwork(features, channels).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 1, 64, 64), torch.ones(2, 1)).shape == (2,)


def test_a_backbone_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="convnxt"):
        build_features("convnxt")
    with pytest.raises(ValueError, match="not a map"):
        build_features("test_vit", {"img_size": 224})
