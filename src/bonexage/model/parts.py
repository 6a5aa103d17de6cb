"""The parts of a bundle on disk: read from and written to a folder or a zip, checked for size and name."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from bonexage.disk import opened_atomically
from bonexage.errors import BundleError, WrongUse

DESCRIPTION_PART: Final = "bundle.json"
NETWORK_PART: Final = "model.onnx"
LOCATOR_PART: Final = "locator.onnx"
HANDS_PART: Final = "hands.png"
PLATES_PART: Final = "plates.npy"
CARD_PART: Final = "CARD.md"
WEIGHTS_PART: Final = "weights.safetensors"

_MIB: Final = 1 << 20
_LARGEST_BYTES: Final = {
    DESCRIPTION_PART: 32 * _MIB,
    NETWORK_PART: 1024 * _MIB,
    LOCATOR_PART: 64 * _MIB,
    HANDS_PART: 16 * _MIB,
    PLATES_PART: 16 * _MIB,
    CARD_PART: 4 * _MIB,
    WEIGHTS_PART: 1024 * _MIB,
}
_MOST_MEMBERS: Final = 64
CHECKPOINT_SUFFIXES: Final = {".pth", ".pt", ".ckpt", ".bin", ".pkl"}


def read_from_folder(folder: Path, part: str) -> bytes | None:
    """The content of a part, or None where it is not there; raises BundleError where it is too large."""
    file = folder / part
    if not file.is_file():
        return None
    try:
        if file.stat().st_size > _LARGEST_BYTES[part]:
            raise _too_large(part, str(folder))
        return file.read_bytes()
    except OSError as error:
        raise BundleError(
            f"its {part} cannot be read ({error.strerror})",
            remedy="Check its permissions",
            subject=str(folder),
        ) from None


def members(archive: zipfile.ZipFile, place: str) -> dict[str, zipfile.ZipInfo]:
    """The parts in a zip by name, whether they lie at its top or in one folder."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    names = [info.filename for info in infos]
    if any(name.endswith("/data.pkl") for name in names):
        raise is_checkpoint(place)
    climbs = any(
        name.startswith("/") or "\\" in name or ":" in name or ".." in PurePosixPath(name).parts
        for name in names
    )
    if climbs or len(set(names)) != len(names) or len(names) > _MOST_MEMBERS:
        raise BundleError(
            "the zip holds names that no bundle has",
            remedy="Do not use it; fetch the bundle again from where you trust it",
            subject=place,
        )
    roots = [PurePosixPath(name).parent for name in names if PurePosixPath(name).name == DESCRIPTION_PART]
    if len(roots) != 1:
        raise BundleError(
            f"there is no one {DESCRIPTION_PART} in it", remedy="Give a bundle's folder or zip", subject=place
        )
    return {
        PurePosixPath(info.filename).name: info
        for info in infos
        if PurePosixPath(info.filename).parent == roots[0]
    }


def read_from_zip(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], part: str, place: str
) -> bytes | None:
    """The content of a part among the members, or None; raises BundleError where it is too large."""
    info = members.get(part)
    if info is None:
        return None
    if info.file_size > _LARGEST_BYTES[part]:
        raise _too_large(part, place)
    with archive.open(info) as stream:
        content = stream.read(_LARGEST_BYTES[part] + 1)
    if len(content) > _LARGEST_BYTES[part]:
        raise _too_large(part, place)
    return content


def _too_large(part: str, place: str) -> BundleError:
    return BundleError(
        f"its {part} is larger than {_LARGEST_BYTES[part] // _MIB} MiB",
        remedy="Do not use it; no bundle is that large",
        subject=place,
    )


def is_checkpoint(place: str) -> BundleError:
    """The error for a checkpoint given in place of a bundle."""
    return BundleError(
        "this is a PyTorch checkpoint, not a bundle",
        remedy=f"Make a bundle of it with: bonexage import {place} --out BUNDLE",
        subject=place,
    )


def refuse_too_large(parts: Mapping[str, bytes], out: Path) -> None:
    """Raise BundleError where a part is larger than would be read back."""
    for part, content in parts.items():
        if len(content) > _LARGEST_BYTES[part]:
            raise BundleError(
                f"its {part} would have {len(content) / _MIB:.0f} MiB, and at most "
                f"{_LARGEST_BYTES[part] // _MIB} are read",
                remedy="Take a smaller network, or fewer of them",
                subject=str(out),
            )


def refuse_to_replace(out: Path) -> None:
    """Raise WrongUse where something other than a bundle is there already."""
    known = set(_LARGEST_BYTES)
    if out.suffix.lower() == ".zip":
        fine = not out.is_dir()
    else:
        fine = not out.exists() or (out.is_dir() and {each.name for each in out.iterdir()} <= known)
    if not fine:
        raise WrongUse(
            "this is there already and is no bundle",
            remedy="Name another place, or remove it first",
            subject=str(out),
        )


def write_zip(out: Path, parts: Mapping[str, bytes]) -> None:
    """Write parts as a zip whose bytes are the same whenever it is written."""
    with opened_atomically(out) as stream, zipfile.ZipFile(stream, "w") as archive:
        for part, content in parts.items():
            info = zipfile.ZipInfo(part, date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)


def write_folder(out: Path, parts: Mapping[str, bytes]) -> None:
    """Write parts as a folder, which appears whole or not at all."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    older = temporary / "older"
    try:
        newer = temporary / "newer"
        newer.mkdir()
        for part, content in parts.items():
            (newer / part).write_bytes(content)
        if out.exists():
            out.rename(older)
        newer.rename(out)
    finally:
        if older.exists() and not out.exists():
            older.rename(out)
        shutil.rmtree(temporary, ignore_errors=True)
