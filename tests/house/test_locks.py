"""The locks: hashed, free of index addresses, in step with each other and with the project."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from itertools import product
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = ("predict.txt", "serve.txt", "all.txt")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return _normal(found.group())


def _text(lock: str) -> str:
    return (ROOT / "requirements" / lock).read_text(encoding="utf-8")


def _entries_of(text: str) -> list[str]:
    """Each requirement of a lock with its hashes, on one line."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _entries(lock: str) -> list[str]:
    return _entries_of(_text(lock))


def _extras_in(text: str) -> dict[str, set[str]]:
    """Each package of a lock with the extras that the lock names."""
    pinned = [Requirement(entry.partition("--hash")[0].strip()) for entry in _entries_of(text)]
    return {_normal(one.name): {_normal(extra) for extra in one.extras} for one in pinned}


def _systems() -> Iterator[Mapping[str, str]]:
    """The systems and versions of Python for which one lock holds, as markers see them."""
    systems = {
        "linux": {"platform_system": "Linux", "os_name": "posix"},
        "darwin": {"platform_system": "Darwin", "os_name": "posix"},
        "win32": {"platform_system": "Windows", "os_name": "nt"},
    }
    for (system, names), minor in product(systems.items(), range(11, 15)):
        yield {
            "sys_platform": system,
            "python_version": f"3.{minor}",
            "python_full_version": f"3.{minor}.0",
            **names,
        }


def _holds(required: Requirement, extras: set[str]) -> bool:
    """Whether a package needs this anywhere, with these of its extras."""
    return required.marker is None or any(
        required.marker.evaluate({**system, "extra": extra})
        for system in _systems()
        for extra in ("", *extras)
    )


def _not_named(locked: Mapping[str, set[str]], needs: Mapping[str, Sequence[str]]) -> list[str]:
    """What packages of a lock require with extras that the lock does not name: pip then resolves anew.

    Args:
        locked: each package of the lock with the extras that the lock names.
        needs: what each package that is known here requires, as its metadata says.
    """
    missing = []
    for name, extras in locked.items():
        for required in map(Requirement, needs.get(name, ())):
            wanted = {_normal(extra) for extra in required.extras}
            pinned = locked.get(_normal(required.name))
            if pinned is not None and not wanted <= pinned and _holds(required, extras):
                missing.append(f"{name} requires {required}")
    return missing


def _installed_needs(names: Sequence[str]) -> dict[str, list[str]]:
    """What the packages that are installed require; others are pinned for another system or Python."""
    needs = {}
    for name in names:
        try:
            needs[name] = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
    return needs


def _pins(lock: str) -> set[tuple[str, str]]:
    return {(_name(entry), entry.split("==")[1].split()[0]) for entry in _entries(lock)}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_extra_that_a_package_requires_is_named_in_the_lock(lock: str) -> None:
    locked = _extras_in(_text(lock))
    needs = _installed_needs(list(locked))
    assert len(needs) > len(locked) / 2
    assert _not_named(locked, needs) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_extra_that_the_project_requires_is_named_in_the_lock(lock: str) -> None:
    extras = {"predict.txt": set(), "serve.txt": {"serve", "dicom", "fhir", "report"}}.get(
        lock, set(PROJECT["optional-dependencies"])
    )
    optional = [one for extra in extras for one in PROJECT["optional-dependencies"][extra]]
    needed = [*PROJECT["dependencies"], *(one for one in optional if not one.startswith("bonexage["))]
    locked = _extras_in(_text(lock))
    assert _not_named({**locked, "bonexage": set()}, {"bonexage": needed}) == []


def test_a_lock_without_the_extras_is_recognised() -> None:
    without = re.sub(r"^([a-z0-9-]+)\[[^]]*\]==", r"\1==", _text("all.txt"), flags=re.MULTILINE)
    assert without != _text("all.txt")
    locked = _extras_in(without)
    missing = _not_named(locked, _installed_needs(list(locked)))
    assert any(line.startswith("pytest-cov requires coverage[toml]") for line in missing), missing


@pytest.mark.parametrize(
    ("required", "missing"),
    [
        ("b[x]>=1", True),
        ("b[X]", True),
        ("b>=1", False),
        ("b[y]", False),
        ("elsewhere[x]", False),
        ("b[x]; sys_platform == 'win32'", True),
        ("b[x]; python_version < '3.11'", False),
        ("b[x]; extra == 'fast'", True),
        ("b[x]; extra == 'slow'", False),
    ],
)
def test_an_extra_counts_where_its_requirement_holds(required: str, missing: bool) -> None:
    locked = {"a": {"fast"}, "b": {"y"}}
    assert bool(_not_named(locked, {"a": [required]})) is missing


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_hashed(lock: str) -> None:
    for entry in _entries(lock):
        assert re.match(r"[a-z0-9-]+(\[[a-z0-9, -]+\])?==[^\s;]+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_an_index(lock: str) -> None:
    text = _text(lock)
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
    assert asked - {"bonexage"} <= names
    assert not names & {_name(needed) for needed in extras["learn"]}


def test_the_extra_of_the_service_brings_all_that_the_page_and_the_service_offer() -> None:
    (named,) = [one for one in PROJECT["optional-dependencies"]["serve"] if one.startswith("bonexage[")]
    assert Requirement(named).extras == {"dicom", "fhir", "report"}


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
