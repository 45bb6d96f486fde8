"""A worker of a load-balancing endpoint, or a pod: clients talk straight to the engine, and this process only watches over it."""

import time

from tidegate_worker.lifecycle import (
    CUT_SHORT_GRACE_S,
    DRAIN_POLL_S,
    QUIET_POLLS,
    QUIET_POLLS_WHILE_CONNECTED,
    EngineEnded,
    Lifecycle,
    StopAsked,
)
from tidegate_worker.worker_state import Phase


def serve_behind_load_balancer(life: Lifecycle) -> int:
    """The exit code of the worker."""
    code = life.get_ready()
    if code is not None:
        return code
    while True:
        match life.events.get():
            case StopAsked():
                return _drain(life)
            case EngineEnded(status):
                return life.fail_for_dead_engine(status)
            case _:
                continue


def _drain(life: Lifecycle) -> int:
    """Health says 503, so nothing new is sent here; what runs may finish, up to a limit or a second signal."""
    life.state.enter(Phase.DRAINING)
    life.log.info("draining", in_flight=life.engine.requests_in_flight(), limit_s=life.wanted.drain_s)
    deadline = time.monotonic() + life.wanted.drain_s
    quiet, wanted = 0, QUIET_POLLS
    while quiet < wanted:
        match life.next_event(within_s=DRAIN_POLL_S):
            case StopAsked():
                return life.end("drain_cut_short", CUT_SHORT_GRACE_S)
            case EngineEnded(status):
                return life.fail_for_dead_engine(status)
            case _:
                in_flight = life.engine.requests_in_flight()
        quiet = quiet + 1 if in_flight == 0 else 0
        wanted = QUIET_POLLS_WHILE_CONNECTED if life.engine.connections() else QUIET_POLLS
        if time.monotonic() > deadline:
            life.log.warning("drain_limit_reached", in_flight=in_flight)
            return life.end("drain_cut_short", CUT_SHORT_GRACE_S)
    return life.end("drained")
