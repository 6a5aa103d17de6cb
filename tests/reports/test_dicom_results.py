"""What goes to the archive says what was found, belongs to the film's study, and is the same every time."""

from __future__ import annotations

import io
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import highdicom.sr
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts

from bonexage import __version__
from bonexage.assessment import Caution, Interval
from bonexage.atlas.plates import read_plates
from bonexage.reports import codes
from bonexage.reports.archive import Beside, dicom_files
from bonexage.reports.capture import ON_PAPER, ON_SCREEN, Tones, as_pdf, as_rgb, draw_capture
from bonexage.reports.dicom_objects import encapsulated_pdf, secondary_capture
from bonexage.reports.dicom_sr import SERIES_NUMBER, structured_report
from bonexage.reports.result import FilmResult, without_identity
from bonexage.subject import Sex
from hands import drawn_hand
from results import assessed, identity, refused

PICTURE = np.arange(40 * 30 * 3, dtype=np.uint8).reshape(40, 30, 3)
BESIDE = Beside(tuple(read_plates()[:4]))
PDF = b"%PDF-1.4 odd"
WRITERS: tuple[tuple[str, Callable[[FilmResult], bytes]], ...] = (
    ("report", structured_report),
    ("capture", lambda result: secondary_capture(result, PICTURE)),
    ("document", lambda result: encapsulated_pdf(result, PDF)),
)


@pytest.fixture(autouse=True)
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.RAISE)
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)


def read(file: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(file))


def texts(made: Dataset) -> Iterator[str]:
    for element in made.iterall():
        if element.VR != "SQ":
            yield str(element.value)


def group_of(file: bytes) -> highdicom.sr.MeasurementsAndQualitativeEvaluations:
    report = highdicom.sr.srread(io.BytesIO(file))
    (group,) = report.content.get_image_measurement_groups()
    return group


def below(item: Dataset, concept: codes.Concept) -> list[Dataset]:
    return [
        inner
        for inner in item.get("ContentSequence", ())
        if inner.ConceptNameCodeSequence[0].CodeValue == concept.code
    ]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    months=st.floats(0, 240),
    ends=st.tuples(st.floats(0, 60), st.floats(0, 60)),
    age=st.none() | st.floats(0, 240),
    sex=st.sampled_from(list(Sex)),
)
def test_highdicom_reads_back_what_was_found(months, ends, age, sex):
    interval = Interval(max(0.0, months - ends[0]), min(240.0, months + ends[1]), 0.9)
    result = assessed(months=months, interval=interval, age_months=age, sex=sex)
    group = group_of(structured_report(result))
    found = {one.name.value: one for one in group.get_measurements()}
    bone_age = found[codes.BONE_AGE.code]
    assert bone_age.value == round(months, 1)
    assert (bone_age.unit.value, bone_age.unit.scheme_designator) == ("mo", "UCUM")
    (above,), (under,) = (below(bone_age[0], concept) for concept in (codes.ABOVE, codes.BELOW))
    value = float(bone_age.value)
    high = value + float(above.MeasuredValueSequence[0].NumericValue)
    low = value - float(under.MeasuredValueSequence[0].NumericValue)
    assert (low, high) == pytest.approx((interval.low_months, interval.high_months), abs=0.051)
    sds = result.assessment.sds
    assert (codes.Z_SCORE.code in found) == (sds is not None)
    if sds:
        assert found[codes.Z_SCORE.code].value == pytest.approx(sds.value, abs=0.0051)
        (authority,) = below(found[codes.Z_SCORE.code][0], codes.AUTHORITY)
        assert authority.TextValue == sds.norm


