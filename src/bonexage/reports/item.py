"""One film as a report shows it: what was said of it, its picture, and the age it is known to have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage.assessment import Assessment, Failure

Grey = NDArray[np.uint8]
Picture = NDArray[np.floating] | Grey


@dataclass(frozen=True, eq=False)
class ReportItem:
    """One film of a report.

    Attributes:
        outcome: the assessment, or the failure that stands in its place.
        picture: float `[height, width]` in [0, 1] or uint8 `[height, width]`, bone bright; or None.
        known_age_months: a bone age known from elsewhere, such as a plate's own or a label; or None.
        name: what to call the film; empty for its file as given.
        page: where its own report lies, as an address seen from the page of all; empty where it has none.
        months: what each place of the picture moved the answer by, `[height, width]`; None where that is not
            known.
        pdf: where the same lies as PDF; empty where it has none.
    """

    outcome: Assessment | Failure
    picture: Picture | None = None
    known_age_months: float | None = None
    name: str = ""
    months: NDArray[np.float32] | None = None
    page: str = ""
    pdf: str = ""

    @property
    def title(self) -> str:
        """The name, or the file as given."""
        return self.name or self.outcome.file

    @property
    def assessment(self) -> Assessment | None:
        """The assessment, or None."""
        return self.outcome if isinstance(self.outcome, Assessment) else None

    @property
    def difference_months(self) -> float | None:
        """Bone age minus known age; None where either is missing."""
        if not isinstance(self.outcome, Assessment) or self.known_age_months is None:
            return None
        return self.outcome.bone_age_months - self.known_age_months


def thumbnail(picture: Picture, side: int) -> Grey:
    """Shrink a picture so that neither side passes `side` pixels: uint8 `[height, width]`; never enlarges.

    Floats are taken as [0, 1] and clipped.
    """
    if picture.dtype == np.uint8:
        grey = np.asarray(picture, dtype=np.uint8)
    else:
        grey = np.rint(np.clip(picture, 0.0, 1.0) * 255).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(grey))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)
