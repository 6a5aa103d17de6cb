"""The door for DICOM films: their bytes go to a process with limits, and a radiograph comes back."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from bonexage.assessment import Caution
from bonexage.errors import MissingExtra, UnreadableFile
from bonexage.radiograph import Provenance, Radiograph, Stated
from bonexage.reading.confined import DEFAULT_LIMITS, Limits
from bonexage.reading.decoder import asked, unforeseen
from bonexage.reading.identity import FilmIdentity, checked_identity
from bonexage.reading.images import framed
from bonexage.subject import Sex, Subject

_AGAIN: Final = "Export the film again, or convert it to PNG"


def decode_dicom(
    data: bytes, name: str, *, page: int | None = None, limits: Limits = DEFAULT_LIMITS
) -> Radiograph:
    """Decode the bytes of a CR, DX or Secondary Capture film.

    The modality transformation, VOI LUTs and windows (the first that shows something), Pixel Padding and the
    polarity are obeyed; colour becomes grey. Afterwards the film is looked at as any other: borders are left
    out, pixels that are not square become so with the caution `not-square`, and an inverted film is turned
    round with the caution `inverted`.

    Args:
        data: the whole file.
        name: what the file is called in errors and in the provenance.
        page: the frame of a file with several frames, counted from 1.
        limits: what decoding may take.

    Raises:
        MissingExtra: pydicom is not installed.
        TooManyPixels: its picture has more than the limits allow.
        UnreadableFile: no picture can be read from the bytes, within the limits.
        RefusedRadiograph: the picture is no radiograph, such as a CT slice.
    """
    _check_installed()
    if not data:
        raise UnreadableFile("the file is empty", remedy=_AGAIN, subject=name)
    head, body = asked({"want": "film", "page": page, "pixels": limits.pixels}, data, name, limits)
    try:
        height, width = head["size"]
        grey = np.frombuffer(body, dtype="<f4").reshape(height, width).astype(np.float32, copy=False)
        content = hashlib.sha256(data).hexdigest()
        decoded = hashlib.sha256(body).hexdigest()
        provenance = Provenance(name, content, (height, width), "dicom", int(head["bits"]), decoded)
        return framed(
            grey,
            provenance,
            blurred_seam=bool(head["lossy"]),
            spacing_mm=tuple(head["spacing_mm"]) if head["spacing_mm"] else None,
            aspect=float(head["aspect"]),
            most_pixels=limits.pixels,
            cautions=_cautions(head["cautions"]),
            stated=_stated(head["stated"]),
        )
    except (KeyError, TypeError, ValueError):
        raise unforeseen(name) from None


def films_of_disc(data: bytes, name: str) -> list[tuple[str, ...]]:
    """The images that a DICOMDIR names, each as the parts of its path from the DICOMDIR's folder.

    Raises:
        MissingExtra: pydicom is not installed.
        UnreadableFile: the bytes are no DICOMDIR, or name what lies outside its folder.
    """
    _check_installed()
    head, _ = asked({"want": "disc"}, data, name, DEFAULT_LIMITS)
    files = [tuple(str(part) for part in file) for file in head.get("files", ())]
    if not all(_is_name(part) for file in files for part in file):
        raise UnreadableFile(
            "the disc's index names files outside its folder",
            remedy="Give the films themselves",
            subject=name,
        )
    return files


def read_identity(data: bytes, name: str) -> FilmIdentity:
    """Whose film these bytes are and where it belongs; no pixel is decoded.

    Raises:
        MissingExtra: pydicom is not installed.
        UnreadableFile: they are no DICOM file, or one that lacks the UIDs by which a result refers to it.
    """
    _check_installed()
    head, _ = asked({"want": "identity"}, data, name, DEFAULT_LIMITS)
    return checked_identity(head, name)


def read_stated(
    data: bytes, name: str, *, limits: Limits = DEFAULT_LIMITS
) -> tuple[Stated, tuple[Caution, ...]]:
    """What the header of a DICOM film states, as `decode_dicom` takes it, with its cautions; without pixels.

    Raises:
        MissingExtra: pydicom is not installed.
        UnreadableFile: the bytes are no DICOM file, or its header cannot be read within the limits.
    """
    _check_installed()
    head, _ = asked({"want": "stated"}, data, name, limits)
    try:
        return _stated(head["stated"]), _cautions(head["cautions"])
    except (KeyError, TypeError, ValueError):
        raise unforeseen(name) from None


def _is_name(part: str) -> bool:
    return part not in ("", ".", "..") and part.isprintable() and not set(part) & set("/\\:")


def _check_installed() -> None:
    if importlib.util.find_spec("pydicom") is None:
        raise MissingExtra("Reading DICOM", "dicom")


def _stated(said: Mapping[str, Any]) -> Stated:
    return Stated(
        subject=Subject(Sex(said["sex"]), said["age_months"]),
        age_slack_months=said["age_slack_months"],
        laterality=said["laterality"],
        view=said["view"],
        body_part=said["body_part"],
    )


def _cautions(said: Iterable[tuple[str, str]]) -> tuple[Caution, ...]:
    return tuple(Caution(code, sentence) for code, sentence in said)
