"""An archive made in the test: it stores what it is sent, commits itself, may refuse, and may be away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

TITLE = "ARCHIVE"


@dataclass
class Archive:
    """What an archive was sent, by SOP Instance UID, and how it answers.

    Attributes:
        stored: each object's bytes, as often as it came.
        asked: UIDs that it was asked to commit itself to.
        status: what a C-STORE is answered.
        commits: whether it offers commitment; it reports over the same association.
        loses_first: whether it does not commit itself to the first object it is asked for, once.
        titles: who called it.
    """

    stored: dict[str, list[bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status: int = 0
    commits: bool = False
    loses_first: bool = False
    titles: list[str] = field(default_factory=list)

    def objects(self) -> list[Dataset]:
        """Each object once."""
        from io import BytesIO

        from pydicom import dcmread

        return [dcmread(BytesIO(copies[0])) for copies in self.stored.values()]

    def modalities(self) -> list[str]:
        return sorted(each.Modality for each in self.objects())


@contextmanager
def listening(archive: Archive, port: int = 0, tls: Any = None) -> Iterator[int]:
    """The archive on loopback; gives its port."""
    entity = AE(TITLE)
    entity.supported_contexts = StoragePresentationContexts
    entity.add_supported_context(Verification)
    if archive.commits:
        entity.add_supported_context(StorageCommitmentPushModel)

    def store(event: evt.Event) -> int:
        archive.titles.append(event.assoc.requestor.ae_title)
        if archive.status == 0:
            copies = archive.stored.setdefault(event.request.AffectedSOPInstanceUID, [])
            copies.append(event.encoded_dataset())
        return archive.status

    def act(event: evt.Event) -> tuple[int, None]:
        told = event.action_information
        archive.asked += [item.ReferencedSOPInstanceUID for item in told.ReferencedSOPSequence]
        threading.Thread(target=_report, args=(event.assoc, told, archive)).start()
        return 0, None

    server = entity.start_server(
        ("127.0.0.1", port),
        block=False,
        ssl_context=tls,
        evt_handlers=[(evt.EVT_C_STORE, store), (evt.EVT_N_ACTION, act)],
    )
    try:
        yield server.server_address[1]
    finally:
        entity.shutdown()


def _report(association: Any, told: Dataset, archive: Archive) -> None:
    answer, kept, lost = Dataset(), [], []
    answer.TransactionUID = told.TransactionUID
    for item in told.ReferencedSOPSequence:
        (lost if archive.loses_first else kept).append(item)
        archive.loses_first = False
    answer.ReferencedSOPSequence = kept
    if lost:
        for item in lost:
            item.FailureReason = 0x0110
        answer.FailedSOPSequence = lost
    association.send_n_event_report(
        answer, 2 if lost else 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1"
    )


def send(
    port: int, *films: Dataset | Path, calling: str = "SCANNER", called: str = "BONEXAGE", tls: Any = None
):
    """C-STORE films over one association; the statuses, and None where there was none."""
    entity = AE(calling)
    for film in films:
        entity.add_requested_context(film.SOPClassUID, film.file_meta.TransferSyntaxUID)
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", port, ae_title=called, tls_args=tls)
    if not association.is_established:
        return None
    try:
        answers = [association.send_c_store(film) for film in films] or [association.send_c_echo()]
        return [answer.get("Status") for answer in answers]
    finally:
        association.release()
