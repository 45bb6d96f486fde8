"""Commands for holds, quarantine and plans, in a home of their own."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tidegate.domain import ModelVersion
from tidegate.ledger import Ledger

SUPPORT = "swaggystacks/support-chat"


@pytest.fixture
def ledger(home: Path):
    home.mkdir()
    with Ledger.open(f"sqlite:///{home / 'ledger.sqlite3'}") as opened:
        opened.register_version(
            ModelVersion(
                org="swaggystacks",
                name="pipit",
                version="v3",
                digest="a" * 64,
                size_bytes=1,
                path="/x",
                registered_at=datetime(2026, 11, 26, tzinfo=UTC),
            )
        )
        yield opened


def test_a_hold_is_set_shown_and_lifted_by_name(run: Any, ledger: Ledger):
    held = json.loads(run("hold", "set", SUPPORT, "--reason", "wrong prices", "--by", "ops", "--json").stdout)
    assert (held["actor"], held["reason"], held["lifted_at"]) == ("ops", "wrong prices", None)
    assert "wrong prices" in run("hold", "list").stdout
    assert run("hold", "lift", SUPPORT, "--reason", "right again", "--by", "ops").exit_code == 0
    assert json.loads(run("hold", "list", "--json").stdout) == []
    (told,) = json.loads(run("hold", "list", "--all", "--json").stdout)
    assert (told["lifted_by"], told["lift_reason"]) == ("ops", "right again")
    assert run("hold", "lift", SUPPORT, "--reason", "right again", "--by", "ops").exit_code == 2


def test_a_file_is_quarantined_by_its_version_and_freed_by_the_start_of_its_digest(run: Any, ledger: Ledger):
    assert (
        run("quarantine", "add", "swaggystacks", "pipit:v3", "--reason", "leaks", "--by", "ops").exit_code
        == 0
    )
    (told,) = json.loads(run("quarantine", "list", "swaggystacks", "--json").stdout)
    assert (told["digest"], told["reason"]) == ("a" * 64, "leaks (by ops)")
    assert "leaks" in run("quarantine", "list").stdout
    lifted = run(
        "quarantine", "lift", "swaggystacks", "a" * 8, "--reason", "wrong bank", "--by", "ops", "--json"
    )
    assert json.loads(lifted.stdout)["lifted_by"] == "ops"
    assert (
        run("quarantine", "lift", "swaggystacks", "a" * 8, "--reason", "again", "--by", "ops").exit_code == 2
    )


def test_a_plan_needs_no_stack_and_records_nothing(run: Any, ledger: Ledger):
    result = run("release", SUPPORT, "pipit:v3", "--plan", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["plan"]["green_digest"] == "a" * 64
    assert told["plan_digest"].startswith(told["digest"][:64])
    assert ledger.list_releases() == []
    assert told["digest"] in run("release", SUPPORT, "pipit:v3", "--plan").stdout.replace("\n", "")


def test_a_release_that_waits_for_nobody_is_not_approved(run: Any, ledger: Ledger):
    assert "has no release yet" in run("approve", SUPPORT).stderr
