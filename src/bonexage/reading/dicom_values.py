"""Values of a DICOM data set as texts and numbers, also where they are not written as the standard asks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset


def text(dataset: Dataset, keyword: str) -> str:
    """The text of an element; the first where there are several, '' where there is none to be had."""
    values = _values(dataset, keyword)
    return str(values[0]).strip() if values else ""


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """The finite numbers of an element, a decimal comma read as a point; none where any is no number."""
    try:
        found = [_number(one) for one in _values(dataset, keyword)]
    except (TypeError, ValueError, OverflowError):
        return []
    return found if all(math.isfinite(number) for number in found) else []


def whole_number(dataset: Dataset, keyword: str, default: int) -> int:
    """The first number of an element, rounded towards 0; `default` where there is none."""
    return int((numbers(dataset, keyword) or [default])[0])


def value_of(dataset: Dataset, keyword: str) -> Any:
    """An element's value as pydicom has it; None where the element is not there or not of its kind."""
    try:
        return dataset.get(keyword)
    except Exception:  # pydicom raises nearly everything on values that are not of their kind
        return None


def _values(dataset: Dataset, keyword: str) -> list[Any]:
    value = value_of(dataset, keyword)
    if value is None:
        value = _written(dataset, keyword)
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]


def _written(dataset: Dataset, keyword: str) -> list[str]:
    """The texts that stand in an element that pydicom could not convert."""
    try:
        raw = dataset.get_item(keyword)
    except Exception:  # as above
        return []
    data = getattr(raw, "value", None)
    return data.decode("ascii", "replace").rstrip("\0 ").split("\\") if isinstance(data, bytes) else []


def _number(one: Any) -> float:
    return float(one.strip(" \0").replace(",", ".") if isinstance(one, str) else one)
