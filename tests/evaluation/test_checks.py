"""A data folder is checked: each planted fault is found, with its weight, and nothing else is."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from bonexage.assessment import Caution
from bonexage.cli.app import app
from bonexage.errors import UnusableData
from bonexage.evaluation import checks, checks_page, scan
from bonexage.evaluation.checks import FAR_MONTHS, check_folder, clean_csv
from bonexage.evaluation.findings import KINDS, DataState
from bonexage.model.assessor import Assessor
from bonexage.model.bundle import load_bundle
from bonexage.model.frame import HandFrame
from bonexage.model.locate import Finding, Locator
from bonexage.radiograph import Radiograph
from bonexage.reading.files import read_radiograph
from bonexage.reading.folder import Split, films_by_id
from bonexage.reading.labels import read_labels
from bonexage.subject import Sex
from model.test_locate import at_rest, fixed_locator
from models import small_bundle
from posed import COPIES, posed_hand, save

TRAINING = range(10)
TEST = range(10, 16)
Rows = list[list[str]]
Found = set[tuple[str, str | None, tuple[str, ...]]]


@pytest.fixture(scope="module")
def assessor(tmp_path_factory: pytest.TempPathFactory) -> Assessor:
    return Assessor(small_bundle(tmp_path_factory.mktemp("model") / "small"), threads=1)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, assessor: Assessor) -> Path:
    """A folder without a fault: ten training films, six test films, labelled as the model reads them."""
    folder = tmp_path_factory.mktemp("sound")
    for split, numbers in (("training", TRAINING), ("test", TEST)):
        rows = []
        for number in numbers:
            path = save(posed_hand(number), _film(folder, number, split))
            sex = Sex.MALE if number % 2 else Sex.FEMALE
            rows.append(
                [str(number), f"{assessor.assess(path, sex).bone_age_months:.1f}", str(sex is Sex.MALE)]
            )
        _write(folder, split, [["id", "boneage", "male"], *rows])
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "data"))


def _film(folder: Path, number: int | str, split: str = "training", suffix: str = "png") -> Path:
    return folder / f"boneage-{split}-dataset" / f"{number}.{suffix}"


def _labels(folder: Path, split: str = "training") -> Path:
    return folder / f"boneage-{split}-dataset.csv"


def _read(folder: Path, split: str = "training") -> Rows:
    with _labels(folder, split).open(newline="") as file:
        return list(csv.reader(file))


def _write(folder: Path, split: str, rows: Rows) -> None:
    with _labels(folder, split).open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def _set(number: int, column: int, text: str, split: str = "training") -> Callable[[Path], None]:
    """A fault: another text in one cell."""

    def plant(folder: Path) -> None:
        rows = _read(folder, split)
        next(row for row in rows if row[0] == str(number))[column] = text
        _write(folder, split, rows)

    return plant


def _add(*rows: list[str], split: str = "training") -> Callable[[Path], None]:
    return lambda folder: _write(folder, split, [*_read(folder, split), *rows])


def _label_of(folder: Path, number: int, split: str = "training") -> list[str]:
    return next(row for row in _read(folder, split) if row[0] == str(number))


def _twice(folder: Path) -> None:
    _write(folder, "training", [*_read(folder), _label_of(folder, 3)])


def _in_both_splits(folder: Path) -> None:
    """A fault: a training film goes by the id of another film in the test split."""
    _film(folder, 1).rename(_film(folder, 11))
    rows = [row for row in _read(folder) if row[0] != "1"]
    _write(folder, "training", [*rows, ["11", *_label_of(folder, 1)[1:]]])


def _copied(
    name: str, of: int, split: str, of_split: str, change: Callable[[list[str]], None]
) -> Callable[[Path], None]:
    """A fault: the bytes of a film under another id, in either split, with its label or another."""

    def plant(folder: Path) -> None:
        shutil.copy(_film(folder, of, of_split), _film(folder, name, split))
        label = [name, *_label_of(folder, of, of_split)[1:]]
        change(label)
        _add(label, split=split)(folder)

    return plant


def _nearly(name: str, of: int, split: str, of_split: str, how: str) -> Callable[[Path], None]:
    """A fault: a film saved in another way under another id."""

    def plant(folder: Path) -> None:
        save(COPIES[how](posed_hand(of)), _film(folder, name, split))
        _add([name, *_label_of(folder, of, of_split)[1:]], split=split)(folder)

    return plant


def _same(label: list[str]) -> None:
    """Leave a label as it is."""


def _other_age(label: list[str]) -> None:
    label[1] = f"{float(label[1]) + 7:.1f}"


def _changed(number: int, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """A fault: a film's picture is changed."""
    return lambda folder: (
        save(np.ascontiguousarray(change(posed_hand(number))), _film(folder, number)) and None
    )


