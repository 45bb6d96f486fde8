"""The performance gate of a release: rounds of block pairs beside live traffic, kept in the ledger, until decided."""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from tidegate.benchmark import Arm, LoadPlan, RunRecord, judge_performance, measure
from tidegate.domain import Evidence, Fenced, Release, TrafficCounts
from tidegate.domain.policy import PerformancePolicy, Policy
from tidegate.steps.artifacts import policy_bank, prompts_of, tags_of
from tidegate.steps.clients import Clients, clients_of, disturbance
from tidegate.steps.judging import Judged, judge_rounds, tolerated_lag_ms
from tidegate.steps.looks import pairs_of_next_round
from tidegate.steps.planned import planned_policy, seconds_of_budget
from tidegate.steps.ports import Ports
from tidegate.steps.rounds import CANDIDATE, LIVE, Round
from tidegate.steps.targets import arm

ROUNDS = "performance-rounds"
USUAL_S = 60.0
"""Clients before the first round, with whom those beside the test are compared."""
PAUSE_S = 5.0
MAX_DISTURBED = 3
"""Rounds that disturbed clients, after each of which less is sent, until no more is sent."""

Measure = Callable[[Sequence[Arm], LoadPlan], Mapping[str, RunRecord]]


def measure_now(arms: Sequence[Arm], plan: LoadPlan) -> Mapping[str, RunRecord]:
    return asyncio.run(measure(arms, plan))


@dataclass
class PerformanceCheck:
    """Measures one release until its policy is answered. What was measured before, by whomever, is not repeated.

    `rows` raises Fenced when a newer owner took the release over: two that load the sets at once measure each other.
    """

    ports: Ports
    release: Release
    measure: Measure = measure_now
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    def rows(self) -> list[Evidence]:
        """One row for each check of the gate."""
        policy = planned_policy(self.ports, self.release)
        key = rounds_key(self.release, policy.performance)
        rounds = kept_rounds(self.ports, key)
        budget = policy.performance.budget
        seconds = seconds_of_budget(self.ports, self.release, budget.max_seconds, budget.max_usd)
        usual = self._usual_clients()
        while True:
            judged, size = _judge(
                rounds, policy.performance, seconds, is_stopped=is_stopped(self.ports, self.release)
            )
            if judged.is_over:
                return self._told(judged, policy.performance, key, rounds)
            self._refuse_when_taken_over()
            made = self._measure_round(rounds, size, policy, seconds, usual)
            # Whoever took over numbers the rounds now: this one must not replace one of theirs.
            self._refuse_when_taken_over()
            rounds.append(made)
            # Kept before it is looked at: a round that was seen always counts.
            self.ports.ledger.record_result(ROUNDS, f"{key}:{len(rounds)}", made.as_data())
            if made.disturbed:
                self.sleep(PAUSE_S)

    def _measure_round(
        self, rounds: list[Round], size: int, policy: Policy, seconds: float, usual: Clients | None
    ) -> Round:
        pairs = sum(one.pairs for one in rounds)
        concurrency = self._concurrency(rounds, policy.performance)
        left_s = max(1.0, seconds - sum(one.seconds for one in rounds))
        bank = policy_bank(self.ports, policy)
        plan = load_plan(policy.performance, prompts_of(bank), pairs, size, concurrency, left_s)
        plan = replace(plan, prompt_tags=tags_of(bank))
        before, began = self._live_counts(), self.monotonic()
        found = self.measure(self._arms(), plan)
        took = self.monotonic() - began
        return Round(
            first_pair=pairs,
            pairs=size,
            seconds=round(took, 3),
            concurrency=concurrency,
            candidate=found[CANDIDATE],
            live=found.get(LIVE),
            disturbed=self._disturbance(before, usual, found.get(LIVE), policy),
        )

    def _told(
        self, judged: Judged, policy: PerformancePolicy, key: str, rounds: list[Round]
    ) -> list[Evidence]:
        """The rows, with how they came about."""
        disturbed = [one.disturbed for one in rounds if one.disturbed]
        said: dict[str, Any] = {
            "rounds": {"key": key, "count": len(rounds)},
            "measured_s": round(sum(one.seconds for one in rounds), 1),
            "concurrency": rounds[-1].concurrency if rounds else None,
        }
        if disturbed:
            said["clients_disturbed"] = disturbed
        rows = judged.rows or _without_rounds(policy, rounds)
        return [row.model_copy(update={"data": {**row.data, **said}}) for row in rows]

    def _refuse_when_taken_over(self) -> None:
        epoch = self.ports.ledger.current_epoch(self.release.ref)
        if epoch != self.release.epoch:
            raise Fenced(
                f"Release {self.release.id} was taken over (epoch {epoch} is newer than {self.release.epoch}).",
                remedy="Nothing to do: the newer owner finishes it.",
                release=self.release.id,
            )

    def _concurrency(self, rounds: Sequence[Round], policy: PerformancePolicy) -> int:
        """Within the share of a set's slots; half as much after each round that disturbed clients."""
        allowed = allowed_concurrency(policy, self.ports.service(self.release.ref).parallel)
        return max(1, allowed >> sum(bool(one.disturbed) for one in rounds))

    def _arms(self) -> list[Arm]:
        plan, ref = self.release.plan, self.release.ref
        assert plan is not None, "a release is judged after it was planned"
        arms = [arm(self.ports, ref, plan.green_set, plan.green_digest, CANDIDATE)]
        if plan.blue_set and plan.blue_digest:
            arms.append(arm(self.ports, ref, plan.blue_set, plan.blue_digest, LIVE))
        return arms

    def _live_counts(self, ago_s: float = 0.0) -> TrafficCounts | None:
        blue = self.release.plan.blue_set if self.release.plan else None
        if blue is None:
            return None
        return self.ports.ledger.counts(blue, self.ports.clock() - timedelta(seconds=ago_s))

    def _usual_clients(self) -> Clients | None:
        now, before = self._live_counts(), self._live_counts(USUAL_S)
        return clients_of(now.since(before), None) if now is not None and before is not None else None

    def _disturbance(
        self,
        before: TrafficCounts | None,
        usual: Clients | None,
        live: RunRecord | None,
        policy: Policy,
    ) -> str:
        after = self._live_counts()
        if before is None or after is None or usual is None:
            return ""
        return disturbance(usual, clients_of(after.since(before), live), policy.shift)


