"""The bundle: one folder or zip with all that is needed to assess, checked part by part, never unpickled."""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

from bonexage import __version__
from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.errors import BundleError
from bonexage.model.calibration import Calibration, calibration_from_json
from bonexage.model.graph_file import refuse_external_data
from bonexage.model.parts import (
    CARD_PART,
    CHECKPOINT_SUFFIXES,
    DESCRIPTION_PART,
    HANDS_PART,
    LOCATOR_PART,
    NETWORK_PART,
    PLATES_PART,
    WEIGHTS_PART,
    is_checkpoint,
    members,
    read_from_folder,
    read_from_zip,
    refuse_to_replace,
    refuse_too_large,
    write_folder,
    write_zip,
)
from bonexage.model.preprocess import Preprocessing, preprocessing_from_json
from bonexage.model.runtime import ALL_OUTPUTS

SCHEMA: Final = 5
OUT_OF_FOLD: Final = "out-of-fold"
_NEEDED: Final = (NETWORK_PART, CARD_PART)
_PARTS: Final = (NETWORK_PART, LOCATOR_PART, HANDS_PART, PLATES_PART, CARD_PART, WEIGHTS_PART)
_ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    NotImplementedError,
    RuntimeError,
    EOFError,
)
_ONE_VIEW: Final = 4  # the last schema whose bundles read one view of a hand
_MOST_VIEWS: Final = 64
_MOST_DIGITS: Final = 300  # all such numbers are within a float's range
_SHOWN: Final = 12
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a bundle says of its model, stored as `bundle.json`.

    Attributes:
        name: letters, digits, dots, dashes and underscores.
        created: ISO date.
        preprocessing: how a radiograph is brought to the network's input.
        backbone: the network's trunk, by name.
        started_from: what the backbone's weights were before training.
        recipe: the training recipe as used; of an ensemble, its first member's.
        data: what it was trained on: `folders` (a list of name and films), `ages_months` [least, most] and,
            of a single network, `fingerprint`.
        figures: figures with their intervals, as evaluation writes them, by the films they are of:
            'validation', or 'out-of-fold', each film read by the members alone that never saw its child.
        calibration: what intervals are read from, or None.
        onnx_difference_months: largest difference seen between the graph and the network it came from,
            or None.
        max_months: what the network's 0 to 1 is multiplied with.
        views: how many views of a film each network averages (2: the film and its mirror image).
        default_views: how many views of the hand are read where nobody asks for another number: those that
            the figures and intervals are of. 1 in bundles of schema 4 and earlier.
        outputs: what the graph gives.
        members: of an ensemble, a record of each network whose answers the graph averages: `run`,
            `weights_sha256`, `started_from`, `fingerprint` of its films and parts, `recipe_changes` from the
            first's; of a single network, none.
        schema: of this description.
        version: of bonexage that wrote it.
        sha256: hex hash of each other part, by its file name.
    """

    name: str
    created: str
    preprocessing: Preprocessing
    backbone: str
    started_from: str
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    figures: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    onnx_difference_months: float | None = None
    max_months: float = 240.0
    views: int = 1
    default_views: int = 1
    outputs: tuple[str, ...] = ALL_OUTPUTS
    members: tuple[Mapping[str, Any], ...] = ()
    schema: int = SCHEMA
    version: str = __version__
    sha256: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a model's name is letters, digits, '.', '-' and '_', not {self.name!r}")
        for name, views in (("views", self.views), ("default_views", self.default_views)):
            if not 1 <= views <= _MOST_VIEWS:
                raise ValueError(f"{name} must be from 1 to {_MOST_VIEWS}, not {views}")
        if self.default_views > 1 and self.preprocessing.geometry != "hand":
            raise ValueError("default_views above 1 are of a model that finds the hand")
        if not 0 < self.max_months <= MAX_BONE_AGE_MONTHS:
            raise ValueError(
                f"max_months must be above 0 and at most {MAX_BONE_AGE_MONTHS:g}, not {self.max_months:g}"
            )
        known = set(self.outputs) <= set(ALL_OUTPUTS) and len(set(self.outputs)) == len(self.outputs)
        if not known or "months" not in self.outputs:
            raise ValueError(
                f"outputs must be months and others of {', '.join(ALL_OUTPUTS)}, each once, not "
                f"{', '.join(self.outputs)}"
            )
        if self.onnx_difference_months is not None and not 0 <= self.onnx_difference_months < math.inf:
            raise ValueError(
                f"onnx_difference_months must be months from 0, not {self.onnx_difference_months:g}"
            )


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model with its description; every part is as its hash says.

    Attributes:
        description: what the bundle says of its model.
        onnx: the serialised network.
        locator: the serialised network that finds the hand, for the geometry 'hand'; or None.
        hands: composite hands that what was found has to be like (`bonexage.model.likeness`), PNG; or None.
        plates: what the network makes of the atlas's plates (`bonexage.model.nearest`); or None.
        card: the model card, Markdown.
        weights: safetensors, or None.
        hash: sha256 of the bytes of `bundle.json`, 64 hex digits; it covers all parts, whose hashes stand
            in it.
    """

    description: Description
    onnx: bytes = field(repr=False)
    locator: bytes | None = field(repr=False)
    hands: bytes | None = field(repr=False)
    plates: bytes | None = field(repr=False)
    card: str = field(repr=False)
    weights: bytes | None = field(repr=False)
    hash: str

    @property
    def model(self) -> str:
        """The model as assessments name it: `name@` and 12 hex digits of the hash."""
        return f"{self.description.name}@{self.hash[:12]}"


