"""`tidegate demo` with real processes: what a stranger sees, twice in a row, and what is left of it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tidegate.stack.launching import stop_stack
from tidegate.stack.processes import MARK

pytestmark = pytest.mark.e2e

TIMEOUT_S = 900.0
POLL_S = 0.1
ENDINGS = {"v1": "live", "v2": "live", "v3-regressed": "refused", "v2-fast": "rolled back"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home of its own; whatever a failed test left in it is ended."""
    path = tmp_path / "home"
    yield path
    stop_stack(path, print)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tidegate.cli", *arguments]


def environ(home: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "PREFECT_"))
    }
    return kept | {"TIDEGATE_HOME": str(home)}


@pytest.fixture(autouse=True)
def heard_ctrl_c() -> Iterator[None]:
    """As in a terminal. A shell starts what it puts into the background deaf to SIGINT, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environ(home), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def processes_of(home: Path) -> list[str]:
    """Everything that was started for this home and still runs."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            line, own = process.cmdline(), process.environ()
        except psutil.Error:
            continue
        if str(home) in (own.get("TIDEGATE_HOME"), own.get(MARK)) or any(str(home) in part for part in line):
            found.append(f"{process.pid} {' '.join(line)[:120]}")
    return found


def wait_for_line(process: subprocess.Popen[str], is_wanted: Callable[[str], bool]) -> str:
    """Read until the wanted line; shows what came when it does not."""
    assert process.stdout is not None
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if is_wanted(line):
            return line
    raise AssertionError(f"it ended with {process.wait()} before the line came:\n" + "".join(seen))


def assert_self_contained(html: str) -> None:
    """Nothing is loaded, and every address stands in text, never in an attribute or the style."""
    assert not re.findall(r"<(?:script|link|img|iframe|object)\b", html)
    assert not re.findall(r"\b(?:src|href|srcset|data)\s*=", html)
    for tag in re.findall(r"<[a-z][^>]*>", html):
        assert "http://" not in tag
        assert "https://" not in tag
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    assert not re.search(r"https?:|url\(|@import", style[1])


def test_it_shows_what_it_promises_also_after_an_interruption_and_leaves_nothing_behind(
    home: Path, tmp_path: Path
):
    """One story on one home, because each start of a stack costs half a minute."""
    report = tmp_path / "out" / "report.html"
    arguments = ("demo", "--plain", "--report", str(report))
    with subprocess.Popen(
        command(*arguments),
        env=environ(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as first:
        wait_for_line(first, lambda line: "clients arrive" in line)
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=TIMEOUT_S)
    assert first.returncode == 130
    assert json.loads(run(home, "status", "--json").stdout)["stack"]["state"] == "ready"

    second = run(home, *arguments)

    told = second.stdout + second.stderr
    assert second.returncode == 0, told
    for service in ("swaggystacks/support-chat", "scientiacapital/research-desk"):
        assert f"{service}  v2-fast: WE KILL ITS SET" in told
    rows = re.findall(
        r"^(v\S+) +(\w+(?: \w+)?) +(\w+(?: \w+)?) +(\d+) +(\d+) +(\d+)", second.stdout, re.MULTILINE
    )
    assert [(row[0], row[1], row[2]) for row in rows] == [
        (version, ending, ending) for _ in range(2) for version, ending in ENDINGS.items()
    ]
    assert "topics lost: " in told
    assert "no client request was lost" in told
    assert_self_contained(report.read_text(encoding="utf-8"))
    assert_status_shows_the_demonstration(home)
    assert run(home, "down").returncode == 0
    wait_until_gone(home)


def assert_status_shows_the_demonstration(home: Path) -> None:
    """What a person types next needs nothing but the home that the demonstration took."""
    status = json.loads(run(home, "status", "--json").stdout)
    champions = {service["service"]: service["champion"] for service in status["services"]}
    assert champions["swaggystacks/support-chat"] == "pipit:v2"


def wait_until_gone(home: Path) -> None:
    deadline = time.monotonic() + 20
    while processes_of(home) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    assert processes_of(home) == []
