"""What the first bytes of a DICOM file say of it: kind and transfer syntax, read without any library."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

PREAMBLE: Final = 128
MAGIC: Final = b"DICM"
# The group that says what a file is ends long before this.
HEAD_BYTES: Final = 4096

_META_GROUP: Final = 0x0002
_SOP_CLASS: Final = 0x0002
_SOP_UID: Final = 0x0003
_TRANSFER_SYNTAX: Final = 0x0010
_LONG_LENGTHS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"}
)
_MOST_ELEMENTS: Final = 64

# Without a preamble a file begins with an element of group 0002 or 0008: explicit, implicit or big endian.
_FIRST_ELEMENT: Final = re.compile(
    rb"\x02\x00[\x00-\x18]\x00(?:OB|SH|UI|UL)"
    rb"|\x08\x00[\x00-\x20]\x00(?:(?:CS|DA|LO|TM|UI|UL)|[\x00-\x40]\x00\x00\x00)"
    rb"|\x00\x08\x00[\x00-\x20](?:CS|DA|LO|TM|UI|UL)",
    re.DOTALL,
)
_CLASS_ELEMENT: Final = re.compile(
    rb"(?:\x08\x00\x16\x00|\x00\x08\x00\x16)(?:UI..|..\x00\x00)([0-9.]{10,64})", re.DOTALL
)

# By these a result of this package is known again: Manufacturer's Model Name and Series Description.
OWN_MODEL: Final = "bonexage"
OWN_DESCRIPTION: Final = "Bone age, for research, not for diagnosis"
_OWN_ELEMENTS: Final = tuple(
    b"\x08\x00\x90\x10" + length + OWN_MODEL.encode() for length in (b"LO\x08\x00", b"\x08\x00\x00\x00")
)

DIRECTORY: Final = "1.2.840.10008.1.3.10"
# Reports, presentation states, key objects, waveforms, raw data, documents: kinds that are no picture.
_NO_PICTURES: Final = (
    DIRECTORY,
    "1.2.840.10008.5.1.4.1.1.11.",
    "1.2.840.10008.5.1.4.1.1.88.",
    "1.2.840.10008.5.1.4.1.1.9.",
    "1.2.840.10008.5.1.4.1.1.66",
    "1.2.840.10008.5.1.4.1.1.104.",
)


@dataclass(frozen=True)
class FileMeta:
    """The file meta information of PS3.10, as far as it is needed; '' where it is missing.

    Attributes:
        sop_class: what kind of object the file holds.
        transfer_syntax: how it is written.
        end: the byte after it, where the data set begins.
        sop_uid: the object's SOP Instance UID.
    """

    sop_class: str
    transfer_syntax: str
    end: int
    sop_uid: str = ""

    @property
    def may_be_a_picture(self) -> bool:
        """Whether the kind is not one of those that never hold a picture."""
        return not self.sop_class.startswith(_NO_PICTURES)


def is_dicom(head: bytes) -> bool:
    """Whether a file that begins so is a DICOM file, with or without its preamble and its file meta group."""
    return _start(head) > 0 or _FIRST_ELEMENT.match(head) is not None


def _start(head: bytes) -> int:
    """The byte after the mark of a DICOM file; 0 where it has none."""
    end = len(MAGIC)
    if head[PREAMBLE : PREAMBLE + end] == MAGIC:
        return PREAMBLE + end
    return end if head.startswith(MAGIC) else 0


def is_own_result(head: bytes) -> bool:
    """Whether a file that begins so was written by this package: a result, and no film."""
    return any(element in head for element in _OWN_ELEMENTS)


def file_meta(head: bytes) -> FileMeta:
    """Read the file meta information from a file's first bytes; what is cut off or wrong is missing.

    Of a file without that group the class is the one that its data set names.
    """
    at = _start(head)
    found: dict[int, str] = {}
    for _ in range(_MOST_ELEMENTS):
        if len(head) < at + 8:
            break
        group, element = struct.unpack_from("<HH", head, at)
        if group != _META_GROUP:
            break
        if head[at + 4 : at + 6] in _LONG_LENGTHS:
            if len(head) < at + 12:
                break
            (length,), begin = struct.unpack_from("<I", head, at + 8), at + 12
        else:
            (length,), begin = struct.unpack_from("<H", head, at + 6), at + 8
        found[element] = head[begin : begin + length].rstrip(b"\0 ").decode("ascii", "replace")
        at = begin + length
    sop_class = found.get(_SOP_CLASS) or _class_in(head[at:])
    return FileMeta(sop_class, found.get(_TRANSFER_SYNTAX, ""), at, found.get(_SOP_UID, ""))


def _class_in(head: bytes) -> str:
    match = _CLASS_ELEMENT.search(head)
    return match[1].decode("ascii") if match else ""
