"""A service made in the test: the application with a small model, and films to send."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from bonexage.model.bundle import load_bundle
from bonexage.serving.app import make_app
from bonexage.serving.settings import Settings
from hands import drawn_hand
from models import small_bundle

PATH = "/v1/assessments"


def png(seed: int = 0, height: int = 120, width: int = 96) -> bytes:
    """A drawn hand as PNG."""
    out = io.BytesIO()
    Image.fromarray(np.rint(drawn_hand(height, width, seed) * 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def settings(folder: Path, **changes: Any) -> Settings:
    """Settings with a small model in that folder; keywords replace them."""
    model = folder / "small.zip"
    if not model.exists():
        small_bundle(model)
    return replace(Settings(model=model, workers=1, names=("testserver",)), **changes)


@contextmanager
def running(given: Settings) -> Iterator[TestClient]:
    """A client of a service that runs as long as the block."""
    with TestClient(make_app(given, load_bundle(given.model))) as client:
        yield client


def post(
    client: httpx.Client,
    *films: bytes,
    accept: str = "application/json",
    headers: dict[str, str] | None = None,
    name: str = "hand.png",
    **fields: str,
) -> httpx.Response:
    """Send films; keywords are fields of the form."""
    files = [("file", (name, film, "application/octet-stream")) for film in films]
    return client.post(PATH, files=files, data=fields, headers={"Accept": accept, **(headers or {})})


@dataclass(frozen=True)
class Served:
    """A service in a process of its own."""

    address: str
    process: subprocess.Popen[str]
    log: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextmanager
def served(folder: Path, *options: str, **environment: str) -> Iterator[Served]:
    """`bonexage serve` with a small model, as long as the block; ready when it begins."""
    model, log = settings(folder).model, folder / "log.txt"
    command = [sys.executable, "-m", "bonexage", "serve", "--port", "0", "--model", str(model)]
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [*command, "--workers", "1", *options],
            stderr=stream,
            text=True,
            env={**os.environ, **environment},
        )
    try:
        address = eventually(lambda: re.search(r" at (http://\S+)", log.read_text(encoding="utf-8"))).group(1)
        eventually(lambda: _status(f"{address}/readyz") == 200)
        yield Served(address, process, log)
    finally:
        process.kill()
        process.wait()


def _status(address: str) -> int:
    try:
        return httpx.get(address, timeout=5).status_code
    except httpx.HTTPError:
        return 0


def eventually(ask: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `ask` returns as soon as that is something; fails where it never is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := ask():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came")
