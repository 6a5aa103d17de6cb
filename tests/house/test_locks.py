"""The locks: hashed, free of index addresses, in step with each other and with the project."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = ("predict.txt", "serve.txt", "all.txt")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return _normal(found.group())


def _entries(lock: str) -> list[str]:
    """Each requirement of a lock with its hashes, on one line."""
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _pins(lock: str) -> set[tuple[str, str]]:
    return {(_name(entry), entry.split("==")[1].split()[0]) for entry in _entries(lock)}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_hashed(lock: str) -> None:
    for entry in _entries(lock):
        assert re.match(r"[a-z0-9-]+==[^\s;]+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_an_index(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    assert not re.search(r"https?:|file:|--index|--extra-index|--find-links|\s-[if]\s|@", text)


def test_the_prediction_install_holds_no_training_library() -> None:
    names = {name for name, _ in _pins("predict.txt")}
    learn = {_name(needed) for needed in PROJECT["optional-dependencies"]["learn"]}
    assert not names & (learn | {"triton", "scipy", "pandas"})
    assert not {name for name in names if name.startswith("nvidia-")}


def test_each_lock_holds_what_the_project_asks_for() -> None:
    asked = {_name(needed) for needed in PROJECT["dependencies"]}
    assert asked <= {name for name, _ in _pins("predict.txt")}
    extras = {_name(one) for needed in PROJECT["optional-dependencies"].values() for one in needed}
    assert (asked | extras) - {"bonexage"} <= {name for name, _ in _pins("all.txt")}


def test_all_locks_pin_the_same_releases() -> None:
    assert _pins("predict.txt") <= _pins("serve.txt") <= _pins("all.txt")


def test_the_service_s_lock_holds_its_extras_and_no_training_library() -> None:
    names = {name for name, _ in _pins("serve.txt")}
    extras = PROJECT["optional-dependencies"]
    asked = {_name(one) for extra in ("serve", "dicom", "fhir", "report") for one in extras[extra]}
    assert asked <= names
    assert not names & {_name(needed) for needed in extras["learn"]}


def test_torch_and_torchvision_are_locked_as_a_pair_that_imports() -> None:
    assert {("torch", "2.14.1"), ("torchvision", "0.29.1")} <= _pins("all.txt")


def test_all_is_the_sum_of_the_extras() -> None:
    extras = PROJECT["optional-dependencies"]
    named = re.fullmatch(r"bonexage\[(.*)\]", extras["all"][0])
    assert named
    assert set(named.group(1).split(",")) == set(extras) - {"all"}


@pytest.mark.parametrize("lock", ["predict.txt", "serve.txt"])
def test_nothing_that_is_installed_to_be_used_is_under_a_gpl(lock: str) -> None:
    for name in sorted(name for name, _ in _pins(lock)):
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # pinned for another system or Python
        classifiers = [line for line in about.get_all("Classifier") or [] if line.startswith("License")]
        stated = " ".join([about.get("License-Expression", ""), about.get("License", "")[:60], *classifiers])
        assert stated.strip(), f"{name} states no licence"
        assert not re.search(r"GPL|GNU", stated), f"{name}: {stated}"
