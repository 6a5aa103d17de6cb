"""A service made in the test: the application with a small model, and films to send."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
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
from trials.served import Served
from trials.served import served as process

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


@contextmanager
def served(folder: Path, *options: str, **environment: str) -> Iterator[Served]:
    """A service in a process of its own, with one worker and a small model, as long as the block."""
    model, place = settings(folder).model, folder / "served"
    place.mkdir(exist_ok=True)
    with process(place, "--model", str(model), "--workers", "1", *options, **environment) as made:
        yield made
