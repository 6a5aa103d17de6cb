"""The one hand that a film shows: where it lies, how like a hand it is, how good a picture; or a refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bonexage.errors import RefusedRadiograph
from bonexage.model.frame import smaller, without_hand
from bonexage.model.likeness import LEAST_LIKENESS, Likeness
from bonexage.model.locate import Finding, Locator
from bonexage.model.quality import Quality, quality_of
from bonexage.radiograph import Radiograph

_SIDE_FOR_OTHERS: Final = 256  # pixels of the longer side, where a second hand is looked for


@dataclass(frozen=True, eq=False)
class SeenHand:
    """The hand of a film.

    Attributes:
        finding: where it lies.
        likeness: how like a composite hand it is; None where the model has none to hold it against.
        quality: how good its picture is.
    """

    finding: Finding
    likeness: float | None
    quality: Quality


class HandSeeker:
    """Seeks the one hand of a film; may be used by several threads at once."""

    def __init__(self, locator: bytes, hands: bytes | None) -> None:
        """Take a bundle's locator and its composite hands; raises BundleError where they cannot be used."""
        self._locator = Locator(locator, threads=1)
        self._likeness = Likeness(hands) if hands else None

    def seek(self, radiograph: Radiograph) -> SeenHand:
        """The hand that a film shows.

        Raises:
            RefusedRadiograph: no single hand was found for certain.
        """
        pixels, name = radiograph.pixels, radiograph.provenance.name
        finding = self._locator.find(pixels)
        likeness = self._like(pixels, finding)
        if not _is_hand(finding, likeness):
            raise RefusedRadiograph(
                "no single hand and wrist was found in it",
                remedy="Give a radiograph of one whole hand with its wrist",
                subject=name,
            )
        if self._likeness is None:  # the locator alone is not sure enough of a second hand
            return SeenHand(finding, None, quality_of(pixels, finding.frame, None))
        rest = without_hand(*smaller(pixels, finding.frame, _SIDE_FOR_OTHERS))
        second = self._locator.find(rest)
        if _is_hand(second, self._like(rest, second)):
            raise RefusedRadiograph(
                "it shows more than one hand",
                remedy="Give a radiograph of the left hand alone, or the part of this one that shows it",
                subject=name,
            )
        return SeenHand(finding, likeness, quality_of(pixels, finding.frame, self._likeness.mean_hand))

    def _like(self, pixels: NDArray[np.float32], finding: Finding) -> float | None:
        if self._likeness is None or not finding.found:
            return None
        return self._likeness.of(pixels, finding.frame)


def _is_hand(finding: Finding, likeness: float | None) -> bool:
    """Whether a hand was found, and looks like one as far as the model can tell."""
    return finding.found and (likeness is None or likeness >= LEAST_LIKENESS)
