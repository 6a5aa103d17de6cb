"""A bundle is whole, unaltered and understood, or it is refused with a sentence."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bonexage
from bonexage.errors import BundleError, WrongUse
from bonexage.model import parts
from bonexage.model.bundle import Bundle, describe, load_bundle
from bonexage.model.preprocess import Preprocessing
from bonexage.subject import Sex
from models import small_bundle, small_calibration, small_description, small_network

PARTS = ("bundle.json", "model.onnx", "locator.onnx", "hands.png", "CARD.md", "weights.safetensors")


@pytest.fixture(params=["model", "model.zip"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Bundle]:
    out = tmp_path / request.param
    return out, small_bundle(out, weights=b"weights", locator=b"locator", hands=b"hands")


def test_what_is_written_is_what_is_loaded(written: tuple[Path, Bundle]) -> None:
    out, bundle = written
    loaded = load_bundle(out)
    assert loaded.description == bundle.description
    assert (loaded.onnx, loaded.card, loaded.weights) == (bundle.onnx, bundle.card, bundle.weights)
    assert loaded.locator == bundle.locator == b"locator"
    assert loaded.hands == bundle.hands == b"hands"
    assert loaded.hash == bundle.hash
    assert loaded.description.version == bonexage.__version__


def test_folder_and_zip_are_the_same_model(tmp_path: Path) -> None:
    folder, zipped = small_bundle(tmp_path / "a"), small_bundle(tmp_path / "a.zip")
    assert folder.model == zipped.model
    assert folder.model == f"small@{folder.hash[:12]}"


def test_a_zip_of_the_folder_is_read_too(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "a")
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (tmp_path / "a").iterdir():
            archive.write(file, f"a/{file.name}")
    assert load_bundle(tmp_path / "b.zip").hash == bundle.hash


def test_the_same_model_writes_the_same_zip(tmp_path: Path) -> None:
    small_bundle(tmp_path / "a.zip")
    small_bundle(tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@settings(max_examples=30)
@given(
    preprocessing=st.builds(
        Preprocessing,
        geometry=st.sampled_from(["keep-aspect", "squash"]),
        height=st.integers(32, 2000),
        width=st.integers(32, 2000),
        mean=st.tuples(st.floats(-2, 2)),
        std=st.tuples(st.floats(0.01, 3)),
    )
    | st.builds(Preprocessing, mean=st.just((0.485, 0.456, 0.406)), std=st.just((0.229, 0.224, 0.225))),
    recipe=st.dictionaries(
        st.text(), st.integers() | st.text() | st.lists(st.floats(allow_nan=False, width=32))
    ),
)
def test_any_description_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, preprocessing: Preprocessing, recipe: dict[str, Any]
) -> None:
    finite = json.loads(json.dumps(recipe).replace("Infinity", "0"))
    out = tmp_path_factory.mktemp("bundles") / "one"
    bundle = small_bundle(out, onnx=b"x", preprocessing=preprocessing, recipe=finite, calibration=None)
    assert load_bundle(out).description == bundle.description


def test_only_an_ensemble_tells_of_members(tmp_path: Path) -> None:
    small_bundle(tmp_path / "one")
    assert "members" not in json.loads((tmp_path / "one" / "bundle.json").read_text(encoding="utf-8"))
    assert load_bundle(tmp_path / "one").description.members == ()
    members = ({"run": "seed-1", "recipe_changes": {}}, {"run": "seed-2", "recipe_changes": {"seed": 2}})
    small_bundle(tmp_path / "two", members=members)
    assert load_bundle(tmp_path / "two").description.members == members


def test_a_network_that_would_be_too_large_to_read_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(parts._LARGEST_BYTES, "model.onnx", 1 << 20)
    small_bundle(tmp_path / "largest", onnx=b"x" * (1 << 20))
    load_bundle(tmp_path / "largest")
    with pytest.raises(BundleError, match="at most 1 are read"):
        small_bundle(tmp_path / "larger", onnx=b"x" * ((1 << 20) + 1))
    assert not (tmp_path / "larger").exists()


@pytest.mark.parametrize("part", PARTS[1:])
def test_an_altered_part_is_refused(tmp_path: Path, part: str) -> None:
    small_bundle(tmp_path / "a", weights=b"weights", locator=b"locator", hands=b"hands")
    file = tmp_path / "a" / part
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(BundleError, match=f"{part} does not have the hash"):
        load_bundle(tmp_path / "a")


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_refused(tmp_path: Path, part: str) -> None:
    small_bundle(tmp_path / "a", weights=b"weights", locator=b"locator", hands=b"hands")
    (tmp_path / "a" / part).unlink()
    with pytest.raises(BundleError, match=part):
        load_bundle(tmp_path / "a")


def test_a_part_that_the_description_does_not_list_is_refused(tmp_path: Path) -> None:
    small_bundle(tmp_path / "a")
    (tmp_path / "a" / "weights.safetensors").write_bytes(b"smuggled")
    with pytest.raises(BundleError, match=r"weights\.safetensors"):
        load_bundle(tmp_path / "a")


def _edit(folder: Path, **changes: Any) -> None:
    file = folder / "bundle.json"
    stored = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in stored.items() if value != "gone"}))


def test_a_newer_schema_is_refused_with_the_version_that_reads_it(tmp_path: Path) -> None:
    small_bundle(tmp_path / "a")
    _edit(tmp_path / "a", schema=99, version="7.1.0", a_key_of_the_future=1)
    with pytest.raises(BundleError, match=r"schema 99 is newer.*bonexage 7\.1\.0"):
        load_bundle(tmp_path / "a")


def test_a_calibration_of_another_network_is_refused(tmp_path: Path) -> None:
    own = hashlib.sha256(small_network()).hexdigest()
    fitting = replace(small_calibration(), network=own)
    small_bundle(tmp_path / "a", calibration=fitting)
    assert load_bundle(tmp_path / "a").description.calibration == fitting
    with pytest.raises(BundleError, match="another network"):
        small_bundle(tmp_path / "b", onnx=small_network(slope=61.0), calibration=fitting)
    stored = json.loads((tmp_path / "a" / "bundle.json").read_text())["calibration"]
    _edit(tmp_path / "a", calibration=stored | {"network": "0" * 64})
    with pytest.raises(BundleError, match=r"another network.*calibrate"):
        load_bundle(tmp_path / "a")


def test_what_is_shown_of_a_bundle_leaves_out_what_a_recipe_says_of_a_machine(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "a", recipe={"name": "small", "about": "Run on a machine of ours."})
    shown = json.loads(describe(bundle))
    assert shown["recipe"] == {"name": "small"}
    assert "scores" not in str(shown["calibration"])


@pytest.mark.parametrize("schema", [1, 2, 3, 4])
def test_a_bundle_of_an_earlier_schema_reads_one_view(tmp_path: Path, schema: int) -> None:
    small_bundle(tmp_path / "a")
    _edit(tmp_path / "a", schema=schema, default_views="gone")
    assert load_bundle(tmp_path / "a").description.default_views == 1


def test_a_bundle_of_this_schema_says_how_many_views_it_reads(tmp_path: Path) -> None:
    small_bundle(tmp_path / "a")
    _edit(tmp_path / "a", default_views="gone")
    with pytest.raises(BundleError, match="lacks default_views"):
        load_bundle(tmp_path / "a")


@pytest.mark.parametrize("schema", [1, 2])
def test_a_calibration_of_an_earlier_schema_gives_its_intervals(tmp_path: Path, schema: int) -> None:
    written = small_bundle(tmp_path / "a")
    assert written.description.calibration is not None
    stored = written.description.calibration.to_json()
    for key in ("network", "films", "spread"):
        del stored[key]
    for cell in stored["cells"]:
        del cell["seen_months"]
    _edit(tmp_path / "a", calibration=stored, schema=schema)
    loaded = load_bundle(tmp_path / "a").description
    assert loaded.calibration is not None
    for months in (30.0, 130.0):
        expected = written.description.calibration.interval(months, Sex.MALE, 0.9)
        assert loaded.calibration.interval(months, Sex.MALE, 0.9) == expected


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"backbone": "gone"}, "lacks backbone"),
        ({"colour": 1}, "unknown keys colour"),
        ({"schema": "1"}, "no schema"),
        ({"schema": True}, "no schema"),
        ({"max_months": "240"}, "max_months"),
        ({"outputs": "months"}, "outputs"),
        ({"members": [7]}, "members"),
        ({"name": "../x"}, "name"),
        (
            {
                "preprocessing": {
                    "geometry": "keep-aspect",
                    "height": 64,
                    "width": 64,
                    "mean": [0],
                    "std": [0],
                }
            },
            "std",
        ),
        ({"preprocessing": {"geometry": "keep-aspect", "size": 64}}, "size"),
        ({"calibration": {"method": "hope"}}, "calibration"),
        ({"calibration": {"method": "split-conformal", "cells": [{}]}}, "calibration"),
        ({"calibration": {"method": "split-conformal", "cells": [7]}}, "calibration"),
        ({"data": {"ages_months": 7}}, "ages_months"),
        ({"data": {"ages_months": [1, None]}}, "ages_months"),
        ({"data": {"folders": [{"name": "films"}]}}, "folders"),
        ({"figures": {"validation": 7}}, "figures"),
        ({"figures": {"validation": {"all": {"films": 7}}}}, "figures"),
        ({"figures": {"validation": {"all": {"films": 7, "mae_months": {"value": 8.0}}}}}, "figures"),
        ({"sha256": {"model.onnx": "0"}}, "CARD"),
        ({"sha256": {"model.onnx": "0", "CARD.md": "0", "evil.pkl": "0"}}, r"evil\.pkl"),
    ],
)
def test_a_description_that_is_not_understood_is_refused(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    small_bundle(tmp_path / "a")
    _edit(tmp_path / "a", **changes)
    with pytest.raises(BundleError, match=why):
        load_bundle(tmp_path / "a")


@pytest.mark.parametrize("stored", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 200_000, b"null"])
def test_a_description_that_is_no_json_object_is_refused(tmp_path: Path, stored: bytes) -> None:
    small_bundle(tmp_path / "a")
    (tmp_path / "a" / "bundle.json").write_bytes(stored)
    with pytest.raises(BundleError, match="description"):
        load_bundle(tmp_path / "a")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packed_zip_that_is_damaged_anywhere_is_read_or_refused(tmp_path: Path, method: int) -> None:
    small_bundle(tmp_path / "a")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        for part in sorted((tmp_path / "a").iterdir()):
            archive.write(part, part.name)
    whole = (tmp_path / "a.zip").read_bytes()
    refused = 0
    for place in np.random.default_rng(0).integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        (tmp_path / "b.zip").write_bytes(damaged)
        try:
            load_bundle(tmp_path / "b.zip")
        except BundleError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize(
    "evil",
    ["../bundle.json", "/etc/bundle.json", "a\\..\\bundle.json", "C:bundle.json", "a/../../model.onnx"],
)
def test_a_zip_that_climbs_is_refused_and_writes_nothing(tmp_path: Path, evil: str) -> None:
    small_bundle(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr(evil, "x")
    with pytest.raises(BundleError, match="names that no bundle has"):
        load_bundle(tmp_path / "a.zip")
    assert [each.name for each in tmp_path.iterdir()] == ["a.zip"]


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", b" " * (40 << 20))
    assert (tmp_path / "a.zip").stat().st_size < 1 << 20
    with pytest.raises(BundleError, match="larger than 32 MiB"):
        load_bundle(tmp_path / "a.zip")


def test_a_truncated_zip_is_refused(tmp_path: Path) -> None:
    small_bundle(tmp_path / "a.zip")
    whole = (tmp_path / "a.zip").read_bytes()
    for length in range(0, len(whole), 997):
        (tmp_path / "b.zip").write_bytes(whole[:length])
        with pytest.raises(BundleError):
            load_bundle(tmp_path / "b.zip")


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a bundle was unpickled",))


def test_nothing_is_ever_unpickled_and_a_checkpoint_is_told_to_be_imported(tmp_path: Path) -> None:
    trap = pickle.dumps(_Trap())
    (tmp_path / "old.pth").write_bytes(trap)
    with zipfile.ZipFile(tmp_path / "new.pth", "w") as archive:
        archive.writestr("archive/data.pkl", trap)
        archive.writestr("archive/version", "3")
    for name in ("old.pth", "new.pth"):
        with pytest.raises(BundleError, match=rf"bonexage import .*{name}"):
            load_bundle(tmp_path / name)


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle"):
        load_bundle(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"no bundle\.json"):
        load_bundle(tmp_path)


def test_an_older_bundle_is_replaced_whole(tmp_path: Path) -> None:
    small_bundle(tmp_path / "a", weights=b"weights")
    newer = small_bundle(tmp_path / "a", onnx=small_network(offset=50.0))
    assert load_bundle(tmp_path / "a").hash == newer.hash
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_what_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mother.png").write_bytes(b"dear")
    with pytest.raises(WrongUse, match="no bundle"):
        small_bundle(tmp_path / "photos")
    assert (tmp_path / "photos" / "mother.png").read_bytes() == b"dear"


def test_a_failed_write_leaves_the_older_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = small_bundle(tmp_path / "a")

    def full(self: Path, content: bytes) -> int:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        small_bundle(tmp_path / "a", onnx=b"other")
    monkeypatch.undo()
    assert load_bundle(tmp_path / "a").hash == older.hash
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_name_that_would_not_read_back_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="name"):
        small_description(name="a@b")


def test_a_model_that_reads_found_hands_is_refused_without_what_finds_them(tmp_path: Path) -> None:
    small_bundle(tmp_path / "blind", preprocessing=Preprocessing("hand", 64, 64))
    with pytest.raises(BundleError, match=r"lists no locator\.onnx"):
        load_bundle(tmp_path / "blind")
