"""What a release does, as a person asks for it: in seven steps, not in the machine's eighteen states."""

from deployments.monitoring.grafana.expressions import BY_SERVICE, OF_SERVICE, highest, moment, named
from deployments.monitoring.grafana.panel import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
    Annotation,
    Column,
    Panel,
    Query,
    Texts,
)
from tidegate.domain import ReleaseState as State

STEPS: tuple[tuple[str, str, tuple[State, ...]], ...] = (
    ("prepares", GREY, (State.REQUESTED, State.PLANNED, State.VALIDATING, State.PROVISIONING, State.WARMING)),
    ("is judged", BLUE, (State.JUDGING,)),
    ("takes traffic", YELLOW, (State.SHIFTING, State.BAKING)),
    ("waits for a person", ORANGE, (State.AWAIT_APPROVAL, State.HOLD)),
    ("waits for room", PURPLE, (State.PARKED,)),
    ("goes back", RED, (State.ROLLING_BACK,)),
    ("ends", GREEN, (State.COMMITTING, State.RETIRING)),
)
TEXTS: Texts = {number: (name, color) for number, (name, color, _) in enumerate(STEPS, start=1)}

STEP = "\n+ ".join(
    f'{number} * max by ({BY_SERVICE}) (tidegate_release_state{{{OF_SERVICE}, state=~"{"|".join(states)}"}})'
    for number, (_, _, states) in enumerate(STEPS, start=1)
)
"""The number of the present step."""
TOWARDS = named(f"tidegate_release_info{{{OF_SERVICE}}}", "towards", "model", "version")
LIVE = named(f'tidegate_set_info{{{OF_SERVICE}, slot="stable"}}', "live", "model", "version")
NOW = f"tidegate_release_state{{{OF_SERVICE}}} == 1"
"""The present state, as a label."""
BEGAN = moment(highest("tidegate_release_started_timestamp_seconds"))
SINCE = moment(highest("tidegate_release_state_since_timestamp_seconds"))
CANDIDATE_SHARE = highest("tidegate_release_traffic_ratio", where=f'{OF_SERVICE}, slot="candidate"')

TOWARDS_COLUMN = Column("towards")
STEP_COLUMN = Column("Release", unit="none", texts=TEXTS, leads=("prefect",))
BEGAN_COLUMN = Column("Began", unit="dateTimeFromNow")
SHARE_COLUMN = Column("Candidate gets", unit="percentunit", steps=((0.0001, YELLOW),))

TIMELINE = Panel(
    "What the system is doing, service by service",
    "One lane for each service with an open release; an empty lane has none. Red is a way back, which takes seconds. "
    "Orange waits for a person: `tidegate approve ORG/SERVICE`.",
    (Query(STEP, "{{org}}/{{service}}"),),
    "none",
    look="states",
    width=24,
    height=6,
    texts=TEXTS,
    leads=("prefect", "release"),
    alerts=("ReleaseWaits", "RollbackStuck"),
    when_empty="No release was open in this time.",
)

ANNOTATIONS = (
    Annotation("Release began", BEGAN, "blue", "{{org}}/{{service}}", at_value=True),
    Annotation(
        "Release is now",
        moment(
            f"({NOW}) * on ({BY_SERVICE}) group_left () "
            f"max by ({BY_SERVICE}) (tidegate_release_state_since_timestamp_seconds)"
        ),
        "yellow",
        "{{org}}/{{service}}: {{state}}",
        at_value=True,
    ),
    Annotation(
        "Release went back",
        f'sum by ({BY_SERVICE}) (increase(tidegate_releases_total{{{OF_SERVICE}, outcome="rolled_back"}}[1m])) > 0',
        "red",
        "{{org}}/{{service}}: the old version has all traffic again",
    ),
    Annotation(
        "Release was promoted",
        f'sum by ({BY_SERVICE}) (increase(tidegate_releases_total{{{OF_SERVICE}, outcome="done"}}[1m])) > 0',
        "green",
        "{{org}}/{{service}}: the new version is live",
    ),
)