def test_a_report_names_film_subject_model_cautions_and_that_nobody_has_verified_it():
    result = assessed()
    made = read(structured_report(result))
    assert made.SOPClassUID == uid.Comprehensive3DSRStorage
    assert (made.VerificationFlag, made.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    group = group_of(structured_report(result))
    (source,) = group.source_images
    assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == result.film.sop_uid
    (evidence,) = made.CurrentRequestedProcedureEvidenceSequence
    assert evidence.StudyInstanceUID == result.film.study_uid
    said = list(texts(made))
    for text in (__version__, "model small", "model hash 0123456789ab"):
        assert text in said
    for sentence in ("Caution: It was drawn by hand.", "For research, not for diagnosis."):
        assert sentence in said
    (age,) = below(made, codes.SUBJECT_AGE)
    assert float(age.MeasuredValueSequence[0].NumericValue) == 132.5
    (sex,) = below(made, codes.SUBJECT_SEX)
    assert sex.ConceptCodeSequence[0].CodeValue == "F"


ODD_UIDS = ("1.2.392.200036.9125.2.0123.45", "1.2." + "3" * 70, "01.2." + "0456." * 20 + "7")


@pytest.mark.parametrize("field", ["study_uid", "series_uid", "sop_uid"])
@pytest.mark.parametrize("odd", ODD_UIDS, ids=["leading-zero", "long", "both"])
@pytest.mark.parametrize("result", [assessed, refused])
def test_results_refer_to_a_film_by_its_uids_as_they_are(field, odd, result, monkeypatch):
    made = result(film=identity(**{field: odd}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = dicom_files(made, drawn_hand(60, 48), BESIDE)
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE)
    references = []
    for content in files.values():
        written = read(content)
        assert written.StudyInstanceUID == made.film.study_uid
        assert uid.UID(written.SOPInstanceUID).is_valid
        assert uid.UID(written.SeriesInstanceUID).is_valid
        references += [str(each.value) for each in written.iterall() if "Referenced" in each.keyword]
        if written.Modality == "SR":
            (evidence,) = written.CurrentRequestedProcedureEvidenceSequence
            (series,) = evidence.ReferencedSeriesSequence
            assert (evidence.StudyInstanceUID, series.SeriesInstanceUID) == (
                made.film.study_uid,
                made.film.series_uid,
            )
    assert references.count(made.film.sop_uid) >= 4


@pytest.mark.parametrize("odd", ODD_UIDS, ids=["leading-zero", "long", "both"])
def test_dcmtk_reads_results_that_refer_to_odd_uids(tmp_path, odd):
    if not shutil.which("dcmdump"):
        pytest.skip("dcmdump (dcmtk) is not installed")
    made = assessed(film=identity(study_uid=odd, series_uid=odd, sop_uid=odd))
    for name, content in dicom_files(made, drawn_hand(60, 48), BESIDE).items():
        (tmp_path / name).write_bytes(content)
        command = ["dcmdump", "+L", "+P", "StudyInstanceUID", tmp_path / name]
        printed = subprocess.run(command, capture_output=True, text=True)
        assert f"[{odd}]" in printed.stdout


def test_a_refusal_is_a_report_too_that_says_why_and_gives_no_number():
    group = group_of(structured_report(refused()))
    assert group.get_measurements() == []
    (evaluation,) = group.get_qualitative_evaluations()
    assert (evaluation.name.value, evaluation.value.value) == (
        codes.BONE_AGE.code,
        codes.UNDETERMINED.code,
    )
    assert any(
        "no single hand and wrist was found" in text for text in texts(read(structured_report(refused())))
    )


@pytest.mark.parametrize(("kind", "write"), WRITERS, ids=[kind for kind, _ in WRITERS])
@pytest.mark.parametrize("result", [assessed(), refused()], ids=["assessed", "refused"])
def test_every_object_lies_in_the_study_of_the_film_in_a_series_of_its_own(kind, write, result):
    made, film = read(write(result)), result.film
    assert made.StudyInstanceUID == film.study_uid
    assert made.SeriesInstanceUID not in (film.series_uid, film.study_uid)
    assert (made.PatientID, str(made.PatientName)) == (film.patient_id, film.patient_name)
    assert made.AccessionNumber == film.accession_number
    assert (made.ContentDate, made.ContentTime) == (film.study_date, film.study_time)


@pytest.mark.parametrize(("kind", "write"), WRITERS, ids=[kind for kind, _ in WRITERS])
def test_an_object_made_again_is_the_same_to_the_byte(kind, write):
    assert write(assessed()) == write(assessed())


def test_uids_follow_film_model_subject_interval_page_and_kind_and_nothing_else():
    one = assessed()
    others = [
        assessed(film=identity(sop_uid="1.2.3")),
        assessed(model="small@other"),
        assessed(sex=Sex.MALE),
        assessed(age_months=132.4),
        assessed(interval=Interval(100, 150, 0.95)),
        assessed(page=2),
        assessed(film=without_identity(identity()), deidentified=True),
    ]
    made = {one.uid("a"), one.uid("b"), *(each.uid("a") for each in others)}
    assert len(made) == len(others) + 2
    assert all(uid.UID(each).is_valid for each in made)
    assert assessed(film=identity(patient_name="Other^Name")).uid("a") == one.uid("a")


def test_the_picture_and_the_document_come_back_as_they_were_given():
    capture = read(secondary_capture(assessed(), PICTURE))
    assert np.array_equal(capture.pixel_array, PICTURE)
    document = read(encapsulated_pdf(assessed(), PDF))
    assert document.EncapsulatedDocument[: document.EncapsulatedDocumentLength] == PDF
    assert document.MIMETypeOfEncapsulatedDocument == "application/pdf"


def test_a_film_gives_three_files_named_by_their_uids_and_a_picture_alike_every_time():
    files = dicom_files(assessed(), drawn_hand(60, 48), BESIDE)
    assert files == dicom_files(assessed(), drawn_hand(60, 48), BESIDE)
    made = {name: read(content) for name, content in files.items()}
    assert {str(one.SOPInstanceUID) + ".dcm" for one in made.values()} == set(made)
    assert {one.Modality for one in made.values()} == {"SR", "OT", "DOC"}
    (document,) = (one for one in made.values() if one.Modality == "DOC")
    assert document.EncapsulatedDocument.startswith(b"%PDF")


def test_a_capture_shows_the_film_the_age_and_why_there_is_none():
    film = drawn_hand(60, 48)
    shown, blank = (
        as_rgb(draw_capture(assessed().outcome, film)),
        as_rgb(draw_capture(assessed().outcome, None)),
    )
    half = shown.shape[1] // 2
    assert not np.array_equal(shown[:, :half], blank[:, :half])
    assert (shown[:, :half] > 60).mean() > (blank[:, :half] > 60).mean() + 0.1
    assert as_pdf(draw_capture(refused().outcome, None)).startswith(b"%PDF")
    assert not np.array_equal(as_rgb(draw_capture(refused().outcome, None)), blank)


@pytest.mark.parametrize("cautions", [0, 3, 6, 20])
@pytest.mark.parametrize("tones", [ON_SCREEN, ON_PAPER])
def test_what_a_capture_says_keeps_clear_of_its_foot_and_its_edge(cautions: int, tones: Tones) -> None:
    said = Caution("long", "The hand lay turned by 91 degrees on a mirrored film: it was set upright.")
    outcome = assessed().assessment
    assert outcome
    figure = draw_capture(replace(outcome, cautions=(said,) * cautions), drawn_hand(60, 48), tones)
    as_rgb(figure)
    told = {each.get_text(): each.get_window_extent() for axes in figure.axes for each in axes.texts}
    (text,) = (where for words, where in told.items() if "Assessed as" in words)
    (foot,) = (where for words, where in told.items() if "research" in words)
    assert text.y0 > foot.y1
    assert max(where.x1 for where in told.values()) < figure.bbox.x1
    assert any("structured report says the rest" in words for words in told) == (cautions == 20)


def test_the_document_of_an_assessed_film_shows_what_moved_the_answer_where_that_is_known() -> None:
    film = drawn_hand(60, 48)
    plain, shown = (
        read(next(each for each in files.values() if read(each).Modality == "DOC"))
        for files in (
            dicom_files(assessed(), film, BESIDE),
            dicom_files(assessed(), film, BESIDE, film - 0.5),
        )
    )
    pictures = [one.EncapsulatedDocument.count(b"/Subtype /Image") for one in (plain, shown)]
    assert pictures[1] > pictures[0]


@pytest.mark.parametrize("burnt_in", ["", "YES", "NO"])
def test_a_deidentified_result_has_a_picture_only_where_the_header_rules_out_burnt_in_text(burnt_in):
    film = without_identity(identity(burnt_in=burnt_in))
    files = dicom_files(assessed(film=film, deidentified=True), drawn_hand(60, 48), BESIDE)
    captured = [name for name, content in files.items() if read(content).Modality == "OT"]
    assert bool(captured) == (burnt_in == "NO")
    assert all(read(content).PatientIdentityRemoved == "YES" for content in files.values())


@pytest.mark.parametrize("result", [assessed(), refused()], ids=["assessed", "refused"])
def test_standard_tools_find_no_fault_and_print_the_report(tmp_path: Path, result):
    if not shutil.which("dciodvfy") or not shutil.which("dsrdump"):
        pytest.skip("dciodvfy (dicom3tools) and dsrdump (dcmtk) are not installed")
    for name, content in dicom_files(result, drawn_hand(60, 48), BESIDE).items():
        (tmp_path / name).write_bytes(content)
        checked = subprocess.run(["dciodvfy", tmp_path / name], capture_output=True, text=True)
        assert not [
            line for line in (checked.stdout + checked.stderr).splitlines() if line[:5] in ("Error", "Warni")
        ]
        if read(content).Modality == "SR":
            for tool in ("dsrdump", "dsr2html"):
                printed = subprocess.run([tool, tmp_path / name], capture_output=True, text=True)
                assert printed.returncode == 0, printed.stderr
                assert f"Bone age, for research, not for diagnosis (#{SERIES_NUMBER})" in printed.stdout


def test_every_code_of_snomed_and_dicom_is_in_the_standard_s_tables_with_its_meaning():
    for concept in _all_codes():
        if concept.designator in ("SCT", "DCM", "UCUM"):
            entries = [
                found for named in concepts[concept.designator].values() if (found := named.get(concept.code))
            ]
            assert concept.meaning in [meaning for meaning, _ in entries], concept


def _all_codes() -> list[codes.Concept]:
    found = [one for one in vars(codes).values() if isinstance(one, codes.Concept)]
    return [*found, *codes.SIDES.values(), *codes.SEXES.values()]
