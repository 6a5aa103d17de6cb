"""The listener: C-ECHO, films by C-STORE, and what an archive reports of its storage commitment."""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import Any, Final, cast
from weakref import WeakKeyDictionary, WeakSet

from pydicom import uid
from pydicom.dataset import Dataset
from pynetdicom import _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from bonexage.errors import ConflictingFilm, WrongUse
from bonexage.logline import error_facts
from bonexage.node.books import Books
from bonexage.node.commitment import noted_report
from bonexage.node.config import NodeConfig
from bonexage.node.connections import Connections, Entity, request_seconds
from bonexage.node.logs import Log
from bonexage.node.metrics import Counters
from bonexage.node.taking import MEGABYTE, DiskFull, Door
from bonexage.node.tls import listening_context
from bonexage.reading.dicom_film import FILM_CLASSES
from bonexage.reading.identity import is_uid

# PS3.7 annex C and PS3.4 annex B: what a C-STORE is answered.
SUCCESS: Final = 0x0000
DUPLICATE: Final = 0x0111
INVALID: Final = 0x0117
OUT_OF_RESOURCES: Final = 0xA700
NOT_UNDERSTOOD: Final = 0xC000

SYNTAXES: Final = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
)
# Films come in parts of this length at most.
PDU_BYTES: Final = 1 << 17
IMPLEMENTATION: Final = "BONEXAGE"
MOST_UNANSWERED: Final = 4
# Slower than this, after a first time of silence that any peer has, no object is taken.
LEAST_BYTES_A_SECOND: Final = 4000

# pynetdicom ends an association on a UID of more than 64 characters, and all other films of it would be lost;
# `_store` judges the UID of each film by itself.
_config.VALIDATORS["UI"] = lambda _uid: (True, "")


@dataclass(frozen=True, eq=False)
class Listener:
    """A listener at work: its server."""

    server: ThreadedAssociationServer

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server.server_address[1])

    def close(self, seconds: float) -> None:
        """Take no more associations, wait a while for the established ones to end, and end the rest."""
        self.server.shutdown()
        until = time.monotonic() + seconds
        for association in self.server.active_associations:
            if association.is_established:
                association.join(max(0.0, until - time.monotonic()))
        for association in self.server.active_associations:
            association.abort(block=False)


def listen(config: NodeConfig, door: Door, counters: Counters, log: Log) -> Listener:
    """Start to listen; associations are served in threads of their own.

    Raises:
        WrongUse: the port cannot be listened on, or a TLS file cannot be used.
    """
    said = config.listen
    entity = Entity(said.ae_title)
    entity.implementation_version_name = IMPLEMENTATION
    entity.require_called_aet = True
    entity.maximum_pdu_size = PDU_BYTES
    if said.calling:
        entity.require_calling_aet = list({*said.calling, *(each.ae_title for each in config.destinations)})
    entity.maximum_associations = said.associations
    entity.network_timeout = entity.dimse_timeout = said.idle_seconds
    entity.acse_timeout = request_seconds(said.idle_seconds)
    entity.add_supported_context(Verification)
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    for kind in sorted(FILM_CLASSES):
        entity.add_supported_context(kind, list(SYNTAXES))
    limits = _Limits(said.object_megabytes * MEGABYTE, said.idle_seconds, counters, log)
    connections = Connections(said.idle_seconds, said.associations, counters, log)
    books = Books(door.queue, door.spool, log)
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, connections.opened),
        (evt.EVT_CONN_CLOSE, connections.closed),
        (evt.EVT_REQUESTED, connections.asked),
        (evt.EVT_PDU_RECV, limits.received),
        (evt.EVT_DIMSE_RECV, limits.asked),
        (evt.EVT_DIMSE_SENT, limits.answered),
        (evt.EVT_REJECTED, lambda _event: _rejected(counters, log)),
        (evt.EVT_C_STORE, lambda event: _store(event, door, counters, log)),
        (evt.EVT_C_ECHO, lambda _event: SUCCESS),
        (evt.EVT_N_EVENT_REPORT, lambda event: noted_report(event, books, config.delivery)),
    ]
    try:
        server = entity.start_server(
            (said.host, said.port),
            block=False,
            ssl_context=listening_context(said.tls, said.idle_seconds),
            evt_handlers=handlers,
        )
    except OSError as error:
        raise WrongUse(
            f"{said.host}:{said.port} cannot be listened on ({error.strerror})",
            remedy="Name a free port and an address of this machine under [listen]",
        ) from None
    return Listener(cast("ThreadedAssociationServer", server))


