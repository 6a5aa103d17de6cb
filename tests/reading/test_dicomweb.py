"""A study in an archive is read by its address: its pictures are listed and fetched, what fails is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from bonexage.cli.app import app
from bonexage.errors import MissingExtra, UnreadableFile
from bonexage.reading import decoder, dicom, dicomweb
from bonexage.reading.dicom_meta import OWN_DESCRIPTION, OWN_MODEL
from bonexage.reading.files import identity_of, list_films, read_radiograph
from dicoms import ROOT, as_bytes, dataset, hand_values
from models import small_bundle

TOKEN = "let-me-in"


def held() -> list[Dataset]:
    """What the archive holds: two films out of order, a report, and a picture that is a result."""
    ours = dataset(number=8, SeriesDescription=OWN_DESCRIPTION, ManufacturerModelName=OWN_MODEL)
    report = dataset(sop_class=uid.Comprehensive3DSRStorage, number=9)
    del report.PixelData
    films = [dataset(hand_values(seed=n), number=n, InstanceNumber=n, PatientSex="F") for n in (2, 1)]
    return [*films, report, ours]


class _Archive(BaseHTTPRequestHandler):
    objects: tuple[Dataset, ...] = ()

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, "text/plain", b"no")
        elif self.path.startswith(f"/web/studies/{ROOT}.1/instances"):
            listed = [_listed(one) for one in self.objects]
            self._send(200, "application/dicom+json", json.dumps(listed).encode())
        else:
            found = [one for one in self.objects if self.path.endswith(f"/instances/{one.SOPInstanceUID}")]
            if not found:
                self._send(404, "text/plain", b"none")
                return
            part = b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + as_bytes(found[0]) + b"\r\n--xyz--"
            self._send(200, 'multipart/related; type="application/dicom"; boundary=xyz', part)

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _listed(one: Dataset) -> dict[str, object]:
    found = {
        "0020000E": {"vr": "UI", "Value": [one.SeriesInstanceUID]},
        "00080018": {"vr": "UI", "Value": [one.SOPInstanceUID]},
        "00080016": {"vr": "UI", "Value": [one.SOPClassUID]},
    }
    if "SeriesDescription" in one:
        found["0008103E"] = {"vr": "LO", "Value": [one.SeriesDescription]}
    return {**found, "00200013": {"vr": "IS", "Value": [int(one.get("InstanceNumber", 0))]}}


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv(dicomweb.TOKEN_VARIABLE, TOKEN)
    monkeypatch.setattr(_Archive, "objects", tuple(held()))
    decoder.dismiss()  # a child knows the token that was there when it began
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Archive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/web"
    server.shutdown()
    server.server_close()
    decoder.dismiss()


def test_the_pictures_of_a_study_are_listed_in_order_and_read(archive: str) -> None:
    films = list(list_films([f"{archive}/studies/{ROOT}.1"]))
    series = f"{archive}/studies/{ROOT}.1/series/{ROOT}.2/instances"
    assert films == [f"{series}/{ROOT}.3.1", f"{series}/{ROOT}.3.2"]
    for seed, film in enumerate(films, start=1):
        read = read_radiograph(film)
        assert read.pixels == pytest.approx(hand_values(seed=seed) / 4095, abs=1e-6)
        assert read.provenance.name == film
        assert identity_of(film).sop_uid == f"{ROOT}.3.{seed}"


def test_what_an_archive_refuses_and_an_archive_that_is_not_there_are_told(archive: str, monkeypatch) -> None:
    with pytest.raises(UnreadableFile, match="the archive refuses with 404"):
        read_radiograph(f"{archive}/studies/{ROOT}.1/series/1.2/instances/1.9")
    (unlisted,) = list_films([f"{archive}/studies/1.2.99"])
    with pytest.raises(UnreadableFile, match="the archive refuses with 404"):
        read_radiograph(unlisted)
    monkeypatch.setattr(_Archive, "objects", ())
    (empty,) = list_films([f"{archive}/studies/{ROOT}.1"])
    with pytest.raises(UnreadableFile, match="the study holds no picture"):
        read_radiograph(empty)
    with pytest.raises(UnreadableFile, match="the archive does not answer"):
        read_radiograph("http://127.0.0.1:9/web/studies/1.2/series/1.3/instances/1.4")
    monkeypatch.delenv(dicomweb.TOKEN_VARIABLE)
    decoder.dismiss()
    with pytest.raises(UnreadableFile, match="the archive refuses with 401"):
        read_radiograph(f"{archive}/studies/{ROOT}.1/series/{ROOT}.2/instances/{ROOT}.3.1")


def test_predict_reads_a_study_from_an_archive(archive: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    small_bundle(tmp_path / "model.zip")
    asked = ["predict", "--from-dicomweb", archive, "--study", f"{ROOT}.1", "--model", "model.zip"]
    done = CliRunner().invoke(app, [*asked, "--format", "json", "--dicom-out", "out"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [row["sex"] for row in rows] == ["F", "F"]
    assert len(list((tmp_path / "out").glob("*.dcm"))) == 6


def test_an_archive_without_a_study_is_wrong_use() -> None:
    done = CliRunner().invoke(app, ["predict", "--from-dicomweb", "http://127.0.0.1:9"])
    assert done.exit_code == 2
    assert "belong together" in done.stderr


def test_without_its_client_an_archive_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(dicomweb.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install .*\[dicom\]"):
        read_radiograph("http://127.0.0.1:9/web/studies/1.2/series/1.3/instances/1.4")


@pytest.mark.parametrize(
    "name",
    ["http://a/studies", "ftp://a/studies/1.2", "studies/1.2", "https://a/studies/1.2/series/x/instances/1"],
)
def test_other_names_are_no_addresses(name: str) -> None:
    assert not dicomweb.is_study_address(name)
    assert not dicomweb.is_film_address(name)


def test_the_arrays_of_a_fetched_film_are_those_of_the_file(archive: str) -> None:
    (film, _) = list_films([f"{archive}/studies/{ROOT}.1"])
    whole = dicom.decode_dicom(as_bytes(held()[1]), "a.dcm")
    assert np.array_equal(read_radiograph(film).pixels, whole.pixels)
