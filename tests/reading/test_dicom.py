"""DICOM bytes are decoded in a process apart: the film comes through, and hostile bytes end only that."""

from __future__ import annotations

import io
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import uid

import bonexage
from bonexage.errors import RefusedRadiograph, UnreadableFile
from bonexage.radiograph import NOTHING_STATED
from bonexage.reading import decoder, decoder_child, dicom_film
from bonexage.reading.confined import Limits
from bonexage.reading.dicom import decode_dicom
from bonexage.reading.dicom_film import decode_film
from bonexage.reading.files import decode_film_bytes, stated_in
from bonexage.reading.messages import read_message, write_message
from bonexage.subject import Sex, Subject
from dicoms import as_bytes, dataset, hand_values, packed


@pytest.fixture(scope="module", autouse=True)
def _children_end() -> Iterator[None]:
    yield
    decoder.dismiss()


def deflated_zeros(megabytes: int) -> bytes:
    """A deflated film whose pixels are so many megabytes of nothing; takes no time to make."""
    head = as_bytes(dataset(syntax=uid.DeflatedExplicitVRLittleEndian))
    start = dicom_film.file_meta(head).end
    plain = zlib.decompress(head[start:], -zlib.MAX_WBITS)
    pixels = plain.index(b"\xe0\x7f\x10\x00OW")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    begin = packer.compress(plain[: pixels + 8] + struct.pack("<I", megabytes << 20))
    begin += packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head[:start] + begin + zeros * megabytes + packer.flush()


def test_a_film_comes_through_unchanged_with_what_its_header_states():
    film = as_bytes(
        dataset(PatientSex="F", PatientAge="126M", ImageLaterality="L", ImagerPixelSpacing=["0.2", "0.2"])
    )
    read = decode_dicom(film, "a.dcm")
    assert np.array_equal(read.pixels, decode_film(film).grey)
    assert read.provenance.name == "a.dcm"
    assert (read.provenance.kind, read.provenance.bits) == ("dicom", 12)
    assert read.spacing_mm == (0.2, 0.2)
    assert read.stated == decode_film(film).stated
    assert (read.stated.subject.sex, read.stated.subject.age_months) == ("F", 126)


def test_a_film_is_framed_and_turned_round_as_any_other():
    values = hand_values()
    framed = np.zeros((80, 60), np.uint16)
    framed[10:70, 6:54] = 4095 - values
    read = decode_dicom(as_bytes(dataset(framed)), "inverted.dcm")
    assert read.pixels == pytest.approx(values / 4095, abs=1e-6)
    assert read.provenance.original_size == (80, 60)
    assert [caution.code for caution in read.cautions] == ["inverted"]


def test_one_child_serves_film_after_film_also_after_a_refused_one(monkeypatch):
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(a) or popen(*a, **k))
    decoder.dismiss()
    for _ in range(2):
        decode_dicom(as_bytes(dataset()), "a.dcm")
        with pytest.raises(RefusedRadiograph, match=r"ct\.dcm: this DICOM picture \(CT Image\)"):
            decode_dicom(as_bytes(dataset(sop_class=uid.CTImageStorage)), "ct.dcm")
    assert len(started) == 1


def test_a_small_file_that_unpacks_to_381_mb_is_refused_and_the_next_film_is_read():
    bomb = deflated_zeros(381)
    assert len(bomb) < 500_000
    with pytest.raises(UnreadableFile, match="unpacks to more than 256 MB"):
        decode_dicom(bomb, "bomb.dcm")
    assert decode_dicom(as_bytes(dataset()), "a.dcm").pixels.shape == (60, 48)


def test_a_film_that_takes_more_memory_than_allowed_is_refused():
    with pytest.raises(UnreadableFile, match="memory"):
        decode_dicom(deflated_zeros(200), "large.dcm", limits=Limits(memory_bytes=300 << 20))


def test_a_child_that_does_not_answer_in_time_is_killed_and_the_next_film_is_read():
    decoder.dismiss()
    with pytest.raises(UnreadableFile, match=r"slow\.dcm: decoding it took more time or memory"):
        decode_dicom(as_bytes(dataset()), "slow.dcm", limits=Limits(waiting_seconds=0.01))
    assert decode_dicom(as_bytes(dataset()), "a.dcm").pixels.shape == (60, 48)


@pytest.mark.skipif(not hasattr(signal, "SIGXCPU"), reason="this system sets no limit on computing")
def test_a_child_that_computes_too_long_is_ended_by_the_system():
    loop = "from bonexage.reading.confined import limit_time; limit_time(0)\nwhile True: pass"
    assert subprocess.run([sys.executable, "-c", loop]).returncode == -signal.SIGXCPU


@pytest.mark.parametrize(
    "ending", ["import os; os.abort()", "print('not an answer')", "import sys; sys.stdin.buffer.read(3)"]
)
def test_a_child_that_dies_or_answers_nonsense_is_one_clear_error(monkeypatch, ending):
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _, **k: popen([sys.executable, "-c", ending], **k))
    decoder.dismiss()
    with pytest.raises(UnreadableFile, match=r"x\.dcm: (its decoder failed|decoding it took)"):
        decode_dicom(as_bytes(dataset()), "x.dcm")


