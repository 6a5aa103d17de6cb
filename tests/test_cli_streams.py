"""The standard streams: closed, full or a terminal, they get one sentence and no name that steers them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

import bonexage.cli
from bonexage.assessment import Assessment, Failure
from bonexage.cli.app import app
from bonexage.errors import UnreadableFile
from bonexage.reading.subjects import read_subjects
from bonexage.reports.journal import Journal, journal_path
from bonexage.reports.text import line, paragraph, table
from bonexage.subject import Subject
from bonexage.terminal import printable, printable_lines
from films import write_film
from models import small_bundle

STEERING = (
    "\x00\x07\x08\x1b\x7f\x85\x9b\xad\u061c\u200e\u200f\u202a\u202e\u2066\u2069\u2028\u2029\udc80\udcff"
)
NAME = "a\x1b]0;title\x07\x1b[31m\x9b2J\u202egnp.\u2066[bold red]x[nosuch]\nb.png: 9 years.png"
ROOT = Path(__file__).resolve().parent.parent

Shell = Callable[[str], subprocess.CompletedProcess[bytes]]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="streams are redirected as POSIX does")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell in a folder with a model and f0.png to f5.png; `bonexage` is the command."""
    monkeypatch.chdir(tmp_path)
    small_bundle(tmp_path / "model.zip")
    for seed in range(6):
        write_film(tmp_path / f"f{seed}.png", seed)
    (tmp_path / "child.csv").write_text("age_months,bone_age_months,sex\n72,60,F\n84,77,\n")

    def run(command: str) -> subprocess.CompletedProcess[bytes]:
        program = f"{shlex.quote(sys.executable)} -m bonexage"
        script = f'bonexage() {{ {program} "$@"; }}; {command}'
        return subprocess.run(["bash", "-c", script], capture_output=True, check=False, timeout=120)

    return run


COMMANDS = (
    "predict f0.png --model model.zip",
    "predict f0.png --model model.zip --format csv",
    "predict f0.png --model model.zip --format json",
    "predict f0.png --model model.zip --format jsonl",
    "explain f0.png --model model.zip",
    "info model.zip",
    "info model.zip --json",
    "follow child.csv",
    "--version",
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("how", "why"), [(">&-", "closed"), (">/dev/full", "No space left")])
def test_a_standard_output_that_takes_nothing_is_one_sentence(
    shell: Shell, command: str, how: str, why: str
) -> None:
    done = shell(f"bonexage {command} {how}")
    said = done.stderr.decode()
    assert done.returncode == 2
    assert why in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said


@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full", ">&- 2>&- <&-"])
def test_a_table_is_written_whatever_the_standard_streams_take(
    shell: Shell, tmp_path: Path, how: str
) -> None:
    done = shell(f"bonexage predict f0.png f1.png --sex F --model model.zip --out o.jsonl {how}")
    assert done.returncode == 0
    rows = [json.loads(row) for row in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [row["file"] for row in rows] == ["f0.png", "f1.png"]


@pytest.mark.parametrize("command", [*COMMANDS[:4], "--help"])
def test_a_reader_that_had_enough_is_no_error(shell: Shell, command: str) -> None:
    films = " ".join(f"f{seed}.png" for seed in range(6))
    done = shell(f"bonexage {command.replace('f0.png', films)} | head -c 1")
    assert len(done.stdout) == 1
    said = done.stderr.decode()
    assert "Traceback" not in said
    assert "Broken pipe" not in said


@pytest.mark.parametrize(
    ("how", "why", "code"), [(">&-", "closed", 2), (">/dev/full", "No space left", 2), ("| true", "", 0)]
)
def test_the_command_as_first_published_says_it_in_one_sentence_too(
    shell: Shell, how: str, why: str, code: int
) -> None:
    done = shell(f"{shlex.quote(sys.executable)} {ROOT / 'predict.py'} f0.png M 64 model.zip {how}")
    assert done.returncode == code
    assert why in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert "Exception ignored" not in done.stderr.decode()


@given(st.text(st.characters() | st.sampled_from(STEERING + "\n\t\r"), max_size=20))
@example(STEERING)
@example(NAME)
def test_nothing_that_steers_a_terminal_is_left_of_a_name(name: str) -> None:
    shown = printable(name)
    assert shown.splitlines() in ([shown], [])
    assert not set(shown) & set(STEERING + "\n\t\r")
    shown.encode()
    assert printable(shown) == shown
    if name.isprintable():
        assert shown == name
    assert printable_lines(f"a\n\t{name}").startswith("a\n\t")


def test_a_name_is_one_line_in_all_that_is_written_for_people() -> None:
    assessed = Assessment(NAME, Subject(), 100.0, None, "m@0")
    failed = Failure(NAME, Subject(), UnreadableFile("no film", remedy="x", subject=NAME), "m@0")
    texts = [line(assessed), line(failed), str(assessed), str(failed.error), paragraph(assessed)]
    cells = [str(cell) for column in table([assessed, failed]).columns for cell in column.cells]
    for text in (*texts[:4], *cells):
        assert "\n" not in text
    for text in (*texts, *cells):
        assert not set(text) & set(STEERING)
    assert all("\\x1b]0;title\\x07" in text for text in texts)
    assert "[bold red]x[nosuch]" in cells[0]


def _on_terminal(*arguments: str) -> str:
    """All that a terminal is sent by the command."""
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "bonexage", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "COLUMNS": "200", "TERM": "xterm"},
    )
    os.close(follower)
    sent = b""
    try:
        while chunk := os.read(leader, 4096):
            sent += chunk
    except OSError:  # the other end is closed: all was read
        pass
    process.wait(60)
    return sent.decode(errors="surrogateescape")


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", NAME, "f0.png"],
        ["predict", NAME],
        ["predict", "bad" + NAME, "f0.png"],
        ["predict", NAME, "--format", "csv"],
        ["predict", NAME, "--out", "o.csv", "--subjects", "s.csv"],
        ["predict", "f0.png", "--subjects", "s.csv"],
        ["explain", NAME],
        ["explain", NAME, NAME],
        ["info", NAME],
        ["runs", NAME],
        [NAME],
    ],
)
def test_no_name_of_a_file_reaches_a_terminal_raw(shell: Shell, tmp_path: Path, arguments: list[str]) -> None:
    write_film(tmp_path / "x.png", 1).rename(tmp_path / NAME)
    (tmp_path / "s.csv").write_text(f'file,sex\n"{NAME.replace("a", "c", 1)}",F\n', newline="")
    model = ["--model", "model.zip"] if arguments[0] in ("predict", "explain") else []
    sent = _on_terminal(*arguments, *model)
    for raw in ("\x1b]0", "\x07", "\x1b[31m\x9b", "\x9b", "\u202e", "\u2066", "\nb.png"):
        assert raw not in sent, repr(sent)
    assert "\\x1b]0;title" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent)


