"""The network as published: ConvNeXt, GeM pooling, a sex encoder, a head that ends in sigmoid * 240."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bonexage.assessment import MAX_BONE_AGE_MONTHS

# The backbones published, which are torchvision's, and the number of their feature channels.
PUBLISHED_BACKBONES = {"convnext_tiny": 768, "resnet50": 2048, "efficientnet_v2_m": 1280}
SEX_FEATURES = 32

Pooling = Literal["gem", "average"]
Output = Literal["sigmoid", "linear"]
# A linear output is the sigmoid's tangent at its middle: both start alike, and only the range differs.
LINEAR_SLOPE = 0.25


class GeM(nn.Module):
    """Generalised-mean pooling over space: `[B, C, H, W]` to `[B, C]`.

    Radenović, Tolias, Chum. Fine-tuning CNN image retrieval with no human annotation. TPAMI 2019.
    Computed in float32 whatever the precision around it: a cube leaves the range of float16.
    """

    eps = 1e-6
    smallest_p = 0.1

    def __init__(self, p: float = 3.0) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), p))

    def forward(self, features: Tensor) -> Tensor:
        """Pool `[B, C, H, W]` to float32 `[B, C]`."""
        with torch.autocast(features.device.type, enabled=False):
            p = self.exponent()
            return features.float().clamp(min=self.eps).pow(p).mean(dim=(-2, -1)).pow(1.0 / p)

    def exponent(self) -> Tensor:
        """The exponent in use, float32 `[1]`, never below `smallest_p`."""
        return self.p.float().clamp(min=self.smallest_p)

    def shares(self, features: Tensor, pooled: Tensor) -> Tensor:
        """What each place of `[B, C, H, W]` gives to its pooled features, which is the sum: `[B, C, H, W]`.

        GeM is homogeneous of degree one, so this is its gradient times the (clamped) features.
        """
        powers = features.float().clamp(min=self.eps).pow(self.exponent())
        return powers / powers.sum(dim=(-2, -1), keepdim=True) * pooled[:, :, None, None]


class AveragePool(nn.Module):
    """The mean over space: `[B, C, H, W]` to float32 `[B, C]`."""

    def forward(self, features: Tensor) -> Tensor:
        """Pool `[B, C, H, W]` to float32 `[B, C]`."""
        return features.float().mean(dim=(-2, -1))

    def shares(self, features: Tensor, pooled: Tensor) -> Tensor:
        """As `GeM.shares`."""
        return features.float() / (features.shape[-2] * features.shape[-1])


class SexEncoder(nn.Module):
    """Sex `[B, 1]` (male 1, female 0) to `[B, 32]`.

    The published code has Linear 16, BatchNorm, ReLU, Linear 32, ReLU; its README draws a second
    BatchNorm, which `second_norm` adds.
    """

    def __init__(self, *, second_norm: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(1, 16), nn.BatchNorm1d(16), nn.ReLU()]
        layers.append(nn.Linear(16, SEX_FEATURES))
        if second_norm:
            layers.append(nn.BatchNorm1d(SEX_FEATURES))
        self.fc = nn.Sequential(*layers, nn.ReLU())

    def forward(self, male: Tensor) -> Tensor:
        """Encode `[B, 1]` to `[B, 32]`."""
        encoded: Tensor = self.fc(male)
        return encoded


class BoneAgeNetwork(nn.Module):
    """A radiograph `[B, 1 or 3, H, W]` (normalised) and sex `[B, 1]` to bone age in months `[B]`.

    State-dict keys are those of the published checkpoints: `features.*`, `pool.p`,
    `sex_encoder.fc.*`, `head.*`. As published it pools with GeM, reads the sex, and ends in `sigmoid * 240`;
    the mean over space, no sex, and a line in place of the sigmoid are there to be compared with.
    """

    def __init__(
        self,
        features: nn.Module,
        channels: int,
        *,
        dropout: tuple[float, float] = (0.5, 0.4),
        second_sex_norm: bool = False,
        pooling: Pooling = "gem",
        output: Output = "sigmoid",
        sex: bool = True,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.output = output
        self.features = features
        self.pool: GeM | AveragePool = GeM() if pooling == "gem" else AveragePool()
        self.sex_encoder = SexEncoder(second_norm=second_sex_norm) if sex else None
        fused = channels + (SEX_FEATURES if sex else 0)
        self.head = nn.Sequential(
            nn.BatchNorm1d(fused),
            nn.Dropout(dropout[0]),
            nn.Linear(fused, 512),
            nn.Mish(),
            nn.BatchNorm1d(512),
            nn.Dropout(dropout[1]),
            nn.Linear(512, 64),
            nn.Mish(),
            nn.Linear(64, 1),
        )

    def forward(self, radiograph: Tensor, male: Tensor) -> Tensor:
        """Bone age in months, float32 `[B]`; in (0, 240) where the output is a sigmoid."""
        return self.months(self.pool(self.feature_map(radiograph)), male)

    def feature_map(self, radiograph: Tensor) -> Tensor:
        """The backbone's features `[B, C, H/32, W/32]`; one grey channel is shown as three."""
        features: Tensor = self.features(radiograph.expand(-1, 3, -1, -1))
        return features

    def months(self, pooled: Tensor, male: Tensor) -> Tensor:
        """Pooled features `[B, C]` and sex `[B, 1]` to months, float32 `[B]`.

        Computed in float32 whatever the precision around it: bfloat16 would round to half a month.
        """
        with torch.autocast(pooled.device.type, enabled=False):
            score: Tensor = self.head(self.fused(pooled.float(), male.float())).flatten()
        if self.output == "linear":
            return MAX_BONE_AGE_MONTHS * (0.5 + LINEAR_SLOPE * score)
        return MAX_BONE_AGE_MONTHS * torch.sigmoid(score)

    def fused(self, pooled: Tensor, male: Tensor) -> Tensor:
        """What the head reads: pooled features `[B, C]`, and beside them those of the sex `[B, 1]`, if any.

        Where there are none, an empty piece of the sex keeps it an input of the network's graph.
        """
        encoded = self.sex_encoder(male) if self.sex_encoder else male[:, :0]
        return torch.cat([pooled, encoded], dim=1)


