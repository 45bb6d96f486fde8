"""What is seen decides: unknown is never ready, ready needs a proof, and what is hopeless is ended."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import SetState
from tidegate.platforms.runpod.diagnosis import Action, Proof, Rules, Seen, count_starts, judge
from tidegate.platforms.runpod.marks import Marks, Wanted
from tidegate.platforms.runpod.replies import Worker, WorkerBounds

DIGEST, OTHER = "a" * 64, "b" * 64
WORDS = ("RUNNING", "IDLE", "INITIALIZING", "THROTTLED", "UNHEALTHY", "NOVEL")
RULES = Rules(init_timeout_s=100, throttled_timeout_s=50, crash_starts=4, lost_workers=4)


def marks(wanted: Wanted = Wanted.RUNNING, problem: str = "") -> Marks:
    return Marks("n", DIGEST, "r", wanted, 1, 2, problem=problem)


def seen(*words: str, wanted: Wanted = Wanted.RUNNING, **more: object) -> Seen:
    workers = tuple(Worker(id=f"w{index}", status=word) for index, word in enumerate(words))
    bounds = more.pop("bounds", WorkerBounds(min=1, max=2))
    return Seen(marks(wanted, "why"), bounds, workers, **more)  # pyright: ignore[reportArgumentType] - a test's shorthand


PROVEN = Proof(digest=DIGEST)


@pytest.mark.parametrize(
    ("what", "state", "action"),
    [
        (seen("IDLE", proof=PROVEN), SetState.READY, Action.NONE),
        (seen("RUNNING", "UNHEALTHY", proof=PROVEN), SetState.READY, Action.NONE),
        (seen("IDLE", proof=PROVEN, bounds=WorkerBounds(min=1, max=1)), SetState.READY, Action.REPAIR),
        (seen("IDLE", proof=Proof(digest=OTHER)), SetState.FAILED, Action.GIVE_UP),
        (seen("IDLE", proof=Proof(problem="503")), SetState.STARTING, Action.NONE),
        (seen("IDLE", proof=Proof(problem="503"), was_ready=True), SetState.DEGRADED, Action.NONE),
        (seen("IDLE", proof=Proof(problem="503"), trouble_s=101), SetState.FAILED, Action.GIVE_UP),
        (seen("INITIALIZING"), SetState.STARTING, Action.NONE),
        (seen("INITIALIZING", trouble_s=101), SetState.FAILED, Action.GIVE_UP),
        (seen("UNHEALTHY"), SetState.STARTING, Action.NONE),
        (seen("UNHEALTHY", container_starts=4), SetState.FAILED, Action.GIVE_UP),
        (seen("INITIALIZING", lost_workers=4), SetState.FAILED, Action.GIVE_UP),
        (seen(), SetState.PENDING, Action.NONE),
        (seen("THROTTLED"), SetState.PENDING, Action.NONE),
        (seen("THROTTLED", trouble_s=51), SetState.PENDING, Action.TAKE_BACK),
        (seen(trouble_s=51), SetState.PENDING, Action.TAKE_BACK),
        (seen("THROTTLED", trouble_s=51, was_ready=True), SetState.PENDING, Action.NONE),
        (seen("NOVEL"), SetState.UNKNOWN, Action.NONE),
        (seen(bounds=WorkerBounds(min=0, max=0)), SetState.DEGRADED, Action.REPAIR),
        (seen("IDLE", wanted=Wanted.STOPPED), SetState.STOPPING, Action.NONE),
        (seen(wanted=Wanted.STOPPED), SetState.STOPPED, Action.NONE),
        (seen("IDLE", wanted=Wanted.FAILED, proof=PROVEN), SetState.FAILED, Action.NONE),
    ],
)
def test_the_state_and_what_to_do_follow_from_what_is_seen(
    what: Seen, state: SetState, action: Action
) -> None:
    judgement = judge(what, RULES)

    assert (judgement.state, judgement.action) == (state, action)
    assert judgement.message or state in (SetState.READY, SetState.STOPPED, SetState.STOPPING)


def test_ready_is_said_only_of_a_current_serving_worker_with_the_right_proof() -> None:
    """Every mixture of up to two workers, stale or not, with every proof and every wish."""
    proofs = (None, PROVEN, Proof(digest=OTHER), Proof(problem="x"))
    each = [Worker(id="w", status=word, is_stale=stale) for word in WORDS for stale in (True, False)]
    for count in range(3):
        for workers in itertools.product(each, repeat=count):
            for proof, wanted in itertools.product(proofs, Wanted):
                what = Seen(marks(wanted), WorkerBounds(min=1, max=2), workers, proof=proof)
                is_ready = judge(what, RULES).state is SetState.READY
                serves = any(one.status in ("RUNNING", "IDLE") and not one.is_stale for one in workers)
                assert is_ready == (serves and proof == PROVEN and wanted is Wanted.RUNNING)


@given(
    st.lists(st.sampled_from(WORDS), max_size=4),
    st.sampled_from((None, PROVEN, Proof(digest=OTHER), Proof(problem="x"))),
    st.floats(0, 1000),
    st.booleans(),
    st.integers(0, 6),
    st.integers(0, 6),
    st.sampled_from(Wanted),
)
def test_nothing_that_serves_what_was_ordered_is_ever_ended(
    words: list[str],
    proof: Proof | None,
    trouble_s: float,
    was_ready: bool,
    starts: int,
    lost: int,
    wanted: Wanted,
) -> None:
    what = seen(
        *words,
        proof=proof,
        trouble_s=trouble_s,
        was_ready=was_ready,
        container_starts=starts,
        lost_workers=lost,
        wanted=wanted,
    )

    judgement = judge(what, RULES)

    if proof == PROVEN or wanted is not Wanted.RUNNING:
        assert judgement.action in (Action.NONE, Action.REPAIR)
    if judgement.action is Action.GIVE_UP:
        assert judgement.state is SetState.FAILED


def test_starts_are_counted_by_what_the_system_log_says() -> None:
    lines = ["pulling image x", "start container", "container exited with code 3", "Start container"]

    assert count_starts(lines) == 2


@given(st.text(), st.integers(0, 9), st.integers(0, 9), st.sampled_from(Wanted))
def test_marks_are_read_as_they_were_written(problem: str, low: int, high: int, wanted: Wanted) -> None:
    written = Marks("n", DIGEST, "r", wanted, low, high, problem=problem[:2000])

    environment = written.write({"OTHER": "kept", "TIDEGATE_PROBLEM": "old"})

    assert Marks.read(environment) == written
    assert environment["OTHER"] == "kept"


@pytest.mark.parametrize(
    "env",
    [{}, {"TIDEGATE_SET_NAME": "n"}, marks().write({}) | {"TIDEGATE_WANTED": "dancing"}],
)
def test_what_carries_no_whole_marks_is_not_ours(env: dict[str, str]) -> None:
    assert Marks.read(env) is None
