"""The part of the child process that asks an archive by DICOMweb."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import requests
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session

from bonexage.errors import UnreadableFile
from bonexage.reading.dicom_meta import OWN_DESCRIPTION
from bonexage.reading.dicomweb import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DESCRIPTION = "0008103E"
_SERIES, _FILM, _CLASS, _NUMBER = "0020000E", "00080018", "00080016", "00200013"
_AGAIN = "Check the address and the right to read there; a token is taken from " + TOKEN_VARIABLE


def study(where: Mapping[str, str]) -> list[list[str]]:
    """Series, SOP Instance and SOP Class UID of what a study holds, in order; our own results left out."""
    found = [
        one
        for one in _told(lambda: _client(where).search_for_instances(where["study"], fields=[_DESCRIPTION]))
        if _first(one, _DESCRIPTION) != OWN_DESCRIPTION
    ]
    rows = [(_first(one, _SERIES), _number(one), _first(one, _FILM), _first(one, _CLASS)) for one in found]
    return [[series, film, sop_class] for series, _, film, sop_class in sorted(rows)]


def fetch(where: Mapping[str, str]) -> bytes:
    """One object as a DICOM file."""
    found = _told(lambda: _client(where).retrieve_instance(where["study"], where["series"], where["film"]))
    file = io.BytesIO()
    found.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _client(where: Mapping[str, str]) -> DICOMwebClient:
    session = create_session()
    token = os.environ.get(TOKEN_VARIABLE)
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    client = DICOMwebClient(url=where["archive"], session=session)
    client.set_http_retry_params(retry=True, max_attempts=3, wait_exponential_multiplier=100)
    return client


def _told(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "no status"
        raise UnreadableFile(f"the archive refuses with {status}", remedy=_AGAIN) from None
    except requests.RequestException as error:
        raise UnreadableFile(f"the archive does not answer ({type(error).__name__})", remedy=_AGAIN) from None


def _first(one: Mapping[str, Any], tag: str) -> str:
    """The first value of an element in DICOM JSON (PS3.18 annex F); '' where there is none."""
    values = one.get(tag, {}).get("Value") or [""]
    return str(values[0])


def _number(one: Mapping[str, Any]) -> int:
    text = _first(one, _NUMBER)
    return int(text) if text.isdecimal() else 0
