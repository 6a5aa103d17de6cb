"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bonexage import __version__
from bonexage.assessment import DISCLAIMER, NearestPlate
from bonexage.atlas.plates import Plate
from bonexage.cli import demo
from bonexage.cli import learning as front
from bonexage.cli.app import app
from bonexage.model.bundle import load_bundle
from bonexage.model.nearest import pack_plates
from bonexage.subject import Sex
from films import write_film
from models import small_bundle, small_network
from trials.waiting import PATIENCE_SECONDS, eventually

Run = Callable[..., Result]
COMMANDS = (
    "predict",
    "explain",
    "demo",
    "info",
    "follow",
    "evaluate",
    "calibrate",
    "compare",
    "runs",
    "check-data",
    "train",
    "train-locator",
    "export",
    "import",
    "compose-atlas",
    "serve",
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder with a model and films f0.png to f5.png, of which f2.png is no picture."""
    monkeypatch.chdir(tmp_path)
    small_bundle(tmp_path / "model.zip")
    for seed in range(6):
        write_film(tmp_path / f"f{seed}.png", seed)
    (tmp_path / "f2.png").write_bytes(b"no picture")

    def run(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, arguments, input=given)

    return run


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _predict(run: Run, *arguments: str, given: str | None = None) -> Result:
    return run("predict", *arguments, "--model", "model.zip", "--threads", "1", given=given)


def test_one_film_is_one_line_on_stdout_and_the_disclaimer_with_the_model_on_stderr(run: Run) -> None:
    done = _predict(run, "f0.png", "--sex", "F", "--age-months", "90")
    assert done.exit_code == 0
    assert re.fullmatch(
        r"f0\.png: \d+ years \d+ months \(\d+\.\d months\), 90% interval [\d.]+ to [\d.]+ months, "
        r"SDS [+−][\d.]+\n",
        done.stdout,
    )
    assert DISCLAIMER in done.stderr
    assert load_bundle(Path("model.zip")).model in done.stderr


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "parquet"])
def test_one_row_an_input_in_the_inputs_order_and_a_bad_file_is_a_row(run: Run, suffix: str) -> None:
    films = ["f5.png", "f2.png", "f0.png", "nowhere.png", "f4.png"]
    done = _predict(run, *films, "--sex", "M", "--out", f"out.{suffix}")
    assert done.exit_code == 3
    assert done.stdout == ""
    assert "2 of 5 films could not be assessed" in done.stderr
    assert "nowhere.png: unreadable: there is no such file" in done.stderr
    out = Path(f"out.{suffix}")
    if suffix == "csv":
        rows: list[dict[str, object]] = [*_csv(out)]
    elif suffix == "json":
        rows = json.loads(out.read_text())
    elif suffix == "jsonl":
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    else:
        rows = pytest.importorskip("pyarrow.parquet").read_table(out).to_pylist()
    assert [row["file"] for row in rows] == films
    assert [row["status"] for row in rows] == ["assessed", "unreadable", "assessed", "unreadable", "assessed"]
    assert all(row["model"] == load_bundle(Path("model.zip")).model for row in rows)
    assert not Path(f"out.{suffix}.unfinished").exists()


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_machine_readable_stdout_holds_rows_and_nothing_else(run: Run, form: str) -> None:
    done = _predict(run, "f0.png", "f1.png", "--format", form)
    assert done.exit_code == 0
    if form == "csv":
        rows: list[dict[str, object]] = [*csv.DictReader(done.stdout.splitlines())]
    else:
        rows = json.loads(done.stdout) if form == "json" else [*map(json.loads, done.stdout.splitlines())]
        assert [len(row["readings"]) for row in rows] == [2, 2]  # type: ignore[arg-type]
    assert [row["cautions"] for row in rows] == ["sex-unknown"] * 2
    assert DISCLAIMER in done.stderr


def test_folders_globs_lists_and_standard_input_all_name_films(run: Run, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write_film(tmp_path / "below/g.png")
    (tmp_path / "names.txt").write_text("f0.png\nbelow/g.png\n")
    for given, expected in (
        (["below"], ["below/g.png"]),
        (["f[01].png"], ["f0.png", "f1.png"]),
        (["names.txt"], ["f0.png", "below/g.png"]),
        (["@names.txt", "f1.png"], ["f0.png", "below/g.png", "f1.png"]),
        (["-"], ["f3.png", "f1.png"]),
    ):
        done = _predict(run, *given, "--sex", "F", given="f3.png\nf1.png\n")
        assert done.exit_code == 0
        assert [line.split(":")[0].replace("\\", "/") for line in done.stdout.splitlines()] == expected


def test_subjects_are_found_by_path_name_or_id(run: Run, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("file,sex,age_months\nf0.png,M,100\nf1,F,\n./f3.png,M,50\n")
    films = ["f0.png", "./f1.png", "f3.png", "f4.png"]
    rest = ("--sex", "F", "--sex-for-the-rest")
    assert _predict(run, *films, "--subjects", "s.csv", *rest, "--out", "o.csv").exit_code == 0
    told = [(row["sex"], row["age_months"]) for row in _csv(tmp_path / "o.csv")]
    assert told == [("M", "100.0"), ("F", ""), ("M", "50.0"), ("F", "")]


@pytest.mark.parametrize(
    ("coverage", "share"), [("80", "0.8"), ("0.8", "0.8"), ("95", "0.95"), ("99.5", "0.995")]
)
def test_the_interval_covers_what_is_asked_for(run: Run, tmp_path: Path, coverage: str, share: str) -> None:
    assert _predict(run, "f0.png", "--coverage", coverage, "--out", "o.csv").exit_code == 0
    assert _csv(tmp_path / "o.csv")[0]["coverage"] == share


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["f0.png", "--sex", "X"], "not a sex"),
        (["f0.png", "--age-months", "-3"], "out of range"),
        (["f0.png", "--coverage", "0"], "--coverage"),
        (["f0.png", "--coverage", "1"], "--coverage"),
        (["f0.png", "--coverage", "100"], "--coverage"),
        (["f0.png", "--out", "o.xlsx"], r"\.csv"),
        (["f0.png", "--subjects", "nowhere.csv"], "nowhere.csv"),
        (["f0.png", "--resume"], "--out"),
        (["@nowhere.txt"], "nowhere.txt"),
        (["-"], "there is no film"),
        (["-", "--out", "o.csv"], "there is no film"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(run: Run, tmp_path: Path, arguments: list[str], why: str) -> None:
    done = _predict(run, *arguments, given="")
    assert done.exit_code == 2
    assert re.search(why, done.stderr)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not list(tmp_path.glob("o.*"))


def test_a_model_that_is_not_there_is_one_line_and_exit_2(run: Run) -> None:
    done = run("predict", "f0.png", "--model", "nowhere.zip")
    assert done.exit_code == 2
    assert done.stderr.startswith("nowhere.zip: there is no such bundle.")
    assert done.stderr.count("\n") == 1


def test_an_unknown_option_or_no_path_is_exit_2(run: Run) -> None:
    assert run("predict", "f0.png", "--colour").exit_code == 2
    assert run("predict").exit_code == 2
    assert run("guess").exit_code == 2


@pytest.mark.parametrize("where", [0, 2])
def test_debug_shows_where_the_error_arose_wherever_it_stands(run: Run, where: int) -> None:
    arguments = ["predict", "f0.png", "--model", "nowhere.zip"]
    done = run(*arguments[:where], "--debug", *arguments[where:])
    assert done.exit_code == 2
    assert "Traceback" in done.stderr
    assert "Traceback" not in run(*arguments).stderr


def test_what_the_system_refuses_is_one_line(run: Run, tmp_path: Path) -> None:
    done = _predict(run, "f0.png", "--out", "f1.png/o.csv")
    assert done.exit_code == 2
    assert "f1.png" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_report_holds_every_film(run: Run, tmp_path: Path) -> None:
    done = _predict(run, "f0.png", "f2.png", "f1.png", "--sex", "F", "--report", "page", "--out", "o.csv")
    assert done.exit_code == 3
    page = (tmp_path / "page/report.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("f0.png", "f1.png", "f2.png", DISCLAIMER))
    assert len(_csv(tmp_path / "o.csv")) == 3


def test_real_films_get_a_row_each_in_order(run: Run, tmp_path: Path, data_folder: Path) -> None:
    films = data_folder / "rsna-original" / "boneage-test-dataset"
    done = _predict(run, str(films), "--sex", "M", "--out", "o.csv")
    assert done.exit_code == 0
    rows = _csv(tmp_path / "o.csv")
    assert [row["file"] for row in rows] == [str(film) for film in sorted(films.iterdir())]
    assert {row["status"] for row in rows} == {"assessed"}


def test_resume_of_a_finished_table_makes_nothing_anew(run: Run, tmp_path: Path) -> None:
    assert _predict(run, "f0.png", "--out", "o.csv").exit_code == 0
    before = (tmp_path / "o.csv").stat().st_mtime_ns
    done = _predict(run, "f0.png", "--out", "o.csv", "--resume")
    assert done.exit_code == 2
    assert "finished" in done.stderr
    assert (tmp_path / "o.csv").stat().st_mtime_ns == before
    assert _predict(run, "f1.png", "--out", "o.csv").exit_code == 0
    assert [row["file"] for row in _csv(tmp_path / "o.csv")] == ["f1.png"]


def test_resume_without_anything_begun_begins(run: Run, tmp_path: Path) -> None:
    assert _predict(run, "f0.png", "--out", "o.csv", "--resume").exit_code == 0
    assert len(_csv(tmp_path / "o.csv")) == 1


def _stopped(tmp_path: Path, how: signal.Signals) -> subprocess.Popen[str]:
    """A run that is stopped once some rows are done, while more names are still to come."""
    names = [f"f{i % 6}.png" for i in range(60)]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "bonexage", "predict", "-", "--model", "model.zip", "--out", "o.csv"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    process.stdin.write("\n".join(names[:40]) + "\n")
    process.stdin.flush()
    journal = tmp_path / "o.csv.unfinished"

    def has_begun() -> bool:
        assert process.poll() is None
        return journal.exists() and journal.read_bytes().count(b"\n") > 5

    eventually(has_begun)
    process.send_signal(how)
    return process


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_what_is_done_is_kept_when_stopped_and_resume_goes_on(run: Run, tmp_path: Path, how: str) -> None:
    process = _stopped(tmp_path, signal.Signals[how])
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert out == ""
    if how == "SIGINT":
        assert process.returncode == 130
        assert "--resume" in err
        assert "Traceback" not in err
    kept = (tmp_path / "o.csv.unfinished").read_bytes().count(b"\n") - 1
    assert kept >= 5
    assert not (tmp_path / "o.csv").exists()
    assert _predict(run, "names.txt", "--out", "o.csv").exit_code == 2
    other = _predict(run, "names.txt", "--out", "o.csv", "--resume", "--sex", "F")
    assert other.exit_code == 2
    assert "other sex" in other.stderr
    done = _predict(run, "names.txt", "--out", "o.csv", "--resume")
    assert done.exit_code == 3
    assert "10 of 60 films could not be assessed" in done.stderr
    rows = _csv(tmp_path / "o.csv")
    assert [row["file"] for row in rows] == [f"f{i % 6}.png" for i in range(60)]
    assert len({row["bone_age_months"] for row in rows if row["file"] == "f0.png"}) == 1


@pytest.mark.skipif(os.name == "nt", reason="a terminal is made with pty")
def test_a_person_at_a_terminal_gets_a_table(run: Run, tmp_path: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "bonexage", "predict", "f0.png", "f1.png", "f2.png", "--model", "model.zip"],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "COLUMNS": "120", "TERM": "xterm"},
    )
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 4096):
            shown += chunk
    except OSError:  # the other end is closed: all was read
        pass
    assert process.wait(PATIENCE_SECONDS) == 3
    text = shown.decode()
    for part in (
        "Film",
        "Bone age",
        "90% interval",
        "f1.png",
        "sex-unknown",
        "f2.png: unreadable",
        DISCLAIMER,
    ):
        assert part in text


def test_the_version_is_told(run: Run) -> None:
    done = run("--version")
    assert done.exit_code == 0
    assert done.stdout == f"bonexage {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert done.exit_code == 0
    assert f"bonexage {command}" in done.stdout
    assert command in run("--help").stdout


def test_completion_can_be_had(run: Run) -> None:
    assert "--install-completion" in run("--help").stdout


def test_python_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bonexage", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"bonexage {__version__}\n"


def test_info_tells_what_a_model_is(run: Run) -> None:
    bundle = load_bundle(Path("model.zip"))
    assert bundle.model in run("info", "model.zip").stdout
    stored = json.loads(run("info", "model.zip", "--json").stdout)
    assert stored["hash"] == bundle.hash
    assert stored["preprocessing"]["height"] == 64
    assert "residuals_months" not in json.dumps(stored)
    assert stored["calibration"]["cells"][0]["films"] > 0


def test_explain_draws_a_map_beside_the_film_or_where_it_is_told(run: Run, tmp_path: Path) -> None:
    done = run("explain", "f0.png", "--sex", "F", "--model", "model.zip", "--threads", "1")
    assert done.exit_code == 0
    said = _predict(run, "f0.png", "--sex", "F").stdout.splitlines()[0]
    assert done.stdout.splitlines()[0] == said
    assert DISCLAIMER in done.stderr
    assert (tmp_path / "f0-explained.png").read_bytes().startswith(b"\x89PNG")
    told = run("explain", "f0.png", "--model", "model.zip", "--out", "there/map.png")
    assert told.exit_code == 0
    assert (tmp_path / "there/map.png").is_file()
    assert run("explain", "missing.png", "--model", "model.zip").exit_code == 3


def test_explain_names_the_plate_that_the_film_looks_most_like_where_that_disagrees(
    run: Run, tmp_path: Path
) -> None:
    plates = [NearestPlate("0" * 64, Sex.FEMALE, months) for months in (229.0, 60.0, 80.0, 100.0)]
    packed = pack_plates(plates, np.array([[0, 0], *[[9, 9]] * 3], np.float32))
    small_bundle(tmp_path / "plates.zip", plates=packed)
    told = run("explain", "f0.png", "--sex", "F", "--model", "plates.zip").stdout
    assert "looks most like the girls' plate of 19 years 1 month" in told
    assert "looks most like" not in run("explain", "f0.png", "--sex", "M", "--model", "plates.zip").stdout


def test_evaluate_measures_a_model_on_a_data_folder(run: Run, tmp_path: Path) -> None:
    films = tmp_path / "data/boneage-test-dataset"
    films.mkdir(parents=True)
    rows = [f"{number},{60 + number},{number % 2 == 0}" for number in range(8)]
    for number in range(8):
        write_film(films / f"{number}.png", number)
    (tmp_path / "data/boneage-test-dataset.csv").write_text("\n".join(["id,boneage,male", *rows]) + "\n")
    done = run("evaluate", "model.zip", "--data", "data", "--out", "figures", "--threads", "1")
    assert done.exit_code == 0
    assert re.match(r"Mean absolute error \d+\.\d\d months \(95% interval .*8 films", done.stdout)
    assert DISCLAIMER in done.stderr
    assert (tmp_path / "figures/evaluation.html").is_file()
    assert run("evaluate", "model.zip", "--data", "nowhere", "--out", "figures").exit_code == 3
    labels = ["--labels", "data/boneage-test-dataset.csv"]
    same = run("evaluate", "model.zip", "--data", str(films), *labels, "--out", "same", "--threads", "1")
    assert same.stdout.split(".")[0] == done.stdout.split(".")[0]
    assert run("evaluate", "model.zip", "--data", "a", "--data", "b", *labels, "--out", "o").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "recipe.toml", "--data", "d", "--out", "o"],
        ["export", "run", "--out", "o"],
        ["import", "x.pth", "--out", "o"],
        ["compose-atlas", "--data", "d", "--out", "o"],
    ],
)
def test_a_command_whose_extra_is_missing_names_the_line_that_installs_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(front.importlib.util, "find_spec", lambda _: None)
    done = run(*arguments)
    assert done.exit_code == 2
    assert re.search(r"pip install .*\[learn\]", done.stderr)


def _learning(monkeypatch: pytest.MonkeyPatch, module: str, **functions: object) -> None:
    monkeypatch.setitem(sys.modules, f"bonexage.learning.{module}", SimpleNamespace(**functions))


def test_folds_are_trained_and_measured_in_one_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Found:
        model = "small-5-folds@0123456789ab"

        def __str__(self) -> str:
            return "drawn, out-of-fold: 9.5 months"

    asked: dict[str, object] = {}

    def trained(recipe: object, data: list[Path], out: Path, **rest: object) -> Found:
        asked.update(rest, recipe=recipe, data=data, out=out)
        return Found()

    _learning(monkeypatch, "recipe", read_recipe=lambda path: f"recipe {path}")
    _learning(monkeypatch, "folds", train_folds=trained)
    monkeypatch.setattr(front, "_need_learning", lambda feature: None)
    done = run("train", "q.toml", "--data", "a", "--out", "r", "--folds", "5", "--resume")
    assert done.exit_code == 0
    assert {key: asked[key] for key in ("recipe", "data", "out", "folds", "resume")} == {
        "recipe": "recipe q.toml",
        "data": [Path("a")],
        "out": Path("r"),
        "folds": 5,
        "resume": True,
    }
    assert "9.5 months" in done.stdout
    assert Found.model in done.stderr
    assert DISCLAIMER in done.stderr
    assert run("train", "q.toml", "--data", "a", "--out", "r", "--folds", "1").exit_code == 2


def test_the_learning_commands_pass_on_what_was_asked_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []

    def called(*given: object, **named: object) -> object:
        calls.append((*given, {name: value for name, value in named.items() if name != "progress"}))
        return tmp_path / "r" if "resume" in named else small_bundle(tmp_path / "made")

    def composed(data: list[Path], out: Path, *, progress: Callable[[str], None]) -> list[str]:
        progress(f"{out} from {data}")
        return ["plate"]

    _learning(monkeypatch, "recipe", read_recipe=lambda path: f"recipe {path}")
    _learning(monkeypatch, "train", train=called)
    _learning(monkeypatch, "export", export_run=called, import_checkpoint=called)
    _learning(monkeypatch, "compose", compose_atlas=composed)
    monkeypatch.setattr(front, "_need_learning", lambda feature: None)
    weights = ("--init", "w.pth", "--require-init")
    train = run("train", "q.toml", "--data", "a", "--data", "b", "--out", "r", "--resume", *weights)
    assert train.exit_code == 0
    assert "bonexage export" in train.stderr
    export = run("export", "r", "s", "--out", "o.zip", "--data", "a", "--with-weights", "--views", "4")
    assert export.exit_code == 0
    assert "small@" in export.stderr
    assert run("import", "x.pth", "--out", "o", "--normalise", "imagenet").exit_code == 0
    compose = run("compose-atlas", "--data", "a", "--out", "p")
    assert compose.exit_code == 0
    assert "1 plates in p" in compose.stderr
    assert calls == [
        (
            "recipe q.toml",
            [Path("a"), Path("b")],
            Path("r"),
            {
                "resume": True,
                "init": Path("w.pth"),
                "require_init": True,
                "cache_folder": None,
                "locator": None,
                "skip_unreadable": False,
                "processes": 0,
                "keep_minutes": 10.0,
            },
        ),
        (
            [Path("r"), Path("s")],
            Path("o.zip"),
            {"data": [Path("a")], "mirror": False, "views": 4, "with_weights": True},
        ),
        (Path("x.pth"), Path("o"), {"normalise": "imagenet"}),
    ]


@pytest.fixture
def plates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Plate]:
    made = [
        Plate(
            sex, months, 3.0, 20, 0, 12.0, 640, write_film(tmp_path / f"{sex}-{months}.png", months), "0" * 64
        )
        for sex in (Sex.FEMALE, Sex.MALE)
        for months in (60, 120, 180)
    ]
    monkeypatch.setattr(demo, "read_plates", lambda: made)
    return made


def test_the_demo_reads_the_plates_and_says_where_to_look(run: Run, plates: list[Plate]) -> None:
    done = run("demo", "--model", "model.zip", "--out", "shown")
    assert done.exit_code == 0
    for part in (
        "Plate's own age",
        "90% interval",
        "F-120",
        "M-60",
        "10 years 0 months (120.0 months)",
        DISCLAIMER,
    ):
        assert part in done.stdout
    for made in ("report.html", "readings.png"):
        assert (Path("shown") / made).is_file()
        assert f"shown{os.sep}{made}" in done.stdout
    assert "make demo FILMS=folder" in done.stdout


def test_the_demo_reads_films_of_ones_own(run: Run, tmp_path: Path) -> None:
    done = run("demo", "f0.png", "f1.png", "--model", "model.zip", "--out", "shown")
    assert done.exit_code == 0
    assert done.stdout.count("sex-unknown") == 2
    assert (tmp_path / "shown/report.html").is_file()


def test_a_model_without_calibration_says_that_there_is_no_interval(run: Run, tmp_path: Path) -> None:
    small_bundle(tmp_path / "bare", onnx=small_network(outputs=("months",)), calibration=None)
    done = run("predict", "f0.png", "--sex", "F", "--model", "bare")
    assert done.exit_code == 0
    assert "interval" not in done.stdout.split("[")[0]
    assert "no-interval" in done.stdout
