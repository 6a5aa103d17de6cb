"""What the README promises exists: its Python, its diagram, and figures that a command wrote."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def _commands() -> list[str]:
    lines = [line.split("#")[0].strip() for block in _blocks("sh") for line in block.splitlines()]
    return sorted({line for line in lines if line})


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_readme", ROOT / "docs" / "write_readme.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_of_the_readme_is_one_this_test_knows() -> None:
    assert _commands()
    assert [
        line for line in _commands() if not line.startswith(("make ", "bonexage ", "python ", "pip install "))
    ] == []


def test_the_python_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bonexage.atlas.plates import read_plates

    (tmp_path / "hand.png").write_bytes(read_plates()[0].path.read_bytes())
    monkeypatch.chdir(tmp_path)
    for block in _blocks("python"):
        exec(block, {})


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md"])
def test_a_mermaid_diagram_is_well_formed(document: str) -> None:
    (diagram,) = _blocks("mermaid", (ROOT / document).read_text(encoding="utf-8"))
    first, *rest = [line.strip() for line in diagram.splitlines() if line.strip()]
    assert re.fullmatch(r"(flowchart|graph) (LR|TD|TB)", first)
    opened = sum(line.startswith("subgraph") for line in rest)
    assert opened == sum(line == "end" for line in rest)
    node = r"""\w+(\["[^"]*"\]|\[[^\["\]()]*\]|\(\[[^\[\]"]*\]\)|\(\("[^"]*"\)\)|\[\(\w+\)\])?"""
    statement = re.compile(rf"(subgraph \w+|direction (LR|TB)|end|{node}( --> {node})+)")
    assert [line for line in rest if not statement.fullmatch(line)] == []


def test_the_figures_of_the_readme_are_those_that_evaluate_wrote(writer: ModuleType) -> None:
    assert writer.with_results(README) == README
    assert writer.results(), "evaluation/ holds no evaluation.json"


def test_the_readme_says_what_it_must() -> None:
    for said in (
        "For research, not for diagnosis",
        "non-commercial",
        "Halabi",
        "A ConvNet for the 2020s",
        "not official",
    ):
        assert said in README, said


def test_the_readme_shows_what_it_does_and_the_two_commands_within_one_screen() -> None:
    screen = README.splitlines()[:12]
    assert any(line.startswith("![") for line in screen)
    assert any(line.startswith("make demo") for line in screen)
    assert any(line.startswith("make test") for line in screen)
