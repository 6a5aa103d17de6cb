"""ONNX Runtime runs a bundle's network, on the CPU or a GPU."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bonexage.errors import BundleError, WrongUse
from bonexage.model.graph_file import refuse_external_data

ALL_OUTPUTS: Final = ("months", "embedding", "activation_map", "views")
"""What a graph may give; every one gives months."""

Device: TypeAlias = Literal["cpu", "cuda"]

_PROVIDERS: Final = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_INPUT_RANK: Final = 4
_RANKS: Final = {"embedding": 2, "activation_map": 3, "views": 2}


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the network says of `n` films.

    Attributes:
        months: float32 `[n]`, not clipped.
        embedding: float32 `[n, channels]`, or None where the graph gives none.
        activation_map: float32 `[n, rows, columns]`, the share of each place in the answer, in months, or
            None where the graph gives none.
        views: float32 `[n, views]`, the months of each view that `months` is the mean of, or None where the
            graph does not tell.
    """

    months: NDArray[np.float32]
    embedding: NDArray[np.float32] | None = None
    activation_map: NDArray[np.float32] | None = None
    views: NDArray[np.float32] | None = None

    @property
    def disagreement_months(self) -> list[float | None]:
        """How far the views of each film lie apart; None where there is but one view, or it is not told."""
        if self.views is None or self.views.shape[1] == 1:
            return [None] * len(self.months)
        return [float(apart) for apart in np.ptp(self.views, axis=1)]

    def over_views(self, count: int) -> Outputs:
        """The outputs of films of which `count` views follow one another: `n / count` films.

        months is the mean over a film's views, and `views` holds the months of each; embedding and map are
        those of its first view, the hand as it was found.
        """
        if count == 1:
            return self
        films = len(self.months) // count
        each = self.months[:, np.newaxis] if self.views is None else self.views
        embedding, shares = (
            None if given is None else given[::count] for given in (self.embedding, self.activation_map)
        )
        return Outputs(
            self.months.reshape(films, count).mean(axis=1), embedding, shares, each.reshape(films, -1)
        )


class Runtime:
    """A network ready to run; `run` may be called from several threads at once."""

    def __init__(self, onnx: bytes, *, threads: int | None = None, device: Device = "cpu") -> None:
        """Load a graph with inputs `radiograph` and `male` and the output `months`.

        Args:
            onnx: the serialised graph.
            threads: CPU threads; None for all this process may use.
            device: what it runs on.

        Raises:
            BundleError: ONNX Runtime cannot load it, or its inputs and outputs are others.
            WrongUse: ONNX Runtime has no such device.
        """
        self._session = open_session(onnx, threads, device)
        inputs = {each.name: each.shape for each in self._session.get_inputs()}
        self._outputs = [each.name for each in self._session.get_outputs() if each.name in ALL_OUTPUTS]
        if set(inputs) != {"radiograph", "male"} or "months" not in self._outputs:
            raise BundleError(
                f"the network takes {sorted(inputs)} and gives {sorted(self._outputs)}, "
                "not 'radiograph' and 'male' for 'months'",
                remedy="Export the model again with this version",
            )
        self._shape = inputs["radiograph"]

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the graph gives, of `ALL_OUTPUTS`."""
        return tuple(self._outputs)

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width in pixels that the graph insists on, or None where it takes any."""
        if len(self._shape) != _INPUT_RANK:
            return None
        height, width = self._shape[2:]
        return (height, width) if isinstance(height, int) and isinstance(width, int) else None

    def run(self, pixels: NDArray[np.float32], male: NDArray[np.float32]) -> Outputs:
        """Run the network.

        Args:
            pixels: normalised films, float32 `[n, channels, height, width]`.
            male: float32 `[n, 1]`, 1 for a boy and 0 for a girl.

        Raises:
            BundleError: the network cannot run on input of this shape, or answers with what is no number.
        """
        answers = run_session(self._session, {"radiograph": pixels, "male": male}, self._outputs)
        given = {
            name: _checked(name, answer, len(pixels))
            for name, answer in zip(self._outputs, answers, strict=True)
        }
        return Outputs(given.pop("months").reshape(len(pixels)), **given)


def _checked(name: str, answer: Any, films: int) -> NDArray[np.float32]:
    """An answer of the network, each film's part in its place; raises BundleError where it is another's."""
    numbers = np.asarray(answer)
    shaped = numbers.shape in ((films,), (films, 1)) if name == "months" else numbers.ndim == _RANKS[name]
    if numbers.dtype.kind != "f" or not shaped or numbers.shape[0] != films:
        raise BundleError(
            f"the network gives {name} of the shape {list(numbers.shape)} for {films} films",
            remedy="Export the model again with this version",
        )
    if not np.isfinite(numbers).all():
        raise BundleError("the network answers with what is no number", remedy="Export the model again")
    return np.asarray(numbers, dtype=np.float32)


def open_session(onnx: bytes, threads: int | None, device: Device = "cpu") -> Any:
    """An ONNX Runtime session for a serialised graph.

    Its memory arena and all optimisations of the graph are on, as ONNX Runtime has it by itself; its threads
    do not spin while they wait, for others read films meanwhile. `benchmarks/prediction.py` measures these
    choices.

    Raises:
        BundleError: it cannot be loaded, or refers to files beside it.
        WrongUse: ONNX Runtime has no such device.
    """
    try:
        refuse_external_data(onnx)
    except ValueError as error:
        raise BundleError(
            f"ONNX Runtime cannot load the network ({error})", remedy="Export the model again"
        ) from None
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # obeyed only when the library is loaded
    import onnxruntime

    if _PROVIDERS[device] not in onnxruntime.get_available_providers():
        raise WrongUse(
            f"the ONNX Runtime that is installed cannot run on {device}",
            remedy="Install onnxruntime-gpu in its place, or leave --device out",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            onnx, options, providers=list(dict.fromkeys([_PROVIDERS[device], _PROVIDERS["cpu"]]))
        )
    except Exception as error:  # ONNX Runtime's exceptions share no narrower base
        raise BundleError(
            f"ONNX Runtime cannot load the network ({_first_line(error)})",
            remedy="Export the model again, or update onnxruntime",
        ) from error


def run_session(
    session: Any, given: Mapping[str, NDArray[np.float32]], wanted: Sequence[str] | None = None
) -> list[NDArray[Any]]:
    """What a session answers: of the outputs wanted, or of all.

    Raises:
        BundleError: it cannot run on films of this size.
    """
    try:
        answers = session.run(wanted, dict(given))
    except Exception as error:  # ONNX Runtime's exceptions share no narrower base
        height, width = next(iter(given.values())).shape[2:]
        raise BundleError(
            f"the network cannot run on films of {height} x {width} pixels ({_first_line(error)})",
            remedy="Use the input size the model was made for",
        ) from error
    return [np.asarray(answer) for answer in answers]


def usable_cores() -> int:
    """How many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
