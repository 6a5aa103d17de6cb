"""A node's configuration: the example shows every key, and what cannot be is said at once."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bonexage.errors import WrongUse
from bonexage.node.config import Delivery, Destination, Listen, NodeConfig, read_config

EXAMPLE = Path(__file__).parents[2] / "docs" / "node.toml"
LEAST = 'state = "s"\n[[destinations]]\nname = "a"\nae_title = "A"\nhost = "h"\nport = 104\n'


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def test_the_example_shows_every_key_with_the_value_it_has_where_it_is_left_out() -> None:
    shown = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    archive = Destination("archive", "ORTHANC", "127.0.0.1", 4242)
    assert shown == plain(dataclasses.asdict(NodeConfig("state", destinations=(archive,))))


def test_the_example_can_be_used_as_it_stands() -> None:
    read = read_config(EXAMPLE)
    assert read.destinations[0].name == "archive"
    assert Path(read.state) == EXAMPLE.parent / "state"


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text(LEAST)
    read = read_config(tmp_path / "node.toml")
    assert read == NodeConfig(str(tmp_path / "s"), destinations=(Destination("a", "A", "h", 104),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("state = 's'\nstaet = 1", "unknown key 'staet'. Did you mean 'state'?", id="key"),
        pytest.param(
            "state = 's'\n[listen]\nae_titel = 'A'", "Did you mean 'listen.ae_title'?", id="inner-key"
        ),
        pytest.param("fhir = 'f'", "has no state", id="no-state"),
        pytest.param(
            "state = 's'\n[[destinations]]\nname = 'a'", "has no destinations.ae_title", id="no-title"
        ),
        pytest.param("state = 's'", "results would go nowhere", id="nowhere"),
        pytest.param("state = 1", "Give a text", id="kind"),
        pytest.param("state = 's'\ndeidentify = 1", "Give true or false", id="no-boolean"),
        pytest.param("state = 's'\n[listen]\ncalling = [1]", "Give a text", id="no-text"),
        pytest.param("state = 's'\n[listen]\nport = 70000", "there is no port 70000", id="port"),
        pytest.param("state = 's'\n[listen]\nae_title = 'FAR TOO LONG A TITLE'", "no AE title", id="title"),
        pytest.param("state = 's'\n[listen]\nassociations = 0", "associations cannot be 0", id="nobody"),
        pytest.param("state = 's'\n[listen.tls]\nkey = 'k'", "belong together", id="key-alone"),
        pytest.param("state = 's'\n[listen.tls]\nauthorities = 'a'", "TLS without a certificate", id="tls"),
        pytest.param("state = 's'\ncoverage = 100", "cannot cover 100%", id="coverage"),
        pytest.param("state = 's'\ncoverage = 0.9", "percentage above 1", id="share"),
        pytest.param(LEAST.replace('"a"', '"fhir"'), "cannot be called 'fhir'", id="reserved"),
        pytest.param(f"{LEAST}send = []", "nothing is sent to a", id="nothing"),
        pytest.param(f"{LEAST}send = ['film']", "'report' or 'picture' or 'document'", id="no-result"),
        pytest.param(f"{LEAST}{LEAST[12:]}", "two destinations are called a", id="twins"),
        pytest.param("state = ", "not TOML", id="no-toml"),
        pytest.param(f"x = {'9' * 5000}", "not TOML", id="digits"),
        pytest.param(f"x = {'[' * 5000}{']' * 5000}", "not TOML", id="deep"),
        pytest.param("state = 's\x00'", "not TOML", id="raw-nul"),
        pytest.param('fhir = "f"\nstate = "s\\u0000"', "'s\\x00' is no path", id="nul"),
        pytest.param('state = "s"\nfhir = "f\\u0000"', "is no path", id="fhir-nul"),
        pytest.param('state = "s"\nfhir = "f"\nmodel = "\\u0000"', "is no path", id="model-nul"),
        pytest.param("state = '~no-such-user/s'\nfhir = 'f'", "who has none here", id="no-home"),
        pytest.param("state = 's'\nthreads = 100000", "threads cannot be 100000", id="threads"),
        pytest.param("state = 's'\nthreads = -1", "Give a number from 0 to 1,024", id="negative"),
        pytest.param(f"state = 's'\ncoverage = {10**400}", "Give a number", id="huge-number"),
        pytest.param(f"state = 's'\n[listen]\nport = 0x{'f' * 6000}", "so large a value", id="huge-port"),
        pytest.param('state = "s"\n[listen]\nhost = "a\\u0000"', "no name or address", id="host-nul"),
        pytest.param("state = 's'\n[listen]\nhost = 'a..b'", "no name or address", id="empty-label"),
        pytest.param("state = 's'\n[http]\nhost = 'a b'", "no name or address", id="http-host"),
        pytest.param(LEAST.replace('"h"', '""'), "no name or address", id="no-archive"),
        pytest.param(LEAST.replace('"h"', f'"{"h" * 64}"'), "no name or address", id="long-label"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "node.toml"
    path.write_text(text)
    with pytest.raises(WrongUse) as error:
        read_config(path)
    assert said in str(error.value)
    assert str(error.value).startswith(str(path))


NUMBERS = {
    "": ("coverage", "threads", "least_free_megabytes"),
    "[listen]": ("port", "associations", "object_megabytes", "idle_seconds"),
    "[http]": ("port",),
    "[delivery]": tuple(field.name for field in dataclasses.fields(Delivery)),
}


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "1e300", str(10**30), f"-{10**400}"])
@pytest.mark.parametrize(("table", "key"), [(table, key) for table in NUMBERS for key in NUMBERS[table]])
def test_a_number_that_cannot_be_obeyed_is_refused(tmp_path: Path, table: str, key: str, value: str) -> None:
    path = tmp_path / "node.toml"
    path.write_text(f"state = 's'\nfhir = 'f'\n{table}\n{key} = {value}\n")
    with pytest.raises(WrongUse, match=r"(?s)node\.toml: .*Give a "):
        read_config(path)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "0", "192.168.1.2", "node.example.org", "::ffff:10.0.0.1"]
)
def test_beyond_this_machine_a_node_listens_only_with_titles_certificates_or_openly(
    tmp_path: Path, host: str
) -> None:
    path = tmp_path / "node.toml"
    listen = f"state = 's'\nfhir = 'f'\n[listen]\nhost = '{host}'\n"
    for more in ("", "calling = []", "open = false", "[listen.tls]\ncertificate = 'c'\nkey = 'k'"):
        path.write_text(listen + more)
        with pytest.raises(WrongUse, match=r"everyone who reaches .* could send films") as error:
            read_config(path)
        said = str(error.value)
        assert said.startswith(str(path))
        for remedy in ('calling = ["ROUTER"]', "open = true", "authorities", 'host = "127.0.0.1"'):
            assert remedy in said
    for more in (
        "calling = ['ROUTER']",
        "open = true",
        "[listen.tls]\ncertificate = 'c'\nkey = 'k'\nauthorities = 'a'",
    ):
        path.write_text(listen + more)
        assert read_config(path).listen.host == host


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST", "localhost.", "::1", "::ffff:127.0.0.1"]
)
def test_on_this_machine_alone_a_node_needs_no_titles(host: str) -> None:
    assert Listen(host=host).calling == ()


def test_a_configuration_that_is_missing_is_named() -> None:
    with pytest.raises(WrongUse, match=r"nowhere\.toml: the configuration cannot be read"):
        read_config(Path("nowhere.toml"))


def test_waits_double_up_to_the_longest() -> None:
    limits = NodeConfig("s", fhir="f").delivery
    waits = [limits.wait_seconds(failures) for failures in range(1, 40)]
    assert waits[:4] == [2, 4, 8, 16]
    assert waits == sorted(waits)
    assert waits[-1] == limits.longest_wait_seconds
