"""A month's films as drift sees them: what `predict` said of them, counted and sorted, with no film named."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.decimals import number_in
from bonexage.errors import BonexageError, MissingExtra, UnusableData, WrongUse
from bonexage.model.bundle import Bundle
from bonexage.model.likeness import Likeness
from bonexage.model.locate import Locator
from bonexage.model.spread import HeldOut
from bonexage.reading.cells import read_table
from bonexage.reading.files import list_films, read_radiograph
from bonexage.subject import Sex

if TYPE_CHECKING:
    from bonexage.reading.labels import Label

STATUSES: Final = ("assessed", "refused", "unreadable")
DRIFT: Final = "drift.json"
_NEEDED: Final = ("status", "sex", "bone_age_months", "cautions", "model")
_SCORE_DIGITS: Final = 6

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Month:
    """What a model said of some films.

    Attributes:
        model: its name and hash, as the rows have it.
        statuses: films by status.
        sexes: assessed films by sex.
        cautions: assessed films by the code of each caution they have.
        ages_months: bone ages by sex ('F', 'M', 'U'), ascending.
        sds: standard deviation scores, ascending.
        hand_scores: how sure the locator is of each film's hand, 0 to 1, ascending; empty if not looked at.
        likenesses: how like the composite hands each film's hand is, ascending; empty if not looked at.
        errors: of films with a label, the scores that the model's calibration gives them, ascending.
        unread: films that were to be looked at and could not be read.
    """

    model: str
    statuses: Mapping[str, int]
    sexes: Mapping[str, int]
    cautions: Mapping[str, int]
    ages_months: Mapping[str, tuple[float, ...]]
    sds: tuple[float, ...] = ()
    hand_scores: tuple[float, ...] = ()
    likenesses: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()
    unread: int = 0

    @property
    def films(self) -> int:
        """How many films there are."""
        return sum(self.statuses.values())

    @property
    def assessed(self) -> int:
        """How many of them have a bone age."""
        return self.statuses.get("assessed", 0)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, from which `read_month` reads it back."""
        return dict(vars(self))


def month_of(rows: Iterable[Row], place: str) -> Month:
    """Count rows of `predict`; `place` is what an error names.

    Raises:
        WrongUse: a row is none of `predict`'s, or the rows are of several models.
        UnusableData: there is no row.
    """
    said = [_checked(row, number, place) for number, row in enumerate(rows, start=1)]
    if not said:
        raise UnusableData(
            "there is no film in it", remedy="Give a table of `bonexage predict`", subject=place
        )
    models = sorted({row["model"] for row in said})
    if len(models) > 1:
        raise WrongUse(
            f"its films were read by several models ({', '.join(models)})",
            remedy="Give the answers of one model",
            subject=place,
        )
    assessed = [row for row in said if row["status"] == "assessed"]
    return Month(
        model=models[0],
        statuses=Counter(row["status"] for row in said),
        sexes=Counter(row["sex"] for row in assessed),
        cautions=Counter(code for row in assessed for code in row["cautions"]),
        ages_months={
            sex.value: tuple(sorted(row["bone_age_months"] for row in assessed if row["sex"] == sex.value))
            for sex in Sex
        },
        sds=tuple(sorted(row["sds"] for row in assessed if row["sds"] is not None)),
    )


