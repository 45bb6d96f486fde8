"""Whoever is called at night types what the documents say: every command there must be one that exists."""

import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tidegate.cli.app import app
from tidegate.cli.bench import DEFAULT, BenchCommands

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs" / "operations"
FILES = sorted(DOCS.rglob("*.md"))
OF_COMMANDS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
"""Every document that a reader may copy a command from. The changelog tells of commands as they were, and in short."""
COPIED_FROM = ("sh", "bash", "console")
"""Languages of blocks whose lines are typed."""
FIRST_LOOKS = frozenset(
    re.findall(r"^\| \[(\w+)\]", (DOCS / "runbooks" / "README.md").read_text(), re.MULTILINE)
)


def commands(text: str) -> Iterator[str]:
    """Ours, of shell blocks and between backticks."""
    yield from in_blocks(text)
    yield from mentioned(text)


def in_blocks(text: str) -> Iterator[str]:
    for language, block in re.findall(r"```(\w*)[^\n]*\n(.*?)```", text, re.DOTALL):
        if language in COPIED_FROM:
            yield from typed(block.replace("\\\n", " "))


def mentioned(text: str) -> Iterator[str]:
    """What stands between backticks. What is left out in brackets is left out here."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for found in re.findall(r"`(tidegate [^`]+)`", prose):
        yield re.sub(r"\[[^\]]*\]", "", found).split(" | ")[0]


def typed(block: str) -> Iterator[str]:
    """Commands of ours in lines of a shell: behind a pipe, in the middle of another one, with variables before them."""
    for line in block.splitlines():
        yield from (f"tidegate {found}" for found in re.findall(r"\$\((?:\S*/)?tidegate ([^()]+)\)", line))
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;")
        lexer.whitespace_split = True
        part: list[str] = []
        for word in [*_words(lexer), ";"]:
            if set(word) <= set("|&;"):
                while part and re.fullmatch(r"sudo|\w+=.*", part[0]):
                    part.pop(0)
                if part and Path(part[0]).name == "tidegate":
                    yield shlex.join(["tidegate", *part[1:]])
                part = []
            elif not re.fullmatch(r"\d?[<>]{1,2}.*", word):
                part.append(word)


def _words(lexer: shlex.shlex) -> list[str]:
    """None where a quotation goes on in the next line: then it is data for another program."""
    try:
        return list(lexer)
    except ValueError:
        return []


@functools.cache
def tidegate() -> Any:
    """The command as a program sees it; making it takes a while."""
    return typer.main.get_command(app)


def fault_of(line: str, *, is_whole: bool = True) -> str | None:
    """What is wrong with a command line, or None. Placeholders (ORG, FILE) are words like others.

    One that is not whole is spoken of: arguments may be missing, and its last option may have no value.
    """
    command, words = tidegate(), shlex.split(line)[1:]
    while words and not words[0].startswith("-") and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if words and isinstance(command, BenchCommands):
        command = command.commands[DEFAULT]
    if not words:
        # Only its name is mentioned.
        return None
    context = command.context_class(command, info_name=line)
    try:
        given, left, _ = command.make_parser(context).parse_args(args=words)
    except typer.exceptions.TyperException as error:
        is_spoken_of = not is_whole and "requires an argument" in str(error)
        return None if is_spoken_of else f"{line}: {error}"
    if left:
        return f"{line}: {left[0]} is too much"
    missing = [one.name for one in command.params if one.required and given.get(one.name) is None]
    return f"{line}: {missing[0]} is missing" if missing and is_whole else None


@pytest.mark.parametrize("file", OF_COMMANDS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_quoted_command_exists_with_its_options(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    # A runbook is read at night: there, a command in the middle of a sentence is typed as well.
    is_whole = file in FILES

    faults = [fault_of(line) for line in in_blocks(text)]
    faults += [fault_of(line, is_whole=is_whole) for line in mentioned(text)]
    assert [fault for fault in faults if fault] == []


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
        ("tidegate bench ORG/SERVICE --rate 4", None),
        ("tidegate bench ORG/SERVICE --speed 4", "--speed"),
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str, fault: str | None) -> None:
    told = fault_of(line)

    assert told is None if fault is None else told is not None and fault in told


def test_a_command_is_found_wherever_a_shell_would_find_it() -> None:
    text = """
```sh
TIDEGATE_HOME=/tmp/x tidegate up --gateways 2      # said by tidegate up
tidegate keys alerts | sudo install -m 0400 /dev/stdin /etc/token
curl -H "Authorization: Bearer $(.venv/bin/tidegate keys console)" http://127.0.0.1:8090 \\
  -d '{"reason": "tidegate down"}' && tidegate status >out
```
Then `tidegate quarantine list [ORG] [--all]`.
```yaml
run: tidegate nothing
```
"""
    assert list(commands(text)) == [
        "tidegate up --gateways 2",
        "tidegate keys alerts",
        "tidegate keys console",
        "tidegate status",
        "tidegate quarantine list  ",
    ]
