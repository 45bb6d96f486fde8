"""Requests of our own to the sets of a release, where clients send too little to judge."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from tidegate.benchmark import Arm, LoadPlan, RunRecord, measure
from tidegate.domain import Release
from tidegate.steps.performance import is_stopped
from tidegate.steps.ports import Ports
from tidegate.steps.targets import arm

ROUND_S = 1.0
"""Nobody looks at clients while a round lasts: harm, a death and a person's stop wait for its end."""
IN_TURN = 3
"""Requests to one set before it is the other one's turn: as many as one sign of a median is made of."""
PATIENCE_S = 10.0
"""A set that hangs keeps a round so long; the request counts as a stall."""
MAX_TOKENS = 8

Ask = Callable[[Sequence[Arm], LoadPlan], Mapping[str, RunRecord]]


def ask_now(arms: Sequence[Arm], plan: LoadPlan) -> Mapping[str, RunRecord]:
    return asyncio.run(measure(arms, plan))


class LiveProbes:
    """The same short streamed requests to each set in turn; gateways measure them apart from clients'."""

    def __init__(self, ports: Ports, *, ask: Ask = ask_now, clock: Callable[[], float] = time.monotonic):
        self._ports = ports
        self._ask = ask
        self._clock = clock
        self._turns = 0

    def send(self, release: Release, sets: Sequence[str], prompts: Sequence[str], count: int) -> int:
        """At most `count` to each set, and no turn begins after `ROUND_S` or after a stop.

        Returns how many of them the first set answered.
        """
        arms = [arm(self._ports, release.ref, name, release.digest, name) for name in sets]
        until = self._clock() + ROUND_S
        sent = answered = 0
        while sent < count and (sent == 0 or self._clock() < until) and not is_stopped(self._ports, release):
            turn = min(IN_TURN, count - sent)
            run = self._ask(arms, self._plan(prompts, turn))[sets[0]]
            answered += sum(request.is_ok for request in run.measured())
            sent += turn
        return answered

    def _plan(self, prompts: Sequence[str], turn: int) -> LoadPlan:
        self._turns += 1
        return LoadPlan(
            prompts=tuple(prompts),
            requests=turn,
            concurrency=turn,
            blocks=1,
            first_block=self._turns,
            max_tokens=MAX_TOKENS,
            warmup_requests=0,
            request_timeout_s=PATIENCE_S,
        )
