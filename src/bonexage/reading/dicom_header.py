"""The header of a DICOM film: who it shows, how large a pixel is, and how its values are to be shown.

Nothing of a header is taken at its word, and no text of it is passed on: a film's owner may have written
anything anywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

import numpy as np
from pydicom.dataset import Dataset

from bonexage.assessment import Caution
from bonexage.radiograph import Stated
from bonexage.reading.tones import Lut, Shape, Tones, Window
from bonexage.subject import DAYS_A_MONTH, MAX_CHRONOLOGICAL_AGE_MONTHS, Sex, Subject

# Months that Patient's Age and the age by Birth Date may differ beyond what the unit explains.
AGE_TOLERANCE_MONTHS: Final = 1.0
SPACING_MM: Final = (0.005, 5.0)
MOST_ENTRIES: Final = 65_536

AGE_UNCLEAR: Final = Caution(
    "age-unclear", "The header's age and its birth date do not agree; its age was taken."
)
AGE_UNUSABLE: Final = Caution("age-unusable", "The header's age cannot be used.")
SPACING_UNUSABLE: Final = Caution("spacing-unusable", "The header's pixel spacing cannot be used.")
POLARITY_UNCLEAR: Final = Caution(
    "polarity-unclear",
    "The header says in two places which values are white, and they do not agree; the photometric "
    "interpretation was taken.",
)

_SEXES: Final = {"F": Sex.FEMALE, "M": Sex.MALE}
_UNIT_MONTHS: Final = {"D": 1 / DAYS_A_MONTH, "W": 7 / DAYS_A_MONTH, "M": 1.0, "Y": 12.0}
_DATES: Final = ("StudyDate", "AcquisitionDate", "ContentDate", "SeriesDate")
# PS3.16 Annex L and what scanners write: terms that stand for the hand and its wrist.
_HAND_WORDS: Final = ("HAND", "WRIST", "CARP", "BONEAGE", "BONE AGE", "BONE_AGE")


@dataclass(frozen=True)
class _Age:
    months: float
    slack_months: float


def stated_by(dataset: Dataset) -> tuple[Stated, tuple[Caution, ...]]:
    """Sex, age, laterality, view and body part as a header states them, and what to be wary of."""
    age, cautions = _age(dataset)
    sex = _SEXES.get(text(dataset, "PatientSex").upper(), Sex.UNKNOWN)
    stated = Stated(
        subject=Subject(sex, age.months if age else None),
        age_slack_months=age.slack_months if age else 0.0,
        laterality=_laterality(dataset),
        view=_view(dataset),
        body_part=_body_part(dataset),
    )
    return stated, cautions


def spacing_of(dataset: Dataset) -> tuple[tuple[float, float] | None, tuple[Caution, ...]]:
    """Size of a pixel (row, column) in millimetres: at the hand where it is calibrated, or at the detector.

    Pixel Spacing comes first, then Imager Pixel Spacing, made smaller by the magnification where that is
    given, then Nominal Scanned Pixel Spacing.
    """
    given = False
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        pair = numbers(dataset, keyword)
        given = given or bool(pair)
        magnified = numbers(dataset, "EstimatedRadiographicMagnificationFactor")
        if keyword == "ImagerPixelSpacing" and len(magnified) == 1 and 1 <= magnified[0] <= 3:
            pair = [number / magnified[0] for number in pair]
        if len(pair) == 2 and all(SPACING_MM[0] <= number <= SPACING_MM[1] for number in pair):
            return (pair[0], pair[1]), ()
    return None, (SPACING_UNUSABLE,) if given else ()


def tones_of(dataset: Dataset, *, bits_stored: int, signed: bool) -> tuple[Tones, tuple[Caution, ...]]:
    """How the stored values of a grey picture are to be shown."""
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    usable = len(slope) == len(intercept) == 1 and slope[0] != 0
    inverse = text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    shape = text(dataset, "PresentationLUTShape")
    contradicts = shape in ("IDENTITY", "INVERSE") and (shape == "INVERSE") != inverse
    below_zero = signed or (usable and intercept[0] < 0)
    tones = Tones(
        bits_stored=bits_stored,
        signed=signed,
        slope=slope[0] if usable else 1.0,
        intercept=intercept[0] if usable else 0.0,
        modality=next(_luts(dataset, "ModalityLUTSequence", signed=signed), None),
        views=(*_luts(dataset, "VOILUTSequence", signed=below_zero), *_windows(dataset)),
        padding=_padding(dataset, bits_stored, signed),
        inverse=inverse,
    )
    return tones, (POLARITY_UNCLEAR,) if contradicts else ()


def text(dataset: Dataset, keyword: str) -> str:
    """The text of an element; the first where there are several, '' where there is none to be had."""
    value = _value(dataset, keyword)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        value = value[0] if value else ""
    return str(value).strip() if value is not None else ""


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """The finite numbers of an element; none where any of them is no number."""
    value = _value(dataset, keyword)
    if value is None or value == "":
        return []
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
    try:
        found = [float(one) for one in values]
    except (TypeError, ValueError, OverflowError):
        return []
    return found if all(math.isfinite(number) for number in found) else []


def _value(dataset: Dataset, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except Exception:  # pydicom raises nearly everything on values that are not of their kind
        return None


def _age(dataset: Dataset) -> tuple[_Age | None, tuple[Caution, ...]]:
    written = text(dataset, "PatientAge").upper()
    stated, by_date = _age_stated(written), _age_by_date(dataset)
    if stated and by_date:
        low = stated.months - AGE_TOLERANCE_MONTHS
        high = stated.months + stated.slack_months + AGE_TOLERANCE_MONTHS
        agree = low <= by_date.months <= high
        return (by_date, ()) if agree else (stated, (AGE_UNCLEAR,))
    found = stated or by_date
    return found, (AGE_UNUSABLE,) if written and not found else ()


def _age_stated(written: str) -> _Age | None:
    """Patient's Age, such as 010Y; an age in days is exact."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", written)
    if not match:
        return None
    unit = _UNIT_MONTHS[match[2]]
    return _plausible(int(match[1]) * unit, 0.0 if match[2] == "D" else unit)


