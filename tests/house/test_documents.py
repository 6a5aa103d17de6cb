"""What the documents tell a reader to type exists: commands with their options, scripts, targets, links."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer.main

from bonexage.cli.app import app
from bonexage.clinic.growth import age_range_months
from bonexage.learning.recipe import recipe_from_table
from bonexage.reports.table import FIELDS
from bonexage.serving.problems import KINDS
from bonexage.subject import Sex

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
COMMANDS = typer.main.get_command(app)


def test_every_caution_and_column_is_explained() -> None:
    text = TEXTS["docs/results.md"]
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    codes = set(re.findall(r'Caution\(\s*"([a-z-]+)"', source))
    assert {"sex-unknown", "blurred", "age-unclear", "bone-age-drop"} <= codes
    explained = re.findall(r"^\| ((?:`[a-z_-]+`(?:, )?)+) \|", text, flags=re.MULTILINE)
    named = {each.strip("` ") for group in explained for each in group.split(",")}
    assert named == codes | set(FIELDS)
    for sex in (Sex.FEMALE, Sex.MALE):
        low, high = age_range_months(sex) or (0, 0)
        assert re.search(rf"{low:.0f} to {high:.0f}( months)? \({sex.word}s\)", text)


def test_every_problem_of_the_service_is_in_its_table_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}[\d, ]*) \| (`.*) \|$", TEXTS["docs/service.md"], flags=re.MULTILINE)
    told = {
        code: {int(status) for status in statuses.split(", ")}
        for statuses, said in rows
        for code in re.findall(r"`([a-z-]+)`", said)
    }
    assert told.keys() == KINDS.keys()
    assert [code for code, (status, _) in KINDS.items() if status not in told[code]] == []


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks of a document in one of some languages."""
    named = "|".join(languages)
    return re.findall(rf"^```(?:{named})\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def typed(text: str) -> list[list[str]]:
    """What a document tells its reader to type, as words."""
    shown = "\n".join(blocks(text, "sh", "bash")).replace("\\\n", " ")
    shown = re.sub(r" \$\w+", "", shown)  # a variable without quotes may be empty
    return [words for line in shown.splitlines() if (words := shlex.split(line, comments=True))]


def bonexage_commands() -> list[tuple[str, tuple[str, ...]]]:
    """Each command of this package that a document shows, after `bonexage` or `-m bonexage`."""
    found: dict[tuple[str, tuple[str, ...]], None] = {}
    for name, text in TEXTS.items():
        for words in typed(text):
            for at, word in enumerate(words):
                starts = at == 0 or words[at - 1] == "-m"
                if word == "bonexage" and starts and words[0] != "pip":
                    found[name, tuple(each for each in words[at + 1 :] if each != "&")] = None
    return list(found)


@pytest.mark.parametrize(
    ("document", "words"), [pytest.param(*each, id=" ".join(each[1])) for each in bonexage_commands()]
)
def test_a_command_of_a_document_can_be_typed_as_it_stands(document: str, words: tuple[str, ...]) -> None:
    name, *rest = words
    COMMANDS.commands[name].make_context(name, rest)


def test_a_command_with_a_wrong_option_or_name_would_be_seen() -> None:
    assert "trian" not in COMMANDS.commands
    for wrong, said in (("a --dat b --out c", "No such option"), ("a --data b", "Missing")):
        with pytest.raises(Exception, match=said):
            COMMANDS.commands["train"].make_context("train", wrong.split())


@pytest.mark.parametrize("document", TEXTS)
def test_a_script_or_target_that_a_document_names_exists(document: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    told = typed(TEXTS[document])
    told += [shlex.split(code) for code in re.findall(r"`((?:make|python) [^`{}<>]+)`", TEXTS[document])]
    for words in told:
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, flags=re.MULTILINE), words
        if words[0] == "python" and words[1] == "-m":
            assert (ROOT / words[2]).is_dir(), words
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file(), words


@pytest.mark.parametrize("document", TEXTS)
def test_every_link_into_the_repository_leads_somewhere(document: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", TEXTS[document])
    inner = [target for target in targets if not target.startswith(("https:", "http:", "mailto:"))]
    assert [target for target in inner if not ((ROOT / document).parent / target).exists()] == []


@pytest.mark.parametrize("document", TEXTS)
def test_a_recipe_that_a_document_shows_is_one(document: str) -> None:
    for block in blocks(TEXTS[document], "toml"):
        recipe_from_table(tomllib.loads(block), source=document)
