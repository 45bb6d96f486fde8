"""`tidegate bench` from end to end against a server with known truth: run, compare, list, show, export, exit codes."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from tidegate.benchmark.report.schema import report_schema
from tidegate.benchmark.truth import Fault, FaultKind, RunningTruth, Shape, start_truth_server
from tidegate.cli.app import app

CANARY = "sk-canary-0123456789abcdef"
FAST = Shape.model_validate({"ttft": 20, "gap": 2, "tokens": 8})
SLOW = Shape.model_validate({"ttft": 90, "gap": 2, "tokens": 8})
BROKEN = Shape.model_validate({"faults": [Fault(kind=FaultKind.STATUS)]})
OPTIONS = ("--max-tokens", "8", "--quiet", "--json")


@pytest.fixture(scope="module")
def server() -> Iterator[RunningTruth]:
    with start_truth_server({"": FAST, "slow": SLOW, "broken": BROKEN}) as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench") / "home"


@pytest.fixture(scope="module")
def bench(home: Path) -> Callable[..., Any]:
    runner = CliRunner()

    def invoke(*arguments: str) -> Any:
        env = {"TIDEGATE_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1", "BENCH_KEY": CANARY}
        return runner.invoke(app, ["bench", *arguments], env=env)

    return invoke


def _told(done: Any, code: int) -> dict[str, Any]:
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def ran(bench, server, home) -> dict[str, Any]:
    """One run that every other command then looks at."""
    folder = home.parent / "out"
    options = (
        "--rate",
        "40",
        "--arrivals",
        "constant",
        "--requests",
        "60",
        "--blocks",
        "3",
        "--label",
        "fast one",
    )
    access = ("--key-env", "BENCH_KEY", "--header", "x-extra: @BENCH_KEY")
    limits = ("--slo", "ttft=60000,itl=60000", "--good", "0.9")
    done = bench(server.url, *options, *access, *limits, *OPTIONS, "--output-dir", str(folder))
    told = json.loads(done.stdout)
    # On a machine under load the client may find itself too slow: that is an answer too.
    is_bound = told["verdict"]["word"] == "Client-bound"
    assert done.exit_code == (3 if is_bound else 0), done.output
    return told


def test_a_run_is_measured_stored_and_reported(ran, home):
    [figures] = ran["runs"]
    assert (ran["what"], figures["requests"]["planned"], figures["requests"]["ok"]) == ("run", 60, 60)
    assert figures["attainment"]["value"] == 1
    assert figures["ttft_planned"]["p50"]["value"] >= 20
    assert figures["honesty"] is not None
    assert "No installation" in ran["kept"]["note"]
    endings = {Path(path).name.removeprefix(ran["id"]) for path in ran["written"]}
    assert endings == {".json", ".requests.csv", ".figures.csv", ".md", ".html", ".png"}
    written = json.loads((home.parent / "out" / f"{ran['id']}.json").read_bytes())
    jsonschema.Draft202012Validator(report_schema()).validate(written)


def test_no_key_is_in_anything_that_was_written(ran, home):
    files = [path for path in home.parent.rglob("*") if path.is_file()]
    assert len(files) >= 8
    assert CANARY not in json.dumps(ran)
    for path in files:
        data = path.read_bytes()
        if path.suffix == ".gz":
            from tidegate.domain import unpack_record

            data = unpack_record(data).encode()
        assert CANARY.encode() not in data, path


def test_a_run_is_listed_shown_and_exported_again(ran, bench, tmp_path):
    [listed] = json.loads(bench("list", "--json").stdout)
    assert listed["id"] == ran["id"]
    assert listed["label"] == "fast one"
    assert "fast one" in bench("list").stdout
    shown = bench("show", ran["id"][:9])
    assert shown.exit_code == 0
    assert "fast one" in shown.stdout
    assert "Time to first token from plan (ms)" in shown.stdout
    assert json.loads(bench("show", ran["id"], "--json").stdout)["runs"] == ran["runs"]
    done = bench("export", ran["id"], "-f", "html", "-f", "csv", "-o", str(tmp_path))
    assert done.exit_code == 0
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".csv", ".html"]


def test_the_same_load_is_sent_again_and_compared(ran, bench, server, home):
    stored = str(home.parent / "out" / f"{ran['id']}.json")
    done = bench("--repeat-of", stored, *OPTIONS[2:], "--no-store")
    told = json.loads(done.stdout)
    assert done.exit_code in (0, 1, 3)
    assert told["verdict"]["exit_code"] == done.exit_code
    assert told["runs"][0]["plan_digest"] == ran["runs"][0]["plan_digest"]
    assert told["compared"]["comparison"]["base"] == ran["id"]


def test_a_run_compared_with_itself_shows_no_regression(ran, bench):
    done = bench("compare", ran["id"], ran["id"], "--limit", "ttft_p50=1.5", "--json")
    told = json.loads(done.stdout)
    if ran["verdict"]["word"] == "Client-bound":
        assert (done.exit_code, told["verdict"]["word"]) == (3, "Not judged")
    else:
        assert (done.exit_code, told["verdict"]["word"]) == (0, "No regression")


def test_two_endpoints_in_alternating_blocks_have_a_verdict(bench, server):
    options = ("--concurrency", "2", "--requests", "18", "--blocks", "3", "--limit", "ttft_p50=1.3,1")
    done = bench(server.url_of("slow"), "--against", server.url, *options, *OPTIONS, "--no-store")
    told = json.loads(done.stdout)
    [metric] = told["comparison"]["metrics"]
    assert told["what"] == "pair"
    assert told["comparison"]["is_side_by_side"]
    assert done.exit_code == told["verdict"]["exit_code"]
    if metric["ratio"] is not None:
        assert metric["ratio"] > 1.3
        assert done.exit_code in (1, 3)


def test_a_sweep_measures_each_load_once(bench, server):
    done = bench(server.url, "--sweep", "1,2", "--requests", "6", *OPTIONS, "--no-store")
    told = json.loads(done.stdout)
    assert done.exit_code in (0, 3)
    assert [one["load"] for one in told["runs"]] == [1, 2]
    assert told["load_unit"] == "requests at once"


def test_a_search_ends_with_an_answer(bench, server):
    limits = ("--slo", "ttft=1", "--good", "0.5")
    done = bench(server.url, "--search", *limits, "--requests", "8", *OPTIONS, "--no-store")
    told = json.loads(done.stdout)
    assert told["search"]["answer"] in ("between", "undecided")
    assert done.exit_code == (0 if told["search"]["answer"] == "between" else 3)


def test_missed_limits_fail_and_an_endpoint_that_only_fails_is_not_judged(bench, server):
    missed = bench(server.url_of("slow"), "--slo", "ttft=1", "--requests", "30", *OPTIONS, "--no-store")
    told = json.loads(missed.stdout)
    if told["verdict"]["word"] != "Client-bound":
        assert (missed.exit_code, told["verdict"]["word"]) == (1, "Limits missed")
    told = _told(bench(server.url_of("broken"), "--requests", "4", *OPTIONS, "--no-store"), 3)
    assert told["verdict"]["word"] == "Nothing was measured"
    assert "503" in told["verdict"]["sentence"]


def test_people_see_progress_verdict_and_warnings_in_words(bench, server):
    done = bench(server.url, "--requests", "8", "--max-tokens", "8", "--plain", "--no-store")
    assert done.exit_code in (0, 3)
    assert "8 of 8 planned requests answered" in done.stdout
    assert "Not kept" in done.stdout
    assert "warming up" in done.stderr or "measuring" in done.stderr


def test_ctrl_c_keeps_what_was_measured(home, server, tmp_path):
    import os
    import signal
    import subprocess
    import sys

    command = [sys.executable, "-m", "tidegate.cli", "bench", server.url, "--duration", "10m", *OPTIONS]
    env = {**os.environ, "TIDEGATE_HOME": str(tmp_path / "home")}
    server.forget()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    deadline = time.monotonic() + 120
    # On a busy machine the warm-up takes up to 80 requests, one was a rehearsal, and 4 are in flight.
    while len(server.truth("")) < 120:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    told = json.loads(process.communicate(timeout=120)[0])
    assert told["runs"][0]["requests"]["ok"] > 0
    assert any(note.startswith("incomplete") for note in told["runs"][0]["notes"])
