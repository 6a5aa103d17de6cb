"""The locator learns, from films whose hands were found by registration, to find hands in any picture."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from bonexage.atlas.plates import read_plates
from bonexage.disk import write_atomically
from bonexage.errors import UnusableData
from bonexage.learning.aspect import are_squeezed, read_restored, sizes_of
from bonexage.learning.dataset import AGE_BAND_MONTHS, Part, TrainingFilm, gather_films
from bonexage.learning.hands import find_hands
from bonexage.learning.memory import keep_memory
from bonexage.learning.recipe import Parts
from bonexage.learning.views import Hands, draw_views, gather_hands, gather_others, matrices_of
from bonexage.model.frame import FRAME_WIDTH
from bonexage.model.locate import ANSWER, LOCATOR_SIDE, Locator, distance
from bonexage.subject import Sex

LEARNING_RATE: Final = 2e-3
MOST_IN_BAND: Final = 110
"""Films of one folder, sex and band of 24 months that a locator learns from or is measured on."""

_CHANNELS: Final = (16, 32, 64, 128, 192)


class LocatorNetwork(nn.Module):
    """Pictures `[B, 1, 96, 96]` in [0, 1] to answers `[B, 8]` (`bonexage.model.locate.ANSWER`)."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        before = 1
        for channels in _CHANNELS:
            blocks.append(_block(before, channels, stride=2))
            if before > 1:  # at the finest size a second would take as long as all the rest
                blocks.append(_block(channels, channels, stride=1))
            before = channels
        self.features = nn.Sequential(*blocks)
        cells = (LOCATOR_SIDE // 2 ** len(_CHANNELS)) ** 2
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(before * cells, 192),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(192, len(ANSWER)),
        )

    def forward(self, film: Tensor) -> Tensor:
        """Answer for each picture, its grey values evened out first."""
        middle = film.mean(dim=(2, 3), keepdim=True)
        spread = ((film - middle) ** 2).mean(dim=(2, 3), keepdim=True).sqrt()
        answers: Tensor = self.head(self.features((film - middle) / (spread + 0.05)))
        return answers


def _block(before: int, after: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


def loss_of(answers: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and how far the corners of each hand's frame lie from where they should, in frame heights."""
    half = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [0.0, 0.0]])
    points = (half * torch.tensor([FRAME_WIDTH, 1.0]) / 2).T
    bounded = torch.cat([answers[:, :2], answers[:, 2:4].clamp(-4, 2), answers[:, 4:]], dim=1)
    given = matrices_of(bounded, wanted[:, 6]) @ points + answers[:, :2, None]
    true = matrices_of(wanted, wanted[:, 6]) @ points + wanted[:, :2, None]
    size = wanted[:, 2:4].mean(dim=1).exp()
    apart = (given - true).norm(dim=1).mean(dim=1) / size
    hand = wanted[:, 7]
    mirror = functional.binary_cross_entropy_with_logits(answers[:, 6], wanted[:, 6], reduction="none")
    held = ((answers[:, 4:6].norm(dim=1) - 1) ** 2) * 0.05
    score = functional.binary_cross_entropy_with_logits(answers[:, 7], hand)
    return ((apart * 4 + 0.3 * mirror + held) * hand).sum() / hand.sum().clamp(min=1) + 0.5 * score, apart


def train_locator(
    hands: Hands,
    others: Tensor,
    *,
    steps: int,
    batch: int = 64,
    seed: int = 0,
    progress: Callable[[str], None] = lambda text: None,
) -> LocatorNetwork:
    """Train a locator; deterministic for a seed and a number of threads."""
    keep_memory()
    torch.manual_seed(seed)
    network = LocatorNetwork().train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    draw = Generator().manual_seed(seed)
    shown: list[tuple[float, float, float]] = []
    for step in range(1, steps + 1):
        views = draw_views(hands, others, batch, draw)
        answers = network(views.pictures)
        loss, apart = loss_of(answers, views.answers)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        good = views.answers[:, 7] > 0.5
        right = ((answers[:, 7] > 0) == good).float().mean()
        shown.append((loss.item(), apart[good].median().item(), right.item()))
        if step % 200 == 0 or step == steps:
            mean = np.mean(shown, axis=0)
            progress(
                f"step {step} of {steps}: loss {mean[0]:.3f}, {mean[1]:.3f} frame heights off, "
                f"{mean[2]:.3f} of hands told"
            )
            shown = []
    return network.eval()


