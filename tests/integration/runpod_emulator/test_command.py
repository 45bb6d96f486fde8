"""`tidegate runpod-emulator`, as a person or a program uses it."""

import json
import signal
import subprocess
import sys

import httpx
import pytest

from tests.integration.runpod_emulator.conftest import eventually

TIDEGATE = [sys.executable, "-m", "tidegate.cli", "runpod-emulator"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("emulator")


@pytest.fixture(scope="module")
def facts(home):
    process = subprocess.Popen(
        [*TIDEGATE, "start", "--home", str(home), "--json", "--org", "swaggystacks"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    process.stdout.close()


def tell(home, *words, code=0):
    done = subprocess.run(
        [*TIDEGATE, *words, "--home", str(home)], capture_output=True, text=True, timeout=180
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_starting_prints_urls_and_names_of_keys_but_no_key(home, facts):
    assert facts["keys"] == ["operator", "swaggystacks"]
    key = tell(home, "key", "swaggystacks").strip()
    assert key not in json.dumps(facts)
    headers = {"Authorization": f"Bearer {key}"}
    assert httpx.get(f"{facts['api_url']}/v2/pods", headers=headers, timeout=60).status_code == 200


def test_faults_are_set_listed_and_cleared(home, facts):
    tell(home, "fault", "stock_out", "--scope", "ADA_24", "--for", "600")
    assert [one["knob"] for one in json.loads(tell(home, "status", "--json"))["faults"]] == ["stock_out"]
    assert "1 ended" in tell(home, "clear", "stock_out")
    assert "no_such" in tell(home, "fault", "no_such", code=1)


def test_a_timeline_file_is_played(home, facts, tmp_path):
    drill = tmp_path / "drill.yaml"
    drill.write_text("- {at: 0, for: 0.5, knob: control_5xx, value: 503}\n- {at: 100, knob: throttled}\n")
    assert len(json.loads(tell(home, "timeline", str(drill), "--json"))["faults"]) == 2
    eventually(
        lambda: [one["knob"] for one in json.loads(tell(home, "status", "--json"))["faults"]],
        lambda seen: seen == ["throttled"],
    )
    tell(home, "clear")


def test_stock_is_set(home, facts):
    assert "NVIDIA L4: 2" in tell(home, "stock", "NVIDIA L4", "2", "--data-center", "EU-RO-1")


def test_where_none_runs_the_remedy_is_told(tmp_path):
    assert "tidegate runpod-emulator start" in tell(tmp_path, "status", code=1)
    assert "has no key" in tell(tmp_path, "key", "swaggystacks", code=2)
