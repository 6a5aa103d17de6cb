"""The door: an object is on the disk and in the queue before anyone is told that it was taken."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from typing import Final

from bonexage.errors import BonexageError
from bonexage.node.queue import Queue
from bonexage.node.spool import Spool
from bonexage.reading.dicom_meta import HEAD_BYTES, file_meta, is_dicom

MEGABYTE: Final = 1_000_000


class DiskFull(BonexageError):
    """There is less room on the disk than the node is told to leave."""


@dataclass(frozen=True)
class Door:
    """Where objects are taken in.

    Attributes:
        queue: what is known.
        spool: where their bytes go.
        least_free_bytes: with less room on the disk nothing is taken.
        arrived: set whenever something was taken.
    """

    queue: Queue
    spool: Spool
    least_free_bytes: int = 0
    arrived: threading.Event = field(default_factory=threading.Event)

    def has_room(self) -> bool:
        """Whether something may be taken."""
        return self.spool.free_bytes() >= self.least_free_bytes

    def has_room_for_results(self) -> bool:
        """Whether results may be made: they have half of the room that films leave, the queue the rest."""
        return self.spool.free_bytes() >= self.least_free_bytes // 2

    def take(self, uid: str, data: bytes, name: str = "") -> int | None:
        """Take an object in, and return its number; None where it was taken before.

        Args:
            uid: its SOP Instance UID, or what else names it.
            data: its file.
            name: its path in the folder it came from, if it came from one.

        Raises:
            DiskFull: there is too little room.
            ConflictingFilm: another one was taken under its UID.
            OSError, sqlite3.Error: the disk refuses.
        """
        sha256 = content_hash(data)
        if self.queue.known(uid, sha256):
            return None
        if not self.has_room():
            raise DiskFull("there is too little room on the disk", remedy="Make room")
        file = self.spool.keep(data)
        number = None
        try:
            number = self.queue.add(uid, sha256, file, name)
        finally:
            if number is None:
                (self.spool.films / file).unlink(missing_ok=True)
        self.arrived.set()
        return number


def content_hash(data: bytes) -> str:
    """SHA-256 of a content, 64 hex digits: of a DICOM file without the group that says who wrote it."""
    begin = file_meta(data[:HEAD_BYTES]).end if is_dicom(data) else 0
    return hashlib.sha256(memoryview(data)[begin:]).hexdigest()
