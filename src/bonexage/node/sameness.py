"""Whether two DICOM files under one SOP Instance UID are the same film: by what they decode to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from bonexage.errors import ConflictingFilm, RefusedRadiograph, UnreadableFile
from bonexage.node.queue import ASIDE, DEAD, Film
from bonexage.radiograph import Radiograph
from bonexage.reading.dicom import decode_dicom, read_identity
from bonexage.reading.identity import FilmIdentity


def content_of(film: FilmIdentity, radiograph: Radiograph) -> str:
    """Hash of what makes a film this film: its picture, the child, the study, and what its header states.

    Times, descriptions and the size of a pixel do not count: some programs fill them in as they pack a film.

    Returns:
        64 hex digits, the same for the same film in any transfer syntax.
    """
    facts = {
        "child": (film.patient_name, film.patient_id, film.patient_birth_date, film.patient_sex),
        "study": (film.study_uid, film.series_uid),
        "stated": asdict(radiograph.stated),
        "size": radiograph.provenance.original_size,
        "picture": radiograph.provenance.decoded,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def content_in(data: bytes) -> str:
    """`content_of` the bytes of a DICOM file; '' where no film can be read from them."""
    try:
        return content_of(read_identity(data, ""), decode_dicom(data, ""))
    except (UnreadableFile, RefusedRadiograph):
        return ""


def gives_way(held: Film, file: Path, data: bytes) -> bool:
    """Whether a film leaves its SOP Instance UID to another file that comes under it.

    A film of which a bone age was given, or may yet be given, keeps its UID. One that cannot be read, is no
    film or was given up leaves it to any other, one that was refused to any that can be read.

    Args:
        held: the film that was taken under the UID.
        file: where its bytes lie, if they still do.
        data: the bytes that came; others than those.

    Returns:
        False where both are the same film, packed in two ways.

    Raises:
        ConflictingFilm: they are two films, and the one that was taken keeps the UID.
    """
    if held.state == ASIDE or (held.state == DEAD and not held.status):
        return True
    kept = held.content or ("" if held.status == "unreadable" else _content_at(file))
    came = content_in(data)
    if came and came == kept:
        return False
    if held.status == "unreadable" or (held.status == "refused" and came) or not (held.status or kept):
        return True
    if not came:
        raise ConflictingFilm(
            f"film {held.number} has the same SOP Instance UID; no film is in this",
            remedy="Send the film whole, under a UID of its own where it is another one",
        )
    raise ConflictingFilm(
        f"film {held.number} has the same SOP Instance UID and another content",
        remedy="Send it under a UID of its own",
    )


def _content_at(file: Path) -> str:
    try:
        return content_in(file.read_bytes())
    except FileNotFoundError:
        return ""
