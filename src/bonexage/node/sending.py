"""Sending: results go to an archive by C-STORE, and to folders as files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import dcmread, uid
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

from bonexage.disk import write_durably
from bonexage.node.commitment import ask_commitment, expired, is_offered, noted_report
from bonexage.node.config import Destination, NodeConfig
from bonexage.node.judging import SOP_CLASSES
from bonexage.node.logs import Log
from bonexage.node.queue import DELIVERED, STORED, Delivery, Queue
from bonexage.node.spool import Spool
from bonexage.node.tls import calling_context

# How long an association is kept open for a report of commitment that comes over it.
REPORT_SECONDS: Final = 2.0
_SYNTAXES: Final = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian]


@dataclass(frozen=True)
class Answer:
    """What came of sending a result.

    Attributes:
        state: the delivery's new state; '' where it was refused.
        reason: why it was refused, without anything that the archive wrote.
    """

    state: str
    reason: str = ""


class Away(Exception):
    """The archive does not answer, or not as an archive; all that waits for it waits on."""


Send = Callable[[Sequence[Delivery]], Iterator[tuple[Delivery, Answer]]]
"""Sends deliveries and yields each with its answer; raises `Away` where the destination cannot be reached."""


def to_archive(destination: Destination, config: NodeConfig, queue: Queue, spool: Spool, log: Log) -> Send:
    """A way to send to an archive.

    Raises:
        WrongUse: a TLS file cannot be used.
    """
    entity = _entity(destination, config)
    context = calling_context(destination.tls)

    def send(deliveries: Sequence[Delivery]) -> Iterator[tuple[Delivery, Answer]]:
        expired(queue, destination.name)
        stored = queue.due(destination.name, STORED)
        if not deliveries and not stored:
            return
        association = entity.associate(
            destination.host,
            destination.port,
            ae_title=destination.ae_title,
            tls_args=(context, destination.host) if context else None,
            evt_handlers=[
                (evt.EVT_N_EVENT_REPORT, lambda event: noted_report(event, queue, config.delivery, log))
            ],
        )
        if not association.is_established:
            raise Away("the archive rejects the association" if association.is_rejected else "no connection")
        try:
            committing = destination.commitment and is_offered(association)
            for delivery in deliveries:
                path = spool.results_of(delivery.film) / delivery.file
                yield delivery, _stored(association, path, delivery, STORED if committing else DELIVERED)
            _commit(association, queue.due(destination.name, STORED), committing, queue, config)
        finally:
            if association.is_established:
                association.release()

    return send


def to_folder(folder: Path, queue: Queue, spool: Spool) -> Send:
    """A way to put results into a folder, each file in one step; a film with a name has a folder in it."""

    def send(deliveries: Sequence[Delivery]) -> Iterator[tuple[Delivery, Answer]]:
        for delivery in deliveries:
            target = folder / queue.film(delivery.film).name / delivery.file
            try:
                write_durably(target, (spool.results_of(delivery.film) / delivery.file).read_bytes())
            except OSError as error:
                raise Away(f"the folder cannot be written to ({error.strerror})") from None
            yield delivery, Answer(DELIVERED)

    return send


def answers_echo(destination: Destination, config: NodeConfig) -> bool:
    """Whether an archive answers a C-ECHO.

    Raises:
        WrongUse: a TLS file cannot be used.
    """
    context = calling_context(destination.tls)
    association = _entity(destination, config).associate(
        destination.host,
        destination.port,
        ae_title=destination.ae_title,
        tls_args=(context, destination.host) if context else None,
    )
    if not association.is_established:
        return False
    try:
        return _status(association.send_c_echo()) == 0
    finally:
        association.release()


def _entity(destination: Destination, config: NodeConfig) -> AE:
    entity = AE(destination.calling or config.listen.ae_title)
    seconds = config.delivery.timeout_seconds
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = seconds
    entity.add_requested_context(Verification)
    for kind in destination.send:
        entity.add_requested_context(SOP_CLASSES[kind], _SYNTAXES)
    if destination.commitment:
        entity.add_requested_context(StorageCommitmentPushModel)
    return entity


def _stored(association: Association, path: Path, delivery: Delivery, state: str) -> Answer:
    if not association.is_established:
        raise Away("the connection broke")
    if not any(each.abstract_syntax == delivery.sop_class for each in association.accepted_contexts):
        return Answer("", "the archive takes no objects of this kind")
    try:
        status = _status(association.send_c_store(dcmread(path)))
    except RuntimeError:  # it broke since it was looked at
        raise Away("the connection broke") from None
    if status is None:
        raise Away("the archive did not answer")
    # PS3.4 table B.2-1: B000 to BFFF are warnings of an object that was stored.
    if status == 0 or 0xB000 <= status <= 0xBFFF:
        return Answer(state)
    if 0xA700 <= status <= 0xA7FF:
        raise Away(f"the archive is out of resources ({status:04X})")
    return Answer("", f"the archive refused it ({status:04X})")


def _status(answer: Dataset) -> int | None:
    return int(answer.Status) if "Status" in answer else None


def _commit(
    association: Association, stored: Sequence[Delivery], committing: bool, queue: Queue, config: NodeConfig
) -> None:
    if not committing:
        queue.put(stored, DELIVERED)
    elif stored:
        transaction = ask_commitment(association, stored, queue, config.delivery)
        until = time.monotonic() + REPORT_SECONDS
        while transaction and queue.asked_under(transaction) and time.monotonic() < until:
            time.sleep(0.02)
