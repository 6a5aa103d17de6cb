"""The command that installs an optional part of this package, from where the package itself came."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

_NAME = "bonexage"
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)\s*(?:\[(?P<extras>[^]]*)\])?")
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w.-]+)["']""")


def install_command(extra: str) -> str:
    """The shell command that adds the packages of an extra to the running Python.

    It names the place from which this package was installed: a checkout, a wheel, an address. Where there is
    none any more, or none is on record, it names the packages themselves.

    Args:
        extra: such as 'dicom'.
    """
    try:
        installed = distribution(_NAME)
    except PackageNotFoundError:  # it runs from a checkout that nobody installed
        checkout = Path(__file__).parents[2]
        return _shell([*_installer(), f"{checkout}[{extra}]"])
    packages = _from_source(installed, extra) or sorted(set(_required(installed.requires or (), extra)))
    return _shell([*_installer(), *packages])


def reinstall_command(package: str) -> str:
    """The shell command that installs a package of the running Python again, without those it needs."""
    return _shell([*_installer(), "--force-reinstall", "--no-deps", package])


def _installer() -> list[str]:
    python = sys.executable or "python"
    if importlib.util.find_spec("pip") is None and shutil.which("uv"):
        return ["uv", "pip", "install", "--python", python]
    return [python, "-m", "pip", "install"]


def _from_source(installed: Distribution, extra: str) -> list[str]:
    """What names the extra at the place that the package came from (PEP 610); nothing if that is gone."""
    record = json.loads(installed.read_text("direct_url.json") or "{}")
    url = str(record.get("url", ""))
    if "vcs_info" in record:
        version = record["vcs_info"]
        return [f"{_NAME}[{extra}] @ {version['vcs']}+{url}@{version['commit_id']}"]
    if urlsplit(url).scheme != "file":
        return [f"{_NAME}[{extra}] @ {url}"] if url else []
    path = Path(url2pathname(urlsplit(url).path))
    if "dir_info" not in record:
        return [f"{path}[{extra}]"] if path.is_file() else []
    if not (path / "pyproject.toml").is_file():
        return []
    return [*(["--editable"] if record["dir_info"].get("editable") else []), f"{path}[{extra}]"]


def _required(requirements: Sequence[str], extra: str) -> Iterator[str]:
    """The packages that an extra asks for, without versions; those of the extras that it names as well."""
    for requirement in requirements:
        what, _, marker = requirement.partition(";")
        named = _REQUIREMENT.match(what.strip())
        if named is None or extra not in _EXTRA.findall(marker):
            continue
        extras = [each.strip() for each in (named["extras"] or "").split(",") if each.strip()]
        if named["name"] == _NAME:
            for each in extras:
                yield from _required(requirements, each)
        else:
            yield f"{named['name']}[{','.join(extras)}]" if extras else named["name"]


def _shell(words: Sequence[str]) -> str:
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
