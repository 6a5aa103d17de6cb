"""Whether a node can start where its configuration says: tried without leaving anything behind."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bonexage.errors import WrongUse
from bonexage.node.config import NodeConfig
from bonexage.node.ownership import check_ownership
from bonexage.node.queue import FILE
from bonexage.node.schema import may_be_queue
from bonexage.node.spool import LOCK
from bonexage.node.tls import listening_context


@dataclass(frozen=True)
class Place:
    """A place that a node needs.

    Attributes:
        name: what it is.
        usable: whether the node can use it, or the running node of this configuration does.
        state: what was seen, in words.
    """

    name: str
    usable: bool
    state: str


def check_places(config: NodeConfig) -> tuple[Place, ...]:
    """The state folder and the ports of a configuration; nothing is made and nothing is marked.

    Raises:
        WrongUse: a TLS file of the listener cannot be used.
    """
    listening_context(config.listen.tls, config.listen.idle_seconds)
    folder = Path(config.state)
    at_work = _is_locked(folder)
    places = [
        _state_folder(folder, at_work=at_work),
        _port("port for DICOM", config.listen.host, config.listen.port, at_work=at_work),
    ]
    if config.http.host:
        places.append(_port("port for health", config.http.host, config.http.port, at_work=at_work))
    return tuple(places)


def _state_folder(folder: Path, *, at_work: bool) -> Place:
    name = f"state folder {folder}"
    if at_work:
        return Place(name, True, "in use by the running node")
    try:
        if folder.exists():
            check_ownership(folder)
        if (folder / FILE).exists() and not may_be_queue(folder / FILE):
            return Place(name, False, f"its {FILE} is no queue that this version can use")
        usable = _is_writable(folder)
    except (OSError, ValueError) as error:
        return Place(name, False, f"cannot be used ({getattr(error, 'strerror', None) or error})")
    except WrongUse as error:
        return Place(name, False, f"{error.problem}. {error.remedy}")
    return Place(name, usable, "can be used" if usable else "cannot be written to")


def _is_writable(folder: Path) -> bool:
    """Whether this user may write to a folder, or make it in the nearest folder above that exists."""
    nearest = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    return nearest.is_dir() and os.access(nearest, os.R_OK | os.W_OK | os.X_OK)


def _is_locked(folder: Path) -> bool:
    """Whether a node uses a state folder now."""
    with suppress(ImportError, OSError, ValueError):
        import fcntl

        with (folder / LOCK).open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


def _port(kind: str, host: str, port: int, *, at_work: bool) -> Place:
    name = f"{kind} {host}:{port}"
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if at_work and error.errno == errno.EADDRINUSE:
            return Place(name, True, "in use by the running node")
        return Place(name, False, f"cannot be listened on ({error.strerror or error})")
    return Place(name, True, "can be listened on")