def build_features(
    backbone: str, options: Mapping[str, Any] | None = None, *, pretrained: bool = False
) -> tuple[nn.Module, int]:
    """A backbone without its classifier, and the number of its feature channels.

    The three published backbones are torchvision's, so that published checkpoints fit; every other
    name is timm's. `options` go to the backbone's constructor.

    Raises:
        ValueError: no such backbone, or one whose features are not a map `[B, C, h, w]`.
        Exception: whatever the download of pretrained weights raises.
    """
    options = dict(options or {})
    if backbone in PUBLISHED_BACKBONES:
        return _torchvision_features(backbone, options, pretrained=pretrained)
    import timm  # type: ignore[import-untyped, unused-ignore]

    if not timm.is_model(backbone):
        near = ", ".join(timm.list_models(f"*{backbone[:6]}*")[:3])
        raise ValueError(f"timm knows no backbone {backbone!r}" + (f"; it has {near}" if near else ""))
    features = timm.create_model(backbone, pretrained=pretrained, num_classes=0, global_pool="", **options)
    channels = _map_channels(features, backbone)
    return features, channels


def _torchvision_features(
    backbone: str, options: dict[str, Any], *, pretrained: bool
) -> tuple[nn.Module, int]:
    from torchvision.models import get_model

    model = get_model(backbone, weights="IMAGENET1K_V1" if pretrained else None, **options)
    if backbone == "resnet50":
        return nn.Sequential(*list(model.children())[:-2]), PUBLISHED_BACKBONES[backbone]
    return model.features, PUBLISHED_BACKBONES[backbone]


def _map_channels(features: nn.Module, backbone: str) -> int:
    """The number of channels of a feature map, found by showing the backbone an empty picture."""
    was_training = features.training
    with torch.no_grad():
        shape = features.eval()(torch.zeros(1, 3, 224, 224)).shape
    features.train(was_training)
    if len(shape) != 4 or shape[2] != shape[3]:
        raise ValueError(f"the features of {backbone!r} are {list(shape)}, not a map [B, C, h, w]")
    return int(shape[1])
