"""`validate`, `inspect`, `compare` and `registry-check` over real files, with the children that read them."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from deployments.demo.variants import derive
from tests.unit.gguf.writer import STRING, tiny_llama
from tidegate.cli.app import app

ROOT = Path(__file__).parents[3]
MODELS = ROOT / "deployments" / "demo" / "models"
GOOD, OLD = MODELS / "pipit-v2.gguf", MODELS / "pipit-v1.gguf"
DEADLINE_S = 120.0

Run = Callable[..., Any]


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tidegate.cli", *map(str, arguments)]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "TIDEGATE_HOME": str(tmp_path / "home"), "COLUMNS": "100"}


@pytest.fixture
def run(environ: dict[str, str]) -> Run:
    """In this process, so that only the children are started: the commands are the same."""
    runner = CliRunner()

    def invoke(*arguments: object) -> Any:
        return runner.invoke(app, list(map(str, arguments)), env={**environ, "NO_COLOR": "1"})

    return invoke


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that keeps what it is told."""
    told: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            return None

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", told
        server.shutdown()
        thread.join()


def test_a_run_over_good_and_bad_files_writes_every_format_and_tells_the_webhook(
    run: Run, tmp_path: Path, webhook: tuple[str, list[dict[str, Any]]]
):
    url, told = webhook
    bad = derive("template-poisoned", GOOD, tmp_path / "poisoned.gguf")
    out = tmp_path / "out"
    done = run(
        "validate", GOOD, bad, "--no-load", "--policy", "swaggystacks", "--output-dir", out, "--notify", url,
        "--markdown", "--html", "--sarif", "--junit", "--json",
    )  # fmt: skip
    assert done.exit_code == 2, done.stderr
    assert done.stderr == ""
    good, refused = json.loads(done.stdout)
    assert good["may_be_deployed"], [row for row in good["report"]["results"] if row["status"] != "passed"]
    assert not refused["may_be_deployed"]
    names = {f"{name}.{kind}" for name in ("pipit-v2", "poisoned") for kind in ("json", "md", "html")}
    assert {path.name for path in out.iterdir()} == names | {"validation.sarif", "validation.junit.xml"}
    assert "C-WORD" in (out / "poisoned.md").read_text()
    assert [file["may_be_deployed"] for file in told[0]["files"]] == [True, False]


def test_an_interrupt_ends_the_children_and_leaves_nothing_half_written(
    environ: dict[str, str], tmp_path: Path
):
    endless = tmp_path / "endless.gguf"
    endless.write_bytes(tiny_llama().encode())
    # Sparse: takes no room on the disk and minutes to read.
    os.truncate(endless, 2**38)
    out = tmp_path / "out"
    process = subprocess.Popen(
        _command("validate", endless, "--no-load", "--output-dir", out), cwd=ROOT, env=environ,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    children = _reading_children(process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert not psutil.wait_procs(children, timeout=DEADLINE_S)[1]
    assert not out.exists() or not list(out.iterdir())


def _reading_children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Waits until a child is reading the file."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end and process.poll() is None:
        children = psutil.Process(process.pid).children(recursive=True)
        if any(child.is_running() and _has_read(child) for child in children):
            return children
    raise AssertionError(f"no child began to read: {process.communicate(timeout=5)}")


def _has_read(child: psutil.Process) -> bool:
    try:
        return any(file.path.endswith("endless.gguf") for file in child.open_files())
    except psutil.Error:
        return False


def test_inspect_prints_no_control_code_of_a_hostile_file(run: Run, tmp_path: Path):
    path = tmp_path / "odd.gguf"
    odd = "\x1b[2J\x1b]0;owned\x07 \u202e gpj.exe [red]x[/red]"
    path.write_bytes(tiny_llama().with_pair("general.name", STRING, odd).encode())
    done = run("inspect", path, "--tensors", "--template")
    assert done.exit_code == 0, done.stderr
    assert all(line.isprintable() for line in done.stdout.split("\n"))
    assert "\\x1b[2J\\x1b]0;owned\\x07 \\u202e gpj.exe [red]x[/red]" in done.stdout
    assert "blk.1.ffn_down.weight" in done.stdout


def test_inspect_of_what_is_no_model_says_so_and_exits_with_two(run: Run, tmp_path: Path):
    page = tmp_path / "page.gguf"
    page.write_text("<!doctype html><html><body>Sign in</body></html>")
    done = run("inspect", page)
    assert done.exit_code == 2
    assert "This is a web page" in done.stdout


def test_compare_tells_differences_and_its_exit_code_on_request(run: Run):
    done = run("compare", OLD, GOOD, "--weights", "--json", "--exit-code")
    assert done.exit_code == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["is_same"] is False
    assert "general.version" in [change["name"] for change in found["metadata"]]
    assert {share["kind"]: share["different"] for share in found["weights"]}["attention"] == 8


def test_the_registry_check_finds_a_version_whose_file_is_damaged(run: Run, tmp_path: Path):
    for version, path in (("v1", OLD), ("v2", GOOD)):
        registered = run(
            "models", "register", path, "--org", "swaggystacks", "--name", "pipit", "--version", version
        )
        assert registered.exit_code == 0, registered.stderr
    stored = next(
        path for path in (tmp_path / "home").rglob("*.gguf") if path.read_bytes() == OLD.read_bytes()
    )
    stored.chmod(0o644)
    with stored.open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(b"\x01")
    done = run("registry-check", "--org", "swaggystacks", "--json")
    assert done.exit_code == 1, done.stderr
    rows = {row["version"]: row for row in json.loads(done.stdout)}
    assert (rows["pipit:v2"]["file"], rows["pipit:v2"]["problems"]) == ("intact", [])
    assert rows["pipit:v1"]["file"] == "damaged"
