"""The shadow gate of a release: copies of live requests run, and gateways measure them, until they decide."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tidegate.domain import Evidence, Fenced, Release, Verdict
from tidegate.domain.live import ALL, SHADOW, LiveBatch
from tidegate.domain.policy import ShiftPolicy
from tidegate.replay.shadow import harm_so_far, judge_shadow
from tidegate.steps.performance import is_stopped
from tidegate.steps.planned import planned_policy
from tidegate.steps.ports import Ports

ALPHA = 0.05
POLL_S = 0.5
Batches = tuple[list[LiveBatch], list[LiveBatch]]


@dataclass(frozen=True)
class ShadowCheck:
    """Looks after `shadow_s`, and, while that does not decide, again whenever the time has doubled.

    Every look may err with half the chance of the one before, so that all of them together err with at most alpha.
    Harm is looked for all the time, by an e-value. When the step's deadline is over, what is not judged stays so.
    """

    ports: Ports
    release: Release
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    def rows(self) -> list[Evidence]:
        """One row for each check of the gate. Raises: Fenced when a newer owner took the release over."""
        policy = planned_policy(self.ports, self.release).shift
        since, began = self.ports.clock(), self.monotonic()
        longest_s = policy.shadow_s + policy.step_deadline_s
        look_s, alpha = policy.shadow_s, ALPHA / 4
        while True:
            harm = self._watch(began + min(look_s, longest_s), since, policy)
            rows = judge_shadow(*self._batches(since), policy, alpha)
            if harm is not None:
                rows = [harm, *(row for row in rows if row.check != harm.check)]
            verdicts = {row.verdict for row in rows}
            passed_s = self.monotonic() - began
            is_over = passed_s >= longest_s or is_stopped(self.ports, self.release)
            if is_over or Verdict.FAIL in verdicts or verdicts == {Verdict.PASS}:
                said = {"measured_s": round(passed_s, 1), "percent": policy.shadow_percent}
                return [row.model_copy(update={"data": {**row.data, **said}}) for row in rows]
            look_s, alpha = max(2 * look_s, passed_s + POLL_S), alpha / 2

    def _watch(self, until: float, since: datetime, policy: ShiftPolicy) -> Evidence | None:
        """Wait for the next look; at once with the row that shows harm, and when nobody wants to know any more."""
        while self.monotonic() < until and not is_stopped(self.ports, self.release):
            if self.ports.ledger.current_epoch(self.release.ref) != self.release.epoch:
                raise Fenced(
                    f"Release {self.release.id} was taken over.",
                    remedy="Nothing to do: the newer owner finishes it.",
                )
            harm = harm_so_far(*self._batches(since), policy, ALPHA / 2)
            if harm is not None:
                return harm
            self.sleep(min(POLL_S, max(0.0, until - self.monotonic())))
        return None

    def _batches(self, since: datetime) -> Batches:
        """Copies that the new set answered, and what clients got from the live one, since the copies began."""
        plan = self.release.plan
        assert plan is not None, "a release is judged after it was planned"
        ledger = self.ports.ledger
        copies = ledger.live(plan.green_set, since, slices=(SHADOW,))
        live = ledger.live(plan.blue_set, since, slices=(ALL,)) if plan.blue_set else []
        return (
            [batch for batch in copies if not batch.is_probe],
            [batch for batch in live if not batch.is_probe],
        )
