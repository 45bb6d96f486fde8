"""Larger worlds than can be explored: five sets, the whole ladder, every fault, killed and partitioned at random.

`TIDEGATE_MODEL_WALKS=5000` walks longer than the suite does.
"""

import os
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.configurations import FIVE, policy
from tests.model.events import Configuration
from tests.model.explorer import Broken, Explorer
from tests.model.state import NEW, OLD, OLDER, State, describe

WALKS = int(os.environ.get("TIDEGATE_MODEL_WALKS", "40"))
STEPS = 300
FAULTS = frozenset(
    f"{fault}:{word}" for fault in ("die", "vanish", "stop", "lie") for word in ("new", "old", "older")
) | {"hang", "restart", "capacity", "silence", "spend", "deadline", "away"}
SHIFT = {
    "ladder": (5, 10, 25, 50, 100),
    "keep_previous": 1,
    "rehearse": True,
    "strategy": "shadow_then_canary",
}
WORLD = Configuration(
    "large",
    FIVE._replace(faults=12, takeovers=4),
    policy(SHIFT, before_increase=True, before_commit=True),
    FAULTS,
    frozenset({"abort", "approve", "rollback"}),
    looks=("good", "harm", "unsure"),
    has_streams=True,
    mortal=(NEW, OLD, OLDER),
)
EXPLORER = Explorer(WORLD)
"""One for all walks: it remembers answers of `decide`, and nothing else."""
LIKELY = {
    "a person stops": 0.01,
    "the release's deadline": 0.01,
    "the cap": 0.01,
    "nobody drives": 0.02,
    "live traffic looks good": 20.0,
    "live traffic looks": 0.1,
    "a person approves": 20.0,
    "the evidence changes": 0.1,
    "the gateway confirms": 20.0,
    "streams end": 5.0,
    "owner runs": 20.0,
    "owner": 20.0,
    "the owner dies": 1.0,
    "another owner": 0.3,
    "time passes": 1.0,
}
"""How likely what begins so is, against a fault of a set or a gateway (see `FAULT`)."""
FAULT = (0.001, 0.05)
"""Of a quiet walk, which comes far, and of a wild one."""


def likelihood(label: str, fault: float) -> float:
    if label.startswith("owner runs") and not label.endswith("pass"):
        return 10 * fault
    if label.endswith("gets ready"):
        return 10.0
    return next((weight for start, weight in LIKELY.items() if label.startswith(start)), fault)


def walk(seed: int) -> tuple[State, list[str]]:
    """A run in which what brings a release on is likelier than a fault, so that it also comes far."""
    chance = random.Random(seed)
    fault = chance.choice(FAULT)
    state, lines = WORLD.start, []
    for _ in range(STEPS):
        try:
            moves = list(EXPLORER.moves(state))
        except Broken as found:
            raise AssertionError("\n".join([*lines, f"{found.label}: {found.broken}"])) from found
        if not moves:
            break
        label, state = chance.choices(moves, [likelihood(text, fault) for text, _ in moves])[0]
        lines.append(f"{label}  {describe(state)}")
    return state, lines


@settings(max_examples=WALKS, deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_a_release_that_is_killed_and_partitioned_at_random_keeps_every_property_and_ends(seed: int) -> None:
    state, lines = walk(seed)
    for _ in range(400):
        try:
            label, after = EXPLORER.calm(state)
        except Broken as found:
            raise AssertionError("\n".join([*lines, f"{found.label}: {found.broken}"])) from found
        if after is None:
            assert not label, "\n".join([*lines, label])
            return
        lines.append(f"calm: {label}  {describe(after)}")
        state = after
    needs_world = state.state in ("retiring", "rolling_back", "hold")
    assert needs_world, "\n".join([*lines, "it goes on for ever"])


def test_the_walks_come_far() -> None:
    ends = {walk(seed)[0].state for seed in range(60)}
    assert {"done", "rolled_back"} <= ends
