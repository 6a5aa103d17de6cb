"""The plates of an atlas and their table: read, checked, looked up by age, and the table written."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, fields
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.disk import write_atomically
from bonexage.errors import UnusableData
from bonexage.subject import Sex

TABLE: Final = "plates.csv"
LEAST_FILMS: Final = 20


@dataclass(frozen=True)
class Plate:
    """One plate: the median of films of one sex and about one bone age, brought onto their mean shape.

    Attributes:
        sex: FEMALE or MALE.
        mean_months: mean of the films' bone ages.
        sd_months: their standard deviation.
        films: how many films the plate is the median of, 20 or more.
        left_out: films of that age that could not be brought onto the others.
        window_months: how far the films' bone ages lie from the age the plate was composed for, at most.
        source_px: long side of those films in pixels.
        path: the plate, an 8-bit grey PNG, bone bright.
        sha256: hash of that file, 64 hex digits.
    """

    sex: Sex
    mean_months: float
    sd_months: float
    films: int
    left_out: int
    window_months: float
    source_px: int
    path: Path
    sha256: str


_COLUMNS: Final = tuple(field.name for field in fields(Plate) if field.name != "path")
_FILE: Final = "file"


def plate_pixels(path: Path) -> NDArray[np.float32]:
    """The pixels `[height, width]` in [0, 1] of a plate with its dark margins."""
    with Image.open(path) as picture:
        return np.asarray(picture, dtype=np.float32) / np.float32(255)


def read_plates(folder: Path | None = None) -> tuple[Plate, ...]:
    """The plates of an atlas, girls first, then by age.

    Args:
        folder: where the plates and `plates.csv` lie; None for the atlas this package carries.

    Raises:
        UnusableData: the table or a plate is missing or was changed.
    """
    home = carried_folder() if folder is None else folder
    table = home / TABLE
    try:
        text = table.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _damaged(table, f"the table of plates cannot be read ({error})") from None
    plates = sorted(_rows(home, table, text), key=lambda plate: (plate.sex, plate.mean_months))
    if not plates:
        raise _damaged(table, "the table names no plates")
    for younger, older in pairwise(plates):
        if younger.sex is older.sex and younger.mean_months == older.mean_months:
            raise _damaged(table, f"{younger.path.name} and {older.path.name} are of the same sex and age")
    return tuple(plates)


def surrounding_plates(sex: Sex, months: float, plates: Iterable[Plate]) -> tuple[Plate, ...]:
    """The plate of a sex nearest to a bone age in months, between those next to it in age, by age.

    Two at either end of the atlas; none of unknown sex, as every plate has one.
    """
    of_sex = sorted((plate for plate in plates if plate.sex is sex), key=lambda plate: plate.mean_months)
    if not of_sex:
        return ()
    nearest = min(range(len(of_sex)), key=lambda at: abs(of_sex[at].mean_months - months))
    return tuple(of_sex[max(0, nearest - 1) : nearest + 2])


def write_table(plates: Iterable[Plate], folder: Path) -> None:
    """Write `plates.csv` beside the plates, girls first, then by age."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, _FILE])
    for plate in sorted(plates, key=lambda plate: (plate.sex, plate.mean_months)):
        writer.writerow([*(_cell(getattr(plate, column)) for column in _COLUMNS), plate.path.name])
    write_atomically(folder / TABLE, text.getvalue().encode("utf-8"))


def carried_folder() -> Path:
    """Where the plates that this package carries lie."""
    return Path(str(files("bonexage.atlas"))) / "plates"


def _rows(home: Path, table: Path, text: str) -> Iterable[Plate]:
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), start=2):
        try:
            plate = Plate(
                sex=Sex(row["sex"]),
                mean_months=float(row["mean_months"]),
                sd_months=float(row["sd_months"]),
                films=int(row["films"]),
                left_out=int(row["left_out"]),
                window_months=float(row["window_months"]),
                source_px=int(row["source_px"]),
                path=home / row[_FILE],
                sha256=row["sha256"],
            )
        except (KeyError, TypeError, ValueError):
            raise _damaged(table, f"row {number} of the table of plates is not as it was written") from None
        sound = plate.sex is not Sex.UNKNOWN and 0 < plate.mean_months <= MAX_BONE_AGE_MONTHS
        if not sound or plate.films < LEAST_FILMS:
            raise _damaged(table, f"row {number} of the table of plates is out of range")
        try:
            content = plate.path.read_bytes()
        except OSError as error:
            raise _damaged(plate.path, f"the plate cannot be read ({error.strerror})") from None
        if hashlib.sha256(content).hexdigest() != plate.sha256:
            raise _damaged(plate.path, "the plate is not the one that its table names")
        yield plate


def _cell(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _damaged(path: Path, problem: str) -> UnusableData:
    return UnusableData(
        problem, remedy="Install bonexage again, or compose the atlas again", subject=str(path)
    )
