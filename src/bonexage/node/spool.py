"""The state folder: films that wait, results on their way, dead letters and what was put aside."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from bonexage.disk import remove_partial, sync_folder, write_atomically, write_durably
from bonexage.errors import WrongUse
from bonexage.node.queue import ASIDE, ASSESSED, DEAD, WAITING, Film, Queue

LOCK: Final = "lock"
REASON: Final = "reason.txt"
_PRIVATE: Final = 0o700


class Spool:
    """The files of one state folder; nobody but its owner may look into it."""

    def __init__(self, folder: Path) -> None:
        """Make what is missing of the folder.

        Raises:
            WrongUse: it cannot be made or written to.
        """
        self.folder = folder
        self.films, self.results = folder / "films", folder / "results"
        self._kept = {ASIDE: folder / "aside", DEAD: folder / "dead"}
        try:
            for each in (folder, self.films, self.results, *self._kept.values()):
                each.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            sync_folder(folder)
        except OSError as error:
            raise WrongUse(
                f"the state folder cannot be used ({error.strerror})",
                remedy="Name a folder on a local disk that this user may write to",
                subject=str(folder),
            ) from None

    def lock(self) -> BinaryIO:
        """Keep other nodes out until what is returned is closed, or this process ends.

        Raises:
            WrongUse: another one uses the folder.
        """
        held = (self.folder / LOCK).open("wb")
        with suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                held.close()
                raise WrongUse(
                    "another node uses this state folder",
                    remedy="Stop that one, or give this one a folder of its own",
                    subject=str(self.folder),
                ) from None
        return held

    def keep(self, data: bytes) -> str:
        """Put a film's bytes where they outlive a power cut, and return the file's name."""
        name = uuid.uuid4().hex
        write_durably(self.films / name, data)
        return name

    def film(self, film: Film) -> Path:
        """Where a film that waits lies."""
        return self.films / film.file

    def results_of(self, number: int) -> Path:
        """The folder of a film's results."""
        return self.results / str(number)

    def put_results(self, film: Film, files: Mapping[str, bytes]) -> None:
        """Put a film's results, by their names, where they outlive a power cut."""
        folder = self.results_of(film.number)
        folder.mkdir(mode=_PRIVATE, exist_ok=True)
        for name, content in files.items():
            write_atomically(folder / name, content)
        for each in (folder, self.results):
            sync_folder(each)

    def lay(self, film: Film, state: str, reason: str) -> None:
        """Put a film and its results, if any, where a person looks for it, with the reason in a file.

        Args:
            film: the film.
            state: `DEAD` for the dead letters, `ASIDE` for what is no film.
            reason: why, for people.
        """
        place = self._kept[state] / f"film-{film.number}"
        place.mkdir(mode=_PRIVATE, exist_ok=True)
        for source, name in ((self.film(film), "film"), *_below(self.results_of(film.number))):
            with suppress(FileExistsError, FileNotFoundError):
                _link(source, place / name)
        write_durably(place / REASON, f"{reason}\n".encode())
        sync_folder(place.parent)

    def release(self, film: Film) -> None:
        """Forget the files of a film that is done or put aside: no longer waiting."""
        self.film(film).unlink(missing_ok=True)
        shutil.rmtree(self.results_of(film.number), ignore_errors=True)

    def holds(self, film: Film) -> bool:
        """Whether there are files of a film that waits."""
        return self.film(film).exists() or self.results_of(film.number).exists()

    def unlay(self, number: int) -> None:
        """Take a film out of the dead letters."""
        shutil.rmtree(self._kept[DEAD] / f"film-{number}", ignore_errors=True)

    def sweep(self, queue: Queue) -> None:
        """Remove what a killed process left behind and the queue does not know; nobody may be at work."""
        films = queue.films(WAITING, ASSESSED, DEAD)
        needed = {film.file for film in films}
        results = {str(film.number) for film in films}
        dead = {f"film-{film.number}" for film in films if film.state == DEAD}
        remove_partial(self.films)
        for path, known in (
            *((path, needed) for path in self.films.iterdir()),
            *((path, results) for path in self.results.iterdir()),
            *((path, dead) for path in self._kept[DEAD].iterdir()),
        ):
            if path.name not in known:
                _remove(path)
        for folder in self.results.iterdir():
            remove_partial(folder)

    def free_bytes(self) -> int:
        """The room that is left on its disk."""
        return shutil.disk_usage(self.folder).free


def _below(folder: Path) -> list[tuple[Path, str]]:
    return [(path, path.name) for path in folder.iterdir()] if folder.is_dir() else []


def _link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system knows none."""
    try:
        os.link(source, target)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        shutil.copyfile(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