def load_bundle(path: str | Path | None = None) -> Bundle:
    """Load a bundle, a folder or a zip, and check the hash of each part.

    A zip is read in memory; nothing is unpacked or unpickled.

    Args:
        path: where it lies; None for the one this package carries.

    Raises:
        BundleError: there is none, a part is missing, damaged or too large, a network refers to files outside
            it, a number is out of range, or the schema is newer.
    """
    if path is None:
        return _load_carried()
    path = Path(path)
    if path.is_dir():
        return _assemble(lambda part: read_from_folder(path, part), str(path))
    if not path.is_file():
        raise BundleError(
            "there is no such bundle",
            remedy="Give a bundle's folder or zip, or leave --model out for the carried model",
            subject=str(path),
        )
    try:
        with zipfile.ZipFile(path) as archive:
            found = members(archive, str(path))
            return _assemble(lambda part: read_from_zip(archive, found, part, str(path)), str(path))
    except _ZIP_ERRORS as error:
        if path.suffix.lower() in CHECKPOINT_SUFFIXES:
            raise is_checkpoint(str(path)) from None
        raise BundleError(
            f"this is no bundle ({error})", remedy="Give a bundle's folder or zip", subject=str(path)
        ) from None


def write_bundle(
    out: str | Path,
    description: Description,
    *,
    onnx: bytes,
    card: str,
    locator: bytes | None = None,
    hands: bytes | None = None,
    plates: bytes | None = None,
    weights: bytes | None = None,
) -> Bundle:
    """Write a bundle, as a zip where `out` ends in `.zip` and as a folder otherwise.

    The hashes, the schema and the version in `description` are filled in. The bundle appears whole or not at
    all; an older bundle of that name is replaced.

    Raises:
        WrongUse: `out` is there and is something else than a bundle.
        BundleError: the calibration was made for another network, or a part is larger than a bundle's may be.
    """
    out = Path(out)
    given = {
        NETWORK_PART: onnx,
        LOCATOR_PART: locator,
        HANDS_PART: hands,
        PLATES_PART: plates,
        CARD_PART: card.encode(),
        WEIGHTS_PART: weights,
    }
    parts = {part: content for part, content in given.items() if content is not None}
    hashes = {part: hashlib.sha256(content).hexdigest() for part, content in parts.items()}
    description = replace(description, schema=SCHEMA, version=__version__, sha256=hashes)
    _refuse_foreign_calibration(description, str(out))
    parts = {DESCRIPTION_PART: _to_json(description), **parts}
    refuse_too_large(parts, out)
    _refuse_open_graphs(parts, str(out))
    refuse_to_replace(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    (write_zip if out.suffix.lower() == ".zip" else write_folder)(out, parts)
    return Bundle(
        description,
        onnx,
        locator,
        hands,
        plates,
        card,
        weights,
        hashlib.sha256(parts[DESCRIPTION_PART]).hexdigest(),
    )


def describe(bundle: Bundle) -> str:
    """The description as `bundle.json` has it, without the calibration's scores and the recipe's `about`.

    `about` is of earlier runs of the recipe and of their machines; bundles up to schema 4 hold it.
    """
    stored = json.loads(_to_json(bundle.description))
    stored["recipe"].pop("about", None)
    for many in ("heaping", "rounding"):
        (stored["calibration"] or {}).pop(many, None)
    for cell in (stored["calibration"] or {}).get("cells", ()):
        for many in ("residuals_months", "scores"):
            cell.pop(many, None)
    return json.dumps({"model": bundle.model, "hash": bundle.hash, **stored}, indent=2)


# reading


def _load_carried() -> Bundle:
    carried = Path(__file__).parent / "carried"
    if not (carried / DESCRIPTION_PART).is_file():
        raise BundleError(
            "this installation carries no model", remedy="Give one with --model, or install bonexage again"
        )
    return load_bundle(carried)


def _assemble(read: Callable[[str], bytes | None], place: str) -> Bundle:
    stored = read(DESCRIPTION_PART)
    if stored is None:
        raise BundleError(
            f"there is no {DESCRIPTION_PART} in it", remedy="Give a whole bundle", subject=place
        )
    description = _from_json(stored, place)
    parts: dict[str, bytes | None] = {}
    for part in _PARTS:
        content = read(part)
        expected = description.sha256.get(part)
        found = None if content is None else hashlib.sha256(content).hexdigest()
        if found != expected:
            state = "is missing" if found is None else "does not have the hash that the description gives"
            raise BundleError(f"its {part} {state}", remedy="Fetch or export the bundle again", subject=place)
        parts[part] = content
    try:
        card = (parts[CARD_PART] or b"").decode()
    except UnicodeDecodeError:
        raise _bad_description(place, f"{CARD_PART} is not UTF-8") from None
    _refuse_foreign_calibration(description, place)
    _refuse_open_graphs(parts, place)
    if description.preprocessing.geometry == "hand" and parts[LOCATOR_PART] is None:
        raise _bad_description(
            place, f"it lists no {LOCATOR_PART}, and its model reads hands that were found"
        )
    return Bundle(
        description,
        parts[NETWORK_PART] or b"",
        parts[LOCATOR_PART],
        parts[HANDS_PART],
        parts[PLATES_PART],
        card,
        parts[WEIGHTS_PART],
        hashlib.sha256(stored).hexdigest(),
    )


def _refuse_open_graphs(parts: Mapping[str, bytes | None], place: str) -> None:
    """Raise BundleError where a network refers to files beside it; one that is none fails when it is run."""
    for part in (NETWORK_PART, LOCATOR_PART):
        with suppress(ValueError):
            refuse_external_data(parts.get(part) or b"", place)


# the description


def _bad_description(place: str, why: str) -> BundleError:
    return BundleError(
        f"its description cannot be read: {why}", remedy="Fetch or export the bundle again", subject=place
    )


def _refuse_foreign_calibration(description: Description, place: str) -> None:
    made_for = description.calibration and description.calibration.network
    if made_for and made_for != description.sha256[NETWORK_PART]:
        raise BundleError(
            "its calibration was made for another network",
            remedy="Export the bundle again, or calibrate it with `bonexage calibrate`",
            subject=place,
        )


def _to_json(description: Description) -> bytes:
    stored = {
        **{each.name: getattr(description, each.name) for each in fields(description)},
        "preprocessing": asdict(description.preprocessing),
        "calibration": description.calibration.to_json() if description.calibration else None,
    }
    if not description.members:
        del stored["members"]
    first = ("schema", "version", "name", "created")
    ordered = {**{key: stored[key] for key in first}, **stored}
    return (json.dumps(ordered, indent=1, allow_nan=False) + "\n").encode()


def _from_json(stored: bytes, place: str) -> Description:
    try:
        read = json.loads(stored, parse_constant=_no_number, parse_float=_finite, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise _bad_description(place, f"it is not JSON ({error})") from None
    if not isinstance(read, dict) or not _is(read.get("schema"), "int"):
        raise _bad_description(place, "it names no schema")
    if read["schema"] > SCHEMA:
        raise BundleError(
            f"its schema {read['schema']} is newer than this version of bonexage reads ({SCHEMA})",
            remedy=f"Install bonexage {read.get('version', 'of a later version')} or later, which reads it",
            subject=place,
        )
    known = {each.name for each in fields(Description)}
    read = {"members": [], **({"default_views": 1} if read["schema"] <= _ONE_VIEW else {}), **read}
    if missing := sorted(known - read.keys()):
        raise _bad_description(place, f"it lacks {', '.join(missing)}")
    if unknown := sorted(read.keys() - known):
        raise _bad_description(place, f"it has unknown keys {', '.join(unknown)}")
    for key, kind in _KINDS.items():
        if not _is(read[key], kind):
            raise _bad_description(place, f"{key} is not of the kind it should be")
    if unknown := sorted(read["sha256"].keys() - set(_PARTS)):
        raise _bad_description(place, f"it lists unknown parts {', '.join(unknown)}")
    if missing := [part for part in _NEEDED if part not in read["sha256"]]:
        raise _bad_description(place, f"it lists no {' and no '.join(missing)}")
    if problem := _problem_of_data(read["data"]) or _problem_of_figures(read["figures"]):
        raise _bad_description(place, problem)
    calibration = read["calibration"]
    try:
        return Description(
            **{
                **read,
                "preprocessing": preprocessing_from_json(read["preprocessing"]),
                "calibration": None if calibration is None else calibration_from_json(calibration),
                "outputs": tuple(read["outputs"]),
                "members": tuple(read["members"]),
            }
        )
    except (ValueError, TypeError) as error:
        raise _bad_description(place, str(error)) from None


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _no_number(text[:_SHOWN])


def _whole(text: str) -> int | float:
    return int(text) if len(text) <= _MOST_DIGITS else _no_number(f"{text[:_SHOWN]}...")


def _problem_of_data(data: Mapping[str, Any]) -> str:
    ages, folders = data.get("ages_months", [0, 0]), data.get("folders", [])
    if not isinstance(ages, list) or len(ages) != 2 or not all(_is(age, "number") for age in ages):
        return "data: ages_months are not the least and the most months"
    if not 0 <= ages[0] <= ages[1] <= MAX_BONE_AGE_MONTHS:
        return "data: ages_months are not the least and the most months"
    if not _is(folders, "objects") or not all(_has(each, name="text", films="int") for each in folders):
        return "data: folders are not names with numbers of films"
    return ""


def _problem_of_figures(figures: Mapping[str, Any]) -> str:
    ends: dict[str, _Kind] = dict.fromkeys(("value", "low", "high"), "number or null")
    sound = _is(list(figures.values()), "objects") and all(
        _has(group, films="int", mae_months="object") and _has(group["mae_months"], **ends)
        for groups in figures.values()
        for group in groups.values()
    )
    return "" if sound else "figures: a group of films lacks its number or its mae_months"


def _has(given: Any, **kinds: _Kind) -> bool:
    """Whether it is an object with at least these members, each of its kind."""
    return isinstance(given, dict) and all(
        key in given and _is(given[key], kind) for key, kind in kinds.items()
    )


_Kind = Literal[
    "int",
    "number",
    "number or null",
    "text",
    "object",
    "object or null",
    "objects",
    "texts",
    "texts by name",
]
_KINDS: Final[dict[str, _Kind]] = {
    "name": "text",
    "created": "text",
    "preprocessing": "object",
    "backbone": "text",
    "started_from": "text",
    "recipe": "object",
    "data": "object",
    "figures": "object",
    "calibration": "object or null",
    "onnx_difference_months": "number or null",
    "max_months": "number",
    "views": "int",
    "default_views": "int",
    "outputs": "texts",
    "members": "objects",
    "version": "text",
    "sha256": "texts by name",
}


def _is(value: object, kind: _Kind) -> bool:
    if kind.endswith(" or null"):
        return value is None or _is(value, "object" if kind.startswith("object") else "number")
    if kind == "objects":
        return isinstance(value, list) and all(isinstance(each, dict) for each in value)
    if kind == "texts":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if kind == "texts by name":
        return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    wanted: dict[str, Any] = {"int": int, "number": (int, float), "text": str, "object": dict}
    return isinstance(value, wanted[kind]) and not isinstance(value, bool)
