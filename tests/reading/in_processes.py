"""Read pictures or an archive in processes of one kind, and say whether all were read rightly.

Usage: python in_processes.py pictures WAY PICTURE...
       python in_processes.py archive WAY ARCHIVE

A program of its own: a fork copies the locks that other threads hold, and a process of tests has threads of
many libraries.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import sys
import threading
from pathlib import Path

from bonexage.reading.archives import member_bytes, members
from bonexage.reading.images import decode_image

SECONDS = 300.0


def digest_of(picture: str) -> str:
    """The hash of a picture's pixels."""
    pixels = decode_image(Path(picture).read_bytes(), "hand.png").pixels
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def contents_of(archive: str) -> list[bytes]:
    """The content of every file of an archive, by name."""
    return [member_bytes(Path(archive), name, "") for name in members(Path(archive))]


def read_pictures(way: str, pictures: list[str]) -> bool:
    """Read pictures in two processes beside two threads that read all the time."""
    stop = threading.Event()
    seen = set()

    def reads() -> None:
        while not stop.is_set():
            seen.add(digest_of(pictures[0]))

    threads = [threading.Thread(target=reads) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        with multiprocessing.get_context(way).Pool(2) as pool:
            digests = pool.map_async(digest_of, pictures).get(timeout=SECONDS)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    own = [digest_of(picture) for picture in pictures]
    return digests == own and seen == {own[0]}


def read_archive(way: str, archive: str) -> bool:
    """Read an archive in two processes and in this one at the same time."""
    before = contents_of(archive)
    with multiprocessing.get_context(way).Pool(2) as pool:
        tasks = [pool.apply_async(contents_of, (archive,)) for _ in range(4)]
        own = contents_of(archive)
        return own == before and all(task.get(timeout=SECONDS) == own for task in tasks)


if __name__ == "__main__":
    what, way, *files = sys.argv[1:]
    right = read_pictures(way, files) if what == "pictures" else read_archive(way, *files)
    sys.exit(not right)