def _header(*names: str) -> Callable[[Path], None]:
    return lambda folder: _write(folder, "training", [list(names), *_read(folder)[1:]])


def _sixteen_bit_colour(folder: Path) -> None:
    import struct
    import zlib

    grey = (posed_hand(4) * 65535).astype(">u2")
    rows = b"".join(b"\0" + np.repeat(row[:, None], 3, axis=1).tobytes() for row in grey)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    _film(folder, 4).write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def _films_away(folder: Path) -> None:
    shutil.rmtree(folder / "boneage-training-dataset")


def _films_gone(folder: Path) -> None:
    _films_away(folder)
    (folder / "boneage-training-dataset").mkdir()


def _test_away(folder: Path) -> None:
    shutil.rmtree(folder / "boneage-test-dataset")
    _labels(folder, "test").unlink()


@dataclass(frozen=True)
class Fault:
    """What is planted, and all that is to be found then."""

    plant: Callable[[Path], object]
    found: Found


FAULTS = {
    "no labels": Fault(lambda f: _labels(f).unlink(), {("labels-missing", "training", ())}),
    "no films": Fault(_films_away, {("films-missing", "training", ())}),
    "an empty folder": Fault(_films_gone, {("films-missing", "training", ())}),
    "no such split": Fault(_test_away, {("split-missing", "test", ())}),
    "a wrong header": Fault(_header("id", "age", "gender"), {("wrong-header", "training", ())}),
    "no header": Fault(lambda f: _labels(f).write_text(""), {("wrong-header", "training", ())}),
    "no text": Fault(lambda f: _labels(f).write_bytes(b"\xff\xfe\x00"), {("wrong-header", "training", ())}),
    "a decimal comma": Fault(_add(["7", "100", "5", "True"]), {("wrong-row", "training", ())}),
    "no id": Fault(_add(["", "100", "True"]), {("id-missing", "training", ())}),
    "no age": Fault(_set(2, 1, ""), {("age-missing", "training", ("2",))}),
    "an age above 240": Fault(_set(2, 1, "241"), {("age-out-of-range", "training", ("2",))}),
    "an age below 0": Fault(_set(12, 1, "-1", "test"), {("age-out-of-range", "test", ("12",))}),
    "an age in words": Fault(_set(2, 1, "ten"), {("age-out-of-range", "training", ("2",))}),
    "an age that is no number": Fault(_set(2, 1, "nan"), {("age-out-of-range", "training", ("2",))}),
    "no sex": Fault(_set(2, 2, ""), {("sex-missing", "training", ("2",))}),
    "sex unknown": Fault(_set(2, 2, "U"), {("sex-out-of-range", "training", ("2",))}),
    "a sex that is none": Fault(_set(2, 2, "7"), {("sex-out-of-range", "training", ("2",))}),
    "a row twice": Fault(_twice, {("duplicated-id", "training", ("3",))}),
    "two labels for a film": Fault(_add(["3", "100", "True"]), {("duplicated-id", "training", ("3",))}),
    "two files for an id": Fault(
        lambda f: save(posed_hand(3), _film(f, 3, suffix="bmp")), {("two-files", "training", ("3",))}
    ),
    "no film": Fault(lambda f: _film(f, 4).unlink(), {("label-without-film", "training", ("4",))}),
    "no label": Fault(
        lambda f: _write(f, "training", [row for row in _read(f) if row[0] != "4"]),
        {("film-without-label", "training", ("4",))},
    ),
    "not a picture": Fault(lambda f: _film(f, 4).write_bytes(b"no"), {("unreadable", "training", ("4",))}),
    "cut short": Fault(
        lambda f: _film(f, 14, "test").write_bytes(_film(f, 14, "test").read_bytes()[:3000]),
        {("unreadable", "test", ("14",))},
    ),
    "an empty file": Fault(lambda f: _film(f, 4).write_bytes(b""), {("unreadable", "training", ("4",))}),
    "a copy": Fault(
        _copied("90", 4, "training", "training", _same), {("exact-duplicate", "training", ("4", "90"))}
    ),
    "a copy, labelled otherwise": Fault(
        _copied("90", 4, "training", "training", _other_age), {("exact-duplicate", "training", ("4", "90"))}
    ),
    "a copy in the test split": Fault(
        _copied("90", 14, "test", "test", _same), {("exact-duplicate", "test", ("14", "90"))}
    ),
    "a copy across splits": Fault(
        _copied("90", 4, "test", "training", _same), {("leakage", None, ("4", "90"))}
    ),
    "an id in both splits": Fault(_in_both_splits, {("leakage", None, ("11",))}),
    **{
        f"a near copy, {how}": Fault(
            _nearly("90", 4, "training", "training", how), {("near-duplicate", "training", ("4", "90"))}
        )
        for how in COPIES
    },
    **{
        f"a near copy across splits, {how}": Fault(
            _nearly("90", 14, "training", "test", how), {("leakage", None, ("90", "14"))}
        )
        for how in COPIES
    },
    "inverted": Fault(_changed(4, lambda film: 1 - film), {("inverted", "training", ("4",))}),
    **{
        f"turned {turns}": Fault(
            _changed(4, lambda film, turns=turns: np.rot90(film, turns)), {("rotated", "training", ("4",))}
        )
        for turns in (1, 2, 3)
    },
    "a wrong label": Fault(_set(4, 1, "190"), {("far-from-label", "training", ("4",))}),
    "16-bit colour": Fault(_sixteen_bit_colour, {("bits-lost", "training", ("4",))}),
}


