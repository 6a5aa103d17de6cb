"""The header of a DICOM film: who it shows, how large a pixel is, and how its values are to be shown.

Nothing of a header is taken at its word, and no text of it is passed on: a film's owner may have written
anything anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from pydicom.dataset import Dataset

from bonexage.assessment import Caution
from bonexage.radiograph import Stated
from bonexage.reading.aspect import is_possible
from bonexage.reading.dicom_age import age_of
from bonexage.reading.dicom_tables import luts_of
from bonexage.reading.dicom_values import numbers, text
from bonexage.reading.tones import Shape, Tones, Window
from bonexage.subject import Sex, Subject

SPACING_MM: Final = (0.005, 5.0)

# The keywords of a pixel's size, the first that is usable counts.
_SPACINGS: Final = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
SPACING_UNUSABLE: Final = Caution("spacing-unusable", "The header's pixel spacing cannot be used.")
POLARITY_UNCLEAR: Final = Caution(
    "polarity-unclear",
    "The header says in two places which values are white, and they do not agree; the photometric "
    "interpretation was taken.",
)

_SEXES: Final = {"F": Sex.FEMALE, "M": Sex.MALE}
# PS3.16 Annex L and what scanners write: terms that stand for the hand and its wrist.
_HAND_WORDS: Final = ("HAND", "WRIST", "CARP", "BONEAGE", "BONE AGE", "BONE_AGE")


def stated_by(dataset: Dataset) -> tuple[Stated, tuple[Caution, ...]]:
    """Sex, age, laterality, view and body part as a header states them, and what to be wary of."""
    age, cautions = age_of(dataset)
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
    for keyword in _SPACINGS:
        pair = numbers(dataset, keyword)
        given = given or bool(pair)
        magnified = numbers(dataset, "EstimatedRadiographicMagnificationFactor")
        if keyword == "ImagerPixelSpacing" and len(magnified) == 1 and 1 <= magnified[0] <= 3:
            pair = [number / magnified[0] for number in pair]
        sized = len(pair) == 2 and all(SPACING_MM[0] <= number <= SPACING_MM[1] for number in pair)
        if sized and is_possible(pair[0] / pair[1]):
            return (pair[0], pair[1]), ()
    return None, (SPACING_UNUSABLE,) if given else ()


def aspect_of(dataset: Dataset, spacing_mm: tuple[float, float] | None) -> tuple[float, tuple[Caution, ...]]:
    """Height of a pixel over its width: by its size, or else by Pixel Aspect Ratio; 1 without either.

    A size that no pixel has, such as one in metres, still says how high a pixel is for its width.
    """
    if spacing_mm:
        return spacing_mm[0] / spacing_mm[1], ()
    pairs = [numbers(dataset, keyword) for keyword in ("PixelAspectRatio", *_SPACINGS)]
    for pair in pairs:
        if len(pair) == 2 and min(pair) > 0 and is_possible(pair[0] / pair[1]):
            return pair[0] / pair[1], ()
    return 1.0, (SPACING_UNUSABLE,) if pairs[0] else ()


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
        modality=next(luts_of(dataset, "ModalityLUTSequence", signed=signed), None),
        views=(*luts_of(dataset, "VOILUTSequence", signed=below_zero), *_windows(dataset)),
        padding=_padding(dataset, bits_stored, signed),
        inverse=inverse,
    )
    return tones, (POLARITY_UNCLEAR,) if contradicts else ()


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
