"""Options of `serve` that cannot be used are refused in one sentence that names them; the others work."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from typer.testing import CliRunner

from bonexage.cli.app import app
from bonexage.cli.serving import token
from bonexage.errors import WrongUse
from bonexage.hosts import is_loopback
from bonexage.serving.client import Client
from bonexage.serving.front import check_token
from bonexage.serving.keeping import check_keeping
from bonexage.serving.problems import Problem
from bonexage.serving.run import listening
from bonexage.serving.settings import Limits, Settings, host_name
from services import running, settings

NUMBERS = (
    *("--max-megabytes", "--max-megapixels", "--max-seconds", "--stall-seconds"),
    *("--max-decoding-seconds", "--max-files", "--queue", "--drain-seconds", "--threads", "--workers"),
)
UNUSABLE = ("nan", "-nan", "inf", "-inf", "-1", "0", "1e300", "9" * 40, "1e-300", "", "ten", "1,5")


@pytest.fixture(autouse=True)
def _without_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BONEXAGE_TOKEN", raising=False)


def refusal(*options: str) -> str:
    """What the command says where it refuses to start; it must not start, and must not fail."""
    done = CliRunner().invoke(app, ["serve", "--port", "0", "--model", "there-is-none.zip", *options])
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    assert "there-is-none.zip" not in done.output, "the option was taken"
    return " ".join(done.output.split())


@pytest.mark.parametrize("option", NUMBERS)
@pytest.mark.parametrize("value", UNUSABLE)
def test_a_number_that_cannot_be_is_refused_by_the_name_of_its_option(option: str, value: str) -> None:
    assert option in refusal(option, value)


@pytest.mark.parametrize("port", ["-1", "65536", "99999999999", "http", "", "80.5"])
def test_a_port_out_of_range_is_refused(port: str) -> None:
    assert "--port" in refusal("--port", port)


@pytest.mark.parametrize("host", ["", " "])
def test_no_address_is_not_taken_for_all_addresses(host: str) -> None:
    assert "--host" in refusal("--host", host, "--insecure")


@pytest.mark.parametrize("host", ["no such host", "1.2.3.4.5", "a" * 70 + ".example", "::g", "ü" * 70, ".."])
def test_an_address_that_is_none_is_refused_in_a_sentence(host: str) -> None:
    with pytest.raises(WrongUse, match="cannot listen on"):
        listening(Settings(host=host, port=0))


def test_a_port_that_no_system_has_is_refused_in_a_sentence() -> None:
    with pytest.raises(WrongUse, match="cannot listen on"):
        listening(Settings(port=70_000))


@pytest.mark.parametrize(
    "changes",
    [{"bytes": float("nan")}, {"seconds": float("inf")}, {"stall_seconds": -float("inf")}, {"bytes": 10**12}],
)
def test_limits_of_programs_are_checked_too(changes: dict[str, float]) -> None:
    with pytest.raises(WrongUse):
        Limits(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        (b"", "fewer than 16"),
        (b"\n \n", "fewer than 16"),
        (b"short", "fewer than 16"),
        (bytes(range(256)), "not UTF-8"),
        (b"\xff\xfe0\x001\x002\x003\x004\x005\x006\x007\x008\x00", "not UTF-8"),
        (b"0123456789abcdef\nfedcba9876543210\n", "one line"),
        (b"0123456789abcdef\x00", "one line"),
        (b"\x1b[31m0123456789abcdef", "one line"),
        (b"x" * 1_000_000, "one line"),
    ],
)
def test_a_token_file_that_holds_no_token_is_refused(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    answer = refusal("--token-file", str(file))
    assert reason in answer
    assert answer.startswith(f"{file}: ")


def test_a_folder_is_no_token_file(tmp_path: Path) -> None:
    assert "cannot be read" in refusal("--token-file", str(tmp_path))


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "  \n\n"])
@pytest.mark.parametrize("begin", ["", "\ufeff"])
def test_a_token_is_read_as_editors_save_it(tmp_path: Path, begin: str, end: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(f"{begin}Zürich-0123456789{end}".encode())
    assert token(file) == "Zürich-0123456789"


def test_a_token_in_the_environment_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "BONEXAGE_TOKEN", os.fsdecode(b"0123456789abcdef\xff"))
    with pytest.raises(WrongUse, match="BONEXAGE_TOKEN"):
        token(None)


TOKENS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=16, max_size=40)


@given(TOKENS)
def test_a_token_is_matched_however_a_client_writes_it(secret: str) -> None:
    for shown in (
        b"Bearer " + secret.encode(),
        b"bearer  " + secret.encode(),
        b"Basic " + base64.b64encode(f"anyone:{secret}".encode()),
    ):
        check_token(Headers(raw=[(b"authorization", shown)]), secret)
    with pytest.raises(Problem):
        check_token(Headers(raw=[(b"authorization", b"Bearer " + secret.encode() + b"x")]), secret)


def test_a_token_that_is_not_ascii_lets_our_client_in(folder: Path) -> None:
    secret = "Schlüssel-für-Zürich"
    with running(settings(folder, token=secret)) as http:
        assert Client("http://testserver", token=secret, http=http).model
        latin = {b"Authorization": f"Bearer {secret}".encode("latin-1")}
        assert http.get("/v1/model", headers=latin).status_code == 200
        assert http.get("/v1/model", headers={"Authorization": "Bearer x"}).status_code == 401


NAMES = {
    "Bones.Example.ORG": "bones.example.org",
    "bones.example.org.": "bones.example.org",
    " bones ": "bones",
    "Röntgen.example": "xn--rntgen-wxa.example",
    "XN--RNTGEN-WXA.example": "xn--rntgen-wxa.example",
    "192.0.2.1": "192.0.2.1",
    "2001:DB8::1": "2001:db8::1",
    "[2001:db8:0::1]": "2001:db8::1",
    "bone_age.local": "bone_age.local",
}


@pytest.mark.parametrize(("name", "host"), NAMES.items())
def test_a_name_is_known_as_browsers_send_it(folder: Path, name: str, host: str) -> None:
    shown = f"[{host}]" if ":" in host else host
    with running(settings(folder, names=(name,))) as client:
        for each in (shown, shown.upper(), f"{shown}:8000", *([f"{shown}."] if host.islower() else [])):
            assert client.get("/v1/model", headers={"Host": each}).status_code == 200, each
        assert client.get("/v1/model", headers={"Host": f"not-{host}"}).status_code == 421


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "http://bones.example",
        "bones.example:8000",
        "bones.example/x",
        "a b",
        "*",
        "-",
        "a" * 64 + ".b",
    ],
)
def test_what_is_no_host_name_is_refused(name: str) -> None:
    assert "--name" in refusal("--name", name)
    with pytest.raises(WrongUse, match="not a host name"):
        host_name(name)


@pytest.mark.parametrize(
    "host", ["LOCALHOST", "localhost", "127.0.0.1", "127.1.2.3", "::1", "0:0:0:0:0:0:0:1"]
)
def test_this_machine_s_own_addresses_are_known_however_they_are_written(host: str) -> None:
    assert is_loopback(host)


def test_films_that_could_not_be_stored_are_told_of_at_the_start(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    for folder in (blocked, blocked / "below"):
        with pytest.raises(WrongUse, match="cannot be stored"):
            check_keeping(folder)
    check_keeping(tmp_path / "in" / "new")
    assert list((tmp_path / "in" / "new").iterdir()) == []


def test_large_requests_have_the_memory_that_they_need() -> None:
    with pytest.raises(WrongUse, match="do not fit"):
        Limits(bytes=600_000_000)
    assert Limits(bytes=600_000_000, held_bytes=1_200_000_000)
