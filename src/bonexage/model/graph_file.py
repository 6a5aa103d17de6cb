"""Whether a serialised ONNX graph is whole: one that refers to other files would read what no hash covers.

The graph is walked as the protocol buffer that it is, without the `onnx` package, which an install that only
predicts does not have. The numbers of its fields are those of onnx.proto, version 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from bonexage.errors import BundleError

# By kind of message, its fields that hold tensors or lead to some, and the kind that each holds.
FIELDS: Final[Mapping[str, Mapping[int, str]]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
}
EXTERNAL_DATA: Final = 13  # of a TensorProto: where its numbers lie
DATA_LOCATION: Final = 14  # 0 within the file, 1 outside
_DEEPEST: Final = 100
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT: Final = 10


def refuse_external_data(onnx: bytes, place: str | None = None) -> None:
    """Raise BundleError where a serialised graph refers to files beside it; `place` is what the error names.

    Raises:
        BundleError: it does.
        ValueError: this is no ONNX graph.
    """
    if _is_external("ModelProto", memoryview(onnx), 0):
        raise BundleError(
            "its network refers to files outside the bundle, which no hash covers",
            remedy="Export it again with all of its weights in the one file",
            subject=place,
        )


def _is_external(kind: str, message: memoryview, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError("an ONNX graph nested too deep")
    inner = FIELDS[kind]
    for number, value in _fields(message):
        if kind == "TensorProto" and number in (EXTERNAL_DATA, DATA_LOCATION) and value != 0:
            return True
        held = inner.get(number)
        if held and isinstance(value, memoryview) and _is_external(held, value, depth + 1):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message by number: a number, or bytes; raises ValueError where they are none."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        length = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(wire)
        if wire == _BYTES:
            length, at = _varint(message, at)
        if length is None or number == 0 or at + length > len(message):
            raise ValueError("not an ONNX graph")
        yield number, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number and the place after it."""
    value = 0
    for place in range(at, min(at + _LONGEST_VARINT, len(message))):
        byte = message[place]
        value |= (byte & 0x7F) << (7 * (place - at))
        if byte < 0x80:
            return value, place + 1
    raise ValueError("not an ONNX graph")
