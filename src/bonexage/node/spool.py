"""The state folder: films that wait, results on their way, dead letters and what was put aside."""

from __future__ import annotations

import filecmp
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final

from bonexage.disk import remove_partial, sync_folder, write_atomically, write_durably
from bonexage.errors import WrongUse
from bonexage.node.ownership import claim
from bonexage.node.queue import DEAD, Film

LOCK: Final = "lock"
REASON: Final = "reason.txt"
UNLISTED: Final = "unlisted"
"""What is put aside because the queue does not know it lies in `aside/unlisted-1`, `aside/unlisted-2`, ..."""
# Beside a film from a watched folder: the name that it has there.
NAME: Final = ".name"
_FILM: Final = "film"
_PRIVATE: Final = 0o700
_WHY_UNLISTED: Final = b"The queue does not know these files. Nothing of them was changed.\n"


class Spool:
    """The files of one state folder; nobody but its owner may look into it."""

    def __init__(self, folder: Path) -> None:
        """Make what is missing of the folder, and mark it as a state folder.

        Raises:
            WrongUse: it cannot be made or written to, or it holds other things than the state of a node.
        """
        self.folder = folder
        self.films, self.results = folder / "films", folder / "results"
        self.aside, self.dead = folder / "aside", folder / "dead"
        try:
            folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            claim(folder)
            for each in (self.films, self.results, self.aside, self.dead):
                each.mkdir(mode=_PRIVATE, exist_ok=True)
            sync_folder(folder)
        except (OSError, ValueError) as error:
            raise _unusable(folder, error) from None

    def lock(self) -> BinaryIO:
        """Keep other nodes out until what is returned is closed, or this process ends.

        Raises:
            WrongUse: another one uses the folder, or the file that tells so cannot be opened.
        """
        try:
            held = (self.folder / LOCK).open("ab")
        except OSError as error:
            raise _unusable(self.folder, error) from None
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

    def keep(self, data: bytes, name: str | None = None) -> str:
        """Put a film's bytes where they outlive a power cut, and return the file's name.

        Args:
            data: its bytes.
            name: its path in the folder it came from; None for one from the network. It is kept beside the
                film, so that a film that the queue does not know can be taken up again.
        """
        file = uuid.uuid4().hex
        try:
            if name is not None:
                write_atomically(self.films / f"{file}{NAME}", name.encode(errors="backslashreplace"))
            write_durably(self.films / file, data)
        except BaseException:
            self.drop(file)
            raise
        return file

    def drop(self, file: str) -> None:
        """Forget a film that was kept and not taken in."""
        (self.films / file).unlink(missing_ok=True)
        (self.films / f"{file}{NAME}").unlink(missing_ok=True)

    def name_beside(self, file: str) -> str | None:
        """The name that was kept beside a film; None where there is none."""
        beside = self.films / f"{file}{NAME}"
        try:
            if not stat.S_ISREG(beside.lstat().st_mode):
                return None
            return beside.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

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
            if (folder / name).is_dir():  # no file of this program's making stands in its place
                self.put_aside(folder / name)
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
        place = (self.dead if state == DEAD else self.aside) / f"film-{film.number}"
        if _is_of_another_film(place / _FILM, self.film(film)):  # left by a queue that was lost
            self.put_aside(place)
        place.mkdir(mode=_PRIVATE, exist_ok=True)
        for source, name in ((self.film(film), _FILM), *_below(self.results_of(film.number))):
            with suppress(FileExistsError, FileNotFoundError, IsADirectoryError):
                _link(source, place / name)
        write_durably(place / REASON, f"{reason}\n".encode())
        sync_folder(place.parent)

    def release(self, film: Film, results: Iterable[str] = ()) -> bool:
        """Forget the files of a film that is done or put aside: no longer waiting.

        Args:
            film: the film.
            results: the names of its results, as the queue knows them. Other files among them are put aside.

        Returns:
            Whether there were other files.
        """
        self.drop(film.file)
        folder = self.results_of(film.number)
        return folder.is_dir() and not self._emptied(folder, results)

    def holds(self, film: Film) -> bool:
        """Whether there are files of a film that waits."""
        return self.film(film).exists() or self.results_of(film.number).exists()

    def unlay(self, number: int, results: Iterable[str] = ()) -> bool:
        """Take a film out of the dead letters; returns whether there were other files than those of `lay`.

        Args:
            number: the film's.
            results: the names of its results, as the queue knows them. Other files among them are put aside.
        """
        folder = self.dead / f"film-{number}"
        return folder.is_dir() and not self._emptied(folder, (_FILM, REASON, *results))

    def put_aside(self, path: Path) -> Path:
        """Move a file or folder of the state folder, as it is, to where nothing is ever removed.

        Returns:
            Where it lies now.

        Raises:
            OSError: it cannot be moved; it is where it was.
        """
        within = path.relative_to(self.folder)
        homes = (self.aside / f"{UNLISTED}-{number}" for number in count(1))
        home = next(home for home in homes if not os.path.lexists(home / within))
        (home / within).parent.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        if not (home / REASON).exists():
            write_durably(home / REASON, _WHY_UNLISTED)
        path.rename(home / within)
        for each in (path.parent, (home / within).parent):
            sync_folder(each)
        return home / within

    def _emptied(self, folder: Path, names: Iterable[str]) -> bool:
        """Remove a folder with the files of these names in it; where it holds others, it is put aside."""
        remove_partial(folder)
        for name in names:
            with suppress(OSError):
                (folder / name).unlink(missing_ok=True)
        try:
            folder.rmdir()
            return True
        except OSError:
            self.put_aside(folder)
            return False

    def free_bytes(self) -> int:
        """The room that is left on its disk."""
        return shutil.disk_usage(self.folder).free


def _unusable(folder: Path, error: Exception) -> WrongUse:
    return WrongUse(
        f"the state folder cannot be used ({getattr(error, 'strerror', None) or error})",
        remedy="Name a folder on a local disk that this user may write to",
        subject=str(folder),
    )


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


def _is_of_another_film(laid: Path, film: Path) -> bool:
    """Whether a film that was laid somewhere before is another one."""
    return laid.exists() and film.exists() and not filecmp.cmp(laid, film, shallow=False)
