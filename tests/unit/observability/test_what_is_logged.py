"""Nobody goes round the logs, and nobody hands them what users wrote. Read from the code of every process."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Those speak to a person at a terminal, or run as a child whose output is its answer.
TERMINAL = ("tidegate/cli/", "tidegate/demo/", "tidegate/platforms/runpod/emulator/")
ALLOWED = {
    # Says it where no log was set up.
    "tidegate/observability/log_output.py": "print",
    # Its own line at its start is its answer to whoever started it.
    "tidegate/benchmark/truth/__main__.py": "print",
    # Standard library alone, before anything is loaded.
    "deployments/pod/__main__.py": "print",
    # What the supervisor waits for must be written whatever logging is set up.
    "deployments/worker/host.py": "print",
}
LOGGERS = frozenset({"log", "_LOG", "logger", "logging"})
METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
TEXTS_OF_USERS = frozenset({
    "prompt", "prompts", "messages", "completion", "answer", "answers", "reply", "body", "payload", "content", "question",
    "request_body", "excerpt",
})  # fmt: skip


WORTH_READING = re.compile(r"\bprint\(|\bLOG\b|\blog\.|logg(?:er|ing)|std(?:out|err)\.write|_locals")


@cache
def every_call() -> list[tuple[str, str, ast.Call]]:
    """File, function and call; of files that may say something at all."""
    found: list[tuple[str, str, ast.Call]] = []
    for room in (
        "tidegate",
        "tasks",
        "flows",
        "deployments/worker",
        "deployments/pod",
        "deployments/runpod_worker",
    ):
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            text = path.read_text(encoding="utf-8")
            if not name.startswith(TERMINAL) and WORTH_READING.search(text):
                found += [
                    (name, dotted(node.func), node)
                    for node in ast.walk(ast.parse(text))
                    if isinstance(node, ast.Call)
                ]
    return found


def dotted(function: ast.expr) -> str:
    """`logging.getLogger(...)` keeps its brackets, so that a call on it is told from one on another's."""
    if isinstance(function, ast.Name):
        return function.id
    if isinstance(function, ast.Attribute):
        return f"{dotted(function.value)}.{function.attr}"
    return f"{dotted(function.func)}()" if isinstance(function, ast.Call) else ""


def is_logging(function: str) -> bool:
    owner, _, method = function.rpartition(".")
    return method in METHODS and (owner in LOGGERS or owner == "logging.getLogger()")


def names(call: ast.Call) -> set[str]:
    found: set[str] = set()
    for part in (*call.args, *(one.value for one in call.keywords)):
        for node in ast.walk(part):
            if isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
    return found


def test_no_process_prints_past_its_log():
    ways = ("print", "sys.stdout.write", "sys.stderr.write", "logging.basicConfig", "traceback.print_exc")
    found = [
        f"{name}:{call.lineno}: {function}"
        for name, function, call in every_call()
        if function in ways and ALLOWED.get(name) != function
    ]

    assert found == []


def test_no_line_is_given_what_users_wrote():
    found = [
        f"{name}:{call.lineno}: {', '.join(sorted(names(call) & TEXTS_OF_USERS))}"
        for name, function, call in every_call()
        if is_logging(function) and names(call) & TEXTS_OF_USERS
    ]

    assert found == []


def test_no_line_is_given_a_clear_secret():
    found = [
        f"{name}:{call.lineno}"
        for name, function, call in every_call()
        if is_logging(function) and "reveal" in names(call)
    ]

    assert found == []


def test_no_traceback_shows_values_of_variables():
    found = [
        f"{name}:{call.lineno}"
        for name, _, call in every_call()
        for keyword in call.keywords
        if keyword.arg in ("capture_locals", "show_locals")
        and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
    ]

    assert found == []
