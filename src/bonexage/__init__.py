"""Bone age from a radiograph of the left hand, with an interval, for research."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from bonexage.assessment import DISCLAIMER, Assessment, Caution, Failure, Interval
    from bonexage.errors import BonexageError
    from bonexage.model.assessor import Assessor, assess_many
    from bonexage.radiograph import Radiograph
    from bonexage.reading.files import read_radiograph
    from bonexage.serving.client import Client
    from bonexage.subject import Sex, Subject

__version__ = "0.1.2"

__all__ = [
    "DISCLAIMER",
    "Assessment",
    "Assessor",
    "BonexageError",
    "Caution",
    "Client",
    "Failure",
    "Interval",
    "Radiograph",
    "Sex",
    "Subject",
    "__version__",
    "assess_many",
    "load",
    "read_radiograph",
]

_HOMES = {
    "DISCLAIMER": "bonexage.assessment",
    "Assessment": "bonexage.assessment",
    "Assessor": "bonexage.model.assessor",
    "BonexageError": "bonexage.errors",
    "Caution": "bonexage.assessment",
    "Client": "bonexage.serving.client",
    "Failure": "bonexage.assessment",
    "Interval": "bonexage.assessment",
    "Radiograph": "bonexage.radiograph",
    "Sex": "bonexage.subject",
    "Subject": "bonexage.subject",
    "assess_many": "bonexage.model.assessor",
    "read_radiograph": "bonexage.reading.files",
}


def load(
    model: str | Path | None = None, *, threads: int | None = None, views: int | None = None
) -> Assessor:
    """Load a model and get it ready to assess radiographs.

    Args:
        model: a bundle, folder or zip; None for the one this package carries.
        threads: CPU threads of the network; None for all this process may use.
        views: of each hand, whose mean is the answer; None for as many as the model is made for.

    Raises:
        BundleError: there is no bundle, it is damaged, or its schema is newer than this version.
        WrongUse: several views are asked of a model that finds no hand.
    """
    from bonexage.model.assessor import Assessor
    from bonexage.model.bundle import load_bundle

    return Assessor(load_bundle(model), threads=threads, views=views)


def __getattr__(name: str) -> Any:
    """Import the names of `__all__` on first use, so that `import bonexage` stays light."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
