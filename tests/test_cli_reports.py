"""`bonexage predict --report`: a page a film, a page of all, and PDFs where they are wanted."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from bonexage.assessment import DISCLAIMER
from bonexage.cli.app import app
from bonexage.model.bundle import load_bundle
from bonexage.reports.batch import _free_name
from films import write_film
from models import small_bundle, small_network
from pages import Page

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run predict in a folder with a model and two films, of which bad.png is no picture."""
    monkeypatch.chdir(tmp_path)
    small_bundle(tmp_path / "model.zip")
    write_film(tmp_path / "f0.png", 0)
    (tmp_path / "bad.png").write_bytes(b"no picture")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ("predict", *arguments, "--model", "model.zip", "--threads", "1"))

    return run


def test_a_film_gets_its_own_report_and_the_page_of_all_leads_to_it(run: Run, tmp_path: Path) -> None:
    done = run("f0.png", "bad.png", "--sex", "F", "--age-months", "100", "--report", "deep/reports", "--pdf")
    assert done.exit_code == 3
    folder = tmp_path / "deep/reports"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "report.html",
        "films/f0.html",
        "films/f0.pdf",
    }
    assert str(Path("deep/reports/report.html")) in done.stderr
    index = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert {"films/f0.html", "films/f0.pdf"} <= {link["href"] for link in index.all("a")}
    assert "bad.png, unreadable" in index.text
    page = Page((folder / "films/f0.html").read_text(encoding="utf-8"))
    model = load_bundle(tmp_path / "model.zip")
    for wanted in ("f0.png", "8 years 4 months", DISCLAIMER, model.model.partition("@")[2], "9.5 months"):
        assert wanted in page.text, wanted
    (month_line,) = [line for line in done.stdout.splitlines() if line.startswith("f0.png")]
    assert month_line.split(": ")[1].split(" (")[0] in page.text


def test_names_of_any_length_get_reports_of_their_own(run: Run, tmp_path: Path) -> None:
    names = ["\U0001d538" * 62 + suffix for suffix in (".png", ".bmp")]  # 248 bytes and a suffix
    for seed, name in enumerate(names):
        write_film(tmp_path / name, seed)
    done = run(*names, "--report", "r", "--pdf")
    assert done.exit_code == 0, done.stderr
    pages = sorted((tmp_path / "r" / "films").glob("*.html"))
    assert len(pages) == 2
    assert {name for page in pages for name in names if name in page.read_text(encoding="utf-8")} == set(
        names
    )
    index = Page((tmp_path / "r" / "report.html").read_text(encoding="utf-8"))
    leads_to = {unquote(link["href"]) for link in index.all("a")}
    assert {f"films/{page.name}" for page in pages} <= leads_to


@given(st.lists(st.text(max_size=300), max_size=20))
def test_a_report_s_name_fits_every_file_system_and_is_no_other_s(titles: list[str]) -> None:
    taken: set[str] = set()
    names = [_free_name(title, taken) for title in titles]
    assert all(0 < len(f"{name}.html".encode()) <= 255 for name in names)
    assert len({name.casefold() for name in names}) == len(names)


def test_without_being_asked_there_is_no_pdf(run: Run, tmp_path: Path) -> None:
    assert run("f0.png", "--report", "r").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "r").rglob("*.*")) == ["f0.html", "report.html"]


def test_a_report_shows_what_moved_the_answer_where_the_model_can_tell(run: Run, tmp_path: Path) -> None:
    told = []
    for outputs in (("months", "activation_map"), ("months",)):
        small_bundle(tmp_path / "model.zip", onnx=small_network(outputs=outputs))
        assert run("f0.png", "--sex", "M", "--report", "r").exit_code == 0
        page = Page((tmp_path / "r/films/f0.html").read_text(encoding="utf-8"))
        told.append([image["alt"].partition(" ")[0] for image in page.all("img")][:2])
    assert told == [["The", "Map"], ["The", "Composite"]]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [(["--pdf"], "--report"), (["--pdf", "--report", "r"], "[report]")],
)
def test_a_pdf_that_cannot_be_is_said_before_any_film_is_read(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], why: str
) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "reportlab" else known(name, *rest)
    )
    done = run("f0.png", *arguments)
    assert done.exit_code == 2
    assert why in done.stderr
    assert done.stdout == ""
    assert not Path("r").exists()
