"""A service in a process of its own, for trials and tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from trials.waiting import eventually


@dataclass(frozen=True)
class Served:
    """A service in a process of its own.

    Attributes:
        address: where it answers.
        process: its process.
        log: the file that its standard error goes to.
    """

    address: str
    process: subprocess.Popen[str]
    log: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    @property
    def alive(self) -> bool:
        """Whether it runs and could assess a film."""
        return self.process.poll() is None and status(f"{self.address}/readyz") == 200

    @property
    def workers(self) -> list[int]:
        """The processes that it started, as Linux lists them."""
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def served(folder: Path, *options: str, **environment: str) -> Iterator[Served]:
    """`bonexage serve` in that folder, as long as the block; ready when it begins.

    Args:
        folder: what it works in; its log goes beside it.
        options: of the command.
        environment: variables that it is given besides ours.
    """
    log = folder.parent / f"{folder.name}.log"
    command = [sys.executable, "-P", "-m", "bonexage", "serve", "--port", "0", *options]
    ways = os.pathsep.join(str(Path(way).resolve()) for way in sys.path if way)
    told = {**os.environ, "PYTHONPATH": ways, **environment}
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(command, cwd=folder, stderr=stream, text=True, env=told)
    try:
        said = eventually(lambda: re.search(r" at (http://\S+)", log.read_text(encoding="utf-8")))
        service = Served(said.group(1), process, log)
        eventually(lambda: service.alive)
        yield service
    finally:
        process.kill()
        process.wait()


def status(address: str) -> int:
    """The status that an address answers with; 0 where it does not answer."""
    try:
        return httpx.get(address, timeout=30).status_code
    except httpx.HTTPError:
        return 0
