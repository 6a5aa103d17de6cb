"""What all tests of the service share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a service's model and films lie."""
    return tmp_path_factory.mktemp("service")
