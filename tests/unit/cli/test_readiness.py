"""Loops of our processes beat each time that they ask whether to stop, and only in the thread that does the work."""

import signal
import threading

import pytest

from tidegate.cli.agents import stop_event
from tidegate.cli.reconciling import _Turning


@pytest.fixture(autouse=True)
def _signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def in_a_thread(work) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_an_agent_beats_when_its_loop_asks_and_not_when_a_helper_does():
    beats: list[int] = []
    stop = stop_event(lambda: beats.append(1))
    in_a_thread(stop.is_set)
    assert beats == []
    stop.is_set()
    stop.wait(0)
    assert len(beats) == 2


def test_a_reconciler_that_has_not_begun_is_not_ready():
    stop = _Turning()
    pulse = stop.pulse(5.0)
    assert pulse.why_not() == "its loop has not begun"
    stop.is_set()
    assert pulse.why_not() == ""
