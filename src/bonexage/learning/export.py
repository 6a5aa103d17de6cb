"""A run folder, or a published checkpoint, becomes a bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.atlas.plates import read_plates
from bonexage.errors import UnusableData, WrongUse
from bonexage.evaluation.metrics import agreement
from bonexage.learning.cache import Cache, build_cache
from bonexage.learning.card import write_card
from bonexage.learning.dataset import Part, TrainingFilm, fingerprint, gather_films
from bonexage.learning.graph import largest_difference_months, to_onnx
from bonexage.learning.members import read_member, read_record
from bonexage.learning.network import PUBLISHED_BACKBONES, SEX_FEATURES, BoneAgeNetwork, build_features
from bonexage.learning.recipe import Parts
from bonexage.learning.start import read_state
from bonexage.model.bundle import Bundle, Description, write_bundle
from bonexage.model.calibration import Calibration, fit_calibration
from bonexage.model.frame import whole_film
from bonexage.model.likeness import pack_hands
from bonexage.model.preprocess import Preprocessing, normalise
from bonexage.model.runtime import Runtime
from bonexage.model.spread import HeldOut, fit_spread
from bonexage.subject import Sex

FILMS_COMPARED = 32
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PUBLISHED_SIZE = 512

Advance = Callable[[int, int], None]


def export_run(
    run: Path,
    out: Path,
    *,
    data: Sequence[Path] = (),
    mirror: bool = False,
    with_weights: bool = False,
    progress: Advance = lambda done, total: None,
) -> Bundle:
    """Make a bundle of a run's best checkpoint, with intervals from the run's calibration films.

    The graph is compared with the network on validation films and run on all validation and calibration
    films: figures and intervals are those of what the bundle holds.

    Args:
        run: a run folder.
        out: the bundle, a folder or a `.zip`.
        data: the data folders, where they are no longer where the run found them.
        mirror: answer with the mean of the film and of its mirror image, in twice the time.
        with_weights: put the weights in too, to start another training from.
        progress: called with how many films were run, and of how many.

    Raises:
        WrongUse: no such run, or its data folders are not found.
        UnusableData: the data is no longer what the run was trained on.
        BundleError: graph and network differ by more than 0.05 months.
    """
    member = read_member(run)
    recipe, how = member.recipe, member.how
    films, cache = _films_of(run, member.data, data, recipe.parts, how, member.locator)
    onnx = to_onnx(member.network, how, mirror=mirror)
    compared = [film for film in films if film.part is Part.VALIDATION][:FILMS_COMPARED]
    difference = largest_difference_months(member.network, onnx, *_shown(compared, cache, how), mirror=mirror)
    held_out = [film for film in films if film.part is not Part.TRAINING]
    read = _read(Runtime(onnx), held_out, cache, how, progress)
    description = Description(
        name=recipe.name,
        created=datetime.now(tz=UTC).date().isoformat(),
        preprocessing=how,
        backbone=recipe.network.backbone,
        started_from=member.started_from,
        recipe=member.table,
        data={key: member.data[key] for key in ("folders", "ages_months", "fingerprint")},
        figures={"validation": _figures(held_out, [film.reading_months for film in read])},
        calibration=_calibration(held_out, read, hashlib.sha256(onnx).hexdigest()),
        onnx_difference_months=difference,
        views=1 + mirror,
    )
    return write_bundle(
        out,
        description,
        onnx=onnx,
        card=write_card(description),
        locator=member.locator,
        hands=composite_hands() if member.locator else None,
        weights=member.weights if with_weights else None,
    )


def composite_hands() -> bytes:
    """The hands of the carried atlas, for a bundle whose films have to show one."""
    films = []
    for plate in read_plates():
        with Image.open(plate.path) as picture:  # whole, not without borders: that is the frame of its hand
            films.append(np.asarray(picture, dtype=np.float32) / np.float32(255))
    return pack_hands([(film, whole_film(film.shape)) for film in films])


def import_checkpoint(
    checkpoint: Path, out: Path, *, normalise: Literal["half", "imagenet"] = "half"
) -> Bundle:
    """Make a bundle of a checkpoint of the published network.

    The backbone is told by its number of features, and the form of the sex encoder by its keys. Films
    are squashed to 512 x 512, as they were in its training; the published inference normalised with
    ImageNet's mean and standard deviation, its training with 0.5: `normalise` says which, and defaults to
    how it was trained. There is no calibration, so there are no intervals.

    Raises:
        WrongUse: the file is no such checkpoint.
    """
    network, backbone = published_network(read_state(checkpoint), str(checkpoint))
    how = Preprocessing("squash", PUBLISHED_SIZE, PUBLISHED_SIZE)
    if normalise == "imagenet":
        how = replace(how, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    onnx = to_onnx(network, how)
    noise = np.random.default_rng(0).standard_normal(
        (2, len(how.mean), how.height, how.width), dtype=np.float32
    )
    difference = largest_difference_months(network, onnx, noise, np.array([[0.0], [1.0]], dtype=np.float32))
    description = Description(
        name=f"imported-{backbone.replace('_', '-')}",
        created=datetime.now(tz=UTC).date().isoformat(),
        preprocessing=how,
        backbone=backbone,
        started_from=f"a published checkpoint ({checkpoint.name})",
        recipe={},
        data={},
        onnx_difference_months=difference,
    )
    return write_bundle(out, description, onnx=onnx, card=write_card(description))


def published_network(state: Mapping[str, Tensor], source: str) -> tuple[BoneAgeNetwork, str]:
    """The network a published state dict belongs to, with its weights, and its backbone's name.

    Raises:
        WrongUse: the keys or shapes are not those of the published network.
    """
    by_channels = {channels: name for name, channels in PUBLISHED_BACKBONES.items()}
    head = state.get("head.0.weight")
    backbone = None if head is None else by_channels.get(len(head) - SEX_FEATURES)
    if backbone is None:
        raise WrongUse(
            "this is no checkpoint of the published network",
            remedy="Its keys are features.*, pool.p, sex_encoder.fc.* and head.*, "
            "with 768, 2048 or 1280 features",
            subject=source,
        )
    features, channels = build_features(backbone)
    network = BoneAgeNetwork(features, channels, second_sex_norm="sex_encoder.fc.4.weight" in state)
    wanted = network.state_dict()
    counters = {key: value for key, value in wanted.items() if key.endswith("num_batches_tracked")}
    state = {**counters, **state}
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    misshapen = [key for key in wanted if key in state and state[key].numel() != wanted[key].numel()]
    for keys, what in (
        (missing, "lacks"),
        (unknown, "holds what the network has no place for:"),
        (misshapen, "has another shape than the network for"),
    ):
        if keys:
            raise WrongUse(
                f"the checkpoint {what} {keys[0]}" + (f" and {len(keys) - 1} more" if keys[1:] else ""),
                remedy="Give the whole state_dict of the published network",
                subject=source,
            )
    network.load_state_dict({key: state[key].reshape(wanted[key].shape) for key in wanted})
    return network.eval(), backbone


def _films_of(
    run: Path,
    record: Mapping[str, Any],
    data: Sequence[Path],
    parts: Parts,
    how: Preprocessing,
    locator: bytes | None,
) -> tuple[tuple[TrainingFilm, ...], Cache]:
    """The run's films in their parts, where they still are what the run was trained on."""
    folders = list(data) or [Path(folder) for folder in read_record(run, "environment.json")["data_folders"]]
    gone = [folder for folder in folders if not folder.is_dir()]
    if gone:
        raise WrongUse(
            "the data folder of the run is not there",
            remedy="Say where it is with --data",
            subject=str(gone[0]),
        )
    films, _ = gather_films(folders, parts, skip_unreadable=True)
    paths = [film.film.path for film in films]
    cache = build_cache(paths, how, run.parent / "cache", locator=locator, skip_unreadable=True)
    usable = tuple(film for film in films if film.film.path in cache.row_of)
    if fingerprint(usable, cache.hashes) != record["fingerprint"]:
        raise UnusableData(
            "the films or labels are no longer those the run was trained on",
            remedy="Restore them, or train again",
            subject=str(run),
        )
    return usable, cache