def _store(event: evt.Event, door: Door, counters: Counters, log: Log) -> Dataset | int:
    """Answer one C-STORE: success only when the object is on the disk and in the queue."""
    try:
        request: Any = event.request
        named = str(request.AffectedSOPInstanceUID)
        if not is_uid(named):
            return _answer(INVALID, "no usable SOP Instance UID", counters, log)
        data = event.encoded_dataset()
        number = door.take(named, data)
    except DiskFull as error:
        return _answer(OUT_OF_RESOURCES, error.problem, counters, log)
    except (OSError, sqlite3.Error) as error:
        log("disk-refused", **error_facts(error))
        return _answer(OUT_OF_RESOURCES, "the disk refused it", counters, log)
    except ConflictingFilm as error:
        return _answer(DUPLICATE, error.problem, counters, log)
    except Exception as error:  # whatever the peer sent, it gets an answer
        log("unforeseen", **error_facts(error))
        return _answer(NOT_UNDERSTOOD, "it could not be understood", counters, log)
    if number is None:
        counters.received.labels("known").inc()
        log("known-again", bytes=len(data))
    else:
        counters.received.labels("taken").inc()
        log("taken", film=number, bytes=len(data))
    return SUCCESS


def _rejected(counters: Counters, log: Log) -> None:
    counters.received.labels("rejected").inc()
    log("association-rejected")


def _answer(status: int, why: str, counters: Counters, log: Log) -> Dataset:
    """A failure with its reason, 64 characters of it, as PS3.7 section 9.1.1.1 allows."""
    _refused(counters, log, "not-taken", status=f"{status:04X}", reason=why)
    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = why[:64]
    return answer


def _refused(counters: Counters, log: Log, event: str, **facts: Any) -> None:
    counters.received.labels("refused").inc()
    log(event, **facts)


class _Limits:
    """What one association may send, and how slowly."""

    def __init__(self, most_bytes: int, idle_seconds: float, counters: Counters, log: Log) -> None:
        self._most, self._idle = most_bytes, idle_seconds
        self._counters, self._log = counters, log
        self._waiting: WeakKeyDictionary[Association, _Waiting] = WeakKeyDictionary()
        self._ended: WeakSet[Association] = WeakSet()
        self._lock = threading.Lock()

    def received(self, event: evt.Event) -> None:
        """Add up what came and was not answered; the association ends where it is too large or too slow.

        A peer waits for each answer before it sends more (PS3.7, where no window was negotiated), so for an
        honest one this is a single object. One that does not wait would fill the memory.
        """
        if not isinstance(event.pdu, P_DATA_TF) or event.assoc in self._ended:
            return
        with self._lock:
            waiting = self._waiting.setdefault(event.assoc, _Waiting())
            if not waiting.bytes:
                waiting.since = time.monotonic()
            waiting.bytes += event.pdu.pdu_length
            size, messages, seconds = waiting.bytes, waiting.messages, time.monotonic() - waiting.since
        if size > self._most or messages > MOST_UNANSWERED:
            self._end(event, "object-too-large", bytes=size, messages=messages)
        elif not messages and seconds > self._idle + size / LEAST_BYTES_A_SECOND:
            self._end(event, "object-too-slow", bytes=size, seconds=round(seconds, 1))

    def _end(self, event: evt.Event, why: str, **facts: float) -> None:
        self._ended.add(event.assoc)
        _refused(self._counters, self._log, why, **facts)
        event.assoc.abort()

    def asked(self, event: evt.Event) -> None:
        """Count a message that came whole."""
        with self._lock:
            self._waiting.setdefault(event.assoc, _Waiting()).messages += 1

    def answered(self, event: evt.Event) -> None:
        """Take an answered message off; with the last of them all that came is dealt with."""
        with self._lock:
            waiting = self._waiting.setdefault(event.assoc, _Waiting())
            waiting.messages = max(0, waiting.messages - 1)
            if not waiting.messages:
                waiting.bytes = 0


@dataclass
class _Waiting:
    """What of an association came and was not answered."""

    bytes: int = 0
    messages: int = 0
    since: float = 0.0
