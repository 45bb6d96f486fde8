"""Calls to a control plane are counted, and written now and then."""

from collections.abc import Sequence

import pytest

from tidegate.domain import Transient
from tidegate.domain.totals import CALL_S, PLATFORM_CALL_SECONDS, PLATFORM_CALLS, Gain, edge_of
from tidegate.platforms.calls import MOST_KEPT, WRITE_EVERY_S, CallMeter, code_class


class Ledger:
    def __init__(self) -> None:
        self.written: list[Gain] = []
        self.is_away = False
        self.now = 0.0

    def write(self, gains: Sequence[Gain]) -> None:
        if self.is_away:
            raise Transient("away")
        self.written += gains

    def meter(self) -> CallMeter:
        return CallMeter("runpod", self.write, clock=lambda: self.now)


def test_calls_are_written_together_after_some_seconds() -> None:
    ledger = Ledger()
    meter = ledger.meter()
    meter.note("POST", 200, 0.3)
    assert ledger.written == []

    ledger.now = WRITE_EVERY_S
    meter.note("GET", None, 31.0)
    counted = [gain.labels for gain in ledger.written if gain.metric == PLATFORM_CALLS]
    assert counted == [("runpod", "create", "2xx"), ("runpod", "find", "timeout")]
    parts = [gain.part for gain in ledger.written if gain.metric == PLATFORM_CALL_SECONDS and gain.part >= 0]
    assert parts == [edge_of(0.3, CALL_S), edge_of(31.0, CALL_S)]


def test_a_ledger_that_is_away_gets_them_later() -> None:
    ledger = Ledger()
    meter, ledger.is_away = ledger.meter(), True
    meter.note("GET", 200, 0.1)
    meter.flush()
    ledger.is_away = False
    meter.flush()
    meter.flush()

    assert len([gain for gain in ledger.written if gain.metric == PLATFORM_CALLS]) == 1


def test_what_is_kept_for_a_ledger_that_stays_away_is_bounded() -> None:
    ledger = Ledger()
    meter, ledger.is_away = ledger.meter(), True
    for _ in range(MOST_KEPT):
        meter.note("GET", 200, 0.1)
    meter.flush()
    ledger.is_away = False
    meter.flush()

    assert len(ledger.written) == MOST_KEPT


@pytest.mark.parametrize(
    ("status", "told"),
    [(200, "2xx"), (302, "3xx"), (404, "4xx"), (429, "429"), (503, "5xx"), (None, "timeout"), (700, "5xx")],
)
def test_statuses_become_classes(status: int | None, told: str) -> None:
    assert code_class(status) == told