def read_rows(path: Path) -> list[Row]:
    """The rows of a table that `predict --out` wrote: .csv, .json, .jsonl or .parquet.

    Raises:
        WrongUse: there is no such table, or it cannot be read.
        MissingExtra: it is Parquet and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet_rows(path)
    if suffix not in (".json", ".jsonl"):
        return [{name: cell.text for name, cell in row.items()} for row in read_table(path)[1]]
    try:
        text = path.read_text(encoding="utf-8")
        read = json.loads(text) if suffix == ".json" else [json.loads(each) for each in text.splitlines()]
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from None
    if not isinstance(read, list) or not all(isinstance(row, dict) for row in read):
        raise _unreadable(path, "it is no list of rows")
    return read


def read_month(path: Path) -> Month:
    """A month of earlier films: a table of `predict`, or what `drift` left in its folder.

    Raises:
        WrongUse, MissingExtra, UnusableData: as `read_rows` and `month_of`.
    """
    if path.is_dir():
        path = path / DRIFT
    if path.name != DRIFT:
        return month_of(read_rows(path), str(path))
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["month"]
        return Month(
            model=str(stored["model"]),
            statuses=_counted(stored["statuses"]),
            sexes=_counted(stored["sexes"]),
            cautions=_counted(stored["cautions"]),
            ages_months={str(sex): _numbers(ages) for sex, ages in stored["ages_months"].items()},
            sds=_numbers(stored["sds"]),
            hand_scores=_numbers(stored["hand_scores"]),
            likenesses=_numbers(stored["likenesses"]),
            errors=_numbers(stored["errors"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(path, str(error)) from None


def with_films(month: Month, films: Path, bundle: Bundle, progress: Callable[[int, int], None]) -> Month:
    """The month with how sure the model is of the hand in each film of a folder.

    Films that cannot be read are counted and left out. A model that finds no hands is not asked.
    """
    if bundle.locator is None:
        return month
    locator = Locator(bundle.locator)
    likeness = Likeness(bundle.hands) if bundle.hands else None
    scores, likenesses, unread = [], [], 0
    names = list(list_films([str(films)]))
    for done, name in enumerate(names, start=1):
        try:
            pixels = read_radiograph(name).pixels
        except BonexageError:
            unread += 1
        else:
            found = locator.find(pixels)
            scores.append(round(found.score, _SCORE_DIGITS))
            if likeness:
                likenesses.append(round(likeness.of(pixels, found.frame), _SCORE_DIGITS))
        progress(done, len(names))
    return replace(
        month, hand_scores=tuple(sorted(scores)), likenesses=tuple(sorted(likenesses)), unread=unread
    )


def with_labels(month: Month, rows: Sequence[Row], labels: Sequence[Label], bundle: Bundle) -> Month:
    """The month with how far its answers lie from labels, as the model's calibration measures it.

    Raises:
        WrongUse: the model's calibration cannot measure them, or no label is of a film of the month.
    """
    calibration = bundle.description.calibration
    if calibration is None or calibration.spread is None or calibration.spread.disagreement is not None:
        raise WrongUse("this model's scores cannot be worked out from a table", remedy="Leave --labels out")
    known = {label.id: label for label in labels}
    errors = []
    for row in rows:
        label = known.get(PurePath(str(row.get("file") or "")).stem)
        if row["status"] == "assessed" and label is not None:
            said = number_in(str(row["bone_age_months"]), MAX_BONE_AGE_MONTHS)
            film = HeldOut(label.id, label.sex, said, label.bone_age_months)
            errors.append(round(calibration.score(film), _SCORE_DIGITS))
    if not errors:
        raise WrongUse(
            "no label is of a film of this month", remedy="Give labels whose ids are the films' names"
        )
    return replace(month, errors=tuple(sorted(errors)))


def _checked(row: Row, number: int, place: str) -> dict[str, Any]:
    """A row with its numbers as numbers and its cautions as codes."""
    try:
        if missing := [name for name in _NEEDED if name not in row]:
            raise ValueError(f"it has no {', '.join(missing)}")
        months, status = _number(row["bone_age_months"]), row["status"]
        if status not in STATUSES or (status == "assessed") != (months is not None):
            raise ValueError(f"status {status!r} with bone age {row['bone_age_months']!r}")
        if months is not None and not 0 <= months <= MAX_BONE_AGE_MONTHS:
            raise ValueError(f"{months:g} months are no bone age")
        return {
            "status": status,
            "sex": Sex.parse(row["sex"] or "U").value,
            "bone_age_months": months,
            "sds": _number(row.get("sds")),
            "cautions": set(filter(None, (row["cautions"] or "").split(";"))),
            "model": str(row["model"]),
        }
    except (ValueError, TypeError, AttributeError, WrongUse) as problem:
        raise WrongUse(
            f"film {number} of it is not as `bonexage predict` writes one: {problem}",
            remedy="Give a table of `bonexage predict --out`",
            subject=place,
        ) from None


def _counted(stored: Mapping[str, Any]) -> dict[str, int]:
    return {str(kind): int(films) for kind, films in stored.items()}


def _numbers(stored: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(each) for each in stored)


def _number(said: object) -> float | None:
    return None if said in (None, "") else number_in(str(said), MAX_BONE_AGE_MONTHS)


def _parquet_rows(path: Path) -> list[Row]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("Reading Parquet", "parquet") from None
    try:
        rows: list[Row] = parquet.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, str(error)) from None
    return rows


def _unreadable(path: Path, why: str) -> WrongUse:
    return WrongUse(
        f"it cannot be read as answers of `bonexage predict` ({why})",
        remedy="Give a table of `bonexage predict --out`, or the folder of an earlier `bonexage drift --out`",
        subject=str(path),
    )
