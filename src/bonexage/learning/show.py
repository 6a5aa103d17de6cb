"""How training shows itself: a progress bar on a terminal, plain lines elsewhere, and a log on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bonexage.terminal import printable_lines

SECONDS_BETWEEN_LINES = 60.0


class Screen:
    """Shows lines and progress, and writes lines to a log while one is open."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._log: TextIO | None = None
        self._last_line = 0.0

    @contextmanager
    def logged(self, path: Path | None) -> Iterator[None]:
        """Append every line said to the file at `path`, with the time; None logs nothing."""
        if path is None:
            yield
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            self._log = log
            try:
                yield
            finally:
                self._log = None

    def say(self, line: str) -> None:
        """Show a line and log it."""
        self._console.print(printable_lines(line), markup=False)
        if self._log is not None:
            self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
            self._log.flush()

    def films_read(self, done: int, total: int) -> None:
        """Tell how many films have been read into the cache."""
        if done == total or self._is_time():
            self.say(f"{done} of {total} films read")

    @contextmanager
    def films_learned(self, total: int, label: str) -> Iterator[Callable[[int, str], None]]:
        """Show the films of an epoch as they are learned from: yields `advance(done, text)`."""
        if not self._console.is_terminal:
            yield lambda done, text: self._plain(f"{label}: {done} of {total} films, {text}")
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(label, total=total, text="")
            yield lambda done, text: bar.update(task, completed=done, text=text)

    def _plain(self, line: str) -> None:
        if self._is_time():
            self._console.print(printable_lines(line), markup=False)

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._last_line < SECONDS_BETWEEN_LINES:
            return False
        self._last_line = now
        return True


def silent_screen() -> Screen:
    """One that shows nothing, for all processes of a run but the first."""
    return Screen(Console(quiet=True))
