"""Nothing is committed that has no business here: no film, no unfinished note, no module grown too long."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".dcm"}
WHERE_PICTURES_MAY_BE = (
    *("src/bonexage/atlas/plates/", "src/bonexage/model/carried/hands.png"),  # composites: no child's film
    *("docs/", "evaluation/", "experiments/"),
)
MODULES = (
    sorted((ROOT / "src").rglob("*.py"))
    + sorted(ROOT.glob("*.py"))
    + sorted((ROOT / "benchmarks").glob("*.py"))
    + sorted((ROOT / "experiments").glob("*.py"))
)


@pytest.fixture(scope="module")
def committed() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing is committed here")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _pictures(committed: list[Path]) -> list[Path]:
    return [path for path in committed if path.suffix.lower() in PICTURES]


def test_pictures_are_committed_only_where_plates_and_figures_live(committed: list[Path]) -> None:
    placed = [path.relative_to(ROOT).as_posix() for path in _pictures(committed)]
    assert [name for name in placed if not name.startswith(WHERE_PICTURES_MAY_BE)] == []


def test_no_film_of_the_data_folder_is_committed(committed: list[Path], data_folder: Path) -> None:
    ours = {path.stat().st_size: path for path in committed if path.suffix not in {".py", ".md"}}
    alike = [film for film in data_folder.rglob("*") if film.is_file() and film.stat().st_size in ours]
    films = {
        hashlib.sha256(film.read_bytes()).hexdigest() for film in alike if film.suffix.lower() in PICTURES
    }
    assert [path for path in committed if hashlib.sha256(path.read_bytes()).hexdigest() in films] == []


def test_a_report_committed_embeds_no_film(committed: list[Path]) -> None:
    pages = [path for path in committed if path.suffix == ".html"]
    assert [path for path in pages if "data:image/jpeg" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_opens_with_one_sentence_and_stays_under_500_lines(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    said = ast.get_docstring(ast.parse(text))
    assert said, "no docstring"
    assert said.split("\n\n")[0].rstrip().endswith((".", "?")), said
    assert len(text.splitlines()) <= 500


def test_no_unfinished_note_is_committed(committed: list[Path]) -> None:
    note = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
    texts = [
        path for path in committed if path.suffix in {".py", ".md", ".toml", ".cff", ".yaml", ".html", ".js"}
    ]
    pictures = re.compile(r"data:image/[^\"']*")  # their letters are chance
    assert [path for path in texts if note.search(pictures.sub("", path.read_text(encoding="utf-8")))] == []


def test_nothing_in_the_package_prints_or_silences_all_warnings() -> None:
    called = re.compile(
        r"(?<![\w.])print\(|warnings\.(simplefilter|filterwarnings)\(\s*[\"']ignore[\"']\s*\)"
    )
    assert [
        path for path in (ROOT / "src").rglob("*.py") if called.search(path.read_text(encoding="utf-8"))
    ] == []


def test_no_gpu_number_is_written_in() -> None:
    numbered = re.compile(r"cuda:\d|CUDA_VISIBLE_DEVICES|set_device\(\d")
    assert [path for path in MODULES if numbered.search(path.read_text(encoding="utf-8"))] == []
