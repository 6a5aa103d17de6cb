"""Files behind an address that fsspec knows, such as `s3://bucket/films/`."""

from __future__ import annotations

import importlib.util
import re
from typing import Any, Final

from bonexage.errors import BonexageError, MissingExtra, UnreadableFile, WrongUse

# One letter and a colon is a Windows drive, and http(s) is DICOMweb's (`bonexage.reading.dicomweb`).
_ADDRESS: Final = re.compile(r"(?!https?://)[a-z][a-z0-9+.-]+://\S.*")
_MARKS: Final = frozenset("*?[")


def is_address(name: str) -> bool:
    """Whether a name is the address of a file or folder elsewhere, as fsspec writes it."""
    return bool(_ADDRESS.fullmatch(name))


def opened_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it.

    Raises:
        MissingExtra: fsspec is not installed.
        WrongUse: fsspec knows no such system, or what it needs for it is not installed.
    """
    if importlib.util.find_spec("fsspec") is None:
        raise MissingExtra("Reading from an address", "cluster")
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(address)
    except Exception as error:  # as in `files_at`
        raise WrongUse(
            f"an address of this kind cannot be read ({error})",
            remedy="Install the package of fsspec that reads it, such as s3fs for s3://",
            subject=address,
        ) from None
    return system, path


def files_at(address: str) -> list[str]:
    """All files at and below an address, or those that a pattern (`*`, `?`, `[`) in it matches, sorted.

    Hidden ones, and those in hidden folders, are left out.

    Raises:
        MissingExtra, WrongUse: as `opened_system`.
        UnreadableFile: it cannot be listed.
    """
    system, path = opened_system(address)
    try:
        found = system.glob(path) if _MARKS & set(path) else system.find(path)
    except Exception as error:  # what a file system of another package raises has no narrower base
        raise _unreadable(address, error) from None
    within = path.rstrip("/")
    return sorted(system.unstrip_protocol(one) for one in found if "/." not in one.removeprefix(within))


def bytes_at(address: str, most: int) -> bytes:
    """The bytes of the file at an address.

    Args:
        address: where it lies.
        most: bytes that a file may have.

    Raises:
        MissingExtra, WrongUse: as `opened_system`.
        UnreadableFile: there is none, it is too large, or it cannot be read.
    """
    system, path = opened_system(address)
    try:
        if (system.size(path) or 0) > most:
            raise UnreadableFile(
                f"the file is larger than {most // 1_000_000_000} GB",
                remedy="Give a smaller copy of it",
                subject=address,
            )
        return bytes(system.cat_file(path))
    except FileNotFoundError:
        raise UnreadableFile("there is no such file", remedy="Check the address", subject=address) from None
    except BonexageError:
        raise
    except Exception as error:  # as in `files_at`
        raise _unreadable(address, error) from None


def _unreadable(address: str, error: Exception) -> UnreadableFile:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return UnreadableFile(
        f"it cannot be read ({reason})", remedy="Check the address and your right to it", subject=address
    )
