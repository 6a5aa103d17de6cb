"""A run folder, or a published checkpoint, becomes a bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bonexage.assessment import MAX_BONE_AGE_MONTHS, NearestPlate
from bonexage.atlas.plates import plate_pixels, read_plates
from bonexage.errors import WrongUse
from bonexage.evaluation.metrics import agreement
from bonexage.evaluation.strata import by_sex_and_age
from bonexage.learning.cache import Cache
from bonexage.learning.card import write_card
from bonexage.learning.dataset import Part, TrainingFilm, split_children
from bonexage.learning.folds import runs_in
from bonexage.learning.graph import largest_difference_months, to_onnx
from bonexage.learning.members import Member, cost_of, films_of, read_members
from bonexage.learning.network import PUBLISHED_BACKBONES, SEX_FEATURES, BoneAgeNetwork, build_features
from bonexage.learning.recipe import Parts, recipe_to_table
from bonexage.learning.resume import recipe_changes
from bonexage.learning.start import read_state
from bonexage.model.bundle import OUT_OF_FOLD, Bundle, Description, write_bundle
from bonexage.model.calibration import Calibration, fit_calibration
from bonexage.model.frame import views_of, whole_film
from bonexage.model.heaping import fit_heaping
from bonexage.model.likeness import pack_hands
from bonexage.model.locate import Locator
from bonexage.model.nearest import pack_plates
from bonexage.model.preprocess import Preprocessing, normalise, place
from bonexage.model.rounding import rounding_of
from bonexage.model.runtime import Runtime
from bonexage.model.spread import HeldOut, fit_spread
from bonexage.reading.files import read_radiograph
from bonexage.subject import Sex

FILMS_COMPARED = 32
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PUBLISHED_SIZE = 512

# Of children read out of fold, the share that the spread is fitted to.
SHARE_FOR_SPREAD = 0.25
BY_UNKNOWING = "each read by the members that never saw its child"

Advance = Callable[[int, int], None]
Seen = Callable[[Path], NDArray[np.uint8]]
Read = tuple[TrainingFilm, HeldOut]


def export_run(
    run: Path | Sequence[Path],
    out: Path,
    *,
    data: Sequence[Path] = (),
    mirror: bool = False,
    views: int = 1,
    with_weights: bool = False,
    progress: Advance = lambda done, total: None,
) -> Bundle:
    """Make a bundle of a run's best checkpoint, or of several runs' as one, with intervals.

    Several networks, of other seeds or of the folds of `train_folds`, become an ensemble: one graph that
    answers with the mean of their months, and takes as many times as long as one.

    The graph is compared with the networks on validation films. Where all have the same parts, as one run or
    several seeds have, it is run on all validation and calibration films: figures and intervals are those of
    what the bundle holds. Where they differ, as those of folds do, both are out of fold: of the members, each
    on its own calibration films (`bonexage.model.calibration` tells what such intervals hold).

    Args:
        run: a run folder, one that holds the runs of all folds, or several of either.
        out: the bundle, a folder or a `.zip`.
        data: the data folders, where they are no longer where the run found them.
        mirror: answer with the mean of the film and of its mirror image, in twice the time.
        views: views of the hand whose mean is the answer where nobody asks for another number. Figures and
            intervals are of so many; of a network for the geometry 'hand'.
        with_weights: put the weights in too, to start another training from.
        progress: called with how many films were run, and of how many.

    Raises:
        WrongUse: no such run, its data folders are not found, or the runs cannot answer as one.
        UnusableData: the data is no longer what the run was trained on.
        BundleError: graph and networks differ by more than 0.05 months, or are too large for a bundle.
    """
    given = [run] if isinstance(run, Path) else run
    members = read_members([each for folder in given for each in runs_in(folder)])
    first = members[0]
    if with_weights and len(members) > 1:
        raise WrongUse(
            "an ensemble has no weights that a training could start from",
            remedy="Leave out --with-weights, or export a single run",
        )
    if views > 1 and first.locator is None:
        raise WrongUse(
            f"this network cannot read {views} views of a film, for it finds no hand",
            remedy="Leave out --views, or train with the geometry 'hand'",
        )
    films, cache = films_of(members, data, given[0].parent / "cache")
    networks = [member.network for member in members]
    onnx = to_onnx(networks, first.how, mirror=mirror)
    digest = hashlib.sha256(onnx).hexdigest()
    compared = [film for film in films[0] if film.part is Part.VALIDATION][:FILMS_COMPARED]
    difference = largest_difference_months(networks, onnx, *_shown(compared, cache, first.how), mirror=mirror)
    finder = Locator(first.locator) if first.locator and views > 1 else None
    seen = partial(_views_of, cache=cache, how=first.how, finder=finder, count=views)
    if all(own == films[0] for own in films):
        held_out = [film for film in films[0] if film.part is not Part.TRAINING]
        read = _read(Runtime(onnx), held_out, seen, first.how, progress)
        judged = _of(Part.VALIDATION, read)
        figures = {"validation": _figures(_by_folder(judged))}
        others = [film for film in films[0] if film.part is not Part.CALIBRATION]
        calibration = _calibration(read, others, digest, of="the training's calibration part")
    else:
        read = _out_of_fold(members, films, seen, mirror, progress)
        judged = read
        figures = {OUT_OF_FOLD: _figures(_by_folder(judged))}
        dealt = _dealt_again(read, first.recipe.parts.seed)
        others = [film for film, _ in _of(Part.VALIDATION, dealt)]
        calibration = _calibration(dealt, others, digest, of=BY_UNKNOWING, out_of_fold=True)
    description = _describe(
        members,
        figures=figures,
        calibration=calibration,
        onnx_difference_months=difference,
        views=1 + mirror,
        default_views=views,
    )
    return write_bundle(
        out,
        description,
        onnx=onnx,
        card=write_card(
            description, strata=_figures(_strata(judged)), costs=[cost_of(each) for each in members]
        ),
        locator=first.locator,
        hands=composite_hands() if first.locator else None,
        plates=embedded_plates(Runtime(onnx), first.how),
        weights=first.weights if with_weights else None,
    )


def _describe(members: Sequence[Member], **measured: Any) -> Description:
    """What a bundle says of its networks, and what was `measured` of them."""
    first = members[0]
    alone = len(members) == 1
    told = {"folders": first.data["folders"], "ages_months": first.data["ages_months"]}
    return Description(
        name=first.recipe.name if alone else f"{first.recipe.name}-ensemble-{len(members)}",
        created=datetime.now(tz=UTC).date().isoformat(),
        preprocessing=first.how,
        backbone=" + ".join(dict.fromkeys(member.recipe.network.backbone for member in members)),
        started_from="; ".join(dict.fromkeys(member.started_from for member in members)),
        recipe={key: value for key, value in first.table.items() if key != "about"},
        data=told | {"fingerprint": first.data["fingerprint"]} if alone else told,
        members=() if alone else tuple(_membership(member, first) for member in members),
        **measured,
    )


def _membership(member: Member, first: Member) -> dict[str, Any]:
    """What a bundle says of one member of an ensemble."""
    changes = recipe_changes(recipe_to_table(first.recipe), recipe_to_table(member.recipe))
    return {
        "run": member.run.resolve().name,
        "weights_sha256": member.weights_sha256,
        "started_from": member.started_from,
        "fingerprint": member.data["fingerprint"],
        "recipe_changes": {place: now for place, (_, now) in changes.items()},
    }


def composite_hands() -> bytes:
    """The hands of the carried atlas, for a bundle whose films have to show one."""
    films = [plate_pixels(plate.path) for plate in read_plates()]
    return pack_hands([(film, whole_film(film.shape)) for film in films])


def embedded_plates(runtime: Runtime, how: Preprocessing) -> bytes | None:
    """What a network makes of the plates of the carried atlas; None of one that gives no embedding."""
    plates, embeddings = read_plates(), []
    for plate in plates:
        film = plate_pixels(plate.path)
        placed = place(film, how, whole_film(film.shape))
        male = np.array([[plate.sex is Sex.MALE]], dtype=np.float32)
        given = runtime.run(normalise(placed[np.newaxis], how), male)
        if given.embedding is None:
            return None
        embeddings.append(given.embedding[0])
    named = [NearestPlate(plate.sha256, plate.sex, plate.mean_months) for plate in plates]
    return pack_plates(named, np.stack(embeddings))


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


def _shown(
    films: Sequence[TrainingFilm], cache: Cache, how: Preprocessing
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Films as the network sees them `[n, channels, H, W]`, and their sex `[n, 1]`."""
    rows = [cache.row_of[film.film.path] for film in films]
    male = np.array([[film.film.sex is Sex.MALE] for film in films], dtype=np.float32)
    return normalise(cache.pixels[rows], how), male


