"""Requests of our own to the sets of a release, where clients send too little to judge."""

import asyncio
import time
from collections.abc import Callable, Sequence

from tidegate.benchmark import Arm, LoadPlan, Outcome
from tidegate.benchmark.bodies import body_of
from tidegate.benchmark.schedule import PlannedRequest, draw_schedule
from tidegate.benchmark.traffic import judged
from tidegate.benchmark.wire import Wire, open_wire
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


def open_to_gateway() -> Wire:
    return open_wire(keep_alive=True)


class LiveProbes:
    """The same short streamed requests to each set in turn. Gateways measure them, apart from clients'; here nothing is."""

    def __init__(
        self,
        ports: Ports,
        *,
        open_to: Callable[[], Wire] = open_to_gateway,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._ports = ports
        self._open_to = open_to
        self._clock = clock
        self._rounds = 0

    def send(self, release: Release, sets: Sequence[str], prompts: Sequence[str], count: int) -> int:
        """At most `count` to each set, and no turn begins after `ROUND_S` or after a stop.

        Returns how many of them the first set answered.
        """
        self._rounds += 1
        arms = [arm(self._ports, release.ref, name, release.digest, name) for name in sets]
        plan = LoadPlan(
            prompts=tuple(prompts),
            requests=count,
            blocks=1,
            first_block=self._rounds,
            max_tokens=MAX_TOKENS,
            warmup_requests=0,
        )
        return asyncio.run(self._round(release, arms, plan))

    async def _round(self, release: Release, arms: Sequence[Arm], plan: LoadPlan) -> int:
        requests = tuple(draw_schedule(plan).measured)
        until = self._clock() + ROUND_S
        answered = 0
        async with self._open_to() as wire:
            for begin in range(0, len(requests), IN_TURN):
                if (begin > 0 and self._clock() >= until) or is_stopped(self._ports, release):
                    break
                turn = requests[begin : begin + IN_TURN]
                for place, one in enumerate(arms):
                    ok = await asyncio.gather(*(_is_answered(wire, plan, one, request) for request in turn))
                    answered += sum(ok) if place == 0 else 0
        return answered


async def _is_answered(wire: Wire, plan: LoadPlan, one: Arm, request: PlannedRequest) -> bool:
    body = body_of(plan, one, request)
    done = await wire.post(one.url_of(plan.endpoint), one.request_headers, body, PATIENCE_S)
    return judged(done, is_stream=plan.stream).outcome is Outcome.OK
