"""`tidegate nightly` on an installation where nothing was measured, and where something was."""

import json
from pathlib import Path
from typing import Any

from tidegate.domain import ServiceRef
from tidegate.ledger import Ledger
from tidegate.steps.night_figures import NightFigures

SUPPORT = ServiceRef("swaggystacks", "support-chat")
DIGEST = "a" * 64


def _record(home: Path, *nights: str) -> None:
    home.mkdir(parents=True, exist_ok=True)
    ledger = Ledger.open(f"sqlite:///{home / 'ledger.sqlite3'}")
    ledger.record_baseline(SUPPORT, "nightly", DIGEST, {})
    for night in nights:
        figures = NightFigures(night=night, digest=DIGEST, score=0.9, ttft_p50_ms=41.5, same_answers=1.0)
        ledger.record_baseline(SUPPORT, "night", DIGEST, figures.model_dump(mode="json"))


def test_without_anything_live_a_run_says_what_to_do(run: Any):
    result = run("nightly", "run")
    assert result.exit_code == 0
    assert "tidegate release" in result.stdout


def test_a_service_without_traffic_is_not_judged_and_tells_its_own_exit_code(run: Any):
    result = run("nightly", "run", str(SUPPORT), "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)[0]["verdict"] == "not_judged"


def test_an_unknown_service_is_bad_input(run: Any):
    result = run("nightly", "run", "swaggystacks/nothing")
    assert result.exit_code == 2
    assert "support-chat" in result.stderr


def test_the_history_shows_the_newest_night_first(run: Any, home: Path):
    assert "No night" in run("nightly", "history", str(SUPPORT)).stdout
    _record(home, "one", "two")
    shown = run("nightly", "history", str(SUPPORT))
    assert shown.exit_code == 0
    assert "41.5 ms" in shown.stdout
    found = json.loads(run("nightly", "history", str(SUPPORT), "--json").stdout)
    assert [night["figures"]["night"] for night in found] == ["two", "one"]


def test_a_level_is_accepted_where_there_is_a_baseline(run: Any, home: Path):
    assert run("nightly", "accept", str(SUPPORT)).exit_code == 2
    _record(home, "one")
    assert run("nightly", "accept", str(SUPPORT)).exit_code == 0
    ledger = Ledger.open(f"sqlite:///{home / 'ledger.sqlite3'}")
    baseline = ledger.baseline(SUPPORT, "nightly")
    assert baseline is not None
    assert baseline["digest"] == ""
