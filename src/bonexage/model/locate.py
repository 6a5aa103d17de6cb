"""Finds the hand in a radiograph: where it lies, how large it is, how it is turned, and whether mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bonexage.errors import BundleError
from bonexage.model.frame import HandFrame, cut, whole_film
from bonexage.model.runtime import open_session, run_session

LOCATOR_SIDE: Final = 96
"""Rows and columns of the picture that the locator reads."""

CLOSER: Final = 0.80
"""Part of that picture's height that the hand's frame takes when it is looked at again."""

ANSWER: Final = ("x", "y", "log_across", "log_down", "cosine", "sine", "mirror", "hand")
"""What the network gives: the middle of the frame from that of the picture and the frame's height along the
picture's two axes, in picture heights; its turn; and the logits of being mirrored and of being a hand."""

LEAST_SCORE: Final = 0.5
MOST_UNREST: Final = 0.15
_LOOKS: Final = 3


@dataclass(frozen=True, eq=False)
class Finding:
    """What the locator says of a radiograph.

    Attributes:
        frame: where the hand lies; where none was found for certain, as if it filled the film upright.
        found: whether it was.
        score: how sure it is that this is one hand, from 0 to 1.
        unrest: how far the frame still moved when the hand was looked at for the last time, in frame heights.
    """

    frame: HandFrame
    found: bool
    score: float
    unrest: float


class Locator:
    """Finds hands with a small network, run by ONNX Runtime; may be used by several threads at once."""

    def __init__(self, onnx: bytes, *, threads: int | None = None) -> None:
        """Load the network; raises BundleError where ONNX Runtime cannot, or where it is another's."""
        self._session = open_session(onnx, threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if [each.name for each in inputs] != ["film"] or len(outputs) != 1:
            raise BundleError(
                "the network that finds hands does not take a film for one answer",
                remedy="Export the model again with this version",
            )

    def find(self, pixels: NDArray[np.float32]) -> Finding:
        """Find the hand in a film `[height, width]` in [0, 1], bone bright.

        The film is looked at as a whole first, then again and closer where the hand was found.
        """
        looking = whole_film(pixels.shape)
        frames, score = [], 0.0
        for _ in range(_LOOKS):
            seen, score = read_answer(self.answer(cut(pixels, looking, LOCATOR_SIDE, LOCATOR_SIDE)))
            frames.append(seen.within(looking))
            looking = frames[-1].taking(CLOSER)
        unrest = distance(frames[-2], frames[-1])
        found = score >= LEAST_SCORE and unrest <= MOST_UNREST
        return Finding(frames[-1] if found else whole_film(pixels.shape), found, score, unrest)

    def answer(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network gives for a picture `[96, 96]`: `ANSWER`, `[8]`.

        Raises:
            BundleError: it answers with anything else, or cannot run.
        """
        (answers,) = run_session(self._session, {"film": picture[np.newaxis, np.newaxis]})
        answer = np.asarray(answers, dtype=np.float32).ravel()
        if answer.shape != (len(ANSWER),) or not np.isfinite(answer).all():
            raise BundleError(
                f"the network that finds hands does not answer with {len(ANSWER)} numbers",
                remedy="Export the model again with this version",
            )
        return answer


def read_answer(answer: NDArray[np.float32]) -> tuple[HandFrame, float]:
    """The frame that the network's answer (`ANSWER`, `[8]`) means, in picture heights, and the score."""
    x, y, across, down, cosine, sine, mirror, hand = (float(each) for each in answer)
    angle = np.arctan2(sine, cosine)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flip = np.diag([-1.0 if mirror > 0 else 1.0, 1.0])
    matrix = np.diag(np.exp(np.clip([across, down], -4, 2))) @ turn @ flip
    return HandFrame(matrix, np.array([x, y])), float(1 / (1 + np.exp(-np.clip(hand, -50, 50))))


def distance(one: HandFrame, other: HandFrame) -> float:
    """How far the corners of two frames of one picture lie apart on the mean, in heights of the second."""
    return float(np.linalg.norm(one.corners - other.corners, axis=1).mean() / other.height)