def _found(state: DataState) -> Found:
    return {(finding.code, finding.split, finding.ids) for finding in state.findings}


def test_a_folder_without_a_fault_is_found_so(folder: Path, assessor: Assessor) -> None:
    state = check_folder(folder, assessor, made=date(2026, 1, 31))
    assert state.findings == ()
    assert [(one.split, one.rows, one.films, one.read) for one in state.splits] == [
        ("training", 10, 10, 10),
        ("test", 6, 6, 6),
    ]
    assert state.clean_training_labels() == read_labels(_labels(folder))


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_nothing_else(folder: Path, assessor: Assessor, name: str) -> None:
    FAULTS[name].plant(folder)
    assert _found(check_folder(folder, assessor)) == FAULTS[name].found


def test_every_kind_of_fault_is_planted_but_those_that_have_a_test_of_their_own() -> None:
    planted = {code for fault in FAULTS.values() for code, _, _ in fault.found}
    apart = {"folder-unreadable", "damaged-header", "read-with-care", "refused", "mirrored"}
    assert set(KINDS) - planted == apart


TRAINING_ERRORS = [
    name
    for name, fault in FAULTS.items()
    if any(KINDS[code].must_mend and split != "test" for code, split, _ in fault.found)
    and not any(code in ("labels-missing", "films-missing", "wrong-header") for code, _, _ in fault.found)
]


@pytest.mark.parametrize("name", TRAINING_ERRORS)
def test_the_clean_labels_leave_no_error(folder: Path, assessor: Assessor, name: str) -> None:
    FAULTS[name].plant(folder)
    state = check_folder(folder, assessor)
    assert state.errors
    clean = state.clean_training_labels()
    assert len(clean) >= 8
    _labels(folder).write_text(clean_csv(clean))
    assert read_labels(_labels(folder)) == clean
    assert check_folder(folder, assessor).errors == 0


def test_a_copy_with_the_same_label_keeps_one_and_with_another_none(folder: Path, assessor: Assessor) -> None:
    _copied("90", 4, "training", "training", _same)(folder)
    _copied("91", 5, "training", "training", _other_age)(folder)
    kept = {label.id for label in check_folder(folder, assessor).clean_training_labels()}
    assert "4" in kept
    assert not {"90", "5", "91"} & kept


def test_all_faults_at_once_are_all_found(folder: Path, assessor: Assessor) -> None:
    together = ["no age", "a copy across splits", "an age below 0", "cut short", "no id"]
    for name in together:
        FAULTS[name].plant(folder)
    expected = set().union(*(FAULTS[name].found for name in together))
    assert _found(check_folder(folder, assessor)) == expected


def test_the_reading_furthest_off_is_told_first(folder: Path, assessor: Assessor) -> None:
    for number, off in ((4, 60), (6, 100), (8, 80)):
        _set(number, 1, f"{float(_label_of(folder, number)[1]) + off:.1f}")(folder)
    assert [one.ids for one in check_folder(folder, assessor).findings] == [("6",), ("8",), ("4",)]


