"""Films in a zip archive: named as if the archive were a folder, and read without unpacking it on disk."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from bonexage.errors import UnreadableFile

SUFFIX: Final = ".zip"
MAX_MEMBERS: Final = 100_000
MAX_MEMBER_BYTES: Final = 512_000_000

_AGAIN: Final = "Unpack it yourself and give the folder"


def archive_in(path: Path) -> tuple[Path, str] | None:
    """The archive that a path leads into and what it names in there; None where it leads into none."""
    for above in path.parents:
        if above.suffix.lower() == SUFFIX and above.is_file():
            return above, path.relative_to(above).as_posix()
    return None


def members(archive: Path) -> list[str]:
    """The files in an archive in order of their names, hidden ones and other systems' litter left out.

    Raises:
        UnreadableFile: it is no zip archive, damaged, or holds more than `MAX_MEMBERS` files.
    """
    with _opened(archive, str(archive)) as opened:
        names = [entry.filename for entry in opened.infolist() if not entry.is_dir()]
    if len(names) > MAX_MEMBERS:
        raise UnreadableFile(
            f"the archive holds more than {MAX_MEMBERS:,} files", remedy=_AGAIN, subject=str(archive)
        )
    return sorted(name for name in names if _is_shown(PurePosixPath(name)))


def member_bytes(archive: Path, member: str, name: str, *, most: int | None = None) -> bytes:
    """What a file in an archive holds, or its first `most` bytes.

    Raises:
        UnreadableFile: there is no such file, it is encrypted, damaged, or unpacks to more than
            `MAX_MEMBER_BYTES`.
    """
    with _opened(archive, name) as opened, opened.open(member) as file:
        data = file.read(MAX_MEMBER_BYTES + 1 if most is None else most)
    if len(data) > MAX_MEMBER_BYTES:
        raise UnreadableFile(
            f"it unpacks to more than {MAX_MEMBER_BYTES // 1_000_000} MB",
            remedy="Give a smaller copy of it",
            subject=name,
        )
    return data


@contextmanager
def _opened(archive: Path, name: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except UnreadableFile:
        raise
    except KeyError:
        raise UnreadableFile(
            "there is no such file in the archive", remedy="Check the path", subject=name
        ) from None
    except RuntimeError:  # zipfile's word for a password that is missing
        raise UnreadableFile("the archive is encrypted", remedy=_AGAIN, subject=name) from None
    except Exception as error:  # zipfile and its decoders raise much on damaged archives
        raise UnreadableFile(
            f"the archive is damaged or cut short ({type(error).__name__})", remedy=_AGAIN, subject=name
        ) from None


def _is_shown(name: PurePosixPath) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in name.parts)
