"""`tidegate gateways`: what it shows, asks and refuses. What gateways make of it is tested beside them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.domain import GatewayStatus
from tidegate.gateway import DRAINED, renewal
from tidegate.ledger import Ledger


@pytest.fixture
def ledger(home: Path):
    home.mkdir()
    with Ledger.open(f"sqlite:///{home / 'ledger.sqlite3'}") as opened:
        yield opened


def report(ledger: Ledger, name: str, silent_s: float = 0.0, **more: Any) -> None:
    at = datetime.now(UTC) - timedelta(seconds=silent_s)
    ledger.report_gateway(GatewayStatus(gateway=name, observed_generation=1, seen_at=at, **more))


def test_a_list_tells_who_speaks_who_is_silent_and_what_is_kept_for_it(run: Any, ledger: Ledger):
    report(ledger, "near")
    report(ledger, "far", silent_s=60, routed_sets=("set-a",))
    report(ledger, "gone", silent_s=60, state="stopped")

    rows = {row["name"]: row for row in json.loads(run("gateways", "list", "--json").stdout)}

    assert {name: row["state"] for name, row in rows.items()} == {
        "near": "serving",
        "far": "silent",
        "gone": "stopped",
    }
    assert rows["far"]["kept_sets"] == ["set-a"]
    assert "kept until it speaks again or is forgotten" in run("gateways", "list").stdout


def test_no_gateway_yet_says_what_starts_one(run: Any):
    assert "tidegate up" in run("gateways", "list").stdout


def test_an_unknown_gateway_is_bad_input_with_the_known_ones(run: Any, ledger: Ledger):
    report(ledger, "near")

    result = run("gateways", "drain", "nobody")

    assert result.exit_code == 2
    assert "Known: near" in result.stderr


def test_what_is_asked_stands_in_the_ledger_until_it_is_taken_back(run: Any, ledger: Ledger):
    report(ledger, "near", boot="b1")

    assert run("gateways", "drain", "near", "--timeout", "0").exit_code == 0
    assert ledger.wanted_of_gateway("near") == DRAINED
    report(ledger, "near", boot="b1")
    assert ledger.wanted_of_gateway("near") == DRAINED

    run("gateways", "resume", "near", "--timeout", "0")
    assert ledger.wanted_of_gateway("near") is None

    run("gateways", "upgrade", "near", "--timeout", "0")
    assert ledger.wanted_of_gateway("near") == renewal("b1")


def test_what_is_not_done_in_time_is_said_and_fails(run: Any, ledger: Ledger):
    report(ledger, "near", active_requests={"set-a": 2})

    result = run("gateways", "drain", "near", "--timeout", "0.01")

    assert result.exit_code == 1
    assert "2 requests in flight" in result.stderr


def test_only_one_that_does_not_serve_can_be_forgotten(run: Any, ledger: Ledger):
    report(ledger, "near")
    report(ledger, "far", silent_s=60)

    assert run("gateways", "forget", "near").exit_code == 2
    assert json.loads(run("gateways", "forget", "far", "--json").stdout)["forgotten"] == "far"
    assert [one.gateway for one in ledger.gateways()] == ["near"]
