"""The command as first published still prints its line, without the defects it had."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import predict
from bonexage.assessment import months_in_words
from bonexage.model import assessor as assessor_module
from bonexage.model.preprocess import Preprocessing
from films import write_film
from models import small_bundle, small_network

PUBLISHED_LINE = re.compile(r"(.+): (\d+) years (\d+) months \((\d+\.\d) months\)")


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/test_imgs").mkdir(parents=True)
    names = [f"data/test_imgs/{1234 - i}.png" for i in range(5)]
    for seed, name in enumerate(names):
        write_film(tmp_path / name, seed)
    (tmp_path / "list.txt").write_text("\n".join(names))
    small_bundle(tmp_path / "model.zip", preprocessing=Preprocessing("squash", 64, 64))
    return names


def test_the_published_line_is_printed_exactly(
    films: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    small_bundle(
        tmp_path / "m", onnx=small_network(slope=0.0, offset=114.5), preprocessing=Preprocessing("squash")
    )
    assert predict.main([films[0], "M", "512", "m"]) == 0
    out = capsys.readouterr()
    assert out.out == "data/test_imgs/1234.png: 10 years 6 months (126.5 months)\n"
    assert "For research, not for diagnosis." in out.err


def test_each_listed_film_gets_its_line_in_order_as_listed(
    films: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict.main(["list.txt", "F", "64", "model.zip"]) == 0
    lines = [PUBLISHED_LINE.fullmatch(line) for line in capsys.readouterr().out.splitlines()]
    assert [line and line[1] for line in lines] == films


def test_it_runs_as_a_command_from_anywhere(films: list[str]) -> None:
    script = Path(predict.__file__).resolve()
    done = subprocess.run(
        [sys.executable, script, "list.txt", "M", "64", "model.zip"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 5
    assert "not for diagnosis" in done.stderr


@given(st.floats(0, 240))
def test_the_rounded_months_never_reach_12(months: float) -> None:
    words = re.fullmatch(r"(\d+) years (\d+) months \((\d+\.\d) months\)", months_in_words(months))
    assert words
    assert int(words[2]) < 12
    assert abs(int(words[1]) * 12 + int(words[2]) - months) <= 0.5


def test_image_size_is_obeyed_where_the_model_allows_any(
    films: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for size in ("64", "96"):
        assert predict.main([films[0], "M", size, "model.zip"]) == 0
        assert "reads films at" not in capsys.readouterr().err


def test_where_the_model_insists_on_a_size_that_is_used_and_said(
    films: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    squash = Preprocessing("squash", 64, 64)
    small_bundle(tmp_path / "fixed", onnx=small_network(size=(64, 64)), preprocessing=squash)
    small_bundle(tmp_path / "keeps", preprocessing=Preprocessing("keep-aspect", 96, 64))
    for name, used in (("fixed", "64 x 64"), ("keeps", "96 x 64")):
        assert predict.main([films[0], "M", "512", name]) == 0
        assert f"reads films at {used} pixels, not 512" in capsys.readouterr().err


def test_the_model_is_loaded_once_for_all_films(films: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    original = assessor_module.Runtime

    def counted(*args: object, **named: object) -> object:
        loads.append(args)
        return original(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(assessor_module, "Runtime", counted)
    assert predict.main(["list.txt", "F", "64", "model.zip"]) == 0
    assert len(loads) == 1


def test_a_missing_film_is_no_black_image(films: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path(films[1]).unlink()
    assert predict.main(["list.txt", "F", "64", "model.zip"]) == 3
    out = capsys.readouterr()
    assert [line.split(":")[0] for line in out.out.splitlines()] == [films[0], *films[2:]]
    assert films[1] in out.err


def test_a_checkpoint_is_made_a_bundle_for_the_while(
    films: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from bonexage.learning import export

    made = []

    def imported(checkpoint: Path, out: Path) -> None:
        made.append(out)
        small_bundle(out, preprocessing=Preprocessing("squash", 512, 512))

    monkeypatch.setattr(export, "import_checkpoint", imported)
    Path("best.pth").write_bytes(b"weights")
    assert predict.main([films[0], "M", "64", "best.pth"]) == 0
    assert PUBLISHED_LINE.fullmatch(capsys.readouterr().out.strip())
    assert [out.exists() for out in made] == [False]


def test_a_checkpoint_without_pytorch_names_the_line_that_installs_it(
    films: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bonexage.learning.export", None)
    Path("best.pth").write_bytes(b"weights")
    assert predict.main([films[0], "M", "64", "best.pth"]) == 2
    assert re.search(r"pip install .*\[learn\]", capsys.readouterr().err)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["list.txt"],
        ["list.txt", "M", "64"],
        ["list.txt", "X", "64", "model.zip"],
        ["list.txt", "m", "64", "model.zip"],
        ["list.txt", "M", "big", "model.zip"],
        ["list.txt", "M", "8", "model.zip"],
        ["list.txt", "M", "-64", "model.zip"],
        ["list.txt", "M", "64", "model.zip", "more"],
    ],
)
def test_wrong_arguments_get_a_usage_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main(arguments) == 2
    out = capsys.readouterr()
    assert out.err.startswith("usage: python predict.py <image_list> <M|F> <image_size> <model_path>\n")
    assert out.out == ""


def test_a_list_or_model_that_is_not_there_is_one_line(
    films: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict.main(["nowhere.txt", "M", "64", "model.zip"]) == 2
    assert predict.main(["list.txt", "M", "64", "nowhere.pth"]) == 2
    assert capsys.readouterr().err.count("\n") == 2
