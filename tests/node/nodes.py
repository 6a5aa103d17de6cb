"""Nodes that run in the test, in a thread or in a process of their own."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonexage.node.config import read_config
from bonexage.node.logs import json_lines
from bonexage.node.queue import FILE, Queue
from bonexage.node.running import run_node
from models import small_bundle
from trials.node_process import start
from trials.waiting import PATIENCE_SECONDS, eventually


def write_config(folder: Path, archive_port: int = 1, **more: str) -> Path:
    """A configuration with short waits; `more` are lines for its tables."""
    if not (folder / "model.zip").exists():
        small_bundle(folder / "model.zip")
    path = folder / "node.toml"
    lines = {"top": "", "listen": "", "destination": "", "delivery": "", **more}
    path.write_text(
        f"""
state = "state"
model = "model.zip"
threads = 1
least_free_megabytes = 0
{lines["top"]}
[listen]
port = 0
{lines["listen"]}
[http]
port = 0
[delivery]
first_wait_seconds = 0.05
longest_wait_seconds = 0.2
timeout_seconds = 60
{lines["delivery"]}
[[destinations]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {archive_port}
{lines["destination"]}
"""
    )
    return path


@dataclass
class Node:
    """A node at work.

    Attributes:
        port: where it takes films.
        http: where it tells its health.
        state: its state folder.
        log: its log so far.
    """

    port: int
    http: int
    state: Path
    log: Callable[[], str]

    def events(self, *names: str) -> list[dict[str, Any]]:
        told = [json.loads(line) for line in self.log().splitlines()]
        return [each for each in told if not names or each["event"] in names]

    def queue(self) -> Queue:
        return Queue(self.state)

    def states(self) -> list[str]:
        """The state of each film; the node's own writing is not held up."""
        where = f"file:{self.state / FILE}?mode=ro"
        with closing(sqlite3.connect(where, uri=True, timeout=PATIENCE_SECONDS)) as opened:
            return [state for (state,) in opened.execute("SELECT state FROM films ORDER BY number")]

    def wait_for(self, *states: str) -> None:
        eventually(lambda: self.states() == list(states))


@contextmanager
def running(config: Path) -> Iterator[Node]:
    """A node in a thread of this process."""
    told, stop = io.StringIO(), threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            run_node(read_config(config), json_lines(told), stop)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield _node(told.getvalue, config, lambda: bool(failed) and _raise(failed[0]))
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    if failed:
        raise failed[0]


def started(config: Path) -> tuple[subprocess.Popen[bytes], Node]:
    """A node in a process of its own."""
    running = start(config)

    def ended() -> None:
        if running.process.poll() is not None:
            raise AssertionError(running.log.read_text())

    def told() -> str:
        return running.log.read_bytes()[running.begin :].decode()

    return running.process, _node(told, config, ended)


def _node(log: Callable[[], str], config: Path, check: Callable[[], Any]) -> Node:
    def found() -> dict[str, Any] | None:
        check()
        lines = [json.loads(line) for line in log().splitlines(keepends=True) if line.endswith("\n")]
        return next((line for line in lines if line["event"] == "listening"), None)

    said = eventually(found)
    return Node(said["port"], said["http"], config.with_name("state"), log)


def _raise(error: BaseException) -> None:
    raise error
