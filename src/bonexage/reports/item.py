"""One film as a report shows it: what was said of it, its picture, and the age it is known to have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage.assessment import Assessment
from bonexage.errors import BonexageError, RefusedRadiograph
from bonexage.subject import Subject

Grey = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ReportItem:
    """One film of a report.

    Attributes:
        file: the path or name to show.
        outcome: the assessment, or the error that stands in its place.
        picture: float `[height, width]` in [0, 1] or uint8 `[height, width]`, bone bright; or None.
        known_age_months: a bone age known from elsewhere, such as a plate's own or a label; or None.
        subject: sex and age as given, for a film that was not assessed.
    """

    file: str
    outcome: Assessment | BonexageError
    picture: NDArray[np.floating] | Grey | None = None
    known_age_months: float | None = None
    subject: Subject | None = None

    @property
    def assessment(self) -> Assessment | None:
        """The assessment, or None."""
        return self.outcome if isinstance(self.outcome, Assessment) else None

    @property
    def status(self) -> str:
        """'assessed', 'refused' or 'unreadable', as in the tables."""
        if isinstance(self.outcome, Assessment):
            return "assessed"
        return "refused" if isinstance(self.outcome, RefusedRadiograph) else "unreadable"

    @property
    def used_subject(self) -> Subject:
        """Sex and chronological age that the film was assessed with."""
        if isinstance(self.outcome, Assessment):
            return self.outcome.subject
        return self.subject or Subject()

    @property
    def difference_months(self) -> float | None:
        """Bone age minus known age; None where either is missing."""
        if self.assessment is None or self.known_age_months is None:
            return None
        return self.assessment.bone_age_months - self.known_age_months


def thumbnail(picture: NDArray[np.floating] | Grey, side: int) -> Grey:
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
