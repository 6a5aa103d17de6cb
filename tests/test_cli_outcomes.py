"""Where outcomes go: a table for a person, rows for a program, progress on the side."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from bonexage.assessment import Assessment, Failure, Reading
from bonexage.cli import outcomes as module
from bonexage.cli.outcomes import TABLE_ROWS, Form, Tally, counting, progress, to_stdout, told
from bonexage.errors import UnreadableFile
from bonexage.model.assessor import Outcome
from bonexage.subject import Sex, Subject


def _outcome(name: str) -> Assessment:
    return Assessment(name, Subject(Sex.MALE), 60.0, None, "m@0", readings=(Reading("M", 60.0, None),))


BAD = Failure("bad.png", Subject(), UnreadableFile("it is empty", remedy="Fetch it again"), "m@0")


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


def _send(many: list[Outcome]) -> Tally:
    tally = Tally()
    with to_stdout(Form.TEXT, tally) as sink:
        assert list(told(iter(many), sink.add, tally)) == many
    return tally


@pytest.mark.usefixtures("terminal")
def test_a_few_films_are_one_table_and_why_one_failed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert _send([_outcome("a.png"), BAD, _outcome("b.png")]) == Tally(3, 1)
    out = capsys.readouterr()
    assert out.out.count("Bone age") == 1
    assert [name in out.out for name in ("a.png", "bad.png", "b.png")] == [True] * 3
    assert "bad.png: unreadable: it is empty. Fetch it again." in out.err


@pytest.mark.usefixtures("terminal")
def test_a_single_film_is_told_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    _send([_outcome("a.png")])
    assert "Assessed as   boy" in capsys.readouterr().out


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("more", [0, 1, 7])
def test_very_many_films_are_a_table_and_then_a_line_each(
    capsys: pytest.CaptureFixture[str], more: int
) -> None:
    names = [f"{i:04}.png" for i in range(TABLE_ROWS + more)]
    _send([_outcome(name) for name in names])
    out = capsys.readouterr().out
    assert out.count("Bone age") == 1
    assert [out.count(name) for name in names] == [1] * len(names)
    assert sum(": 5 years 0 months" in line for line in out.splitlines()) == more


@pytest.mark.usefixtures("terminal")
def test_what_was_gathered_is_shown_when_it_is_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    def stream() -> Iterator[Outcome]:
        yield _outcome("a.png")
        yield _outcome("b.png")
        raise KeyboardInterrupt

    tally = Tally()
    with pytest.raises(KeyboardInterrupt), to_stdout(Form.TEXT, tally) as sink:
        list(told(stream(), sink.add, tally))
    assert "b.png" in capsys.readouterr().out


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_progress_is_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with counting() as advance:
        advance(3, 10)
    assert "3 of 10 films" in capsys.readouterr().err


def test_elsewhere_progress_is_a_plain_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", -1.0)
    with progress(Tally(done=5, unusable=2, total=9)) as say:
        say(None)
        say("what else there is to say")
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("5 of 9 films, 2 not assessed, ")
    assert second == "what else there is to say"
