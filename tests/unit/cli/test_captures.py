"""`tidegate captures`: what is told of sampled requests, and what removes them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.domain import Secret, ServiceRef
from tidegate.domain.policy import CapturePolicy
from tidegate.ledger import Ledger
from tidegate.replay.keeping import Keeper

SUPPORT = ServiceRef("swaggystacks", "support-chat")
BODY = b'{"messages": [{"role": "user", "content": "a private question"}]}'


def capture(home: Path, count: int) -> None:
    ledger = Ledger.open(f"sqlite:///{home / 'ledger.sqlite3'}")
    keeper = Keeper(ledger, lambda: {SUPPORT: CapturePolicy(percent=5)}, lambda org: Secret("k" * 43))
    assert keeper.keep([(SUPPORT, BODY)] * count) == count
    ledger.close()


def row_of(run: Any) -> dict[str, Any]:
    rows = json.loads(run("captures", "list", str(SUPPORT), "--json").stdout)
    return rows[0]


def test_a_list_tells_how_many_and_until_when_and_nothing_of_what_was_asked(run: Any, home: Path):
    assert row_of(run)["kept"] == 0
    capture(home, 2)
    row = row_of(run)
    assert (row["kept"], row["percent"]) == (2, 0.0)
    expiry = datetime.fromisoformat(row["next_expiry"])
    assert timedelta(hours=71) < expiry - datetime.now(UTC) <= timedelta(hours=72)
    told = run("captures", "list").stdout
    assert "swaggystacks/support-chat" in told
    assert "private" not in told + json.dumps(row)


def test_purging_removes_those_of_one_service_or_of_all(run: Any, home: Path):
    capture(home, 2)
    assert "2 sampled requests removed" in run("captures", "purge", str(SUPPORT)).stdout
    assert row_of(run)["kept"] == 0
    capture(home, 1)
    assert json.loads(run("captures", "purge", "--all", "--json").stdout)["purged"][str(SUPPORT)] == 1
    assert "nothing to remove" in run("captures", "purge", "--all").stdout


def test_purging_wants_to_know_whose(run: Any):
    assert run("captures", "purge").exit_code == 2
    assert run("captures", "purge", str(SUPPORT), "--all").exit_code == 2
    assert run("captures", "purge", "swaggystacks/nothing").exit_code == 2


def test_without_any_the_list_says_how_a_service_asks_for_it(run: Any):
    assert "policy.replay.capture.percent" in run("captures", "list").stdout
