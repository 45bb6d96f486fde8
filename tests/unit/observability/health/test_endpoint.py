"""What a process says of itself on its socket."""

import json
import threading
from pathlib import Path

import pytest

from tidegate.domain import Transient
from tidegate.observability.health.endpoint import (
    Condition,
    Pulse,
    answer,
    answering,
    ask,
    reasons,
    socket_of,
)

FINE = Condition("ledger", lambda: "")


def test_a_process_that_may_not_work_lives_all_the_same():
    conditions = [FINE, Condition("loop", lambda: "it stands still")]
    assert answer("/healthz", "notifier", conditions)[0] == 200
    status, body = answer("/readyz", "notifier", conditions)
    assert (status, body["reasons"]) == (503, ["loop: it stands still"])
    assert answer("/readyz", "notifier", [FINE])[0] == 200
    assert answer("/", "notifier", [FINE])[0] == 404


def test_a_condition_that_hangs_is_not_met():
    never = threading.Event()
    hangs = Condition("loop", lambda: str(never.wait()))
    assert reasons([FINE, hangs], timeout_s=0.05) == ["loop: no answer within 0.05 s"]
    never.set()


def test_reasons_name_no_secret():
    def look() -> str:
        raise Transient("postgresql://tidegate:hush-hush@db/x is gone, key rpa_0123456789abcdef", remedy="")

    def broken() -> str:
        raise ValueError("hush-hush")

    said = json.dumps(reasons([Condition("ledger", look), Condition("loop", broken)]))
    assert "hush-hush" not in said
    assert "rpa_0123456789abcdef" not in said
    assert "ValueError" in said


def test_a_loop_that_stands_still_is_not_ready():
    now = 0.0
    pulse = Pulse(limit_s=10, monotonic=lambda: now)
    assert pulse.why_not() == "its loop has not begun"
    pulse.beat()
    now = 9.0
    assert pulse.why_not() == ""
    now = 30.0
    assert pulse.why_not() == "its loop has not turned for 30 s"


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("r")


def test_a_process_answers_on_its_socket_and_takes_it_away(runtime: Path):
    path = socket_of(runtime, "notifier")
    path.write_text("left by one that was killed")
    with answering(runtime, "notifier", [FINE]):
        assert path.stat().st_mode & 0o077 == 0
        assert ask(path, "notifier").reasons == ()
    assert not path.exists()
    gone = ask(path, "notifier")
    assert not gone.is_alive
    assert gone.reasons == ("it does not answer (FileNotFoundError)",)


def test_reasons_reach_who_asks(runtime: Path):
    with answering(runtime, "notifier", [Condition("loop", lambda: "it stands still")]):
        asked = ask(socket_of(runtime, "notifier"), "notifier")
    assert (asked.is_alive, asked.reasons) == (True, ("loop: it stands still",))
