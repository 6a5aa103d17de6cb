"""The plate of the atlas that a film looks most like to the network: nearest in what it makes of both."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bonexage.assessment import MAX_BONE_AGE_MONTHS, NearestPlate
from bonexage.errors import BundleError
from bonexage.subject import Sex

_MOST_PLATES: Final = 512
_FIELDS: Final = ("sha256", "sex", "months", "embedding")

Floats = NDArray[np.float32]


class PlateEmbeddings:
    """What a network makes of the plates of an atlas; may be used by several threads at once."""

    def __init__(self, packed: bytes) -> None:
        """Read what `pack_plates` wrote; raises BundleError where it is something else."""
        try:
            rows = np.load(io.BytesIO(packed), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            raise _damaged() from None
        if rows.dtype.names != _FIELDS or rows.ndim != 1 or not 1 <= len(rows) <= _MOST_PLATES:
            raise _damaged()
        self._embeddings: Floats = np.asarray(rows["embedding"], dtype=np.float32)
        try:
            self._plates = tuple(
                NearestPlate(row["sha256"].decode(), Sex(row["sex"].decode()), float(row["months"]))
                for row in rows
            )
        except (ValueError, AttributeError):
            raise _damaged() from None
        in_range = all(0 <= plate.months <= MAX_BONE_AGE_MONTHS for plate in self._plates)
        if self._embeddings.ndim != 2 or not in_range or not np.isfinite(self._embeddings).all():
            raise _damaged()

    def nearest(self, embedding: Floats, sex: Sex) -> NearestPlate | None:
        """The plate of a sex whose embedding is nearest to a film's, `[channels]`; None of an unknown sex.

        Raises:
            BundleError: the plates' embeddings are those of another kind of network.
        """
        if embedding.shape != self._embeddings.shape[1:]:
            raise _damaged()
        away = np.linalg.norm(self._embeddings - embedding, axis=1)
        of_sex = [at for at, plate in enumerate(self._plates) if plate.sex is sex]
        return self._plates[min(of_sex, key=away.__getitem__)] if of_sex else None

    def disagreeing(self, embedding: Floats, sex: Sex, months: float) -> NearestPlate | None:
        """The same, where it is neither the plate of a bone age in months nor next to that."""
        plate = self.nearest(embedding, sex)
        ages = sorted(each.months for each in self._plates if each.sex is sex)
        if plate is None:
            return None
        at = min(range(len(ages)), key=lambda place: abs(ages[place] - months))
        return plate if abs(ages.index(plate.months) - at) > 1 else None


def pack_plates(plates: Sequence[NearestPlate], embeddings: Floats) -> bytes:
    """Plates and what the network makes of each, `[n, channels]`, as a bundle holds them: NumPy's format."""
    kind = [("sha256", "S64"), ("sex", "S1"), ("months", "<f4"), ("embedding", "<f4", embeddings.shape[1:])]
    rows = np.array(
        [
            (plate.sha256.encode(), plate.sex.value.encode(), plate.months, embedding)
            for plate, embedding in zip(plates, embeddings, strict=True)
        ],
        dtype=kind,
    )
    out = io.BytesIO()
    np.save(out, rows, allow_pickle=False)
    return out.getvalue()


def _damaged() -> BundleError:
    return BundleError("its plates cannot be read", remedy="Fetch or export the bundle again")