def is_stopped(ports: Ports, release: Release) -> bool:
    """A person wants it to stop: nobody waits for the rest of the budget."""
    return any(entry.kind == "abort" for entry in ports.ledger.entries(release.id))


def rounds_key(release: Release, policy: PerformancePolicy) -> str:
    """Where the rounds of a release are kept: with what they sent, so that other designs do not mix."""
    design = hashlib.sha256(policy.design.model_dump_json().encode()).hexdigest()[:12]
    return f"{release.id}:{design}"


def kept_rounds(ports: Ports, key: str) -> list[Round]:
    """Rounds that were measured before; none when nothing was."""
    rounds: list[Round] = []
    while (data := ports.ledger.result(ROUNDS, f"{key}:{len(rounds) + 1}")) is not None:
        rounds.append(Round.from_data(data))
    return rounds


def allowed_concurrency(policy: PerformancePolicy, slots: int) -> int:
    """Streams at once that leave clients their part of the slots of one set; never less than one."""
    return max(1, min(policy.design.concurrency, math.floor(policy.max_capacity_share * slots)))


def load_plan(
    policy: PerformancePolicy,
    prompts: Sequence[str],
    first_pair: int,
    pairs: int,
    concurrency: int,
    deadline_s: float,
) -> LoadPlan:
    """What one round sends: the part of the whole schedule that is its turn, drawn by the numbers of its blocks."""
    design = policy.design
    return LoadPlan(
        prompts=tuple(prompts),
        requests=pairs * design.requests_per_block,
        concurrency=concurrency,
        max_tokens=design.max_tokens,
        blocks=pairs,
        first_block=first_pair,
        warmup_requests=design.warmup_requests,
        seed=design.seed,
        deadline_s=deadline_s,
    )


def _judge(
    rounds: Sequence[Round], policy: PerformancePolicy, seconds: float, *, is_stopped: bool
) -> tuple[Judged, int]:
    """What the rounds show, and how many pairs come next."""
    lag_ms = tolerated_lag_ms(policy)
    measured = sum(one.pairs for one in rounds)
    usable = sum(one.pairs for one in rounds if one.is_usable(lag_ms))
    size = pairs_of_next_round(usable, policy, measured - usable)
    is_spent = (
        size == 0
        or is_stopped
        or sum(one.seconds for one in rounds) >= seconds
        or sum(bool(one.disturbed) for one in rounds) >= MAX_DISTURBED
    )
    return judge_rounds(rounds, policy, is_spent=is_spent), size


def _without_rounds(policy: PerformancePolicy, rounds: Sequence[Round]) -> list[Evidence]:
    """Every round was measured by a client that measured itself: the last one says so in its rows."""
    return judge_performance(rounds[-1].candidate, rounds[-1].live, policy) if rounds else []
