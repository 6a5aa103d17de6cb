"""What the README promises exists: its Python, its diagram, and figures that a command wrote."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml

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
    known = ("git clone ", "make ", "bonexage ", "python ", "pip install ")
    assert [line for line in _commands() if not line.startswith(known)] == []


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


def test_the_readme_begins_with_a_clone_and_names_the_supported_versions() -> None:
    first, *_ = _blocks("sh")[0].splitlines()
    assert first.startswith("git clone ")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    oldest = re.search(r"^OLDEST_PIP := ([\d.]+)$", makefile, flags=re.MULTILINE)
    assert oldest
    assert f"pip {oldest.group(1)} or newer" in README
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = re.findall(r":: (3\.\d+)", "\n".join(project["classifiers"]))
    assert f"Python {', '.join(versions[:-1])} and {versions[-1]}" in README
    assert project["requires-python"] == f">={versions[0]}"


def test_the_acknowledgements_are_one_list_and_the_citation_is_named_once() -> None:
    said = README.partition("## Acknowledgements")[2]
    lines = said.strip().splitlines()
    listed = [at for at, line in enumerate(lines) if line.startswith("- ")]
    gaps = [at for at, line in enumerate(lines) if not line.strip()]
    assert listed[-1] < gaps[0]
    assert README.count("To cite") == 1


def test_the_challenge_is_cited_alike_everywhere() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["references"][0]
    issue = f"{cited['year']};{cited['volume']}({cited['issue']}):{cited['start']}-{cited['end']}"
    for document in ("README.md", "LICENSE"):
        assert f"Radiology {issue}" in " ".join(
            (ROOT / document).read_text(encoding="utf-8").replace("*", "").split()
        )
    assert f"https://doi.org/{cited['doi']}" in README


def test_the_readme_shows_what_it_does_and_the_two_commands_within_one_screen() -> None:
    screen = README.splitlines()[:12]
    assert any(line.startswith("![") for line in screen)
    assert any(line.startswith("make demo") for line in screen)
    assert any(line.startswith("make test") for line in screen)
