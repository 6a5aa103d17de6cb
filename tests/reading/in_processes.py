"""Read pictures or an archive in processes of one kind, and print the hash of each content.

Usage: python in_processes.py pictures WAY PICTURE...
       python in_processes.py archive WAY ARCHIVE

A program of its own: a fork copies the locks that other threads hold, and a process of tests has threads of
many libraries.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import subprocess
import sys
import threading
from pathlib import Path

from bonexage.reading.archives import member_bytes, members
from bonexage.reading.images import decode_image

SECONDS = 300.0


def hash_of(content: bytes) -> str:
    """Its SHA-256."""
    return hashlib.sha256(content).hexdigest()


def by_program(what: str, way: str, *files: Path) -> list[str]:
    """Run this program, which has to succeed, and give the hashes that it prints."""
    command = [sys.executable, __file__, what, way, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def digest_of(picture: str) -> str:
    """The hash of a picture's pixels."""
    pixels = decode_image(Path(picture).read_bytes(), "hand.png").pixels
    return hash_of(pixels.tobytes())


def digests_of(archive: str) -> list[str]:
    """The hash of every file of an archive, by name."""
    return [hash_of(member_bytes(Path(archive), name, "")) for name in members(Path(archive))]


def read_pictures(way: str, pictures: list[str]) -> list[str]:
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
    assert digests == [digest_of(picture) for picture in pictures]
    assert seen == {digests[0]}
    return digests


def read_archive(way: str, archive: str) -> list[str]:
    """Read an archive in two processes and in this one at the same time."""
    members(Path(archive))
    with multiprocessing.get_context(way).Pool(2) as pool:
        tasks = [pool.apply_async(digests_of, (archive,)) for _ in range(4)]
        own = digests_of(archive)
        for task in tasks:
            assert task.get(timeout=SECONDS) == own
    return own


if __name__ == "__main__":
    what, way, *files = sys.argv[1:]
    hashes = read_pictures(way, files) if what == "pictures" else read_archive(way, *files)
    sys.stdout.write("\n".join(hashes))