def test_what_reading_says_in_a_new_way_is_passed_on(
    folder: Path, assessor: Assessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cautious(path: Path) -> Radiograph:
        return replace(read_radiograph(path), cautions=(Caution("new", "It is new"),))

    monkeypatch.setattr(scan, "read_radiograph", cautious)
    findings = check_folder(folder, assessor).findings
    assert {(one.code, one.sentence) for one in findings} >= {("read-with-care", "4.png: It is new")}
    assert len(findings) == 16


def test_a_model_that_finds_hands_says_which_are_turned_and_which_films_it_refuses(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upright = Finding(HandFrame(np.eye(2) * 90, np.array([60.0, 75.0])), True, 0.9, 0.0)
    on_its_side, right = np.array([[0.0, -90.0], [90.0, 0.0]]), np.diag([-90.0, 90.0])
    said = {
        (160, 120): replace(upright, found=False, score=0.1),
        (170, 120): replace(upright, frame=replace(upright.frame, matrix=right)),
        (180, 120): replace(upright, frame=replace(upright.frame, matrix=on_its_side)),
    }

    monkeypatch.setattr(Locator, "find", lambda self, pixels: said.get(pixels.shape, upright))
    finder = Assessor(small_bundle(tmp_path / "m", locator=fixed_locator(at_rest())), threads=1)
    for number, split, shape in zip((2, 4, 15), ("training", "training", "test"), said, strict=True):
        save(posed_hand(number, *shape), _film(folder, number, split))
    _film(folder, 2).rename(
        _film(folder, 20)
    )  # no label asks for its reading, and it is looked at all the same
    _write(folder, "training", [row for row in _read(folder) if row[0] != "2"])
    # How good their pictures are is another matter.
    assert {each for each in _found(check_folder(folder, finder)) if each[0] != "read-with-care"} == {
        ("film-without-label", "training", ("20",)),
        ("refused", "training", ("20",)),
        ("mirrored", "training", ("4",)),
        ("rotated", "test", ("15",)),
    }
    _changed(6, np.rot90)(folder)
    assert ("rotated", "training", ("6",)) not in _found(check_folder(folder, finder))


def test_a_decoder_that_fails_in_an_unforeseen_way_costs_one_film(
    folder: Path, assessor: Assessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path) -> Radiograph:
        if path.name == "4.png":
            raise ZeroDivisionError
        return read_radiograph(path)

    monkeypatch.setattr(scan, "read_radiograph", failing)
    assert _found(check_folder(folder, assessor)) == {("unreadable", "training", ("4",))}


def test_a_folder_that_may_not_be_read_is_an_error_of_its_own(
    folder: Path, assessor: Assessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(films: Path) -> dict[str, list[Path]]:
        if "training" in films.name:
            raise UnusableData("the folder cannot be read", remedy="Check it")
        return films_by_id(films)

    monkeypatch.setattr(checks, "films_by_id", refused)
    state = check_folder(folder, assessor)
    assert _found(state) == {("folder-unreadable", "training", ())}
    assert state.errors == 1


def test_a_reading_just_far_enough_off_is_told(folder: Path, assessor: Assessor) -> None:
    read = float(_label_of(folder, 4)[1])
    _set(4, 1, f"{read + FAR_MONTHS + 0.2:.1f}")(folder)
    _set(6, 1, f"{float(_label_of(folder, 6)[1]) + FAR_MONTHS - 0.2:.1f}")(folder)
    assert _found(check_folder(folder, assessor)) == {("far-from-label", "training", ("4",))}


def test_films_one_folder_deeper_are_found(folder: Path, assessor: Assessor) -> None:
    films = folder / "boneage-training-dataset"
    films.rename(folder / "moved")
    films.mkdir()
    (folder / "moved").rename(films / films.name)
    assert check_folder(folder, assessor).findings == ()


def test_a_folder_with_neither_split_is_refused(tmp_path: Path, assessor: Assessor) -> None:
    with pytest.raises(UnusableData, match="boneage-training-dataset"):
        check_folder(tmp_path, assessor)


def test_sizes_and_depths_are_counted(folder: Path, assessor: Assessor) -> None:
    grey = (posed_hand(4) * 65535).astype(np.uint16)
    Image.fromarray(grey).save(_film(folder, 4))
    save(posed_hand(5, 180, 140), _film(folder, 5))
    (state, _) = check_folder(folder, assessor).splits
    assert state.sizes == {(150, 120): 9, (180, 140): 1}
    assert state.depths == {"png, 8 bits": 9, "png, 16 bits": 1}


def test_progress_reaches_the_number_of_films(folder: Path, assessor: Assessor) -> None:
    steps: list[tuple[int, int]] = []
    check_folder(folder, assessor, progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (16, 16)
    assert steps == sorted(steps)


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["check-data", *map(str, arguments)])


def test_the_command_tells_every_fault_and_exits_3(folder: Path, tmp_path: Path, assessor: Assessor) -> None:
    small_bundle(tmp_path / "m")
    common = ("--model", tmp_path / "m", "--threads", 1)
    assert _run(folder, *common).exit_code == 0
    for name in ("no age", "a copy across splits"):
        FAULTS[name].plant(folder)
    _changed(8, lambda film: 1 - film)(folder)
    done = _run(folder, *common, "--out", tmp_path / "page", "--write-clean", tmp_path / "clean.csv")
    assert done.exit_code == 3
    for said in (
        "ERROR: Labels without an age (1)",
        "ERROR: Films in training and test (1)",
        "warning: Inverted",
    ):
        assert said in done.stdout
    assert load_bundle(tmp_path / "m").model in done.stderr
    assert {label.id for label in read_labels(tmp_path / "clean.csv")} == {str(n) for n in TRAINING} - {
        "2",
        "4",
    }
    page = (tmp_path / "page/check.html").read_text(encoding="utf-8")
    assert "Labels without an age: 1" in page
    assert "data:image/jpeg" not in page
    assert page.count("<img") == 1
    assert Image.open(tmp_path / "page/ages-by-sex.png").format == "PNG"
    told = json.loads(_run(folder, *common, "--json").stdout)
    assert told == json.loads((tmp_path / "page/check.json").read_text(encoding="utf-8"))
    assert {(one["code"], one["severity"]) for one in told["findings"]} == {
        ("age-missing", "error"),
        ("leakage", "error"),
        ("inverted", "warning"),
    }
    assert told["splits"][1]["ages"]["M"]["labels"] == 3


def test_the_command_refuses_to_write_no_labels_at_all(folder: Path, tmp_path: Path) -> None:
    small_bundle(tmp_path / "m")
    _header("id", "age", "gender")(folder)
    done = _run(folder, "--model", tmp_path / "m", "--write-clean", tmp_path / "clean.csv")
    assert done.exit_code == 3
    assert "no training label is left" in done.stderr
    assert not (tmp_path / "clean.csv").exists()


def test_the_page_names_every_finding_by_its_words(folder: Path, assessor: Assessor) -> None:
    _add(["<b>", "100", "True"])(folder)
    state = check_folder(folder, assessor)
    page = checks_page.render(state, checks_page.picture(state))
    assert "&lt;b&gt;: there is no such film" in page
    assert "<b>" not in page


@pytest.mark.parametrize("name", ["rsna-640px", "rsna-299px", "rsna-original"])
def test_real_films_have_no_error_but_the_planted_ones(data_folder: Path, tmp_path: Path, name: str) -> None:
    splits: tuple[tuple[Split, int], ...] = (("training", 16), ("test", 6))
    for split, number in splits:
        rows = list(read_labels(_labels(data_folder / name, split)))
        rows.sort(key=lambda label: (label.sex, label.bone_age_months))
        chosen = rows[:: max(1, len(rows) // number)][:number]
        _labels(tmp_path, split).write_text(clean_csv(chosen))
        for label in chosen:
            (film,) = (data_folder / name / f"boneage-{split}-dataset").glob(f"{label.id}.*")
            target = _film(tmp_path, label.id, split, film.suffix[1:])
            target.parent.mkdir(exist_ok=True)
            target.symlink_to(film)
    assessor = Assessor(load_bundle(), threads=1)
    assert check_folder(tmp_path, assessor).errors == 0
    film = next((tmp_path / "boneage-test-dataset").iterdir())
    with Image.open(film) as picture:
        width, height = picture.size
        smaller = picture.convert("L").resize((width * 4 // 5, height * 4 // 5), Image.Resampling.BILINEAR)
    smaller.save(_film(tmp_path, "planted"))
    _add(["planted", *_label_of(tmp_path, int(film.stem), "test")[1:]])(tmp_path)
    errors = [one for one in check_folder(tmp_path, assessor).findings if one.must_mend]
    assert [(one.code, one.ids) for one in errors] == [("leakage", ("planted", film.stem))]
