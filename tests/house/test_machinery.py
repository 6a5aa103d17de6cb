"""The machinery around the code: what continuous integration and commits run is what `make` runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_make_lists_every_target_there_is() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    declared = re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert declared
    assert set(re.findall(r"make ([\w-]+)", listed)) == set(declared.group(1).split())


@pytest.mark.skipif(os.name == "nt", reason="run with bash")
def test_continuous_integration_runs_make_test_with_the_films_beside_the_checkout(tmp_path: Path) -> None:
    checkout, films = tmp_path / "checkout", tmp_path / "shared" / "data"
    films.mkdir(parents=True)
    (checkout / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", checkout / ".ci" / "run")
    (checkout / "Makefile").write_text('test:\n\t@echo "tested with $(BONEXAGE_DATA)"\n')
    kept = {name: value for name, value in os.environ.items() if name != "BONEXAGE_DATA"}
    done = subprocess.run(
        ["bash", checkout / ".ci" / "run"], env=kept, capture_output=True, text=True, check=True
    )
    assert f"tested with {films.resolve()}" in done.stdout


def test_a_fresh_machine_is_tried_with_every_lock() -> None:
    recipe = MAKEFILE.partition("\nfresh: ")[2].partition("\n\n")[0]
    locks = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    (tried,) = re.findall(r"for lock in ([\w ]+); do", recipe)
    assert set(tried.split()) == locks
    assert "--require-hashes" in recipe
    assert "export HOME=" in recipe


def test_commit_hooks_are_local_and_fetch_nothing() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]
    assert {hook["language"] for repo in hooks["repos"] for hook in repo["hooks"]} == {"system"}


def test_the_citation_file_names_the_challenge_and_the_network() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {one["title"] for one in cited["references"]} == {
        "The RSNA Pediatric Bone Age Machine Learning Challenge",
        "A ConvNet for the 2020s",
    }
