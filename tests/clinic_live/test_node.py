"""Films in many transfer syntaxes go to a node; sound results that say what was read reach a real archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from clinic_live.results import check_says, check_sound, found, read_film, series_of
from clinic_live.servers import (
    ARCHIVE_TITLE,
    NODE_TITLE,
    Archive,
    Node,
    bonexage_node,
    free_port,
    orthanc,
    run,
    wait_for,
)
from clinic_live.wrapped import PACKINGS, Film, films
from dicoms import CR, dataset, write_dicom

WITHIN_OF_LOSSY_MONTHS = 6.0


@pytest.fixture(scope="module")
def port() -> int:
    """Where the node listens; an archive has to know it to report its commitment there."""
    return free_port()


@pytest.fixture(scope="module")
def archive(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with orthanc(tmp_path_factory.mktemp("clinic"), node_port=port) as running:
        yield running


@pytest.fixture(scope="module")
def node(archive: Archive, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with bonexage_node(tmp_path_factory.mktemp("node"), archive.dicom, port=port) as running:
        yield running


@pytest.fixture(scope="module")
def sent(node: Node, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Film]:
    """A film of each packing, all sent to the node."""
    made = films(tmp_path_factory.mktemp("films"))
    for film in made:
        node.store(film.packed, propose=film.packing.propose)
    return {film.name: film for film in made}


@pytest.fixture(scope="module")
def assessor() -> Assessor:
    return Assessor(load_bundle(), threads=1)


def test_a_node_and_an_archive_answer_an_echo(archive: Archive, node: Node) -> None:
    run("echoscu", "-aec", NODE_TITLE, "127.0.0.1", node.dicom)
    run("echoscu", "-aec", ARCHIVE_TITLE, "127.0.0.1", archive.dicom)


def test_a_node_rejects_who_calls_it_by_another_name_and_offers_no_queries(node: Node) -> None:
    assert "Rejected" in run("echoscu", "-aec", "OTHER", "127.0.0.1", node.dicom, fails=True)
    asked = ("-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=*")
    said = run("findscu", "-S", "-aec", NODE_TITLE, *asked, "127.0.0.1", node.dicom, fails=True)
    assert "No Acceptable Presentation Contexts" in said


def test_dcmtk_packs_films_as_their_names_say(sent: dict[str, Film]) -> None:
    for film in sent.values():
        packed = read_film(film.packed)
        assert packed.file_meta.TransferSyntaxUID == film.packing.syntax
        if not film.packing.lossy:
            assert np.array_equal(packed.pixel_array, read_film(film.plain).pixel_array)


@pytest.mark.parametrize("name", PACKINGS)
def test_the_results_of_a_film_reach_the_archive_and_are_sound(
    name: str, archive: Archive, sent: dict[str, Film], assessor: Assessor, tmp_path: Path
) -> None:
    film = sent[name]
    results = wait_for(lambda: found(archive, film.study_uid), f"no results of the film in {name}")
    check_sound(results, tmp_path)
    loss = WITHIN_OF_LOSSY_MONTHS if film.packing.lossy else 0.0
    check_says(results, assessor.assess(film.plain), read_film(film.packed), within=loss)
    check_says(results, assessor.assess(film.packed), read_film(film.packed))


def test_the_archive_commits_itself_to_every_result(
    archive: Archive, node: Node, sent: dict[str, Film]
) -> None:
    for film in sent.values():
        wait_for(lambda film=film: found(archive, film.study_uid), f"no results of the film in {film.name}")
    due = 3 * len(sent)
    wait_for(
        lambda: sum(said["committed"] for said in node.events("commitment")) >= due, "no commitment of them"
    )
    assert not any(said["refused"] for said in node.events("commitment"))


def test_a_film_sent_again_gives_no_further_results(
    archive: Archive, node: Node, sent: dict[str, Film]
) -> None:
    film = sent["explicit"]
    wait_for(lambda: found(archive, film.study_uid), "no results")
    before = series_of(archive, film.study_uid)
    node.store(film.packed)
    later = f"{film.study_uid}.1"
    another = write_dicom(film.packed.with_name("marker.dcm"), _noise(later, 1))
    node.store(another)  # judged after the one sent again
    wait_for(lambda: series_of(archive, later), "no results of a later film")
    assert series_of(archive, film.study_uid) == before


def test_a_film_of_no_hand_yields_a_report_that_says_why(
    archive: Archive, node: Node, sent: dict[str, Film], tmp_path: Path
) -> None:
    study = f"{sent['explicit'].study_uid}.2"
    node.store(write_dicom(tmp_path / "chest.dcm", _noise(study, 2)))
    wait_for(lambda: "SR" in dict(series_of(archive, study)), "no report of a refusal")
    (report,) = archive.web.retrieve_series(study, dict(series_of(archive, study))["SR"])
    report.save_as(tmp_path / "refused.dcm", enforce_file_format=True)
    printed = run("dsr2html", tmp_path / "refused.dcm")
    assert "No bone age is given" in printed
    assert not [
        line for line in run("dciodvfy", tmp_path / "refused.dcm").splitlines() if line[:5] == "Error"
    ]


def _noise(study: str, number: int) -> Dataset:
    """A CR film without a hand."""
    noise = np.random.default_rng(number).integers(0, 4096, (300, 300)).astype(np.uint16)
    return dataset(
        noise, sop_class=CR, number=900 + number, StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1"
    )
