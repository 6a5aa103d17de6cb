"""Sending: results go to an archive by C-STORE, and to folders as files."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import dcmread, uid
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

from bonexage.disk import write_durably
from bonexage.node.books import Books
from bonexage.node.commitment import ask_commitment, expired, is_offered, noted_report
from bonexage.node.config import Destination, NodeConfig
from bonexage.node.judging import SOP_CLASSES
from bonexage.node.queue import DAMAGED, DEAD, DELIVERED, MISSING, STORED, Delivery, Film
from bonexage.node.taking import content_hash
from bonexage.node.tls import calling_context

# How long an association is kept open for a report of commitment that comes over it.
REPORT_SECONDS: Final = 2.0
# Of an OSError: the name is at fault; one place in a folder is; the machine is, and no file.
_OF_THE_NAME: Final = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})
_OF_ONE_PLACE: Final = frozenset(
    {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.EACCES, errno.EPERM}
)
_OF_THE_MACHINE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_SYNTAXES: Final = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian]


@dataclass(frozen=True)
class Answer:
    """What came of sending a result.

    Attributes:
        state: the delivery's new state; '' where it was refused, `DEAD` where it can never be sent.
        reason: why it was refused or cannot be sent, without anything that the archive wrote.
    """

    state: str
    reason: str = ""


class BadResult(Exception):
    """A result that can never be sent as it is, and why; all else that waits is sent."""


class Away(Exception):
    """The archive does not answer, or not as an archive; all that waits for it waits on."""


Send = Callable[[Sequence[Delivery]], Iterator[tuple[Delivery, Answer]]]
"""Sends deliveries and yields each with its answer; raises `Away` where the destination cannot be reached."""


def to_archive(destination: Destination, config: NodeConfig, books: Books) -> Send:
    """A way to send to an archive.

    Raises:
        WrongUse: a TLS file cannot be used.
    """
    entity, queue = _entity(destination, config), books.queue
    context = calling_context(destination.tls)

    def send(deliveries: Sequence[Delivery]) -> Iterator[tuple[Delivery, Answer]]:
        expired(books, destination.name)
        stored = queue.due(destination.name, STORED)
        if not deliveries and not stored:
            return
        answered = _Answered()
        association = entity.associate(
            destination.host,
            destination.port,
            ae_title=destination.ae_title,
            tls_args=(context, destination.host) if context else None,
            evt_handlers=[
                (evt.EVT_N_EVENT_REPORT, lambda event: noted_report(event, books, config.delivery)),
                (evt.EVT_DIMSE_SENT, answered.message_sent),
                (evt.EVT_PDU_SENT, answered.pdu_sent),
            ],
        )
        if not association.is_established:
            raise Away("the archive rejects the association" if association.is_rejected else "no connection")
        try:
            committing = destination.commitment and is_offered(association)
            for delivery in deliveries:
                try:
                    answer = _stored(association, books, delivery, STORED if committing else DELIVERED)
                except BadResult as error:
                    answer = Answer(DEAD, str(error))
                yield delivery, answer
            if _commit(association, queue.due(destination.name, STORED), committing, books, config):
                answered.wait()
        finally:
            if association.is_established:
                association.release()

    return send


def to_folder(folder: Path, books: Books, place: Callable[[Film], str]) -> Send:
    """A way to put results into a folder, each file in one step.

    Args:
        folder: where they go.
        books: where they lie.
        place: a film's own folder in it; '' for none.
    """

    def send(deliveries: Sequence[Delivery]) -> Iterator[tuple[Delivery, Answer]]:
        for delivery in deliveries:
            target = folder / place(books.queue.film(delivery.film)) / delivery.file
            try:
                answer = _written(folder, target, _content(books, delivery))
            except BadResult as error:
                answer = Answer(DEAD, str(error))
            yield delivery, answer

    return send


def _written(folder: Path, target: Path, content: bytes) -> Answer:
    """Write a result to a file in a folder; raises `Away` where the folder takes none at all."""
    try:
        write_durably(target, content)
    except OSError as error:
        reason = f"the folder cannot be written to ({error.strerror})"
        if error.errno in _OF_THE_NAME:
            raise BadResult(f"the folder takes no file of this name ({error.strerror})") from None
        if error.errno in _OF_ONE_PLACE and os.access(folder, os.W_OK | os.X_OK):
            return Answer("", reason)
        raise Away(reason) from None
    return Answer(DELIVERED)


def _content(books: Books, delivery: Delivery) -> bytes:
    """A result's bytes as they were made.

    Raises:
        BadResult: its file is gone, or holds something else.
        OSError: the state folder cannot be read.
    """
    try:
        content = (books.spool.results_of(delivery.film) / delivery.file).read_bytes()
    except OSError as error:
        if is_of_the_machine(error) or not books.spool.results.is_dir():
            raise
        raise BadResult(MISSING if isinstance(error, FileNotFoundError) else DAMAGED) from None
    if delivery.sha256 and content_hash(content) != delivery.sha256:
        raise BadResult(DAMAGED)
    return content


def is_of_the_machine(error: OSError) -> bool:
    """Whether an error says that the machine lacks something, whatever file was asked for."""
    return error.errno in _OF_THE_MACHINE


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


def _stored(association: Association, books: Books, delivery: Delivery, state: str) -> Answer:
    content = _content(books, delivery)
    if not association.is_established:
        raise Away("the connection broke")
    if not any(each.abstract_syntax == delivery.sop_class for each in association.accepted_contexts):
        return Answer("", "the archive takes no objects of this kind")
    try:
        status = _status(association.send_c_store(dcmread(BytesIO(content))))
    except RuntimeError:  # it broke since it was looked at
        raise Away("the connection broke") from None
    except Exception:  # pydicom and pynetdicom raise nearly everything on an object that is not whole
        raise BadResult(DAMAGED) from None
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
    association: Association, stored: Sequence[Delivery], committing: bool, books: Books, config: NodeConfig
) -> bool:
    """Ask for the commitment of what was stored; returns whether a report came over the same association."""
    if not committing:
        books.queue.put(stored, DELIVERED)
        books.finish({delivery.film for delivery in stored})
    elif stored:
        transaction = ask_commitment(association, stored, books, config.delivery)
        until = time.monotonic() + REPORT_SECONDS
        while transaction and time.monotonic() < until:
            if not books.queue.asked_under(transaction):
                return True
            time.sleep(0.02)
    return False


class _Answered:
    """Whether a report that came over an association is answered, so that the association may be released."""

    def __init__(self) -> None:
        self._answering = False
        self._sent = threading.Event()

    def message_sent(self, event: evt.Event) -> None:
        """An answer to a report is about to be sent."""
        self._answering = self._answering or isinstance(event.message, N_EVENT_REPORT_RSP)

    def pdu_sent(self, event: evt.Event) -> None:
        """It was sent, if it was one."""
        if self._answering and isinstance(event.pdu, P_DATA_TF):
            self._sent.set()

    def wait(self) -> None:
        """Wait a little until the answer was sent."""
        self._sent.wait(REPORT_SECONDS)
