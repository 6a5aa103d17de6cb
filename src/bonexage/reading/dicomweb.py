"""Films in an archive that speaks DICOMweb: an address stands for a film or for all the pictures of a study.

The archive is asked in a process such as DICOM is decoded in: what it answers is from outside too.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Final

from bonexage.errors import MissingExtra, UnreadableFile
from bonexage.reading.confined import Limits
from bonexage.reading.decoder import asked
from bonexage.reading.dicom_meta import FileMeta

# Where a bearer token for the archive is taken from, so that it stands on no command line.
TOKEN_VARIABLE: Final = "BONEXAGE_DICOMWEB_TOKEN"
FETCH_LIMITS: Final = Limits(waiting_seconds=120.0)

_UID: Final = r"[0-9.]{1,256}"
_STUDY: Final = re.compile(rf"(?P<archive>https?://\S+)/studies/(?P<study>{_UID})/?")
_FILM: Final = re.compile(
    rf"(?P<archive>https?://\S+)/studies/(?P<study>{_UID})/series/(?P<series>{_UID})/instances/(?P<film>{_UID})"
)


def is_study_address(name: str) -> bool:
    """Whether a name is the address of a study, `https://archive/studies/UID`."""
    return bool(_STUDY.fullmatch(name))


def is_film_address(name: str) -> bool:
    """Whether a name is the address of one object, `.../studies/UID/series/UID/instances/UID`."""
    return bool(_FILM.fullmatch(name))


def films_of_study(address: str) -> list[str]:
    """The addresses of the pictures of a study, by series and number; reports and the like are left out.

    Raises:
        MissingExtra: dicomweb-client is not installed.
        UnreadableFile: the archive does not answer, or not as it should.
    """
    parts = _parts(_STUDY, address)
    said, _ = asked({"want": "study", **parts}, b"", address, FETCH_LIMITS)
    found = []
    for series, film, sop_class in said.get("films", ()):
        if FileMeta(str(sop_class), "", 0).may_be_a_picture:
            found.append(f"{parts['archive']}/studies/{parts['study']}/series/{series}/instances/{film}")
    return [name for name in found if is_film_address(name)]


def film_bytes(address: str) -> bytes:
    """The DICOM file that an address leads to.

    Raises:
        MissingExtra, UnreadableFile: as `films_of_study`.
    """
    return asked({"want": "fetch", **_parts(_FILM, address)}, b"", address, FETCH_LIMITS)[1]


def _parts(form: re.Pattern[str], address: str) -> dict[str, str]:
    if importlib.util.find_spec("dicomweb_client") is None:
        raise MissingExtra("Asking an archive by DICOMweb", "dicom")
    found = form.fullmatch(address)
    if not found:
        raise UnreadableFile(
            "this is no address of a study or a film",
            remedy="Name one such as https://archive/dicom-web/studies/UID",
            subject=address,
        )
    return found.groupdict()