def _shown(
    films: Sequence[TrainingFilm], cache: Cache, how: Preprocessing
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Films as the network sees them `[n, channels, H, W]`, and their sex `[n, 1]`."""
    rows = [cache.row_of[film.film.path] for film in films]
    male = np.array([[film.film.sex is Sex.MALE] for film in films], dtype=np.float32)
    return normalise(cache.pixels[rows], how), male


def _read(
    runtime: Runtime, films: Sequence[TrainingFilm], cache: Cache, how: Preprocessing, progress: Advance
) -> list[HeldOut]:
    """The films as they are read in use, one by one."""
    read = []
    for number, film in enumerate(films, start=1):
        given = runtime.run(*_shown([film], cache, how))
        months = min(max(float(given.months[0]), 0.0), MAX_BONE_AGE_MONTHS)
        label = film.film.bone_age_months
        read.append(HeldOut(film.film.id, film.film.sex, months, label, given.disagreement_months[0]))
        progress(number, len(films))
    return read


def _calibration(films: Sequence[TrainingFilm], read: Sequence[HeldOut], network: str) -> Calibration:
    """The spread of the validation films, and the calibration of the calibration films in it."""
    by_part = {
        part: [one for film, one in zip(films, read, strict=True) if film.part is part]
        for part in (Part.VALIDATION, Part.CALIBRATION)
    }
    return fit_calibration(
        by_part[Part.CALIBRATION],
        spread=fit_spread(by_part[Part.VALIDATION]),
        network=network,
        of="the training's calibration part",
    )


def _figures(films: Sequence[TrainingFilm], months: Sequence[float]) -> dict[str, Any]:
    """Agreement with the labels on the validation films, over all and by data folder."""
    ages = [(film, age) for film, age in zip(films, months, strict=True) if film.part is Part.VALIDATION]
    groups = {"all": ages}
    for name in sorted({film.folder.name for film, _ in ages}):
        groups[name] = [(film, age) for film, age in ages if film.folder.name == name]
    return {
        name: agreement(
            [age for _, age in group],
            [film.film.bone_age_months for film, _ in group],
            children=[film.film.id for film, _ in group],
        ).as_dict()
        for name, group in groups.items()
    }