def test_a_panic_of_a_decoder_is_an_answer_too_and_names_no_text_of_the_film(monkeypatch):
    class PanicException(BaseException):
        """As PyO3's: not an Exception."""

    def panic(*_: object, **__: object) -> None:
        raise PanicException("Drawn^Hand")

    monkeypatch.setattr(dicom_film, "decode_film", panic)
    head, body = decoder_child._handled({"want": "film", "page": None, "pixels": 1}, b"")
    assert head["problem"] == "reading it failed in an unforeseen way (PanicException)"
    assert head["shaken"]
    assert body == b""


def test_a_module_in_the_working_folder_is_not_what_the_child_imports(tmp_path, monkeypatch):
    (tmp_path / "pydicom.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    decoder.dismiss()
    assert decode_dicom(as_bytes(dataset()), "a.dcm").pixels.shape == (60, 48)


def test_a_message_arrives_as_it_was_sent_and_a_part_of_one_is_none():
    stream = io.BytesIO()
    write_message(stream, {"a": [1, "é"]}, b"body")
    sent = stream.getvalue()
    assert read_message(io.BytesIO(sent)) == ({"a": [1, "é"]}, b"body")
    for length in range(len(sent)):
        assert read_message(io.BytesIO(sent[:length])) is None
    assert read_message(io.BytesIO(sent), most_body=3) is None


def test_a_real_film_wrapped_as_dicom_is_assessed_as_its_picture_is(data_folder):
    assessor = bonexage.load(threads=1)
    folders = sorted(data_folder.glob("*/boneage-test-dataset"))
    if not folders:
        pytest.skip("no test films there")
    film = sorted(folders[-1].iterdir())[0]
    with Image.open(film) as opened:
        grey = np.asarray(opened.convert("L"))
    plain = assessor.assess(film, "F").bone_age_months
    wrapped = dataset(grey, bits=8, PatientSex="F")
    assert assessor.assess(decode_dicom(as_bytes(wrapped), "a.dcm")).bone_age_months == pytest.approx(plain)
    inverse = (4095 - np.rint(grey / 255 * 4095)).astype(np.uint16)
    deep = dataset(inverse, PatientSex="F", PhotometricInterpretation="MONOCHROME1")
    deep.WindowCenter, deep.WindowWidth = "2048", "4096"
    read = decode_dicom(packed(deep, uid.JPEG2000Lossless), "b.dcm")
    assert assessor.assess(read).bone_age_months == pytest.approx(plain, abs=0.5)


def test_films_may_be_read_on_many_threads_at_once():
    films = {seed: as_bytes(dataset(hand_values(seed=seed))) for seed in range(4)}
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda at: decode_dicom(films[at % 4], f"{at}.dcm"), range(24)))
    for at, radiograph in enumerate(read):
        assert radiograph.provenance.name == f"{at}.dcm"
        assert radiograph.pixels == pytest.approx(hand_values(seed=at % 4) / 4095, abs=1e-6)


@pytest.mark.parametrize(
    "syntax", [uid.JPEGLossless, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.RLELossless]
)
def test_mutated_packed_films_are_read_or_refused_whatever_they_do_to_a_decoder(syntax):
    sound, luck = packed(dataset(), syntax), np.random.default_rng(7)
    pixels = sound.index(b"\xe0\x7f\x10\x00")
    for turn in range(60):
        mutated = bytearray(sound)
        for _ in range(luck.integers(1, 8)):
            mutated[luck.integers(pixels, len(mutated))] = luck.integers(0, 256)
        try:
            read = decode_dicom(bytes(mutated), f"{turn}.dcm")
        except (UnreadableFile, RefusedRadiograph):
            continue
        assert 0 <= read.pixels.min() <= read.pixels.max() <= 1


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "PatientSex": st.sampled_from(["F", "M", "O", "f", ""]),
        "PatientAge": st.sampled_from(["010Y", "120M", "030D", "010W", "999Y", "10", ""]),
        "PatientBirthDate": st.sampled_from(["20160115", "20270101", "00000000", ""]),
        "Laterality": st.sampled_from(["L", "R", ""]),
        "BodyPartExamined": st.sampled_from(["HAND", "CHEST"]),
    },
)


@given(HEADERS)
@settings(max_examples=30, deadline=None)
def test_what_a_header_states_is_told_without_its_pixels_as_decoding_the_film_tells_it(elements):
    film = as_bytes(dataset(**elements))
    stated, cautions = stated_in(film, "a.dcm")
    decoded = decode_film_bytes(film, "a.dcm")
    assert stated == decoded.stated
    assert set(cautions) <= set(decoded.cautions)


def test_a_header_is_told_of_a_film_whose_pixels_cannot_be_decoded_and_none_of_a_picture():
    film = as_bytes(dataset(PatientSex="M", PatientAge="030M"))
    stated, _ = stated_in(film[:-100], "cut.dcm")
    assert stated.subject == Subject(Sex.MALE, 30.0)
    assert stated_in(b"\x89PNG\r\n\x1a\n", "a.png") == (NOTHING_STATED, ())
    with pytest.raises(UnreadableFile):
        stated_in(b"no DICOM", "a.dcm")
