"""The door through which films come in: a path becomes a radiograph, and what was asked for becomes paths."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path, PurePath, PurePosixPath
from typing import Final, TextIO

from bonexage.assessment import Caution
from bonexage.errors import BonexageError, UnreadableFile, WrongUse
from bonexage.radiograph import NOTHING_STATED, Radiograph, Stated
from bonexage.reading.archives import SUFFIX, archive_in, member_bytes, members
from bonexage.reading.confined import DEFAULT_LIMITS, Limits
from bonexage.reading.dicom import decode_dicom, films_of_disc, read_identity, read_stated
from bonexage.reading.dicom_meta import DIRECTORY, HEAD_BYTES, file_meta, is_own_result
from bonexage.reading.dicomweb import film_bytes as fetched_bytes
from bonexage.reading.dicomweb import films_of_study, is_film_address, is_study_address
from bonexage.reading.discs import files_on_disc, is_index, plain_name
from bonexage.reading.identity import FilmIdentity
from bonexage.reading.images import decode_image
from bonexage.reading.kinds import DICOM, is_text, kind_of
from bonexage.reading.remote import bytes_at, files_at, is_address

FILM_SUFFIXES: Final = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".dib", ".webp"),
        *(".avif", ".heic", ".heif", ".hif"),
    }
)
DICOM_SUFFIXES: Final = frozenset({".dcm", ".dicom", ".dic", ".ima"})
# Suffixes that DICOM files have, and others as well: their content decides.
_SOMETIMES_DICOM: Final = frozenset({".acr", ".dc3", ".img"})
LIST_SUFFIXES: Final = frozenset({".txt", ".list", ".lst"})
MAX_BYTES: Final = 1_000_000_000


def read_radiograph(path: str | Path, *, page: int | None = None) -> Radiograph:
    """Read one film: PNG, JPEG, TIFF, BMP, WebP, AVIF, HEIC or DICOM, as its content says.

    Args:
        path: the file, also one in an archive, as in `study.zip/IM1`; it stands in the provenance as given.
        page: the page or frame of a file with several, counted from 1.

    Raises:
        UnreadableFile: there is no such file, or no radiograph can be read from it.
        RefusedRadiograph: it is a DICOM picture that is no radiograph.
        MissingExtra: it is a DICOM or HEIC file, and what reads those is not installed.
    """
    return decode_film_bytes(film_bytes(path), str(path), page=page)


def decode_film_bytes(
    data: bytes, name: str, *, page: int | None = None, limits: Limits = DEFAULT_LIMITS
) -> Radiograph:
    """Decode the bytes of one film, of any kind that `read_radiograph` reads.

    Args:
        data: the whole file.
        name: what it is called in errors and in the provenance; nothing of that name is opened.
        page: the page or frame of a file with several, counted from 1.
        limits: what decoding may take.

    Raises:
        UnreadableFile, RefusedRadiograph, MissingExtra: as `read_radiograph`; TooManyPixels among them.
    """
    if _holds_dicom(data, name):
        return decode_dicom(data, name, page=page, limits=limits)
    return decode_image(data, name, page=page, limits=limits)


def identity_of(path: str | Path) -> FilmIdentity | None:
    """Whose film a DICOM file is and where it belongs; None for a file of another kind.

    Raises:
        UnreadableFile, MissingExtra: as `read_radiograph`.
    """
    return identity_in(film_bytes(path), str(path))


def identity_in(data: bytes, name: str) -> FilmIdentity | None:
    """As `identity_of`, of the bytes of a file."""
    return read_identity(data, name) if _holds_dicom(data, name) else None


def stated_in(
    data: bytes, name: str, *, limits: Limits = DEFAULT_LIMITS
) -> tuple[Stated, tuple[Caution, ...]]:
    """What the header of a film states of child and hand, with its cautions, before its picture is decoded.

    Args:
        data: the whole file.
        name: what it is called in errors; nothing of that name is opened.
        limits: what reading the header may take.

    Returns:
        What decoding the film gives as `stated`; nothing of a file that is not DICOM.

    Raises:
        UnreadableFile, MissingExtra: as `read_radiograph`.
    """
    return read_stated(data, name, limits=limits) if _holds_dicom(data, name) else (NOTHING_STATED, ())


def _holds_dicom(data: bytes, name: str) -> bool:
    kind = kind_of(data)
    return kind == DICOM or (not kind and _suffix(PurePath(name)) in DICOM_SUFFIXES)


def list_films(paths: Iterable[str], *, stdin: TextIO | None = None) -> Iterator[str]:
    """Name the films that are asked for, one after the other; of a DICOM file no more than its kind is read.

    A path is a film; a folder or a zip archive (all pictures and DICOM images in it and below, sorted by
    name, and what has no suffix and is no text, so that it is read or reported, as are archives in an
    archive); an address that fsspec knows, such as `s3://bucket/films/` or a pattern there (pictures and
    DICOM by their suffixes); a DICOMDIR (the images that it names); a study by its DICOMweb address (its
    images); a pattern such as `films/*.png` (`**` goes below); a list file, written `@names` or ending in
    .txt, .list or .lst, with a path a line as seen from the working folder; or `-`, the same from the
    standard input. What matches nothing is named as it was given, so that it is reported when it cannot be
    read.

    Args:
        paths: what was asked for.
        stdin: where `-` reads from, if not from the standard input.

    Returns:
        The paths. List files are read at once, folders and the standard input only when it comes to them.

    Raises:
        WrongUse: a list file cannot be read.
    """
    return chain.from_iterable([_asked_for(path, sys.stdin if stdin is None else stdin) for path in paths])


def _asked_for(path: str, stdin: TextIO) -> Iterable[str]:
    mode = _mode(path)
    if path == "-":
        return _names_in(stdin)
    if is_study_address(path) or is_address(path):
        return _of_study(path) if is_study_address(path) else _elsewhere(path)
    if stat.S_ISDIR(mode):
        return _below(path)
    if stat.S_ISREG(mode):
        return _in_file(path)
    if path.startswith("@") and mode == 0:
        return _listed(path[1:])
    return _matching(path) if mode == 0 and any(mark in path for mark in "*?[") else [path]


def _in_file(path: str) -> Iterable[str]:
    """What a file stands for: those that it lists or holds, or itself."""
    file = Path(path)
    if file.suffix.lower() in LIST_SUFFIXES:
        return _listed(path)
    if file.suffix.lower() == SUFFIX:
        return _inside(path)
    return _of_disc(path) if is_index(file.name) else [path]


def _mode(path: str) -> int:
    """What a path is, as `stat` says it; 0 where there is nothing."""
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):
        return 0


def _below(folder: str) -> Iterator[str]:
    films = _films_below(Path(folder), frozenset())
    first = next(films, None)
    yield folder if first is None else str(first)
    yield from map(str, films)


def _films_below(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """All pictures in a folder, then in those below it; no link back to a folder `above` is followed."""
    try:
        real = folder.resolve()
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if entry.name[0] != "."), key=lambda entry: entry.name)
    except (OSError, RuntimeError):
        yield folder
        return
    if real in above:
        return
    inner = [entry.name for entry in entries if entry.is_dir()]
    for entry in entries:
        if entry.name not in inner and is_film(folder / entry.name):
            yield folder / entry.name
    for name in inner:
        yield from _films_below(folder / name, above | {real})


def is_film(path: Path) -> bool:
    """Whether a file is a film, or has to be named as one that cannot be read.

    A picture is known by its suffix, a DICOM image by its first bytes. A file without a suffix, or with a
    number for one, is a film unless its first bytes are text or DICOM that is no picture.
    """
    if _suffix(path) in FILM_SUFFIXES:
        return True
    if not _may_be_dicom(path) or not stat.S_ISREG(_mode(str(path))):
        return False
    try:
        with path.open("rb") as file:
            return _begins_as_film(path, file.read(HEAD_BYTES))
    except OSError:
        return _suffix(path) in DICOM_SUFFIXES or _is_bare(path)


def _may_be_dicom(path: PurePath) -> bool:
    """DICOM files end in .dcm, .ima, in nothing, or, where they are named after a UID, in a number."""
    return _suffix(path) in DICOM_SUFFIXES | _SOMETIMES_DICOM or _is_bare(path)


def _is_bare(path: PurePath) -> bool:
    """Whether a name has no suffix, or a number for one."""
    return not _suffix(path).strip(".0123456789")


def _suffix(path: PurePath) -> str:
    """A file's suffix in lower case, without blanks and what a disc's file system adds to it."""
    return PurePath(plain_name(path.name)).suffix.strip().lower()


def _begins_as_film(path: PurePath, head: bytes) -> bool:
    kind = kind_of(head)
    if kind == DICOM:
        return file_meta(head).may_be_a_picture and not is_own_result(head)
    return bool(kind) or _suffix(path) in DICOM_SUFFIXES or (_is_bare(path) and not is_text(head))


def _inside(archive: str) -> Iterator[str]:
    """The films in an archive; the archive itself where it holds none or cannot be read."""
    try:
        films = [name for name in members(Path(archive)) if _is_film_inside(archive, PurePosixPath(name))]
    except UnreadableFile:
        films = []
    yield from [f"{archive}/{name}" for name in films] or [archive]


def _is_film_inside(archive: str, name: PurePosixPath) -> bool:
    """Whether a file in an archive is a film, or has to be named as one that cannot be read."""
    if _suffix(name) in FILM_SUFFIXES or _suffix(name) == SUFFIX:
        return True
    if not _may_be_dicom(name):
        return False
    try:
        return _begins_as_film(name, member_bytes(Path(archive), str(name), archive, most=HEAD_BYTES))
    except UnreadableFile:
        return _suffix(name) in DICOM_SUFFIXES or _is_bare(name)


def _of_disc(directory: str) -> Iterator[str]:
    """The images that a DICOMDIR names, as they lie beside it; itself where it cannot be read."""
    try:
        named = films_of_disc(_bytes_of(Path(directory), directory), directory)
    except BonexageError:
        named = []
    folder = Path(directory).parent
    yield from [str(path) for path in files_on_disc(folder, named, DICOM_SUFFIXES)] or [directory]


def _of_study(address: str) -> Iterator[str]:
    """The pictures of a study in an archive; the study itself where it cannot be listed or holds none."""
    try:
        films = films_of_study(address)
    except BonexageError:
        films = []
    yield from films or [address]


def _elsewhere(address: str) -> Iterator[str]:
    """The films at and below an address, by suffix; itself where it cannot be listed or holds none."""
    try:
        found = files_at(address)
    except BonexageError:
        found = []
    films = [name for name in found if PurePosixPath(name).suffix.lower() in FILM_SUFFIXES | DICOM_SUFFIXES]
    yield from films or [address]


def _matching(pattern: str) -> Iterator[str]:
    """The films a pattern matches; other files only where it matches no films."""
    matches = glob.iglob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    files = sorted(match for match in matches if stat.S_ISREG(_mode(match)))
    films = [file for file in files if is_film(Path(file))]
    yield from films or files or [pattern]


def _listed(list_file: str) -> list[str]:
    try:
        with Path(list_file).open(encoding="utf-8-sig") as lines:
            return list(_names_in(lines))
    except (OSError, ValueError) as error:
        raise WrongUse(
            f"the list of films cannot be read ({_reason(error)})",
            remedy="Give a text file in UTF-8 with a path a line",
            subject=list_file,
        ) from None


def _names_in(lines: Iterable[str]) -> Iterator[str]:
    return (line.strip() for line in lines if line.strip())


def film_bytes(path: str | Path) -> bytes:
    """The bytes of a film, on disk, in a zip archive or behind an address.

    Raises:
        UnreadableFile: there is no such file, or it cannot be read.
        MissingExtra: it lies in a DICOMweb archive, and what asks those is not installed.
    """
    path, name = Path(path), str(path)
    if is_film_address(name):
        return fetched_bytes(name)
    if is_address(name):
        return bytes_at(name, MAX_BYTES)
    if is_study_address(name):
        films_of_study(name)
        raise UnreadableFile("the study holds no picture", remedy="Name another study", subject=name)
    within = archive_in(path)
    if within:
        return _bytes_within(*within, name)
    data = _bytes_of(path, name)
    if path.suffix.lower() == SUFFIX and data.startswith(b"PK"):
        raise _archive_is_no_film(name)
    if is_index(path.name) and file_meta(data[:HEAD_BYTES]).sop_class == DIRECTORY:
        films_of_disc(data, name)
        raise UnreadableFile("the disc holds no film", remedy="Give the films themselves", subject=name)
    return data


def _bytes_within(archive: Path, member: str, name: str) -> bytes:
    """The bytes of a file in an archive, unless it is an archive itself."""
    data = member_bytes(archive, member, name)
    if _suffix(PurePosixPath(member)) == SUFFIX and data.startswith(b"PK"):
        raise UnreadableFile(
            "this is an archive in an archive", remedy="Unpack both and give the folder", subject=name
        )
    return data


def _archive_is_no_film(archive: str) -> UnreadableFile:
    """The error of an archive that is taken for a film; names one of its films, or that it holds none."""
    members(Path(archive))
    films = (each for each in _inside(archive) if _suffix(PurePath(each)) != SUFFIX)
    first = next(films, archive)
    if first == archive:
        return UnreadableFile(
            "the archive holds no film", remedy="Give one with pictures or DICOM films", subject=archive
        )
    return UnreadableFile(
        "this is an archive, not a film", remedy=f"Name a film in it, such as {first}", subject=archive
    )


def _bytes_of(path: Path, name: str) -> bytes:
    """The bytes of a regular file; every way in which that fails is an UnreadableFile."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableFile(
                "this is a folder, not a film",
                remedy="Name a picture, or a folder that holds some",
                subject=name,
            )
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFile("this is not a file", remedy="Name a picture on disk", subject=name)
        if status.st_size > MAX_BYTES:
            raise UnreadableFile(
                f"the file is larger than {MAX_BYTES // 1_000_000_000} GB",
                remedy="Give a smaller copy of it",
                subject=name,
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableFile("there is no such file", remedy="Check the path", subject=name) from None
    except PermissionError:
        raise UnreadableFile(
            "the file may not be read", remedy="Ask for the right to read it", subject=name
        ) from None
    except (OSError, ValueError) as error:
        raise UnreadableFile(
            f"the file cannot be read ({_reason(error)})", remedy="Check the path and the disk", subject=name
        ) from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
