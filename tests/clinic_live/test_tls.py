"""DCMTK sends a film to a node over TLS; without a certificate, or without TLS, it is not let in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clinic_live.results import found
from clinic_live.servers import Archive, Node, bonexage_node, orthanc, run, wait_for
from clinic_live.wrapped import Film, films

FIRST = 30  # a film of another child than those of the other tests


@dataclass(frozen=True)
class Secured:
    """An archive, a node that listens with TLS and asks for a certificate, and where that and its key lie."""

    archive: Archive
    node: Node
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("clinic")
    with orthanc(folder) as archive:
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
        made = ("-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2, "-keyout", key, "-out", certificate)
        run("openssl", "req", *made, *subject)
        tls = {"certificate": certificate.name, "key": key.name, "authorities": certificate.name}
        with bonexage_node(folder, archive.dicom, tls=tls) as node:
            yield Secured(archive, node, certificate, key)


@pytest.fixture(scope="module")
def film(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> Film:
    (made,) = films(tmp_path_factory.mktemp("films"), ("explicit",), first=FIRST)
    return made


def test_who_has_no_certificate_or_speaks_no_tls_is_not_let_in(secured: Secured, film: Film) -> None:
    secured.node.store(film.packed, tls=("+tla", "-ic"), fails=True)
    secured.node.store(film.packed, fails=True)
    assert not secured.node.events("taken")


def test_a_film_that_comes_over_tls_has_its_results_in_the_archive(secured: Secured, film: Film) -> None:
    secured.node.store(
        film.packed, tls=("+tls", secured.key, secured.certificate, "+cf", secured.certificate)
    )
    wait_for(lambda: found(secured.archive, film.study_uid), "no results of a film that came over TLS")
