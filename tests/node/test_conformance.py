"""The conformance statement in docs/clinical.md says what a node negotiates and what the code writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydicom import uid
from pynetdicom import AE
from pynetdicom.presentation import AllStoragePresentationContexts

from bonexage.node import receiving
from bonexage.node.config import read_config
from bonexage.node.judging import SOP_CLASSES
from bonexage.node.sending import _entity
from bonexage.reports.dicom_objects import CAPTURE_SERIES, DOCUMENT_SERIES
from bonexage.reports.dicom_sr import SERIES_NUMBER
from node.nodes import running, write_config

TEXT = (Path(__file__).parents[2] / "docs" / "clinical.md").read_text(encoding="utf-8")
MOST_CONTEXTS = 128


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    lines = re.search(r"(?:\|.*\|\n)+", TEXT.split(f"### {heading}\n", 1)[1])
    assert lines
    rows = [line.strip("|").split("|") for line in lines.group().splitlines()[2:]]
    return [[cell.strip().strip("`") for cell in row] for row in rows]


def accepted(port: int, contexts: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of abstract syntaxes with a transfer syntax each, those that a node accepts."""
    found: set[tuple[str, str]] = set()
    for at in range(0, len(contexts), MOST_CONTEXTS):
        entity = AE("ROUTER")
        for kind, syntax in contexts[at : at + MOST_CONTEXTS]:
            entity.add_requested_context(kind, syntax)
        association = entity.associate("127.0.0.1", port, ae_title="BONEXAGE")
        found |= {
            (str(each.abstract_syntax), str(each.transfer_syntax[0]))
            for each in association.accepted_contexts
        }
        if association.is_established:
            association.release()
    return found


def test_a_node_accepts_the_kinds_and_packings_that_the_statement_names_and_no_others(
    tmp_path: Path,
) -> None:
    films, syntaxes = table("Films in"), table("Transfer syntaxes")
    named = {row[1] for row in films}
    packed = {row[1] for row in syntaxes if row[2] == "yes"}
    film = uid.ComputedRadiographyImageStorage
    every = {str(each.abstract_syntax) for each in AllStoragePresentationContexts} | named
    unpacked = uid.ExplicitVRLittleEndian
    with running(write_config(tmp_path)) as node:
        kinds = accepted(node.port, [(kind, unpacked) for kind in sorted(every)])
        packings = {
            syntax
            for each in (*uid.AllTransferSyntaxes, *sorted(packed))
            for _, syntax in accepted(node.port, [(film, each)])
        }
    assert {kind for kind, _ in kinds} == named
    assert packings == packed


@pytest.mark.parametrize(
    ("heading", "name", "at"), [("Films in", 0, 1), ("Transfer syntaxes", 0, 1), ("Results out", 1, 2)]
)
def test_names_and_uids_belong_together(heading: str, name: int, at: int) -> None:
    for row in table(heading):
        known = uid.UID(row[at]).name
        words = re.findall(r"\w+", row[name])
        assert uid.UID(row[at]).is_valid
        assert words[0] in known.replace("HTJ2K", "High-Throughput"), (row, known)
        assert ("Lossless" in row[name]) == ("Lossless" in known), (row, known)


def test_results_go_out_as_the_statement_says(tmp_path: Path) -> None:
    results = {row[0]: row[2:] for row in table("Results out")}
    assert {kind: row[0] for kind, row in results.items()} == dict(SOP_CLASSES)
    assert [int(row[1]) for row in results.values()] == [SERIES_NUMBER, CAPTURE_SERIES, DOCUMENT_SERIES]
    config = read_config(write_config(tmp_path))
    asked = _entity(config.destinations[0], config).requested_contexts
    out = {row[1] for row in table("Transfer syntaxes") if row[3] == "yes"}
    services = {row[1] for row in table("Network") if row[1].startswith("1.2")}
    assert {str(each.abstract_syntax) for each in asked} == services | set(SOP_CLASSES.values())
    for each in asked:
        if each.abstract_syntax in SOP_CLASSES.values():
            assert {str(syntax) for syntax in each.transfer_syntax} == out


def test_the_statuses_of_the_statement_are_those_that_a_film_is_answered_with() -> None:
    told = re.findall(r"^\| `([0-9A-F]{4})` \|", TEXT, re.MULTILINE)
    names = ("SUCCESS", "DUPLICATE", "INVALID", "OUT_OF_RESOURCES", "NOT_UNDERSTOOD")
    assert [int(each, 16) for each in told] == [getattr(receiving, name) for name in names]