def test_a_program_gets_names_as_the_system_has_them(shell: Shell, tmp_path: Path) -> None:
    raw = b"n\xff\x1b[31m.png"
    write_film(tmp_path / "x.png", 1).rename(tmp_path / os.fsdecode(raw))
    done = shell("bonexage predict n* --sex F --model model.zip --format csv")
    assert raw in done.stdout
    assert raw not in done.stderr
    (tmp_path / "read.csv").write_bytes(done.stdout)
    assert [row.name for row in read_subjects(tmp_path / "read.csv")] == [os.fsdecode(raw)]


def test_commands_write_to_the_streams_by_the_two_functions_that_escape_alone() -> None:
    rooms = Path(bonexage.cli.__file__).parent
    direct = {
        file.name
        for file in rooms.glob("*.py")
        if re.search(r"\btyper\.echo\(|\bprint\(|sys\.std(out|err)\.write", file.read_text(encoding="utf-8"))
    }
    assert direct == {"comparing.py", "demo.py", "outcomes.py"}
    drawn = {"comparing.py": "shown.print(", "demo.py": "screen(PLAIN_WIDTH).print("}
    for name, how in drawn.items():
        text = (rooms / name).read_text(encoding="utf-8")
        assert text.count("print(") == text.count(how)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "json"])
@pytest.mark.parametrize(
    "change", [{"sds": ...}, {"message": ...}, {"age_months": "old"}, {"file": None}, {"cautions": 3}]
)
def test_a_journal_whose_rows_no_table_can_hold_is_refused_in_one_sentence(
    shell: Shell, tmp_path: Path, suffix: str, change: dict[str, object]
) -> None:
    asked = ["predict", "f0.png", "f1.png", "--model", "model.zip", "--out", f"o.{suffix}"]
    assert CliRunner().invoke(app, [*asked[:1], "f0.png", *asked[3:-1], "whole.jsonl"]).exit_code == 0
    row = json.loads((tmp_path / "whole.jsonl").read_text())
    row = {name: value for name, value in {**row, **change}.items() if value is not ...}
    out = tmp_path / f"o.{suffix}"
    settings = {
        "model": row["model"],
        "coverage": 0.9,
        "subjects": None,
        "sex": "U",
        "age_months": None,
        "page": None,
    }
    with Journal(out, settings):
        pass
    with journal_path(out).open("a") as journal:
        journal.write(json.dumps(row) + "\n")
    done = CliRunner().invoke(app, [*asked, "--resume"])
    assert done.exit_code == 2
    assert "cannot be read. Remove that file to begin anew." in done.stderr
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert not out.exists()
