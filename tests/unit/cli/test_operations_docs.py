"""Whoever is called at night types what the runbooks say: every command there must be one that exists."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tidegate.cli.app import app

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs" / "operations"
FILES = sorted(DOCS.rglob("*.md"))
FIRST_LOOKS = frozenset(
    re.findall(r"^\| \[(\w+)\]", (DOCS / "runbooks" / "README.md").read_text(), re.MULTILINE)
)


def commands(text: str) -> Iterator[str]:
    """Lines of shell blocks, and what stands between backticks, where it is one of ours."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        yield from (line.strip() for line in block.splitlines() if line.strip().startswith("tidegate"))
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    yield from (found for found in re.findall(r"`(tidegate [^`]+)`", prose))


def fault_of(line: str) -> str | None:
    """What is wrong with a command line, or None. Placeholders (ORG, FILE) are words like others."""
    command: Any = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    while words and not words[0].startswith("-") and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if not words:
        # Only its name is mentioned.
        return None
    context = command.context_class(command, info_name=line)
    try:
        given, left, _ = command.make_parser(context).parse_args(args=words)
    except typer.exceptions.TyperException as error:
        return f"{line}: {error}"
    if left:
        return f"{line}: {left[0]} is too much"
    missing = [one.name for one in command.params if one.required and given.get(one.name) is None]
    return f"{line}: {missing[0]} is missing" if missing else None


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(DOCS).as_posix())
def test_every_quoted_command_exists_with_its_options(file: Path) -> None:
    text = file.read_text(encoding="utf-8")

    assert [fault for line in commands(text) if (fault := fault_of(line))] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(DOCS).as_posix())
def test_every_link_leads_somewhere(file: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", file.read_text(encoding="utf-8"))

    assert [link for link in links if not (file.parent / link).exists()] == []


@pytest.mark.parametrize("file", sorted((DOCS / "runbooks").glob("[A-Z]*.md")), ids=lambda file: file.stem)
def test_a_runbook_says_what_it_means_what_was_done_and_how_to_end_it(file: Path) -> None:
    if file.stem == "README":
        return
    text = file.read_text(encoding="utf-8")

    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert headings == [file.stem, "Impact", "Look first", "What Tidegate has done already", "How to end it"]
    assert list(commands(text))
    assert file.stem in FIRST_LOOKS


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("tidegate status", None),
        ("tidegate keys", None),
        ('tidegate rollback ORG/SERVICE --reason "..."', None),
        ("tidegate stratus", "stratus"),
        ("tidegate keys list ORG --everything", "--everything"),
        ("tidegate keys rotate ORG", "name is missing"),
        ("tidegate down now", "now is too much"),
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str, fault: str | None) -> None:
    told = fault_of(line)

    assert told is None if fault is None else told is not None and fault in told
