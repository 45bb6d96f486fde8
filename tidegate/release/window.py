"""Judging a look at live traffic: counts of the new and the old set since the weights were confirmed. Pure."""

from dataclasses import dataclass

from tidegate.domain import TrafficCounts, Verdict
from tidegate.domain.policy import ShiftPolicy
from tidegate.statistics import share_e_value

MIN_FAILURES = 3
EVIDENCE_OF_HARM = 20.0
"""E-value at which a set is taken out. One that keeps its limit reaches it in at most 5 % of steps of the ladder."""


@dataclass(frozen=True)
class Window:
    """Counts gained since every gateway confirmed the present weights. `old` is None without an old set."""

    new: TrafficCounts
    old: TrafficCounts | None


def judge_window(
    window: Window | None, policy: ShiftPolicy, *, look_s: float, bake: bool = False
) -> tuple[Verdict, str]:
    """Verdict on live traffic so far, with the sentence that explains it.

    fail: at least 3 failed attempts and the e-value against "their share is at most `max_error_share`" has
    reached 20, or the mean latency is clearly beyond the old set's in the same window. pass: the look is
    long enough, enough requests were seen, and neither limit is broken. Otherwise not judged.
    The counts are looked at many times a minute. A confidence bound is made for one look: over 1000 requests
    it called a set at its limit harmful in 32 % of cases, this e-value in 1 %. With 2 % allowed 3 failures of
    15 requests suffice, 4 of 27, 8 of 94; a set that fails 30 % is out after a median of 9 requests.
    A failed attempt that a retry hid from the client counts: the set failed, even if nobody noticed.
    """
    if window is None:
        return Verdict.NOT_JUDGED, "no counts from the gateways yet"
    new = window.new
    failed = max(new.failed, new.attempts_failed)
    tried = max(new.requests, failed)
    if failed >= MIN_FAILURES and _is_harmful(failed, tried, policy.max_error_share):
        return Verdict.FAIL, f"{failed} of {tried} live requests failed on the new set"
    slow = _slower_text(window, policy)
    if slow and new.requests >= policy.min_requests:
        return Verdict.FAIL, slow
    needed_s = policy.bake_s if bake else policy.look_s
    if look_s < needed_s:
        return Verdict.NOT_JUDGED, f"looking for {needed_s:.0f} s"
    if new.requests < policy.min_requests:
        return (
            Verdict.NOT_JUDGED,
            f"{new.requests} of {policy.min_requests} live requests needed on the new set",
        )
    if tried and failed / tried > policy.max_error_share:
        return Verdict.NOT_JUDGED, f"{failed} of {tried} live requests failed; too few to be sure"
    return Verdict.PASS, f"{new.requests} live requests on the new set, {failed} failed"


def _is_harmful(failed: int, tried: int, allowed: float) -> bool:
    """Below the limit there is nothing to ask; a policy that allows every failure is never broken."""
    return failed > allowed * tried and share_e_value(failed, tried, allowed) >= EVIDENCE_OF_HARM


def _slower_text(window: Window, policy: ShiftPolicy) -> str:
    new_ms = window.new.mean_latency_ms
    old_ms = window.old.mean_latency_ms if window.old else None
    if new_ms is None or old_ms is None or window.old is None or window.old.latency_count < MIN_FAILURES:
        return ""
    if new_ms - old_ms <= policy.latency_floor_ms or new_ms <= old_ms * policy.max_latency_ratio:
        return ""
    return f"live requests take {new_ms:.0f} ms on the new set and {old_ms:.0f} ms on the old"