def _views_of(
    film: Path, *, cache: Cache, how: Preprocessing, finder: Locator | None, count: int
) -> NDArray[np.uint8]:
    """A film as it is read in use, `[count, height, width]`: once, or in several views of its hand."""
    if finder is None:
        return cache.pixels[[cache.row_of[film]]]
    pixels = read_radiograph(film).pixels
    frame = finder.find(pixels).frame
    return np.stack([place(pixels, how, each) for each in views_of(frame, count)])


def _read(
    runtime: Runtime, films: Sequence[TrainingFilm], seen: Seen, how: Preprocessing, progress: Advance
) -> list[Read]:
    """The films as they are read in use, one by one."""
    read = []
    for number, film in enumerate(films, start=1):
        views = seen(film.film.path)
        male = np.full((len(views), 1), film.film.sex is Sex.MALE, dtype=np.float32)
        given = runtime.run(normalise(views, how), male).over_views(len(views))
        months = min(max(float(given.months[0]), 0.0), MAX_BONE_AGE_MONTHS)
        label = film.film.bone_age_months
        said = HeldOut(film.film.id, film.film.sex, months, label, given.disagreement_months[0])
        read.append((film, said))
        progress(number, len(films))
    return read


def _out_of_fold(
    members: Sequence[Member],
    films: Sequence[Sequence[TrainingFilm]],
    seen: Seen,
    mirror: bool,
    progress: Advance,
) -> list[Read]:
    """The films as they are read by the members in whose calibration part they are, by their mean if several.

    A film that is in no member's is left out. Of disagreement nothing is said: that of all members' views,
    as it is in use, cannot be had from members that never saw the child.
    """
    held_out = [[film for film in own if film.part is Part.CALIBRATION] for own in films]
    total = sum(map(len, held_out))
    if not total:
        raise WrongUse(
            "no film was kept out of learning and choosing, so there is nothing to calibrate intervals with",
            remedy="Train with a share for calibration in [parts], or with --folds",
        )
    said: dict[Path, list[HeldOut]] = {}
    done = 0
    for member, own in zip(members, held_out, strict=True):
        runtime = Runtime(to_onnx(member.network, member.how, mirror=mirror))
        advance = partial(_advance, progress, done, total)
        for film, one in _read(runtime, own, seen, member.how, advance):
            said.setdefault(film.film.path, []).append(one)
        done += len(own)
    return [(film, _mean(said[film.film.path])) for film in films[0] if film.film.path in said]


