"""Results that are damaged on the disk of a node while the archive is away: all others have to arrive."""

from __future__ import annotations

import platform
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Final

from bonexage.node.looking import retry
from bonexage.node.queue import DEAD, Queue
from trials.archive import Archive, listening, reserved_port, send_file
from trials.node_process import plate_film, start, until, write_config
from trials.reliability import Found

SEED: Final = 13
DAMAGES: Final[dict[str, Callable[[Path, random.Random], object]]] = {
    "removed": lambda path, _: path.unlink(),
    "emptied": lambda path, _: path.write_bytes(b""),
    "cut short": lambda path, chance: path.write_bytes(
        path.read_bytes()[: chance.randint(1, path.stat().st_size - 1)]
    ),
    "a byte changed": lambda path, chance: path.write_bytes(_changed(path.read_bytes(), chance)),
    "noise": lambda path, chance: path.write_bytes(chance.randbytes(path.stat().st_size)),
}


def run(*, films: int = 40, damaged: int = 20) -> Found:
    """Damage one result each of some films on their way, and count what arrives.

    Args:
        films: sent to a node whose archive is away.
        damaged: of them that have one result damaged before the archive is back.
    """
    chance, archive = random.Random(SEED), Archive(keeps=False)
    with tempfile.TemporaryDirectory() as made, reserved_port() as port:
        folder = Path(made)
        state = folder / "state"
        config = write_config(folder, port)
        with closing(start(config)) as node:
            to = until(node.port, "a node that listens")
            for number in range(films):
                film = plate_film(number)
                content = BytesIO()
                film.save_as(content)
                path = folder / "sent.dcm"
                path.write_bytes(content.getvalue())
                send_file(to, path, film)
            until(lambda: _counts(state) == {"assessed": films}, "the judgement of all films")
            node.stop()
        how = Counter[str]()
        for number in chance.sample(range(1, films + 1), damaged):
            kind = chance.choice(list(DAMAGES))
            DAMAGES[kind](chance.choice(sorted((state / "results" / str(number)).iterdir())), chance)
            how[kind] += 1
        with listening(archive) as back, closing(start(write_config(folder, back))) as node:
            until(lambda: _counts(state) == {DEAD: damaged, "done": films - damaged}, "the other results")
            arrived = len(archive.stored)
            retry(state, None)
            until(lambda: _counts(state) == {"done": films}, "the results that are made again")
            unforeseen = len(node.events("unforeseen"))
            ended = node.stop()
    wanted = 3 * films - damaged
    harm = [] if arrived == wanted else [f"{arrived} of {wanted} sound results arrived"]
    harm += [] if len(archive.stored) == 3 * films else ["not all results arrived when they were tried again"]
    harm += ["a damaged result met the node unforeseen"] if ended or unforeseen else []
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(how.items()))
    text = (
        f"{films} films were sent to a node whose archive was away, and one result each of {damaged} films "
        f"was damaged on the node's disk ({kinds}). When the archive was back, **{arrived} of {wanted}** "
        f"sound results arrived, the damaged results were dead letters, and `bonexage queue --retry all` "
        f"made them again: {len(archive.stored)} of {3 * films} results are in the archive. "
        f"{'; '.join(harm) or 'No fault did harm'}.\n\n"
        f"With Python {platform.python_version()} on {platform.system()}, {platform.machine()}."
    )
    return Found(text, not harm)


def _counts(state: Path) -> dict[str, int]:
    with closing(Queue(state)) as queue:
        return queue.counts()[0]


def _changed(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]
