"""No patient is in a node's logs, metrics, reasons or file names; deidentified, nor in any of its results."""

from __future__ import annotations

import io
import json
import threading
import urllib.request
from pathlib import Path

import pytest
from pydicom.datadict import DicomDictionary, dictionary_VR
from pydicom.dataset import Dataset

from bonexage.node.config import Delivery
from bonexage.node.judging import make_judge
from bonexage.node.logs import json_lines
from bonexage.node.watching import STATE, Watch, run_watch
from dicoms import dataset, write_dicom
from films import write_film
from models import small_bundle
from node.nodes import running, write_config
from trials.archive import Archive, listening, send
from trials.waiting import eventually

CANARY = "CANARY"
# Elements of these kinds hold text that a person may have written.
TEXTS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT", "AE", "UR")
# Without these it is no film any more, and other tests plant canaries in them.
NEEDED = ("ManufacturerModelName", "SpecificCharacterSet")


def planted(**changes: object) -> Dataset:
    """A film with a canary in every text element that the standard's data dictionary knows."""
    made = dataset(PatientSex="F", PatientBirthDate="20150711")
    for tag, (kind, count, _, retired, keyword) in DicomDictionary.items():
        group = tag >> 16
        if kind in TEXTS and group > 0x0007 and not retired and keyword not in NEEDED and count:
            made.add_new(tag, dictionary_VR(tag), f"{CANARY}{tag:08X}"[:16])
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    return made


def test_the_canary_sits_in_every_text_element() -> None:
    made = planted()
    assert len([each for each in made if CANARY in str(each.value)]) > 500
    assert made.PatientName == made.PatientID[:6] + f"{0x00100010:08X}"


@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # a canary where a date belongs
@pytest.mark.parametrize("deidentify", [False, True], ids=["identified", "deidentified"])
def test_no_canary_is_in_logs_metrics_reasons_and_names(tmp_path: Path, deidentify: bool) -> None:
    archive = Archive(status=0xC123)
    films = [
        planted(),
        planted(SOPInstanceUID="1.2.3.4", Modality="CT"),
        planted(SOPInstanceUID="1.2.3.5", PixelData=b"\0\0"),
        planted(SOPInstanceUID="1.2.3.6", ManufacturerModelName=CANARY, ContentDate=CANARY),
    ]
    top = f"deidentify = {str(deidentify).lower()}\nfhir = 'fhir'"
    with (
        listening(archive) as port,
        running(write_config(tmp_path, port, top=top, delivery="refusals = 1")) as node,
    ):
        assert send(node.port, *films) == [0] * 4
        node.wait_for("dead", "aside", "dead", "dead")
        with urllib.request.urlopen(f"http://127.0.0.1:{node.http}/metrics") as page:
            metrics = page.read().decode()
        eventually(lambda: len(node.events("dead")) >= 3)
    assert node.events("judged", "put-aside", "dead")
    assert CANARY not in node.log()
    assert "20150711" not in node.log()
    assert CANARY not in metrics
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in written if CANARY in str(path.relative_to(tmp_path))] == []
    reasons = [path for path in written if path.name == "reason.txt"]
    assert len(reasons) == 4
    results = [path for path in written if path.parent.parent.name == "results" or "fhir" in path.parts]
    assert len(results) > 10
    for path in [*reasons, *(results if deidentify else ())]:
        assert CANARY.encode() not in path.read_bytes(), path
    if not deidentify:
        assert any(CANARY.encode() in path.read_bytes() for path in results), "results name the patient"


def test_no_canary_is_in_what_a_deidentified_watched_folder_gives(tmp_path: Path) -> None:
    small_bundle(tmp_path / "model.zip")
    write_dicom(tmp_path / "in" / CANARY / f"{CANARY}.dcm", planted())
    write_dicom(tmp_path / "in" / CANARY / f"{CANARY}-ct.dcm", planted(SOPInstanceUID="1.2.3", Modality="CT"))
    write_film(tmp_path / "in" / f"{CANARY}.png")
    told = io.StringIO()
    judge = make_judge(str(tmp_path / "model.zip"), 90, threads=1, deidentify=True, fhir=True)
    watch = Watch(tmp_path / "in", tmp_path / "out", tmp_path / "out" / STATE, 0.05, once=True)
    run_watch(watch, judge, Delivery(), json_lines(told), threading.Event())
    assert CANARY not in told.getvalue()
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and STATE not in path.parts]
    assert len(written) == 7
    for path in written:
        assert CANARY not in str(path.relative_to(tmp_path))
        assert CANARY.encode() not in path.read_bytes(), path
    rows = [json.loads(path.read_text()) for path in written if path.name == "reading.json"]
    assert sorted(row["status"] for row in rows) == ["assessed", "assessed", "unreadable"]