def _mean(said: Sequence[HeldOut]) -> HeldOut:
    months = fmean(one.reading_months for one in said)
    return replace(said[0], reading_months=months, disagreement_months=None)


def _advance(progress: Advance, before: int, total: int, done: int, _: int) -> None:
    progress(before + done, total)


def _dealt_again(read: Sequence[Read], seed: int) -> list[Read]:
    """The films in parts of their own: a share of the children to fit the spread to, the others to score."""
    children = {film.film.id: film.film for film, _ in read}
    parts = Parts(validation=SHARE_FOR_SPREAD, calibration=1 - SHARE_FOR_SPREAD, seed=seed)
    part_of = split_children(tuple(children.values()), parts)
    return [(replace(film, part=part_of[film.film.id]), said) for film, said in read]


def _calibration(
    read: Sequence[Read], others: Sequence[TrainingFilm], network: str, *, of: str, out_of_fold: bool = False
) -> Calibration:
    """The calibration films' scores, in the spread of the validation films and the rounding of others."""
    return fit_calibration(
        [said for _, said in _of(Part.CALIBRATION, read)],
        spread=fit_spread([said for _, said in _of(Part.VALIDATION, read)]),
        network=network,
        of=of,
        out_of_fold=out_of_fold,
        rounding=rounding_of(fit_heaping((film.film.sex, film.film.bone_age_months) for film in others)),
    )


def _of(part: Part, read: Sequence[Read]) -> list[Read]:
    return [one for one in read if one[0].part is part]


def _by_folder(read: Sequence[Read]) -> dict[str, Sequence[Read]]:
    """All films, and those of each data folder: each has a resolution of its own."""
    names = sorted({film.folder.name for film, _ in read})
    return {"all": read} | {name: [one for one in read if one[0].folder.name == name] for name in names}


def _strata(read: Sequence[Read]) -> Mapping[str, Sequence[Read]]:
    return by_sex_and_age(read, lambda one: one[0].film.sex, lambda one: one[1].label_months)


def _figures(groups: Mapping[str, Sequence[Read]]) -> dict[str, Any]:
    """Agreement with the labels of each group of films."""
    return {
        name: agreement(
            [said.reading_months for _, said in group],
            [said.label_months for _, said in group],
            children=[said.child for _, said in group],
        ).as_dict()
        for name, group in groups.items()
    }
