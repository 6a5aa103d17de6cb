"""Storage commitment: asking an archive to answer for results that it stored, and noting what it reports."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from bonexage.node import config as settings
from bonexage.node.books import Books
from bonexage.node.queue import ASKED, DELIVERED, STORED, WAITING, Delivery

REQUEST: Final = 1  # the action of PS3.4 table J.3-1
_HOUR: Final = 3600.0
# An archive that was asked so often and never reported is believed to have stored what it said it stored.
MOST_REQUESTS: Final = 5
NOT_COMMITTED: Final = "the archive does not commit itself to storing it"


def is_offered(association: Association) -> bool:
    """Whether the archive accepted to be asked for commitment."""
    return any(each.abstract_syntax == StorageCommitmentPushModel for each in association.accepted_contexts)


def ask_commitment(
    association: Association, deliveries: Sequence[Delivery], books: Books, limits: settings.Delivery
) -> str:
    """Ask an archive to commit itself to results; returns the transaction's UID, '' where it did not take it.

    The request is noted before it is made, so that a report that comes at once is understood.
    """
    transaction = str(generate_uid())
    wanted = Dataset()
    wanted.TransactionUID = transaction
    wanted.ReferencedSOPSequence = [_reference(delivery) for delivery in deliveries]
    at = time.time() + limits.commitment_hours * _HOUR
    for delivery in deliveries:
        books.queue.put([delivery], ASKED, asked=transaction, attempts=delivery.attempts + 1, next_at=at)
    try:
        status, _ = association.send_n_action(
            wanted, REQUEST, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        taken = "Status" in status and status.Status == 0
    except (RuntimeError, ValueError):
        taken = False
    if taken:
        return transaction
    books.log("commitment-not-taken", results=len(deliveries))
    _ask_again(books, books.queue.asked_under(transaction), time.time() + limits.longest_wait_seconds)
    return ""


def noted_report(event: evt.Event, books: Books, limits: settings.Delivery) -> tuple[int, Dataset | None]:
    """Note what an archive reports of a request: N-EVENT-REPORT of PS3.4 section J.3.3."""
    told: Any = event.event_information
    queue = books.queue
    asked = queue.asked_under(str(told.get("TransactionUID", "")))
    kept, failed = (_uids(told, name) for name in ("ReferencedSOPSequence", "FailedSOPSequence"))
    queue.put([each for each in asked if each.uid in kept], DELIVERED, asked="", attempts=0, reason="")
    lost = [each for each in asked if each.uid in failed]
    for delivery in lost:
        if delivery.attempts >= limits.refusals:
            books.bury([delivery], NOT_COMMITTED)
            continue
        at = time.time() + limits.wait_seconds(delivery.attempts)
        queue.put([delivery], WAITING, asked="", since=time.time(), next_at=at, reason=NOT_COMMITTED)
    books.finish({delivery.film for delivery in asked})
    books.log("commitment", committed=len(asked) - len(lost), refused=len(lost))
    return 0, None


def expired(books: Books, destination: str) -> None:
    """Let results whose report is overdue be asked for again."""
    _ask_again(books, books.queue.due(destination, ASKED), 0.0)


def _ask_again(books: Books, deliveries: Sequence[Delivery], at: float) -> None:
    """Let results be asked for from a time on, or be believed stored after many requests."""
    for delivery in deliveries:
        believed = delivery.attempts >= MOST_REQUESTS
        books.queue.put([delivery], DELIVERED if believed else STORED, asked="", next_at=at)
    books.finish({delivery.film for delivery in deliveries})


def _reference(delivery: Delivery) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = delivery.sop_class, delivery.uid
    return item


def _uids(told: Dataset, name: str) -> set[str]:
    return {str(item.get("ReferencedSOPInstanceUID", "")) for item in told.get(name) or ()}
