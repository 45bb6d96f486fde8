"""Recorded sets, baselines and cached results, on both databases."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain import Fenced, NotFound, ServiceRef, SetSpec

REF = ServiceRef("acme", "chat")
START = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


def spec(name: str, service: str = "chat", **fields: int) -> SetSpec:
    return SetSpec(
        name=name,
        org="acme",
        service=service,
        release_id="r-1",
        digest="a" * 64,
        artifact_path="/store/a",
        **fields,
    )


def test_a_set_comes_back_with_its_spec_and_state(ledger):
    assert ledger.get_set("blue") is None
    ledger.record_set(spec("blue", max_memory_bytes=80 * 1024**3), platform="local", epoch=0, state="wanted")
    assert ledger.get_set("blue") == (spec("blue", max_memory_bytes=80 * 1024**3), "wanted")


def test_recording_a_set_again_renews_it_in_its_place(ledger):
    for name in ("blue", "green"):
        ledger.record_set(spec(name), platform="local", epoch=0, state="wanted")
    ledger.record_set(spec("blue", threads=2), platform="local", epoch=0, state="ready")
    assert ledger.list_sets(REF) == [(spec("blue", threads=2), "ready"), (spec("green"), "wanted")]


def test_sets_are_listed_by_service(ledger):
    ledger.record_set(spec("blue"), platform="local", epoch=0, state="ready")
    ledger.record_set(spec("other", "draft"), platform="local", epoch=0, state="ready")
    assert [one.name for one, _ in ledger.list_sets()] == ["blue", "other"]
    assert [one.name for one, _ in ledger.list_sets(REF)] == ["blue"]


def test_a_forgotten_set_leaves_the_list_but_not_the_ledger(ledger):
    ledger.record_set(spec("blue"), platform="local", epoch=0, state="ready")
    ledger.forget_set("blue", epoch=0)
    assert ledger.list_sets() == []
    assert ledger.get_set("blue") == (spec("blue"), "deleted")
    ledger.record_set(spec("blue"), platform="local", epoch=0, state="wanted")
    assert ledger.list_sets() == [(spec("blue"), "wanted")]


def test_a_set_that_was_never_recorded_has_no_state_to_change(ledger):
    with pytest.raises(NotFound, match="'blue'"):
        ledger.set_state("blue", "ready", epoch=0)


def test_sets_change_only_at_the_current_epoch(ledger):
    ledger.record_set(spec("blue"), platform="local", epoch=0, state="wanted")
    for call in (
        lambda: ledger.record_set(spec("blue", threads=2), platform="local", epoch=1, state="ready"),
        lambda: ledger.set_state("blue", "ready", epoch=1),
        lambda: ledger.forget_set("blue", epoch=1),
    ):
        with pytest.raises(Fenced):
            call()
    assert ledger.get_set("blue") == (spec("blue"), "wanted")


def test_the_newest_baseline_of_a_kind_stands_and_the_others_are_history(open_ledger):
    ticks = itertools.count()
    ledger = open_ledger(clock=lambda: START + timedelta(seconds=next(ticks)))
    assert ledger.baseline(REF, "latency") is None
    ledger.record_baseline(REF, "latency", "a" * 64, {"p50_ms": 11.5})
    ledger.record_baseline(REF, "latency", "b" * 64, {"p50_ms": 12})
    ledger.record_baseline(REF, "quality", "b" * 64, {"score": 0.9})
    newest = {"digest": "b" * 64, "data": {"p50_ms": 12}, "at": START + timedelta(seconds=1)}
    assert ledger.baseline(REF, "latency") == newest
    assert [one["data"]["p50_ms"] for one in ledger.baseline_history(REF, "latency")] == [12, 11.5]
    assert ledger.baseline(ServiceRef("acme", "draft"), "latency") is None


def test_a_result_is_found_by_its_key_and_replaced_by_a_newer_one(ledger):
    assert ledger.result("quality", "k") is None
    ledger.record_result("quality", "k", {"score": 1})
    ledger.record_result("quality", "k", {"score": 2, "rows": [1, 2]})
    ledger.record_result("latency", "k", {})
    assert ledger.result("quality", "k") == {"score": 2, "rows": [1, 2]}
    assert ledger.result("latency", "k") == {}
