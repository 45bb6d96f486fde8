"""The small worlds that together cover what may happen. Each is explored to its end."""

from tests.model.events import Configuration
from tests.model.state import NEW, OLD, OLDER, State
from tidegate.domain import Policy
from tidegate.domain.policy import ApprovalPolicy, DeadlinePolicy, LivePolicy, ShiftPolicy

SHIFT = ShiftPolicy(
    ladder=(10, 50, 100),
    look_s=1,
    min_requests=5,
    bake_s=1,
    step_deadline_s=100,
    drain_s=2,
)
DEADLINES = DeadlinePolicy(
    provision_s=100, warm_s=100, park_s=10_000, rollback_wait_s=100, hold_s=10_000, release_s=1_000_000
)
POLICY = Policy(shift=SHIFT, live=LivePolicy(when_thin="hold"), deadlines=DEADLINES)
TWO = State(recorded="-w---", sets="araaa")
"""`old` is live, nothing else is there."""
THREE = State(
    recorded="-ww--", sets="arraa", weights=(-1, 100, 0, -1, -1, 0), gateway=(-1, 100, 0, -1, -1, 0)
)
"""`older` is kept warm beside it."""
FIRST = State(
    recorded="-----",
    sets="aaaaa",
    weights=(-1, -1, -1, -1, -1, 0),
    gateway=(-1, -1, -1, -1, -1, 0),
    champion="",
    previous="",
)
FIVE = State(
    recorded="-ww-w",
    sets="arrar",
    weights=(-1, 100, 0, -1, 0, 0),
    gateway=(-1, 100, 0, -1, 0, 0),
)
"""Two earlier sets are kept warm; with what a release and a rollback make that is five."""
DEATHS = frozenset({"die:new", "die:old"})
SHORT = {"ladder": (50, 100)}


def policy(shift: dict[str, object] | None = None, **approval: object) -> Policy:
    return POLICY.model_copy(
        update={
            "shift": ShiftPolicy.model_validate(SHIFT.model_dump() | (shift or {})),
            "approval": ApprovalPolicy.model_validate({"wait_s": 10_000, "valid_s": 10_000} | approval),
        }
    )


CONFIGURATIONS = (
    Configuration("canary, two sets, deaths", TWO._replace(faults=2), POLICY, DEATHS | {"away"}),
    Configuration(
        "canary, three sets, stale owner",
        THREE._replace(faults=1, takeovers=2),
        policy({"keep_previous": 0, "strategy": "all_at_once"}),
        DEATHS,
        mortal=(NEW, OLD, OLDER),
    ),
    Configuration(
        "people",
        TWO._replace(faults=1),
        policy(SHORT),
        DEATHS | {"away"},
        frozenset({"abort", "approve"}),
        looks=("good", "harm", "unsure"),
    ),
    Configuration(
        "approvals everywhere",
        TWO._replace(faults=1),
        policy(SHORT, before_start=True, before_increase=True, before_commit=True),
        frozenset({"die:old", "deadline", "away"}),
        frozenset({"abort", "approve"}),
    ),
    Configuration(
        "capacity and money",
        TWO._replace(faults=2),
        policy({"strategy": "all_at_once"}),
        frozenset({"capacity", "spend", "deadline", "vanish:new", "away", "hang"}),
        frozenset({"abort"}),
    ),
    Configuration(
        "silent gateway, three sets",
        THREE._replace(faults=2),
        policy({"keep_previous": 0, "strategy": "all_at_once"}),
        frozenset({"silence", "die:new"}),
        has_streams=True,
        mortal=(NEW,),
    ),
    Configuration(
        "wrong files and restarts",
        TWO._replace(faults=2),
        policy({"strategy": "all_at_once"}),
        frozenset({"lie:new", "lie:old", "restart", "vanish:old", "stop:old"}),
        frozenset({"approve"}),
        looks=("good",),
    ),
    Configuration(
        "shadow, then canary",
        TWO._replace(faults=1),
        policy({"strategy": "shadow_then_canary", "ladder": (50, 100)}),
        DEATHS,
    ),
    Configuration(
        "shadow only", TWO._replace(faults=1), policy({"strategy": "shadow"}), DEATHS, frozenset({"abort"})
    ),
    Configuration(
        "rehearsal", TWO._replace(faults=2), policy({"strategy": "all_at_once", "rehearse": True}), DEATHS
    ),
    Configuration(
        "first release",
        FIRST._replace(faults=2, takeovers=1),
        policy({"ladder": (10, 100)}),
        frozenset({"die:new", "capacity"}),
        frozenset({"abort", "approve"}),
        mortal=(NEW,),
    ),
    Configuration(
        "a rollback after it",
        TWO._replace(faults=1, takeovers=1),
        policy({"strategy": "all_at_once"}),
        DEATHS | {"silence"},
        frozenset({"rollback"}),
    ),
)
