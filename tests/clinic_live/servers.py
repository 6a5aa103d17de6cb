"""An Orthanc archive and a node of this package, started on loopback for a test and ended after it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dicomweb_client import DICOMwebClient

ARCHIVE_TITLE = "ORTHANC"
NODE_TITLE = "BONEXAGE"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
PROGRAMS = {
    "Orthanc": "orthanc",
    "storescu": "dcmtk",
    "echoscu": "dcmtk",
    "findscu": "dcmtk",
    "dcmconv": "dcmtk",
    "dcmcrle": "dcmtk",
    "dcmcjpeg": "dcmtk",
    "dcmdjpeg": "dcmtk",
    "dcmcjpls": "dcmtk",
    "dsrdump": "dcmtk",
    "dsr2html": "dcmtk",
    "dciodvfy": "dicom3tools",
    "openssl": "openssl",
}
PATIENCE_SECONDS = 300.0


def program(name: str) -> str:
    """Where a program lies; the test is skipped where it is missing."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not found:
        pytest.skip(f"{name} is not installed (Debian's {PROGRAMS[name]}; `make clinic` installs it)")
    return found


def need_everything() -> None:
    """Skip the test where a program of the clinic is missing, and say which."""
    for name in PROGRAMS:
        program(name)
    if not PLUGIN.is_file():
        pytest.skip("Orthanc's DICOMweb is not installed (orthanc-dicomweb; `make clinic` installs it)")


def run(name: str, *arguments: object, fails: bool = False) -> str:
    """Run one of the programs and give what it printed; it has to succeed, or to fail where that is asked."""
    done = subprocess.run(
        [program(name), *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE_SECONDS,
    )
    said = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, f"{name} ended with {done.returncode}: {said}"
    return said


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(what: Callable[[], Any], reason: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """What is returned once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.25)
    raise TimeoutError(reason)


@dataclass(frozen=True)
class Archive:
    """A running Orthanc."""

    http: int
    dicom: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def web(self) -> DICOMwebClient:
        return DICOMwebClient(f"{self.address}/dicom-web")

    def ask(self, place: str) -> Any:
        """What Orthanc's own interface answers."""
        with urllib.request.urlopen(f"{self.address}/{place}", timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)

    def store(self, *files: Path, propose: str = "-xe") -> str:
        """Send files by storescu."""
        return run("storescu", "-v", "-R", propose, "-aec", ARCHIVE_TITLE, "127.0.0.1", self.dicom, *files)


@dataclass(frozen=True)
class Node:
    """A running node of this package; `folder` holds its log."""

    dicom: int
    http: int
    folder: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        """What its log tells of one kind of event."""
        lines = (self.folder / "node.log").read_text(encoding="utf-8").splitlines()
        return [said for line in lines if (said := json.loads(line))["event"] == name]

    def store(
        self, *files: Path, propose: str = "-xe", tls: Sequence[object] = (), fails: bool = False
    ) -> str:
        """Send files by storescu, over TLS where its options for that are given."""
        peer = ("-aec", NODE_TITLE, "127.0.0.1", self.dicom)
        return run("storescu", "-v", "-R", propose, *tls, *peer, *files, fails=fails)


@contextmanager
def orthanc(folder: Path, *, node_port: int | None = None, script: Path | None = None) -> Iterator[Archive]:
    """An archive that keeps what it is given in `folder`, knows the node if one is named, runs a script."""
    need_everything()
    archive = Archive(free_port(), free_port())
    settings: dict[str, Any] = {
        "Name": "clinic",
        "StorageDirectory": str(folder / "archive"),
        "IndexDirectory": str(folder / "archive"),
        "HttpPort": archive.http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomPort": archive.dicom,
        "DicomAet": ARCHIVE_TITLE,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "LuaScripts": [str(script)] if script else [],
        "StableAge": 1,
        "JobsHistorySize": 100,
        "DicomModalities": {"bonexage": [NODE_TITLE, "127.0.0.1", node_port]} if node_port else {},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    with _started([program("Orthanc"), str(folder / "orthanc.json")], folder / "orthanc.log"):
        wait_for(lambda: _answers(f"{archive.address}/system"), "Orthanc did not start", 60)
        yield archive


@contextmanager
def bonexage_node(
    folder: Path, archive_port: int, *, port: int | None = None, tls: Mapping[str, str] | None = None
) -> Iterator[Node]:
    """A node that sends its results to the archive at `archive_port`, and listens with TLS if told so."""
    listen, http = port or free_port(), free_port()
    written = _toml(
        {
            "": {"state": "state", "threads": 1},
            "[listen]": {"ae_title": NODE_TITLE, "port": listen},
            "[listen.tls]": tls or {},
            "[[destinations]]": {
                "name": "archive",
                "ae_title": ARCHIVE_TITLE,
                "host": "127.0.0.1",
                "port": archive_port,
            },
            "[delivery]": {"first_wait_seconds": 0.2},
            "[http]": {"port": http},
        }
    )
    (folder / "node.toml").write_text(written, encoding="utf-8")
    command = [sys.executable, "-m", "bonexage", "node", "--config", str(folder / "node.toml")]
    with _started(command, folder / "node.log"):
        wait_for(lambda: _answers(f"http://127.0.0.1:{http}/readyz"), "the node did not start", 120)
        yield Node(listen, http, folder)


@contextmanager
def _started(command: list[str], log: Path) -> Iterator[None]:
    """A process whose output goes to a file; ended by SIGTERM after use, and it has to obey."""
    with log.open("ab") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            yield
        except Exception as error:
            error.add_note(log.read_text(encoding="utf-8", errors="replace")[-6000:])
            raise
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _toml(tables: Mapping[str, Mapping[str, object]]) -> str:
    lines = []
    for head, values in tables.items():
        lines += [head, *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    return "\n".join(lines) + "\n"
