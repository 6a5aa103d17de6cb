"""The route in docs/orthanc.lua: a film stored in Orthanc goes to the node, its results come back to it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from clinic_live.results import check_says, check_sound, found, read_film, series_of
from clinic_live.servers import PATIENCE_SECONDS, Archive, bonexage_node, free_port, orthanc, wait_for
from clinic_live.wrapped import Film, films

SCRIPT = Path(__file__).parents[2] / "docs" / "orthanc.lua"
FIRST = 20  # films of other children than those of the node's test


@dataclass(frozen=True)
class Clinic:
    """An archive with the route, a film stored in it while the node was away, and one when it was there."""

    archive: Archive
    early: Film
    late: Film


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    folder, port = tmp_path_factory.mktemp("clinic"), free_port()
    with ExitStack() as running:
        archive = running.enter_context(orthanc(folder, node_port=port, script=SCRIPT))
        early, late, chest = films(folder, ("explicit", "JPEG lossless", "implicit"), first=FIRST)
        archive.store(early.packed)
        wait_for(lambda: _jobs(archive, "Failure"), "Orthanc did not try to send a film", 30)
        running.enter_context(bonexage_node(folder, archive.dicom, port=port))
        archive.store(late.packed, propose=late.packing.propose)
        other = read_film(chest.packed)
        other.BodyPartExamined, other.StudyDescription = "CHEST", "Thorax"
        other.save_as(chest.packed)
        archive.store(chest.packed)
        for film in (early, late):
            wait_for(lambda film=film: found(archive, film.study_uid), f"no results of the film {film.name}")
        yield Clinic(archive, early, late)


def test_a_film_stored_in_orthanc_gets_its_results_beside_it(clinic: Clinic, tmp_path: Path) -> None:
    results = found(clinic.archive, clinic.late.study_uid)
    assert results
    check_sound(results, tmp_path)
    said = Assessor(load_bundle(), threads=1).assess(clinic.late.packed)
    check_says(results, said, read_film(clinic.late.packed))


def test_a_film_that_came_while_the_node_was_away_gets_them_too(clinic: Clinic) -> None:
    assert found(clinic.archive, clinic.early.study_uid)
    assert not _jobs(clinic.archive, "Failure")


def test_only_films_that_may_show_a_hand_are_sent_and_no_result_is_sent_back(clinic: Clinic) -> None:
    sent = _jobs(clinic.archive, "Success")
    assert len(sent) == 2
    studies = clinic.archive.ask("studies?expand")
    others = [each for each in studies if each["MainDicomTags"].get("StudyDescription") == "Thorax"]
    assert [series_of(clinic.archive, each["MainDicomTags"]["StudyInstanceUID"]) for each in others] == [[]]


def _jobs(archive: Archive, state: str) -> list[dict[str, object]]:
    """Orthanc's transfers in that state."""
    with urllib.request.urlopen(f"{archive.address}/jobs?expand", timeout=PATIENCE_SECONDS) as answer:
        jobs = json.load(answer)
    return [each for each in jobs if each["State"] == state and each["Type"] == "DicomModalityStore"]