def locator_to_onnx(network: LocatorNetwork) -> bytes:
    """The network as an ONNX graph: `film` `[batch, 1, 96, 96]` to `answer` `[batch, 8]`."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "locator.onnx"
        torch.onnx.export(
            network,
            (torch.zeros(1, 1, LOCATOR_SIDE, LOCATOR_SIDE),),
            out,
            input_names=["film"],
            output_names=["answer"],
            dynamic_axes={"film": {0: "batch"}, "answer": {0: "batch"}},
            dynamo=False,
        )
        return out.read_bytes()


@dataclass(frozen=True)
class LocatorFigures:
    """How a locator does on films that it did not learn from, as they are (registration is the reference).

    Attributes:
        films: how many.
        found: share in which a hand was found.
        median: distance of the frame's corners from where registration has them, median, in frame heights.
        within: share of the films in which it is at most 0.1.
    """

    films: int
    found: float
    median: float
    within: float


def make_locator(
    folders: Sequence[Path],
    others: Sequence[Path],
    out: Path,
    *,
    steps: int = 3000,
    progress: Callable[[str], None] = lambda text: None,
) -> LocatorFigures:
    """Train a locator on the training films of data folders and write it as ONNX.

    Args:
        folders: data folders in the RSNA layout. Films that were squeezed to squares are brought back to the
            mean aspect ratio; of each folder at most `MOST_IN_BAND` of a sex and a band of age are taken.
        others: pictures that show no hand.
        out: the file to write; the hands that registration found are kept beside it (`hands.csv`).
        steps: of training, with 64 pictures each.
        progress: told how it goes.

    Raises:
        UnusableData: there are no training films, no pictures without a hand, or too few hands are found.
    """
    films = _spread_over_ages(gather_films(folders, Parts())[0])
    squeezed = _squeezed(films)
    pictures = gather_others(others)
    found = find_hands(
        [film.film for film in films],
        out.parent / "hands.csv",
        squeezed=squeezed,
        progress=lambda done, total: progress(f"hands of {done} of {total} films sought"),
    )
    part_of = {film.film.path: film.part for film in films}
    learned = {path: hand for path, hand in found.items() if part_of[path] is not Part.VALIDATION}
    kept_apart = found.keys() - learned.keys()
    if not learned or not kept_apart:
        raise UnusableData(
            f"hands were found in {len(learned)} films to learn from and in {len(kept_apart)} to "
            "measure it on",
            remedy="Give folders with more films",
            subject=", ".join(str(folder) for folder in folders),
        )
    network = train_locator(
        gather_hands(learned, squeezed, read_plates()), pictures, steps=steps, progress=progress
    )
    onnx = locator_to_onnx(network)
    write_atomically(out, onnx)
    locator = Locator(onnx)
    apart, told = [], 0
    for path in kept_apart:
        finding = locator.find(read_restored(path, squeezed=path in squeezed))
        told += finding.found
        apart.append(distance(finding.frame, found[path].frame))
    return LocatorFigures(
        len(apart), told / len(apart), float(np.median(apart)), float((np.array(apart) <= 0.1).mean())
    )


def _spread_over_ages(films: Sequence[TrainingFilm]) -> list[TrainingFilm]:
    """At most `MOST_IN_BAND` films of each folder, sex and band of age, the same in each call."""
    counts: Counter[tuple[Path, Sex, int]] = Counter()
    chosen = []
    for film in sorted(films, key=lambda one: hashlib.sha256(one.film.id.encode()).digest()):
        key = (film.folder, film.film.sex, int(film.film.bone_age_months // AGE_BAND_MONTHS))
        counts[key] += 1
        if counts[key] <= MOST_IN_BAND:
            chosen.append(film)
    return chosen


def _squeezed(films: Sequence[TrainingFilm]) -> frozenset[Path]:
    """The films of those folders whose films lost their aspect ratio."""
    by_folder: dict[Path, list[Path]] = {}
    for film in films:
        by_folder.setdefault(film.folder, []).append(film.film.path)
    return frozenset(path for paths in by_folder.values() if are_squeezed(sizes_of(paths)) for path in paths)
