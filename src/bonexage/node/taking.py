"""The door: an object is on the disk and in the queue before anyone learns that it was taken."""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from bonexage.errors import BonexageError, UnreadableFile
from bonexage.node.queue import Film, Overtaken, Queue
from bonexage.node.sameness import gives_way
from bonexage.node.spool import Spool
from bonexage.reading.dicom import read_identity
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

    def take(self, uid: str, data: bytes, name: str | None = None) -> int | None:
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
        known, held = self._look_up(uid, sha256, data)
        if known:
            return None
        if not self.has_room():
            raise DiskFull("there is too little room on the disk", remedy="Make room")
        file = self.spool.keep(data, name)
        number = None
        try:
            number = self._add(uid, sha256, data, file, name, held)
        finally:
            if number is None:
                self.spool.drop(file)
        return number

    def enter(self, uid: str, data: bytes, file: str, name: str | None = None) -> int | None:
        """Note in the queue an object that lies among the films; returns its number as `take` does.

        Args:
            uid: its SOP Instance UID, or what else names it.
            data: its file.
            file: what that is called among the films.
            name: its path in the folder it came from, if it came from one.

        Raises:
            ConflictingFilm: another one was taken under its UID.
            sqlite3.Error: the disk refuses.
        """
        sha256 = content_hash(data)
        known, held = self._look_up(uid, sha256, data)
        return None if known else self._add(uid, sha256, data, file, name, held)

    def _look_up(self, uid: str, sha256: str, data: bytes) -> tuple[bool, Film | None]:
        """Whether an object is known; where it is not, also the film that leaves its UID to it, if any."""
        held = self.queue.holder(uid)
        if held is None:
            return False, None
        return held.sha256 == sha256 or not gives_way(held, self.spool.film(held), data), held

    def _add(
        self, uid: str, sha256: str, data: bytes, file: str, name: str | None, held: Film | None
    ) -> int | None:
        known = False
        while not known:
            try:
                number = self.queue.add(uid, sha256, file, name or "", instead_of=held)
            except Overtaken:
                known, held = self._look_up(uid, sha256, data)
            else:
                self.arrived.set()
                return number
        return None


def content_hash(data: bytes) -> str:
    """SHA-256 of a content, 64 hex digits: of a DICOM file without the group that says who wrote it."""
    begin = file_meta(data[:HEAD_BYTES]).end if is_dicom(data) else 0
    return hashlib.sha256(memoryview(data)[begin:]).hexdigest()


def uid_of(data: bytes) -> str:
    """A DICOM film's UID by its header; for any other file, and for one without a UID, its hash."""
    if is_dicom(data):
        with suppress(UnreadableFile):
            return read_identity(data, "").sop_uid
    return f"sha256:{content_hash(data)}"
