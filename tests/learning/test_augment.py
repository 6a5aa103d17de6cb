"""Augmentation changes films as it says, and nothing where it says nothing."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor
from torch.nn import functional

from bonexage.learning.augment import augment, change, draw_changes, weakened
from bonexage.learning.recipe import Augmentation
from hands import drawn_hand

STRONG = Augmentation(
    rotation_degrees=25,
    zoom=(0.7, 1.4),
    aspect=(0.8, 1.2),
    shift=0.1,
    flip=0.5,
    gamma=(0.5, 2.0),
    contrast=(0.5, 2.0),
    blur=0.5,
    occlusion=0.5,
    low_resolution=0.5,
    lowest_resolution=20,
    tone=0.5,
    grain=0.05,
)


def hands(count: int = 6) -> Tensor:
    return torch.stack([torch.from_numpy(drawn_hand(64, 48, seed))[None] for seed in range(count)])


def chance(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def test_the_defaults_change_nothing() -> None:
    films = hands()
    assert torch.allclose(augment(films, Augmentation(), chance()), films, atol=1e-4)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_shape_and_range_stay(seed: int) -> None:
    films = augment(hands(3), STRONG, chance(seed))
    assert films.shape == (3, 1, 64, 48)
    assert films.min() >= 0
    assert films.max() <= 1
    assert torch.isfinite(films).all()


def test_the_same_chance_gives_the_same_films_and_another_others() -> None:
    films = hands()
    assert torch.equal(augment(films, STRONG, chance(1)), augment(films, STRONG, chance(1)))
    assert not torch.allclose(augment(films, STRONG, chance(1)), augment(films, STRONG, chance(2)))


@pytest.mark.parametrize(
    "name", [field.name for field in fields(Augmentation) if field.name != "lowest_resolution"]
)
def test_each_change_is_a_change(name: str) -> None:
    always = {"flip": 1.0, "blur": 1.0, "occlusion": 1.0, "low_resolution": 1.0, "tone": 1.0}
    value = always.get(name, getattr(STRONG, name))
    how = replace(Augmentation(lowest_resolution=20), **{name: value})
    changed = (augment(hands(), how, chance()) - hands()).abs().amax(dim=(1, 2, 3))
    assert (changed > 0.02).sum() >= 5


def test_augmentation_weakens_to_nothing_but_the_mirror() -> None:
    assert weakened(STRONG, 1.0) == STRONG
    assert weakened(STRONG, 0.0) == Augmentation(flip=0.5, lowest_resolution=20)
    half = (augment(hands(), weakened(STRONG, 0.3), chance()) - hands()).abs().mean()
    assert 0 < half < (augment(hands(), STRONG, chance()) - hands()).abs().mean()


def test_a_mirror_is_a_mirror() -> None:
    films = hands()
    assert torch.allclose(augment(films, Augmentation(flip=1.0), chance()), films.flip(-1), atol=1e-4)


def test_zoom_enlarges_and_aspect_widens() -> None:
    bar = torch.zeros(1, 1, 60, 40)
    bar[..., 25:35, 15:25] = 1.0
    larger = augment(bar, Augmentation(zoom=(2.0, 2.0)), chance())
    wider = augment(bar, Augmentation(aspect=(1.5, 1.5)), chance())
    assert larger.sum().item() == pytest.approx(4 * bar.sum().item(), rel=0.1)
    assert wider.sum().item() == pytest.approx(1.5 * bar.sum().item(), rel=0.1)
    assert (wider[0, 0].amax(dim=1) > 0.5).sum() == 10


def test_rotation_keeps_the_size_of_things_in_an_oblong_film() -> None:
    disc = torch.zeros(1, 1, 120, 60)
    rows, columns = torch.meshgrid(torch.arange(120), torch.arange(60), indexing="ij")
    disc[0, 0] = ((rows - 60) ** 2 + (columns - 30) ** 2 < 400).float()
    turned = augment(disc, Augmentation(rotation_degrees=30), chance(5))
    assert (turned - disc).abs().mean() < 0.01  # a disc in the middle does not change when turned


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20)
def test_other_tones_keep_the_order_of_grey_values(seed: int) -> None:
    ramp = torch.linspace(0, 1, 64).expand(4, 1, 48, 64)
    toned = augment(ramp, Augmentation(tone=1.0), chance(seed))
    assert (toned.diff(dim=-1) > -1e-6).all()
    assert torch.allclose(toned[..., 0], torch.zeros(()), atol=0.02)
    assert torch.allclose(toned[..., -1], torch.ones(()), atol=0.02)
    assert not torch.allclose(toned, ramp, atol=0.02)


def test_grain_is_of_another_strength_in_each_film_and_at_most_as_strong_as_said() -> None:
    flat = torch.full((200, 1, 32, 32), 0.5)
    spread = augment(flat, Augmentation(grain=0.04), chance(1)).std(dim=(1, 2, 3))
    assert spread.max() < 0.043
    assert spread.min() < 0.004
    assert 0.015 < spread.mean() < 0.025


@given(seed=st.integers(0, 999), height=st.integers(8, 40), width=st.integers(8, 40))
@settings(max_examples=30)
def test_films_are_moved_as_torchs_own_affine_grid_moves_them(seed: int, height: int, width: int) -> None:
    how = replace(
        Augmentation(), rotation_degrees=25, zoom=(0.7, 1.4), aspect=(0.8, 1.2), shift=0.1, flip=0.5
    )
    changes = draw_changes(3, (height, width), how, chance(seed))
    films = torch.rand(3, 1, height, width, generator=chance(seed + 1))
    grid = functional.affine_grid(changes.theta, list(films.shape), align_corners=False)
    expected = functional.grid_sample(films, grid, padding_mode="zeros", align_corners=False)
    assert torch.allclose(change(films, changes), expected, atol=1e-4)
