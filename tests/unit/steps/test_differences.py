"""Intended, reported, observed: what differs, and what repairs it. No clock, no ledger, no process."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain import GatewayStatus, Route, ServiceRef, SetState, SetStatus, Upstream
from tidegate.steps.differences import Intended, Observed, Repair, compare, held_by, silent_gateways

REF = ServiceRef("acme", "chat")
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DIGESTS = {"a": "1" * 64, "b": "2" * 64, "c": "3" * 64}


def upstream(name: str) -> Upstream:
    return Upstream(set_name=name, host="h", port=1, digest=DIGESTS[name], release_id="r")


def route(weights: dict[str, int], generation: int = 7) -> Route:
    return Route(
        org="acme", service="chat", generation=generation, weights=weights,
        upstreams=tuple(upstream(name) for name in weights), published_at=NOW - timedelta(minutes=1),
    )  # fmt: skip


def intended(weights: dict[str, int] | None = None, **changes: object) -> Intended:
    wanted = {"a": 100, "b": 0} if weights is None else weights
    values: dict = {
        "ref": REF, "epoch": 3, "route": route(wanted), "live_set": "a", "live_digest": DIGESTS["a"],
        "champion_digest": DIGESTS["a"], "sets": {name: (DIGESTS[name], "wanted") for name in wanted},
    } | changes  # fmt: skip
    return Intended(**values)


def ready(name: str, **changes: object) -> SetStatus:
    values: dict = {"name": name, "state": SetState.READY, "digest": DIGESTS[name], "host": "h", "port": 1}
    return SetStatus(**(values | changes))


def observed(*statuses: SetStatus, lying: dict[str, str] | None = None) -> Observed:
    found = {"a": ready("a"), "b": ready("b")} | {one.name: one for one in statuses}
    return Observed(now=NOW, sets=found, lying=lying or {})


def gateway(name: str = "g1", age_s: float = 0.0, **changes: object) -> GatewayStatus:
    values: dict = {
        "gateway": name,
        "observed_generation": 7,
        "seen_at": NOW - timedelta(seconds=age_s),
        "routed_sets": ("a", "b"),
    } | changes
    return GatewayStatus(**values)


def repairs(*found: object) -> dict[str, Repair]:
    return {one.kind: one.repair for one in found}  # type: ignore[attr-defined]


def test_what_is_as_it_should_be_differs_in_nothing():
    assert compare(intended(), [gateway()], observed()) == ()


def test_weights_that_no_release_left_behind_are_put_back():
    found = compare(intended({"a": 40, "b": 60}), [gateway()], observed())
    assert repairs(*found) == {"weights.drift": Repair.WEIGHTS}


def test_weights_are_not_put_on_a_set_that_is_not_ready_or_that_lies():
    wrong = intended({"a": 40, "b": 60})
    for seen in (observed(ready("a", state=SetState.STARTING)), observed(lying={"a": "another file"})):
        found = {one.kind: one for one in compare(wrong, [gateway()], seen)}
        assert (found["weights.drift"].repair, found["weights.drift"].needs_person) == (Repair.NONE, True)


def test_an_alias_that_names_another_version_than_serves_is_moved():
    found = compare(intended(champion_digest=DIGESTS["b"]), [gateway()], observed())
    assert repairs(*found) == {"alias.drift": Repair.ALIAS}


def test_a_lost_set_is_started_and_one_that_cannot_be_asked_is_left_alone():
    lost = compare(intended(), [gateway()], observed(ready("b", state=SetState.FAILED)))
    assert repairs(*lost) == {"set.lost": Repair.START}
    unasked = Observed(now=NOW, sets={"a": ready("a")})
    assert compare(intended(), [gateway()], unasked) == ()


def test_a_live_set_that_serves_another_file_is_rolled_back_and_a_spare_one_is_only_told():
    live = compare(intended(), [gateway()], observed(ready("a", digest=DIGESTS["c"])))
    assert repairs(*live) == {"set.identity": Repair.ROLL_BACK}
    spare = compare(intended(), [gateway()], observed(lying={"b": "another file"}))
    assert repairs(*spare) == {"set.identity": Repair.NONE}


def test_a_set_that_nothing_needs_goes_in_two_looks():
    sets = {"a": (DIGESTS["a"], "wanted"), "c": (DIGESTS["c"], "wanted")}
    first = compare(intended({"a": 100}, sets=sets), [gateway(routed_sets=("a",))], observed())
    assert repairs(*first) == {"set.unused": Repair.LEAVE}
    second = compare(
        intended({"a": 100}, sets=sets | {"c": (DIGESTS["c"], "left")}),
        [gateway(routed_sets=("a",))],
        observed(),
    )
    assert repairs(*second) == {"set.left": Repair.DELETE}


@given(age_s=st.floats(0, 10_000), state=st.sampled_from(["serving", "stopped"]))
@settings(max_examples=50, deadline=None)
def test_a_left_set_is_deleted_only_when_no_gateway_may_still_send_to_it(age_s: float, state: str):
    sets = {"a": (DIGESTS["a"], "wanted"), "c": (DIGESTS["c"], "left")}
    holder = gateway("g2", age_s, state=state, routed_sets=("a", "c"))
    found = compare(intended({"a": 100}, sets=sets), [gateway(routed_sets=("a",)), holder], observed())
    left = next(one for one in found if one.kind == "set.left")
    assert (left.repair is Repair.DELETE) == (state == "stopped")
    assert held_by("c", [holder]) == ([] if state == "stopped" else ["g2"])


def test_while_a_release_is_under_way_its_owner_moves_everything_else():
    busy = intended({"a": 40, "b": 60}, busy="r-1", champion_digest=DIGESTS["b"])
    assert compare(busy, [gateway()], observed(ready("b", state=SetState.FAILED))) == ()
    moved = compare(busy, [gateway()], observed(ready("b", port=2)))
    assert repairs(*moved) == {"set.address": Repair.READDRESS}


def test_a_lost_set_is_started_while_a_release_waits_that_has_none_beside_it_and_nothing_else_is_moved():
    waits = intended({"a": 100, "b": 0}, busy="r-1", is_tended=False, champion_digest=DIGESTS["b"])
    gone = observed(ready("a", state=SetState.ABSENT), ready("b", state=SetState.FAILED))
    found = compare(waits, [gateway()], gone)
    assert [(one.repair, one.set_name) for one in found] == [(Repair.START, "a")]


def test_a_gateway_that_speaks_and_has_older_weights_is_told_and_a_silent_one_is_told_apart():
    behind = compare(intended(), [gateway(observed_generation=6)], observed())
    assert [one.kind for one in behind] == ["gateway.weights"]
    assert compare(intended(), [gateway(observed_generation=6, age_s=60)], observed()) == ()
    silent = silent_gateways([gateway(age_s=60), gateway("g2"), gateway("g3", 60, state="stopped")], NOW)
    assert [one.subject for one in silent] == ["g1"]


SETS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["wanted", "left"]), min_size=1)
STATES = st.dictionaries(st.sampled_from("abc"), st.sampled_from(list(SetState)))


@given(
    recorded=SETS, states=STATES, live=st.sampled_from([*"abc", None]), share=st.integers(0, 100),
    champion=st.sampled_from("abc"), lying=st.sets(st.sampled_from("abc")), busy=st.booleans(),
    silent=st.booleans(),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_no_repair_ever_takes_traffic_from_a_ready_set_or_removes_one_that_is_routed(
    recorded, states, live, share, champion, lying, busy, silent
):
    names = sorted(recorded)[:2]
    weights = {names[0]: 100} if len(names) == 1 else {names[0]: share, names[1]: 100 - share}
    wanted = intended(
        weights,
        live_set=live,
        live_digest=DIGESTS[live] if live else None,
        champion_digest=DIGESTS[champion],
        sets={name: (DIGESTS[name], state) for name, state in recorded.items()},
        busy="r" if busy else None,
    )
    seen = Observed(
        now=NOW,
        sets={name: ready(name, state=state) for name, state in states.items()},
        lying=dict.fromkeys(lying, "x"),
    )
    reported = [gateway(routed_sets=tuple(weights), age_s=60 if silent else 0)]
    for one in compare(wanted, reported, seen):
        if one.repair in (Repair.LEAVE, Repair.DELETE):
            assert one.set_name not in weights
            assert not busy
        if one.repair is Repair.WEIGHTS:
            assert seen.sets[one.set_name].is_ready
            assert one.set_name not in lying
        if busy:
            assert one.repair in (Repair.NONE, Repair.READDRESS)
