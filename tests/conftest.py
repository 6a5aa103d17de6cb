"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("bonexage", deadline=None)  # how fast a machine is says nothing of the code
settings.load_profile("bonexage")

# Who starts the tests in the background may have Ctrl-C ignored, which commands would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real radiographs; a test that asks for it is skipped where there is none."""
    named = os.environ.get("BONEXAGE_DATA")
    if not named:
        pytest.skip("BONEXAGE_DATA is not set: no real radiographs to test with")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"BONEXAGE_DATA names no folder: {folder}")
    return folder
