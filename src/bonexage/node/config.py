"""A node's configuration: one TOML file with these dataclasses behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from bonexage.errors import WrongUse
from bonexage.hosts import is_host, is_loopback
from bonexage.tables import build, read_table, shown

Kind = Literal["report", "picture", "document"]
EXAMPLE: Final = "docs/node.toml"
# What the folder of FHIR transactions is called among the destinations.
FHIR: Final = "fhir"
# More threads than any machine has cores: with many more ONNX Runtime takes minutes to start, or fails.
MOST_THREADS: Final = 1024
_DAY: Final = 86_400.0  # in seconds
_YEARS: Final = 87_600.0  # ten of them, in hours
_CLOSED: Final = (
    'Add to [listen] the AE titles that may call (calling = ["ROUTER"]), or open = true to let everyone in; '
    "or require client certificates (authorities under [listen.tls]); or listen on this machine alone "
    '(host = "127.0.0.1")'
)

# PS3.5 section 6.2: 16 characters of the default repertoire at most, no backslash, not spaces alone.
_TITLE: Final = re.compile(r"(?! *$)[\x20-\x5b\x5d-\x7e]{1,16}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


def _check_title(title: str) -> None:
    if not _TITLE.fullmatch(title):
        raise WrongUse(
            f"{shown(title)} is no AE title", remedy="Take up to 16 characters of ASCII without a backslash"
        )


def _check_port(port: int, *, least: int) -> None:
    if not least <= port <= 65535:
        raise WrongUse(f"there is no port {shown(port)}", remedy=f"Give a port from {least} to 65535")


def _check_range(least: float, most: float, **values: float) -> None:
    """Refuse numbers beyond two others, which are allowed themselves; what is no number is beyond any."""
    for name, value in values.items():
        if not least <= value <= most:
            raise WrongUse(
                f"{name} cannot be {shown(value)}", remedy=f"Give a number from {least:g} to {most:,.9g}"
            )


def _check_host(host: str) -> None:
    if not is_host(host):
        raise WrongUse(
            f"{shown(host)} is no name or address of a machine",
            remedy="Give one such as 127.0.0.1 or archive.example.org",
        )


@dataclass(frozen=True)
class Tls:
    """TLS of a connection; there is none where nothing is given.

    Attributes:
        certificate: one's own, PEM.
        key: of that certificate, PEM.
        authorities: who signs the other side's certificate, PEM. A listener that has them asks for one.
    """

    certificate: str = ""
    key: str = ""
    authorities: str = ""

    def __post_init__(self) -> None:
        if bool(self.certificate) != bool(self.key):
            raise WrongUse(
                "a certificate and its key belong together", remedy="Give both certificate and key under tls"
            )

    @property
    def wanted(self) -> bool:
        """Whether the connection is to be encrypted."""
        return bool(self.certificate or self.authorities)


@dataclass(frozen=True)
class Listen:
    """Where films come in, and from whom.

    Attributes:
        ae_title: its own title; an association that calls another one is rejected.
        host: address to listen on; empty for every address of the machine.
        port: to listen on; 0 takes a free one.
        calling: titles that may call; everyone where there are none.
        open: let everyone call who reaches an address beyond this machine.
        associations: at one time at most.
        object_megabytes: a larger object ends its association.
        idle_seconds: an association that is silent for so long is ended.
        tls: encrypts.
    """

    ae_title: str = "BONEXAGE"
    host: str = "127.0.0.1"
    port: int = 11112
    calling: tuple[str, ...] = ()
    open: bool = False
    associations: int = 10
    object_megabytes: int = 256
    idle_seconds: float = 60.0
    tls: Tls = Tls()

    def __post_init__(self) -> None:
        for title in (self.ae_title, *self.calling):
            _check_title(title)
        _check_port(self.port, least=0)
        if self.host:
            _check_host(self.host)
        _check_range(1, 1000, associations=self.associations)
        _check_range(1, 10_000, object_megabytes=self.object_megabytes)
        _check_range(0.1, _DAY, idle_seconds=self.idle_seconds)
        if self.tls.wanted and not self.tls.certificate:
            raise WrongUse(
                "TLS without a certificate cannot be listened with",
                remedy="Give certificate and key under [listen.tls]",
            )
        if not (self.calling or self.tls.authorities or self.open or is_loopback(self.host)):
            raise WrongUse(
                f"everyone who reaches {self.host or 'any address of this machine'} could send films",
                remedy=_CLOSED,
            )


@dataclass(frozen=True)
class Destination:
    """An archive that results are sent to.

    Attributes:
        name: in the queue, the logs and the metrics.
        ae_title: the archive's.
        host: its address.
        port: its port.
        calling: the title that calls it; the listener's where there is none.
        send: which results it gets.
        commitment: ask it to commit itself to storing them, if it offers that.
        tls: encrypts.
    """

    name: str
    ae_title: str
    host: str
    port: int
    calling: str = ""
    send: tuple[Kind, ...] = ("report", "picture", "document")
    commitment: bool = True
    tls: Tls = Tls()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == FHIR:
            raise WrongUse(
                f"a destination cannot be called {shown(self.name)}",
                remedy=f"Take up to 32 letters, digits, - and _, but not {FHIR}",
            )
        for title in (self.ae_title, *((self.calling,) if self.calling else ())):
            _check_title(title)
        _check_port(self.port, least=1)
        _check_host(self.host)
        if not self.send:
            raise WrongUse(f"nothing is sent to {self.name}", remedy="Name a result under send")


@dataclass(frozen=True)
class Delivery:
    """How often and how long it is tried.

    Attributes:
        first_wait_seconds: after a first failure; each further one doubles it.
        longest_wait_seconds: the wait grows no longer.
        timeout_seconds: without an answer, until a connection counts as failed.
        refusals: of one result, until it goes to the dead letters.
        give_up_hours: of an archive that is away, until a result goes to the dead letters.
        commitment_hours: until an archive that has not answered is asked again for its commitment.
    """

    first_wait_seconds: float = 2.0
    longest_wait_seconds: float = 600.0
    timeout_seconds: float = 30.0
    refusals: int = 8
    give_up_hours: float = 168.0
    commitment_hours: float = 1.0

    def __post_init__(self) -> None:
        _check_range(
            0.001,
            _DAY,
            first_wait_seconds=self.first_wait_seconds,
            longest_wait_seconds=self.longest_wait_seconds,
        )
        _check_range(0.1, _DAY, timeout_seconds=self.timeout_seconds)
        _check_range(1, 1_000_000, refusals=self.refusals)
        _check_range(
            0.000_001, _YEARS, give_up_hours=self.give_up_hours, commitment_hours=self.commitment_hours
        )

    def wait_seconds(self, failures: int) -> float:
        """How long to wait after so many failures in a row, 1 or more."""
        return float(min(self.longest_wait_seconds, self.first_wait_seconds * 2.0 ** min(failures - 1, 30)))


@dataclass(frozen=True)
class Http:
    """Where health and metrics are told.

    Attributes:
        host: address to listen on; empty for nowhere.
        port: to listen on; 0 takes a free one.
    """

    host: str = "127.0.0.1"
    port: int = 9108

    def __post_init__(self) -> None:
        _check_port(self.port, least=0)
        if self.host:
            _check_host(self.host)


@dataclass(frozen=True)
class NodeConfig:
    """All that a node is told.

    Attributes:
        state: folder for its queue, the films and results that wait, and the dead letters.
        model: a bundle, folder or zip; the carried one where there is none.
        coverage: percentage of children that intervals are to hold.
        threads: CPU threads of the network; 0: all there are.
        deidentify: leave the patient's identity out of all results.
        fhir: folder for a FHIR transaction a film; empty for none.
        least_free_megabytes: with less room than this on disk no film is taken.
        listen: where films come in.
        delivery: how results are sent.
        http: health and metrics.
        destinations: where results go.
    """

    state: str
    model: str = ""
    coverage: float = 90.0
    threads: int = 0
    deidentify: bool = False
    fhir: str = ""
    least_free_megabytes: int = 500
    listen: Listen = Listen()
    delivery: Delivery = Delivery()
    http: Http = Http()
    destinations: tuple[Destination, ...] = ()

    def __post_init__(self) -> None:
        if not self.state.strip():
            raise WrongUse("state is empty", remedy='Name a folder of its own, such as state = "state"')
        if not 1 < self.coverage < 100:
            raise WrongUse(
                f"an interval cannot cover {self.coverage:g}%",
                remedy="Give a percentage above 1 and below 100, such as coverage = 90",
            )
        _check_range(0, MOST_THREADS, threads=self.threads)
        _check_range(0, 1_000_000_000, least_free_megabytes=self.least_free_megabytes)
        names = [destination.name for destination in self.destinations]
        for name in names:
            if names.count(name) > 1:
                raise WrongUse(f"two destinations are called {name}", remedy="Give each a name of its own")
        if not self.destinations and not self.fhir:
            raise WrongUse(
                "results would go nowhere", remedy="Name an archive under [[destinations]], or a folder fhir"
            )


def read_config(path: Path) -> NodeConfig:
    """Read a node's configuration from TOML; paths in it are seen from the file's folder.

    Raises:
        WrongUse: no such file, not TOML, an unknown key (the nearest known one is named), one that is
            missing, or a value that cannot be.
    """
    table = read_table(path, what="configuration", example=EXAMPLE)
    try:
        config: NodeConfig = build(NodeConfig, table, what="configuration", source=str(path))
        return _seen_from(path.absolute().parent, config)
    except WrongUse as error:
        raise WrongUse(error.problem, remedy=error.remedy, subject=str(path)) from None


def _seen_from(home: Path, config: NodeConfig) -> NodeConfig:
    """A configuration whose paths are seen from a folder."""
    return replace(
        config,
        state=_from(home, config.state),
        model=_from(home, config.model),
        fhir=_from(home, config.fhir),
        listen=replace(config.listen, tls=_tls_from(home, config.listen.tls)),
        destinations=tuple(replace(each, tls=_tls_from(home, each.tls)) for each in config.destinations),
    )


def _from(home: Path, written: str) -> str:
    """A path as seen from a folder; '' stays so."""
    if "\0" in written:
        raise WrongUse(f"{shown(written)} is no path", remedy="Leave the character 0 out of it")
    try:
        return str(home / Path(written).expanduser()) if written else ""
    except RuntimeError:  # as ~nobody
        raise WrongUse(
            f"{shown(written)} names the home of a user who has none here", remedy="Write the path out"
        ) from None


def _tls_from(home: Path, tls: Tls) -> Tls:
    return Tls(*(_from(home, written) for written in (tls.certificate, tls.key, tls.authorities)))
