"""An archive on loopback: it stores what it is sent, commits itself, may refuse, and may be away."""

from __future__ import annotations

import hashlib
import io
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, StoragePresentationContexts, _config, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

TITLE: Final = "ARCHIVE"


@dataclass
class Archive:
    """What an archive was sent, by SOP Instance UID, and how it answers.

    Attributes:
        status: what a C-STORE is answered.
        commits: whether it offers commitment.
        reports_to: the port that it calls to report; None: it reports over the association it was asked on.
        ignores: whether it answers requests for commitment with a failure.
        loses_first: whether it does not commit itself to the first object it is asked for, once.
        keeps: whether it keeps objects, or their hashes alone.
        stored: each object as often as it came, or its SHA-256.
        kinds: study and modality of each.
        asked: UIDs that it was asked to commit itself to.
        titles: who called it.
    """

    status: int = 0
    commits: bool = False
    reports_to: int | None = None
    ignores: bool = False
    loses_first: bool = False
    keeps: bool = True
    stored: dict[str, list[bytes]] = field(default_factory=dict)
    kinds: dict[str, tuple[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)

    def objects(self) -> list[Dataset]:
        """Each object once, where it keeps them."""
        return [dcmread(io.BytesIO(copies[0])) for copies in self.stored.values()]

    def modalities(self) -> list[str]:
        """The modality of each object."""
        return sorted(modality for _, modality in self.kinds.values())

    def store(self, event: evt.Event) -> int:
        """Answer a C-STORE."""
        self.titles.append(event.assoc.requestor.ae_title)
        if self.status == 0:
            content, made = event.encoded_dataset(), event.dataset
            copies = self.stored.setdefault(made.SOPInstanceUID, [])
            copies.append(content if self.keeps else hashlib.sha256(content).digest())
            self.kinds[made.SOPInstanceUID] = (made.StudyInstanceUID, made.Modality)
        return self.status

    def act(self, event: evt.Event) -> tuple[int, None]:
        """Answer a request for commitment, and report a moment later."""
        told = event.action_information
        if self.ignores:
            return 0x0110, None
        self.asked += [item.ReferencedSOPInstanceUID for item in told.ReferencedSOPSequence]
        threading.Thread(target=self._report, args=(event.assoc, told)).start()
        return 0, None

    def _report(self, association: Association, told: Dataset) -> None:
        answer, kept, lost = Dataset(), list(told.ReferencedSOPSequence), []
        if self.loses_first:
            self.loses_first = False
            lost.append(kept.pop(0))
            lost[0].FailureReason = 0x0110
            answer.FailedSOPSequence = lost
        answer.TransactionUID, answer.ReferencedSOPSequence = told.TransactionUID, kept
        over = _called_back(self.reports_to) if self.reports_to else association
        over.send_n_event_report(
            answer, 2 if lost else 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        if self.reports_to:
            over.release()


def _called_back(port: int) -> Association:
    """An association with a node, over which the archive is the one that serves commitment."""
    entity = AE(TITLE)
    entity.add_requested_context(StorageCommitmentPushModel)
    roles = build_role(StorageCommitmentPushModel, scp_role=True)
    return entity.associate("127.0.0.1", port, ae_title="BONEXAGE", ext_neg=[roles])


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port on loopback that refuses connections, and that no other program is given in the meantime.

    An archive may listen on it all the same: both sides say that the address is reused.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


@contextmanager
def listening(archive: Archive, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The archive at its place; gives its port."""
    entity = AE(TITLE)
    entity.supported_contexts = StoragePresentationContexts
    entity.add_supported_context(Verification)
    if archive.commits:
        entity.add_supported_context(StorageCommitmentPushModel)
    server = entity.start_server(
        ("127.0.0.1", port),
        block=False,
        ssl_context=tls,
        evt_handlers=[(evt.EVT_C_STORE, archive.store), (evt.EVT_N_ACTION, archive.act)],
    )
    assert server
    try:
        yield int(server.server_address[1])
    finally:
        entity.shutdown()


def send_file(port: int, path: Path, film: Dataset) -> int | None:
    """C-STORE what lies in a file as it lies there, whatever it is, by its file meta information.

    Args:
        port: where to.
        path: a file with sound file meta information.
        film: of which SOP class it is said to be.

    Returns:
        The status; None where there was no answer.
    """
    _config.STORE_SEND_CHUNKED_DATASET = True
    entity = AE("SCANNER")
    entity.add_requested_context(film.SOPClassUID, film.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, ae_title="BONEXAGE")
    if not association.is_established:
        return None
    try:
        status: int | None = association.send_c_store(path).get("Status")
        return status
    finally:
        association.release()


def send(
    port: int,
    *films: Dataset,
    calling: str = "SCANNER",
    called: str = "BONEXAGE",
    tls: tuple[ssl.SSLContext, str] | None = None,
) -> list[int | None] | None:
    """C-STORE films, or C-ECHO where there are none, over one association.

    Returns:
        A status each, None where there was no answer; None in place of all where there was no association.
    """
    entity = AE(calling)
    for film in films:
        entity.add_requested_context(film.SOPClassUID, film.file_meta.TransferSyntaxUID)
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", port, ae_title=called, tls_args=tls)
    if not association.is_established:
        return None
    try:
        if not films:
            return [association.send_c_echo().get("Status")]
        return [association.send_c_store(film).get("Status") for film in films]
    except RuntimeError:  # it broke since the last film
        return [None] * len(films)
    finally:
        association.release()
