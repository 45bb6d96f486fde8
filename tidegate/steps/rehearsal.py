"""The rehearsal of the way back: a real switch through the real gateways, while streams of our own run through it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.benchmark.traffic import TrafficClient, TrafficSnapshot
from tidegate.domain import Evidence, Gate, Release, Transient, Verdict
from tidegate.release.confirmation import is_confirmed
from tidegate.steps.artifacts import prompts_of, service_bank
from tidegate.steps.planned import planned_policy
from tidegate.steps.ports import Ports
from tidegate.steps.targets import probe_key, service_url

REHEARSAL_CHECKS = frozenset({"rehearsal.back", "rehearsal.forth"})
STREAMS = 4
STREAMS_PER_S = 40.0
STREAM_TOKENS = 64
STREAMS_AFTER = 4
"""Streams that must have ended after the switch: those that were in flight, and some that began later."""
POLL_S = 0.005
LONGEST_S = 60.0
"""For gateways to confirm, and for streams to end."""
OLD, NEW = "rehearsal:old", "rehearsal:new"


@dataclass(frozen=True)
class Rehearsal:
    """One switch of a rehearsal. `longest_s` bounds each of its waits."""

    ports: Ports
    release: Release
    longest_s: float = LONGEST_S
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def switch(self, switch: Callable[[], None]) -> dict[str, Any]:
        """As `Checks.switch_under_streams` says. Raises: Transient when no stream could be begun before it."""
        client = self._client()
        client.start()
        try:
            self._await(client, lambda seen: seen.ok > 0 and seen.in_flight > 0)
            if client.snapshot().ok == 0:
                raise Transient(
                    f"No stream of {self.release.ref} was answered before the switch was rehearsed.",
                    remedy="See what the gateway answers: tidegate logs gateway.",
                )
            before = client.snapshot()
            began = self.monotonic()
            switch()
            has_come = self._confirmed()
            seconds = self.monotonic() - began
            self._await(client, lambda seen: _ended(seen) >= _ended(before) + STREAMS + STREAMS_AFTER)
        finally:
            over = client.stop(drain_s=self.longest_s)
        return {"seconds": round(seconds, 4), "confirmed": has_come, **figures(over)}

    def _client(self) -> TrafficClient:
        return TrafficClient(
            service_url(self.ports, self.release.ref),
            probe_key(self.ports),
            prompts_of(service_bank(self.ports, self.release.ref)),
            short_workers=0,
            stream_workers=STREAMS,
            rate_per_s=STREAMS_PER_S,
            max_tokens=STREAM_TOKENS,
            timeout_s=self.longest_s,
        )

    def _await(self, client: TrafficClient, holds: Callable[[TrafficSnapshot], bool]) -> None:
        """Until it holds, or for as long as is allowed: what came of it is judged afterwards."""
        end = self.monotonic() + self.longest_s
        while not holds(client.snapshot()) and self.monotonic() < end:
            self.sleep(POLL_S)

    def _confirmed(self) -> bool:
        ref, ledger = self.release.ref, self.ports.ledger
        end = self.monotonic() + self.longest_s
        while not is_confirmed(ledger.gateways(), self.ports.clock(), ref, ledger.get_route(ref)):
            if self.monotonic() > end:
                return False
            self.sleep(POLL_S)
        return True


def _ended(seen: TrafficSnapshot) -> int:
    return seen.ok + seen.failed + seen.truncated


def figures(over: TrafficSnapshot) -> dict[str, Any]:
    """What the streams met. One that we had to cut off had hung: it is lost."""
    return {
        "streams": over.sent,
        "lost": over.failed + over.aborted,
        "truncated": over.truncated,
        "by_set": {name: counts.ok for name, counts in sorted(over.by_set.items())},
        "failures": [f"{one.set_name or 'no set'}: {one.error}" for one in over.failures[:5]],
    }


def rehearsal_rows(ports: Ports, release: Release) -> list[Evidence]:
    """The switches that the journal tells of, judged by the policy of the plan."""
    limit_s = planned_policy(ports, release).shift.max_switch_s
    met = {entry.name: entry.data for entry in ports.ledger.entries(release.id) if entry.kind == "observed"}
    return [
        switch_row("rehearsal.back", "back to the old set", met.get(OLD), limit_s),
        switch_row("rehearsal.forth", "to the new set again", met.get(NEW), limit_s),
    ]


def switch_row(check: str, way: str, met: Mapping[str, Any] | None, limit_s: float) -> Evidence:
    """No stream may be lost or cut off, every gateway must have confirmed, and within the limit. Pure."""
    if met is None or not met.get("streams"):
        return Evidence(
            gate=Gate.REHEARSAL,
            check=check,
            verdict=Verdict.NOT_JUDGED,
            summary=f"The switch {way} was not rehearsed.",
            remedy="Nothing was measured: let the release go on, or ask for another one.",
        )
    harm = int(met["lost"]) + int(met["truncated"])
    has_come = bool(met.get("confirmed", True))
    seconds = float(met["seconds"])
    text = (
        f"The switch {way} took {seconds:.2f} s; of {met['streams']} streams {met['lost']} were lost and "
        f"{met['truncated']} cut off."
    )
    remedy = ""
    if not has_come:
        text = f"Not every gateway confirmed the switch {way} within {seconds:.0f} s."
        remedy = "See: tidegate status."
    elif harm:
        remedy = (
            f"Read what they met: {'; '.join(map(str, met.get('failures', ()))) or 'see the gateway log'}."
        )
    elif seconds > limit_s:
        text = f"{text} The policy allows {limit_s:g} s."
        remedy = "See whether gateways or the ledger are slow: tidegate doctor."
    is_good = has_come and not harm and seconds <= limit_s
    return Evidence(
        gate=Gate.REHEARSAL,
        check=check,
        verdict=Verdict.PASS if is_good else Verdict.FAIL,
        summary=text,
        remedy=remedy,
        data={"samples": int(met["streams"]), **{k: v for k, v in met.items() if k != "weights"}},
    )
