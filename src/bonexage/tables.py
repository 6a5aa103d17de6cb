"""A TOML file with frozen dataclasses behind it: each key is known, and each value is of its kind."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import typing
from pathlib import Path
from typing import Any, Final, Literal

from bonexage.errors import WrongUse

_KINDS: Final[dict[Any, str]] = {
    bool: "true or false",
    dict: "a table",
    float: "a number",
    int: "a whole number",
    str: "a text",
}

_LONGEST_SHOWN: Final = 80


def read_table(path: Path, *, what: str, example: str) -> dict[str, Any]:
    """The table in a TOML file.

    Args:
        path: the file.
        what: what such a file is called, in errors.
        example: the path of one, for who named none.

    Raises:
        WrongUse: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise WrongUse(
            f"the {what} cannot be read ({problem.strerror})",
            remedy=f"Name a {what}, such as {example}",
            subject=str(path),
        ) from problem
    except (ValueError, RecursionError) as problem:  # an integer of too many digits is a plain ValueError
        raise WrongUse(
            f"the {what} is not TOML ({problem})", remedy="Correct it", subject=str(path)
        ) from problem


def build(cls: Any, table: dict[str, Any], *, what: str, source: str) -> Any:
    """The dataclass `cls` filled from a parsed table, tables in it as the dataclasses that it names.

    Args:
        cls: a frozen dataclass.
        table: what was parsed.
        what: what such a table is called, in errors.
        source: the file it came from.

    Raises:
        WrongUse: an unknown key (the nearest known one is named), one that is missing, or a value of the
            wrong kind.
    """
    return _build(cls, table, _Where(what, source), place="")


@dataclasses.dataclass(frozen=True)
class _Where:
    what: str
    source: str


def _build(cls: Any, table: dict[str, Any], where: _Where, place: str) -> Any:
    hints = typing.get_type_hints(cls)
    for key in table:
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1, cutoff=0.0)[0]
            raise WrongUse(
                f"the {where.what} has an unknown key {place + key!r}",
                remedy=f"Did you mean {place + near!r}?",
                subject=where.source,
            )
    for field in dataclasses.fields(cls):
        needed = field.default is field.default_factory is dataclasses.MISSING
        if needed and field.name not in table:
            raise WrongUse(
                f"the {where.what} has no {place}{field.name}",
                remedy=f"Add a line {field.name} = ...",
                subject=where.source,
            )
    return cls(**{key: _convert(hints[key], value, where, place + key) for key, value in table.items()})


def _convert(hint: Any, value: Any, where: _Where, place: str) -> Any:
    """`value` as the type `hint` says, or `WrongUse` naming the place."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    converted: Any = None
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        converted = _build(hint, value, where, f"{place}.")
    elif origin is tuple and isinstance(value, list):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(value) and (value or not dataclasses.is_dataclass(arguments[0])):
            converted = tuple(
                _convert(kind, item, where, place) for kind, item in zip(kinds, value, strict=True)
            )
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        converted = _as_float(value)
    elif value in arguments if origin is Literal else type(value) is (origin or hint):
        converted = value
    if converted is None:
        raise WrongUse(
            f"the {where.what}'s {place!r} cannot be {shown(value)}",
            remedy=f"Give {_described(hint)}",
            subject=where.source,
        )
    return converted


def _as_float(value: float) -> float | None:
    try:
        return float(value)
    except OverflowError:  # an integer above the largest float
        return None


def shown(value: Any) -> str:
    """A value from such a file as an error shows it, cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of too many digits, or tables too deep
        return "so large a value"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _described(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"a list of {'tables' if dataclasses.is_dataclass(arguments[0]) else 'texts'}"
    if origin is tuple:
        return f"a list of {len(arguments)} numbers"
    return _KINDS.get(origin or hint, "a table")
