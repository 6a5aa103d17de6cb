"""A training recipe: one TOML file with these dataclasses behind it."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bonexage.errors import WrongUse
from bonexage.model.preprocess import Geometry
from bonexage.tables import build, read_table


@dataclass(frozen=True)
class NetworkRecipe:
    """The network.

    Attributes:
        backbone: a published backbone (convnext_tiny, resnet50, efficientnet_v2_m) or any of timm's.
        backbone_options: passed to the backbone's constructor.
        start: 'imagenet' weights where they can be had, or 'random'.
        dropout: before each of the head's first two linear layers.
        pooling: of the backbone's features over space: 'gem' as published, or the 'average'.
        output: 'sigmoid' times 240 as published, or the 'linear' tangent at its middle, without bounds.
        sex: whether the network is told the child's sex.
    """

    backbone: str = "convnext_tiny"
    backbone_options: dict[str, Any] = field(default_factory=dict)
    start: Literal["imagenet", "random"] = "imagenet"
    dropout: tuple[float, float] = (0.5, 0.4)
    pooling: Literal["gem", "average"] = "gem"
    output: Literal["sigmoid", "linear"] = "sigmoid"
    sex: bool = True


@dataclass(frozen=True)
class InputRecipe:
    """What the network is shown: the geometry, and the mean and std of its normalisation."""

    geometry: Geometry = "keep-aspect"
    mean: float = 0.5
    std: float = 0.5


@dataclass(frozen=True)
class Parts:
    """How the training children are divided: into shares, or a fold of several and the rest.

    Attributes:
        validation: share kept for validation; with folds, of the children outside the fold.
        calibration: share kept for calibration; with folds, the fold takes its place.
        seed: draws the children.
        folds: in how many folds the children are divided; 0: in none. `--folds` sets it.
        fold: the fold that is kept out of learning and choosing alike, counted from 1.
    """

    validation: float = 0.1
    calibration: float = 0.1
    seed: int = 2017
    folds: int = 0
    fold: int = 0

    def __post_init__(self) -> None:
        if (self.folds, self.fold) != (0, 0) and not (self.folds >= 2 and 1 <= self.fold <= self.folds):
            raise WrongUse(
                f"there is no fold {self.fold} of {self.folds}",
                remedy="Leave both out of the recipe, and train all folds with --folds 5",
            )


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a batch of training films; the defaults change nothing.

    Attributes:
        rotation_degrees: up to so much either way.
        zoom: range of the factor by which the film is enlarged.
        aspect: range of the factor by which its width is stretched against its height.
        shift: up to this share of the height and width.
        flip: probability of a left-right mirror.
        gamma: range of the exponent on grey values.
        contrast: range of the factor on the distance from the film's mean grey.
        blur: probability of a Gaussian blur.
        occlusion: probability of one grey rectangle.
        low_resolution: probability of a loss of resolution, down to `lowest_resolution` rows.
        lowest_resolution: rows that are left at the worst.
        tone: probability of other tones, along a random rising curve.
        grain: noise is added with a standard deviation of up to so much.
    """

    rotation_degrees: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    aspect: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    flip: float = 0.0
    gamma: tuple[float, float] = (1.0, 1.0)
    contrast: tuple[float, float] = (1.0, 1.0)
    blur: float = 0.0
    occlusion: float = 0.0
    low_resolution: float = 0.0
    lowest_resolution: int = 64
    tone: float = 0.0
    grain: float = 0.0


@dataclass(frozen=True)
class Loss:
    """What training minimises, in weights of its terms.

    Attributes:
        absolute: of the mean absolute error in months.
        relative: of the mean error as a share of the label.
        agreement: of how far two changed pictures of a film are read apart, in months. Above 0, each film of
            a step is shown in two changes, in twice the time.
    """

    absolute: float = 1.0
    relative: float = 0.0
    agreement: float = 0.0

    def __post_init__(self) -> None:
        if min(self.absolute, self.relative, self.agreement) < 0 or self.absolute + self.relative <= 0:
            raise WrongUse(
                "the loss has a weight below 0, or no term that holds readings to labels",
                remedy="Give weights from 0, and absolute or relative above 0",
            )


