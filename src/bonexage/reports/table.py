"""Assessments as rows with the same field names in CSV, JSON, JSON Lines and Parquet."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TextIO, TypeAlias, get_args

from bonexage.assessment import DISCLAIMER, Assessment, Failure, Interval
from bonexage.disk import opened_atomically
from bonexage.errors import MissingExtra, WrongUse
from bonexage.spreadsheet import TableWriter

FIELDS: Final = (
    "file",
    "status",
    "sex",
    "age_months",
    "bone_age_months",
    "interval_low_months",
    "interval_high_months",
    "coverage",
    "sds",
    "cautions",
    "message",
    "model",
)
_NUMBERS: Final = frozenset(FIELDS[3:9])
_ROWS_AT_ONCE: Final = 1024

TextFormat = Literal["csv", "json", "jsonl"]
Record: TypeAlias = dict[str, Any]


def record(outcome: Assessment | Failure) -> Record:
    """One outcome as a row: the names in `FIELDS`, None where there is nothing to say.

    Months have one decimal, the SDS two. After the fields come `caution_sentences` where there are cautions,
    `sds_low` and `sds_high` where the SDS has an interval, and `readings` with both readings where both sexes
    were assessed; CSV and Parquet leave them out.
    """
    row: Record = dict.fromkeys(FIELDS)
    row["file"] = outcome.file
    row["sex"] = outcome.subject.sex.value
    row["age_months"] = _months(outcome.subject.age_months)
    row["model"] = outcome.model
    if isinstance(outcome, Failure):
        row["status"] = outcome.status
        row["message"] = outcome.error.sentence
        return row
    row["status"] = "assessed"
    row |= _said(outcome.bone_age_months, outcome.interval)
    row["coverage"] = outcome.interval.coverage if outcome.interval else None
    row["sds"] = _score(outcome.sds.value if outcome.sds else None)
    row["cautions"] = ";".join(caution.code for caution in outcome.cautions)
    if outcome.cautions:
        row["caution_sentences"] = [caution.sentence for caution in outcome.cautions]
    if outcome.sds and outcome.sds.low is not None:
        row |= {"sds_low": _score(outcome.sds.low), "sds_high": _score(outcome.sds.high)}
    if len(outcome.readings) > 1:
        row["readings"] = [
            {"sex": str(reading.sex), **_said(reading.bone_age_months, reading.interval)}
            for reading in outcome.readings
        ]
    return row


def is_record(row: Mapping[str, object]) -> bool:
    """Whether a row has every field, each of the kind that a table can hold."""
    return all(
        name in row
        and (row[name] is None or isinstance(row[name], (int, float) if name in _NUMBERS else str))
        and not isinstance(row[name], bool)
        for name in FIELDS
    ) and None not in (row["file"], row["status"])


def check_table_path(out: Path) -> None:
    """Say before any work whether a table can be written to `out`.

    Raises:
        WrongUse: its suffix is none of .csv, .json, .jsonl and .parquet, or it is a folder.
        MissingExtra: it is Parquet and pyarrow is not installed.
    """
    if out.suffix.lower() not in {".csv", ".json", ".jsonl", ".parquet"} or out.is_dir():
        raise WrongUse(
            "no table can be written to a file of this name",
            remedy="End it in .csv, .json, .jsonl or .parquet",
            subject=str(out),
        )
    if out.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise MissingExtra("Parquet output", "parquet")


def write_table(records: Iterable[Record], out: Path) -> None:
    """Write rows to `out` in the format of its suffix; the file appears whole or not at all.

    Rows are taken one after the other, so memory does not grow with their number.

    Raises:
        WrongUse, MissingExtra: as `check_table_path`.
    """
    check_table_path(out)
    with opened_atomically(out) as file:
        if out.suffix.lower() == ".parquet":
            write_parquet(records, file)
            return
        stream = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
        with row_writer(stream, text_format(out)) as write:
            for row in records:
                write(row)
        stream.detach()  # flushes, and leaves the file open


def text_format(out: Path) -> TextFormat:
    """The text format that a file's suffix stands for."""
    for known in get_args(TextFormat):
        if out.suffix.lower() == f".{known}":
            return known  # type: ignore[no-any-return]
    raise ValueError(f"no text format ends in {out.suffix!r}")


@contextmanager
def row_writer(stream: TextIO, as_format: TextFormat) -> Iterator[Callable[[Record], None]]:
    """Write rows to an open text stream: yields what writes one, which is out as soon as it is written."""
    if as_format == "csv":
        table = TableWriter(stream, FIELDS)

        def write(row: Record) -> None:
            table.write(row)
            stream.flush()

        yield write
    elif as_format == "jsonl":

        def write(row: Record) -> None:
            stream.write(json.dumps(row) + "\n")
            stream.flush()

        yield write
    else:
        before = "[\n"

        def write(row: Record) -> None:
            nonlocal before
            stream.write(before + json.dumps(row))
            before = ",\n"

        try:
            yield write
        finally:
            stream.write("[]\n" if before == "[\n" else "\n]\n")


def write_parquet(records: Iterable[Record], out: BinaryIO) -> None:
    """Write rows to an open file as Parquet; raises ImportError where pyarrow is not installed."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(
        [(name, pa.float64() if name in _NUMBERS else pa.string()) for name in FIELDS],
        metadata={"disclaimer": DISCLAIMER},
    )
    rows = iter(records)
    with parquet.ParquetWriter(out, schema) as writer:
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            columns = {name: [_for_arrow(each[name]) for each in some] for name in FIELDS}
            writer.write_table(pa.table(columns, schema=schema))


def _for_arrow(value: object) -> object:
    """Arrow's text is strict UTF-8; a file name need not be."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _said(months: float, interval: Interval | None) -> Record:
    return {
        "bone_age_months": _months(months),
        "interval_low_months": _months(interval.low_months if interval else None),
        "interval_high_months": _months(interval.high_months if interval else None),
    }


def _months(months: float | None) -> float | None:
    return None if months is None else round(months, 1)


def _score(sds: float | None) -> float | None:
    return None if sds is None else round(sds, 2) + 0.0  # + 0.0: no minus zero