def _age_by_date(dataset: Dataset) -> _Age | None:
    born = _date(text(dataset, "PatientBirthDate"))
    taken = next((day for keyword in _DATES if (day := _date(text(dataset, keyword)))), None)
    return _plausible((taken - born).days / DAYS_A_MONTH, 0.0) if born and taken else None


def _plausible(months: float, slack_months: float) -> _Age | None:
    return _Age(months, slack_months) if 0 <= months <= MAX_CHRONOLOGICAL_AGE_MONTHS else None


def _date(written: str) -> date | None:
    match = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", written)
    try:
        return date(*(int(part) for part in match.groups())) if match else None
    except ValueError:
        return None


def _laterality(dataset: Dataset) -> Literal["L", "R", "B", ""]:
    for keyword in ("ImageLaterality", "Laterality"):
        for side in ("L", "R", "B"):
            if text(dataset, keyword).upper() == side:
                return side
    return ""


def _view(dataset: Dataset) -> Literal["PA", "AP", "other", ""]:
    written = text(dataset, "ViewPosition").upper()
    if written in ("PA", "AP"):
        return written  # type: ignore[return-value]
    return "other" if written else ""


def _body_part(dataset: Dataset) -> Literal["hand", "other", ""]:
    written = text(dataset, "BodyPartExamined").upper()
    if not written:
        return ""
    return "hand" if any(word in written for word in _HAND_WORDS) else "other"


def _windows(dataset: Dataset) -> Iterator[Window]:
    written = text(dataset, "VOILUTFunction").upper()
    shape = Shape(written) if written in set(Shape) else Shape.LINEAR
    centres, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    for centre, width in zip(centres, widths, strict=False):
        yield Window(centre, width, shape)


def _luts(dataset: Dataset, keyword: str, *, signed: bool) -> Iterator[Lut]:
    for item in _value(dataset, keyword) or ():
        lut = _lut(item, signed)
        if lut:
            yield lut


def _lut(item: Dataset, signed: bool) -> Lut | None:
    """A table by its descriptor (entries, first value, bits) and its data; None where it makes no sense."""
    described, data = numbers(item, "LUTDescriptor"), _value(item, "LUTData")
    if len(described) != 3:
        return None
    count, first, bits = (int(number) for number in described)
    count = count % MOST_ENTRIES or MOST_ENTRIES  # 0 stands for 65,536, and some write it as a signed number
    if signed and first >= MOST_ENTRIES // 2:
        first -= MOST_ENTRIES
    if not isinstance(data, bytes):
        try:
            data = (np.array(data, dtype=np.int64) & 0xFFFF).astype("<u2").tobytes()
        except (TypeError, ValueError, OverflowError):
            return None
    if len(data) < count or not 8 <= bits <= 16:
        return None
    entries = np.frombuffer(data, "<u2" if len(data) >= 2 * count else np.uint8, count=count)
    return Lut(first, entries.astype(np.uint16), bits)


def _padding(dataset: Dataset, bits_stored: int, signed: bool) -> tuple[int, int] | None:
    """The stored values from Pixel Padding Value to Pixel Padding Range Limit, both included."""
    value = numbers(dataset, "PixelPaddingValue")
    if len(value) != 1:
        return None
    limit = numbers(dataset, "PixelPaddingRangeLimit")
    ends = sorted(_as_stored(int(end), bits_stored, signed) for end in (value[0], *limit[:1]))
    return ends[0], ends[-1]


def _as_stored(number: int, bits_stored: int, signed: bool) -> int:
    """The number as the pixels have it: some headers write -2 as 65534, or the other way round."""
    if signed and number >= 2 ** (bits_stored - 1):
        return number - 2 ** (16 if bits_stored <= 16 else 32)
    return number % 2**bits_stored if number < 0 and not signed else number
