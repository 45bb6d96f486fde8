"""Makes docs/errors.md from the code: `python -m tidegate.observability.error_documentation [PATH]`.

Reads the source rather than importing it, so that every room is seen and none is loaded. A test keeps the document equal.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tidegate.domain.error_codes import CATALOGUE, ErrorCode

DOCUMENT = Path("docs/errors.md")
SOURCE = Path(__file__).parents[2]
ROOMS = ("tidegate", "tasks", "flows", "deployments")
ROOT = "TidegateError"
MENTIONS = re.compile(
    r"\b(?:TidegateError|Transient|Permanent|NeedsOperator|InvalidInput|NotFound|Refused|Fenced|CapacityShortage)\b"
    r"|\berrors import\b"
)
"""A file that makes or declares an error names one of the domain's, or imports those of its platform."""
INTRODUCTION = """# Errors

<!-- Made from code: python -m tidegate.observability.error_documentation -->

Every error of Tidegate says what happened, what to do, and a code. The code is stable: programs may rely on it, and it
never gets another meaning. `tidegate errors list` shows which ones came, when, how often, and at which service.

| codes | kind | what Tidegate does | exit code of commands | status of the API |
| --- | --- | --- | --- | --- |
| `TG-0…` | a defect | the traceback is in the log | 1 | 500 |
| `TG-1…` | may succeed later | tasks try again, with growing pauses | 1 | 503 |
| `TG-2…` | repeating cannot help | stops; nothing is tried again | 2 for wrong input, 404 and refusals, else 1 | 400, 401, 403, 404, 409 |
| `TG-3…` | a person must look | stops, and holds what it was doing | 1 | 409 |

The second digit says where it comes from: `0` anywhere, `1` the ledger and its audit log, `2` RunPod.

## How errors are kept

What ended a command, a task, a round of an agent, a reconciler's sweep, an alert or a request to the console is one row for each
error and service, with its first and last time and a count. Two errors are the same when code, place, function and message
are, leaving out names, numbers, paths and ids in the message. Secrets are taken out of it before it is stored. At most 1,000
rows are kept: settled ones go first, then the ones that were not seen for longest; totals by code never fall.

`tidegate errors resolve` calls one settled. It is open again when it comes back.

Not kept: wrong options of commands, callers of the console without a valid token, and trouble of the ledger itself that
ends a command (a long-running process keeps that once the ledger answers again).
"""


@dataclass(frozen=True)
class ErrorClass:
    """A class of errors as the source declares it."""

    name: str
    module: str
    bases: tuple[str, ...]
    code: str | None
    summary: str


@dataclass(frozen=True)
class Raised:
    """One place in the source where an error is made."""

    where: str
    name: str
    code: str | None
    has_remedy: bool


def document(entries: Iterable[ErrorCode] = CATALOGUE) -> str:
    """The whole of docs/errors.md."""
    entries = tuple(entries)
    lines = [INTRODUCTION, "## Tree", "", "```text", *tree(error_classes()), "```", ""]
    for title, prefix in (
        ("Defects", "TG-0"),
        ("May succeed later", "TG-1"),
        ("Repeating cannot help", "TG-2"),
        ("A person must look", "TG-3"),
    ):
        lines += [f"## {title}", ""]
        for entry in entries:
            if entry.code.startswith(prefix):
                lines += [*_section(entry), ""]
    return "\n".join(lines).rstrip() + "\n"


def tree(classes: Iterable[ErrorClass]) -> Iterator[str]:
    """The hierarchy with codes, as text."""
    found = list(classes)
    by_name = {one.name: one for one in found}

    def below(name: str, indent: str) -> Iterator[str]:
        children = sorted(
            (one for one in found if name in one.bases and one.name != name), key=lambda one: one.code or ""
        )
        for number, one in enumerate(children):
            is_last = number == len(children) - 1
            yield f"{indent}{'└── ' if is_last else '├── '}{one.name} {one.code}  {one.summary}"
            yield from below(one.name, indent + ("    " if is_last else "│   "))

    yield f"{ROOT} {by_name[ROOT].code}"
    yield from below(ROOT, "")


def error_classes() -> list[ErrorClass]:
    """Every class of the tree, wherever it is declared."""
    declared = [(path, node) for path, node in _nodes() if isinstance(node, ast.ClassDef)]
    found: dict[tuple[str, str], ErrorClass] = {}
    names, size = {ROOT}, 0
    while len(names) != size:
        size = len(names)
        for path, node in declared:
            bases = tuple(_name(base) for base in node.bases)
            if node.name == ROOT or names & set(bases):
                names.add(node.name)
                found[str(path), node.name] = _class(path, node, bases)
    return sorted(found.values(), key=lambda one: (one.code or "", one.module))


def raised_errors() -> list[Raised]:
    """Every place that makes an error of the tree."""
    names = {one.name for one in error_classes()}
    found: list[Raised] = []
    for path, node in _nodes():
        if isinstance(node, ast.Call) and _name(node.func) in names:
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            code, remedy = given.get("code"), given.get("remedy")
            is_empty = remedy is None or (isinstance(remedy, ast.Constant) and not remedy.value)
            found.append(
                Raised(
                    where=f"{path}:{node.lineno}",
                    name=_name(node.func),
                    code=str(code.value) if isinstance(code, ast.Constant) else None,
                    has_remedy=not is_empty,
                )
            )
    return found


def _section(entry: ErrorCode) -> Iterator[str]:
    yield f"### {entry.code} {entry.name}"
    yield ""
    if entry.is_retired:
        yield "*Not used any more; the code stays taken.*"
        yield ""
    yield f"{entry.meaning}"
    yield ""
    yield f"- Usual cause: {entry.cause}"
    yield f"- What to do: {entry.action}"


def _class(path: Path, node: ast.ClassDef, bases: tuple[str, ...]) -> ErrorClass:
    codes = [
        str(one.value.value)
        for one in node.body
        if isinstance(one, ast.Assign)
        and isinstance(one.value, ast.Constant)
        and any(_name(target) == "code" for target in one.targets)
    ]
    summary = (ast.get_docstring(node) or "").partition("\n")[0]
    module = ".".join(path.with_suffix("").parts)
    return ErrorClass(node.name, module, bases, codes[0] if codes else None, summary)


@cache
def _nodes() -> tuple[tuple[Path, ast.ClassDef | ast.Call], ...]:
    """Every class, and every call of something that is written like a class, of the files that can hold an error. Read
    once: it is half of the source."""
    texts = (
        (path.relative_to(SOURCE), path.read_text(encoding="utf-8"))
        for room in ROOMS
        for path in sorted((SOURCE / room).rglob("*.py"))
    )
    return tuple(
        (path, node)
        for path, text in texts
        if MENTIONS.search(text)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) or (isinstance(node, ast.Call) and _name(node.func)[:1].isupper())
    )


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENT
    target.write_text(document(), encoding="utf-8")
