"""The node on a bad network: TLS, associations that are never finished, and bytes that are no DICOM."""

from __future__ import annotations

import select
import shutil
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from typer.testing import CliRunner

from bonexage.cli.app import app
from bonexage.errors import WrongUse
from bonexage.node import connections
from bonexage.node.config import Tls
from bonexage.node.connections import FROM_A_PEER
from bonexage.node.tls import calling_context, listening_context
from dicoms import dataset
from node.nodes import Node, running, write_config
from trials.archive import Archive, listening, send
from trials.waiting import PATIENCE_SECONDS, eventually


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for localhost that signs itself, and its key."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("openssl is not installed: no certificate to test with")
    folder = tmp_path_factory.mktemp("tls")
    made = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"]
    out = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*made, *named, *out], check=True, capture_output=True)
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_films_come_and_results_go_over_tls_with_certificates_of_both_sides(
    tmp_path: Path, certificate: tuple[str, str]
) -> None:
    cert, key = certificate
    both = Tls(cert, key, cert)
    said = f'certificate = "{cert}"\nkey = "{key}"\nauthorities = "{cert}"'
    archive = Archive()
    with listening(archive, tls=listening_context(both, 10)) as port:
        config = write_config(
            tmp_path, port, listen=f"[listen.tls]\n{said}", destination=f"[destinations.tls]\n{said}"
        )
        with running(config) as node:
            context = calling_context(both)
            assert context
            assert send(node.port, dataset(), tls=(context, "127.0.0.1")) == [0]
            node.wait_for("done")
            stranger = calling_context(Tls(authorities=cert))
            assert send(node.port, dataset(), tls=(stranger, "127.0.0.1")) is None
            assert send(node.port, dataset()) is None
    assert archive.modalities() == ["DOC", "OT", "SR"]


def test_who_never_shakes_hands_keeps_nobody_out(tmp_path: Path, certificate: tuple[str, str]) -> None:
    cert, key = certificate
    tls = f'[listen.tls]\ncertificate = "{cert}"\nkey = "{key}"'
    with running(write_config(tmp_path, listen=tls)) as node:
        silent = socket.create_connection(("127.0.0.1", node.port))
        assert send(node.port, tls=(calling_context(Tls(authorities=cert)), "127.0.0.1")) == [0]
        silent.close()


def test_a_tls_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="a TLS file cannot be used"):
        listening_context(Tls(str(tmp_path / "c"), str(tmp_path / "k")), 10)
    assert calling_context(Tls()) is None
    config = write_config(tmp_path, listen='tls = {certificate = "c", key = "k"}')
    checked = CliRunner().invoke(app, ["node", "--config", str(config), "--check"])
    assert checked.exit_code == 2
    assert "a TLS file cannot be used" in checked.output


def test_half_associations_and_noise_are_ended_and_others_are_served(tmp_path: Path) -> None:
    listen = "idle_seconds = 1.0\nassociations = 2"
    with running(write_config(tmp_path, listen=listen)) as node:
        silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(3)]
        for said in (
            b"GET / HTTP/1.1\r\n\r\n",
            struct.pack(">BBL", 4, 0, 0xFFFFFFFF) + b"\0" * 100,
            struct.pack(">BBL", 1, 0, 200) + b"\0" * 20,
        ):
            noisy = socket.create_connection(("127.0.0.1", node.port))
            noisy.sendall(said)
            silent.append(noisy)
        for each in silent:
            each.settimeout(PATIENCE_SECONDS)
            while each.recv(1000):
                pass
            each.close()
        eventually(lambda: send(node.port, dataset()) == [0])


def connected(node: Node, *, peer: str = "127.0.0.1") -> socket.socket:
    """A connection on which nothing was said yet."""
    line = socket.create_connection(("127.0.0.1", node.port), source_address=(peer, 0))
    line.settimeout(PATIENCE_SECONDS)
    return line


def is_open(line: socket.socket) -> bool:
    return not select.select([line], [], [], 0)[0]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> str:
    """Lines under [listen] of a node that gives connections as long to ask as tests wait."""
    monkeypatch.setattr(connections, "REQUEST_SECONDS", PATIENCE_SECONDS)
    return f"idle_seconds = {PATIENCE_SECONDS}\n"


def test_silent_connections_take_no_association_from_others(tmp_path: Path, patient: str) -> None:
    with running(write_config(tmp_path, listen=f"{patient}associations = 2")) as node:
        silent = [connected(node) for _ in range(FROM_A_PEER - 1)]
        assert send(node.port, dataset()) == [0]
        assert all(map(is_open, silent)), "the time to ask is not over"
        for each in silent:
            each.close()


def test_a_peer_that_asks_for_no_association_in_time_is_disconnected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    with running(write_config(tmp_path)) as node:
        silent = [connected(node) for _ in range(3)]
        assert [each.recv(1) for each in silent] == [b""] * 3
        eventually(lambda: len(node.events("silent-connection-ended")) == 3)
        assert send(node.port) == [0]


def drip(line: socket.socket, content: bytes) -> bool:
    """Send byte after byte; whether the other side ended it before the last."""
    with suppress(OSError):
        for byte in content:
            if line.send(bytes([byte])) != 1 or not is_open(line):
                return True
            time.sleep(0.02)
        return False
    return True


def test_a_request_that_drips_in_is_not_waited_for_longer_than_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    with running(write_config(tmp_path)) as node:
        assert drip(connected(node), struct.pack(">BBL", 1, 0, 100_000) + bytes(15_000))
        assert send(node.port) == [0]


def test_a_part_of_an_object_that_drips_in_ends_its_association(tmp_path: Path) -> None:
    with running(write_config(tmp_path, listen="idle_seconds = 0.5\nassociations = 1")) as node:
        entity = AE("SCANNER")
        entity.add_requested_context(Verification)
        held = entity.associate("127.0.0.1", node.port, ae_title="BONEXAGE")
        assert held.is_established
        assert held.dul.socket
        assert held.dul.socket.socket
        assert drip(held.dul.socket.socket, struct.pack(">BBL", 4, 0, 100_000) + bytes(15_000))
        eventually(lambda: send(node.port) == [0])


def test_who_asks_is_served_beside_more_silent_connections_than_may_wait(
    tmp_path: Path, patient: str
) -> None:
    with running(write_config(tmp_path, listen=f"{patient}associations = 1")) as node:
        lines = [connected(node) for _ in range(FROM_A_PEER + 1)]
        eventually(lambda: sum(map(is_open, lines)) == FROM_A_PEER)
        assert send(node.port) == [0]
        for each in lines:
            each.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peers of other addresses are made on Linux")
def test_one_peer_s_silent_connections_do_not_end_those_of_another(tmp_path: Path, patient: str) -> None:
    with running(write_config(tmp_path, listen=f"{patient}associations = 1")) as node:
        other = connected(node, peer="127.0.0.2")
        lines = [connected(node) for _ in range(2 * FROM_A_PEER)]
        eventually(lambda: sum(map(is_open, lines)) == FROM_A_PEER)
        assert is_open(other)
        for each in (other, *lines):
            each.close()


def test_no_more_associations_are_served_at_once_than_may_be(tmp_path: Path) -> None:
    with running(write_config(tmp_path, listen="associations = 1")) as node:
        entity = AE("SCANNER")
        entity.add_requested_context(Verification)
        held = entity.associate("127.0.0.1", node.port, ae_title="BONEXAGE")
        assert held.is_established
        assert send(node.port) is None
        held.release()
        assert eventually(lambda: send(node.port)) == [0]  # the listener learns of the release by and by
