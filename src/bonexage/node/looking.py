"""A look at a queue from outside, as rows for people and programs, and the dead letters taken up again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bonexage.errors import UnusableData, WrongUse
from bonexage.node.config import read_config
from bonexage.node.ownership import is_claimed
from bonexage.node.queue import (
    ASIDE,
    ASSESSED,
    DEAD,
    DELIVERED,
    DONE,
    FILE,
    WAITING,
    Delivery,
    Film,
    Queue,
    usable,
)
from bonexage.node.schema import is_queue, may_be_queue
from bonexage.node.spool import Spool
from bonexage.node.watching import STATE
from bonexage.terminal import printable

_HEADS: Final = ["film", "received", "state", "status", "delivered", "uid", "reason"]
STATES: Final = (WAITING, ASSESSED, DONE, ASIDE, DEAD)


def state_folder(place: Path) -> Path:
    """The state folder that is meant by itself, by a configuration, or by the folder `watch` writes to.

    Raises:
        WrongUse: there is no queue.
    """
    folder = Path(read_config(place).state) if place.is_file() else place
    if not (folder / FILE).is_file() and (folder / STATE / FILE).is_file():
        folder = folder / STATE
    if not (folder / FILE).is_file():
        raise WrongUse(
            "there is no queue",
            remedy="Name a node's configuration, its state folder, or the folder that watch writes to",
            subject=str(place),
        )
    return folder


def overview(folder: Path, *, done: bool = False) -> dict[str, Any]:
    """How many films are in which state, and each that is not done or, if wished, every one.

    Args:
        folder: the state folder.
        done: tell of films that are done too.
    """
    with _looked_into(folder) as queue:
        counts, deliveries = queue.counts()
        films = queue.films(*(STATES if done else (WAITING, ASSESSED, ASIDE, DEAD)))
        return {
            "films": {state: counts.get(state, 0) for state in STATES},
            "results": [
                {"destination": destination, "state": state, "count": count}
                for (destination, state), count in sorted(deliveries.items())
            ],
            "rows": [_row(film, queue.deliveries(film.number)) for film in films],
        }


def retry(folder: Path, numbers: Sequence[int] | None) -> list[int]:
    """Let dead letters be tried again, those of some films or all; returns the films' numbers.

    Raises:
        WrongUse: a number is not that of a dead film.
    """
    with _looked_into(folder) as queue:
        dead = {film.number for film in queue.films(DEAD)}
        if unknown := sorted(set(numbers or ()) - dead):
            raise WrongUse(
                f"film {unknown[0]} is not among the dead letters", remedy="See: bonexage queue", subject=None
            )
        spool = Spool(folder)
        revived = queue.revive(numbers)
        for number in revived:
            spool.unlay(number, {delivery.file for delivery in queue.deliveries(number)})
    return revived


@contextmanager
def _looked_into(folder: Path) -> Iterator[Queue]:
    """The queue in a folder, which is there already.

    Raises:
        UnusableData: it cannot be used, or the file is empty and may be anybody's.
    """
    if not is_claimed(folder) and may_be_queue(folder / FILE) and not is_queue(folder / FILE):
        raise UnusableData(
            "the database is empty, and the folder is no state folder of bonexage",
            remedy="Name a node's configuration, its state folder, or the folder that watch writes to",
            subject=str(folder / FILE),
        )
    with closing(Queue(folder)) as queue, usable(folder):
        yield queue


def as_table(told: dict[str, Any]) -> str:
    """An overview as people read it."""
    lines = ["Films: " + ", ".join(f"{count} {state}" for state, count in told["films"].items())]
    lines += [
        f"Results for {each['destination']}: {each['count']} {each['state']}" for each in told["results"]
    ]
    if told["rows"]:
        rows = [_HEADS, *([printable(str(row[key])) for key in _HEADS] for row in told["rows"])]
        widths = [max(len(row[at]) for row in rows) for at in range(len(_HEADS))]
        lines.append("")
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
    return "\n".join(lines)


def _row(film: Film, deliveries: Sequence[Delivery]) -> dict[str, Any]:
    waiting = [each for each in deliveries if each.state != DELIVERED]
    reasons = [film.reason, *(f"{each.destination}: {each.reason}" for each in waiting if each.reason)]
    return {
        "film": film.number,
        "received": datetime.fromtimestamp(film.received, UTC).isoformat(timespec="seconds"),
        "state": film.state,
        "status": film.status,
        "attempts": film.attempts,
        "delivered": f"{len(deliveries) - len(waiting)} of {len(deliveries)}",
        "uid": film.uid,
        "name": film.name,
        "reason": "; ".join(dict.fromkeys(filter(None, reasons))),
    }
