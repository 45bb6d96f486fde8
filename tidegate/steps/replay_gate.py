"""The replay gate of a release: sampled requests of clients, asked of the new and the live set in pairs.

Both are asked through the gateway, pinned, before any client is sent to the new one.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.access import capture_key_name
from tidegate.benchmark import Arm
from tidegate.domain import Evidence, Refused, Release, ServiceRef
from tidegate.replay.judge import judge_replay
from tidegate.replay.keeping import open_requests
from tidegate.replay.pairs import ReplayedPair, ReplayLimits, replay_pairs
from tidegate.replay.sealing import Sealer
from tidegate.steps.planned import planned_policy, seconds_of_budget
from tidegate.steps.ports import Ports
from tidegate.steps.rounds import CANDIDATE, LIVE
from tidegate.steps.targets import arm

Replay = Callable[[Sequence[Mapping[str, Any]], Arm, Arm, ReplayLimits], Sequence[ReplayedPair]]


def replay_now(
    requests: Sequence[Mapping[str, Any]], new: Arm, old: Arm, limits: ReplayLimits
) -> Sequence[ReplayedPair]:
    return asyncio.run(replay_pairs(requests, new, old, limits))


@dataclass(frozen=True)
class ReplayGate:
    """`replay` asks both; a test gives its own."""

    ports: Ports
    release: Release
    replay: Replay = replay_now

    def rows(self) -> list[Evidence]:
        """One row for each check of the gate. Without a sample nothing is judged, and nothing passes."""
        policy = planned_policy(self.ports, self.release).replay
        plan, ref = self.release.plan, self.release.ref
        assert plan is not None, "a release is judged after it was planned"
        if plan.blue_set is None or plan.blue_digest is None:
            return judge_replay([], policy, "there is no live version to compare with")
        try:
            requests = sampled(self.ports, ref, max(1, policy.pairs))
        except Refused as error:
            return judge_replay([], policy, error.message.rstrip("."))
        if len(requests) < policy.min_pairs:
            why = f"{len(requests)} requests of clients were sampled; {policy.min_pairs} are needed"
            return judge_replay([], policy, why)
        seconds = seconds_of_budget(self.ports, self.release, policy.max_seconds, None)
        limits = ReplayLimits(policy.concurrency, policy.max_tokens, max_seconds=seconds)
        pairs = self.replay(
            requests,
            arm(self.ports, ref, plan.green_set, plan.green_digest, CANDIDATE),
            arm(self.ports, ref, plan.blue_set, plan.blue_digest, LIVE),
            limits,
        )
        return judge_replay(pairs, policy)


def sampled(ports: Ports, ref: ServiceRef, limit: int) -> list[dict[str, Any]]:
    """The newest sampled requests of a service; none where nothing was ever sealed. Raises: Refused."""
    key = ports.secrets.get(capture_key_name(ref.org))
    return [] if key is None else open_requests(ports.ledger, Sealer(key), ref, limit)