@dataclass(frozen=True)
class Distil:
    """A teacher's readings of the training films, nothing changed at random, mixed into their labels.

    The training error is then measured against that mixture; validation labels stay as they are.

    Attributes:
        teacher: a bundle, folder or zip, by its path from where training is started; empty for none.
        weight: share of the teacher's reading, 0 to 1; the rest is the label.
    """

    teacher: str = ""
    weight: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise WrongUse(
                f"a teacher cannot have a share of {self.weight:g}", remedy="Give a weight from 0 to 1"
            )


@dataclass(frozen=True)
class Optimiser:
    """AdamW, and how its numbers are computed.

    Attributes:
        weight_decay: of AdamW.
        clip: the norm that gradients are cut to.
        ema: decay of the moving average of the weights; 0 keeps none.
        precision: 'mixed' computes in bfloat16 or float16 where there is a GPU; 'bfloat16' on the CPU too,
            which gains where that multiplies in it (AVX-512 BF16, AMX) and loses elsewhere.
        compile: let torch.compile make the network faster; the first steps then take minutes.
    """

    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.0
    precision: Literal["mixed", "bfloat16", "float32"] = "mixed"
    compile: bool = False


@dataclass(frozen=True)
class Stage:
    """A stretch of training at one input size; a recipe grows the size from stage to stage.

    Attributes:
        height: input rows, a multiple of 32.
        width: input columns, a multiple of 32.
        epochs: passes over the training films.
        batch: films a step, of all processes together.
        accumulate: parts in which each process runs its films of a step, one after the other, to save memory;
            BatchNorm sees one part at a time.
        learning_rate: at its peak; cosine to zero after a linear warm-up.
        warm_up: share of the stage's steps.
        films: films an epoch from each folder at most, drawn anew each epoch; 0 takes all.
        least_in_band: films of a band of 24 months with fewer than so many (in a folder) come several times
            an epoch, up to six; 0: each comes once.
        patience: epochs without a better validation error before the stage ends; 0 never ends early.
        augmentation: strength of the recipe's augmentation in this stage, from 0 (none but the mirror) to
            1 (as it says).
    """

    height: int = 512
    width: int = 512
    epochs: int = 20
    batch: int = 32
    accumulate: int = 1
    learning_rate: float = 5e-4
    warm_up: float = 0.05
    films: int = 0
    least_in_band: int = 0
    patience: int = 0
    augmentation: float = 1.0

    def __post_init__(self) -> None:
        if self.height % 32 or self.width % 32 or self.height < 64 or self.width < 64:
            raise WrongUse(
                f"an input of {self.height} x {self.width} pixels does not suit the network",
                remedy="Take multiples of 32, from 64 upwards",
            )
        if self.accumulate < 1:
            raise WrongUse("a step has at least one part", remedy="Give accumulate = 1 or more")
        if self.epochs < 1 or self.batch < 2:
            raise WrongUse("a stage needs an epoch and a batch of two", remedy="Mend the recipe's [[stages]]")


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run, but for the films.

    Attributes:
        name: of the model it makes.
        about: where it was run, how long it took and what came out, for people.
    """

    name: str
    about: str = ""
    seed: int = 0
    network: NetworkRecipe = NetworkRecipe()
    input: InputRecipe = InputRecipe()
    parts: Parts = Parts()
    augmentation: Augmentation = Augmentation()
    loss: Loss = Loss()
    distil: Distil = Distil()
    optimiser: Optimiser = Optimiser()
    stages: tuple[Stage, ...] = (Stage(),)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from TOML.

    Raises:
        WrongUse: no such file, not TOML, an unknown key (the nearest known one is named), or a
            value of the wrong kind.
    """
    table = read_table(path, what="recipe", example="recipes/published.toml")
    return recipe_from_table(table, source=str(path))


def recipe_from_table(table: dict[str, Any], *, source: str) -> Recipe:
    """The recipe a parsed TOML table describes; raises `WrongUse` as `read_recipe` does."""
    recipe: Recipe = build(Recipe, table, what="recipe", source=source)
    return recipe


def recipe_to_table(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain dicts and lists, every default written out."""
    return typing.cast("dict[str, Any]", _plain(dataclasses.asdict(recipe)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
