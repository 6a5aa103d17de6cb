"""The node: films over real associations become results in an archive, whatever happens in between."""

from __future__ import annotations

from pathlib import Path

from dicoms import dataset
from node.archive import Archive, listening, send
from node.nodes import running, write_config


def test_a_film_that_is_sent_has_its_results_in_the_archive(tmp_path: Path) -> None:
    archive = Archive()
    with listening(archive) as port, running(write_config(tmp_path, port)) as node:
        assert send(node.port) == [0]
        assert send(node.port, dataset(PatientSex="F")) == [0]
        node.wait_for("done")
        assert archive.modalities() == ["DOC", "OT", "SR"]
    assert list((tmp_path / "state" / "films").iterdir()) == []
    assert list((tmp_path / "state" / "results").iterdir()) == []
