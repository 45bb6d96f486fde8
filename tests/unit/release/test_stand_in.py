"""Which set answers while the only one with traffic cannot: a proven one, and never what was rolled back."""

from typing import Literal

from world import World

from tidegate.domain import Gate, Plan, ReleaseState, Upstream, Verdict
from tidegate.release.step import PutWeights
from tidegate.release.weights import stand_in_of

OLD, NEW, OLDER = "a" * 64, "b" * 64, "c" * 64


def plan(kind: Literal["release", "rollback"]) -> Plan:
    return Plan(
        kind=kind,
        green_set="green",
        green_digest=NEW,
        blue_set="blue",
        blue_digest=OLD,
        blue_version="pipit:v1",
        ladder=(100,),
        gates=(),
        policy_digest="p",
    )


def stand_in(
    weights: dict[str, int],
    *,
    kind: Literal["release", "rollback"] = "release",
    forbidden: str = "",
    older: str = OLDER,
) -> str | None:
    digests = {"green": NEW, "blue": OLD, "older": older}
    upstreams = [
        Upstream(set_name=name, host="h", port=1, digest=digests[name], release_id="r") for name in weights
    ]
    return stand_in_of(plan(kind), upstreams, weights, lambda digest: digest == forbidden)


def test_the_old_set_stands_in_for_the_new_one_before_any_older_set() -> None:
    assert stand_in({"older": 0, "green": 100, "blue": 0}) == "blue"


def test_an_older_set_stands_in_for_the_live_one_while_a_new_one_is_judged_and_after_it_was_rolled_back() -> (
    None
):
    assert stand_in({"older": 0, "green": 0, "blue": 100}) == "older"
    assert stand_in({"older": 0, "blue": 100}) == "older"


def test_a_new_set_without_traffic_is_not_proven() -> None:
    assert stand_in({"green": 0, "blue": 100}) is None


def test_what_a_rollback_leaves_never_stands_in_whichever_set_has_that_file() -> None:
    assert stand_in({"green": 100, "blue": 0}, kind="rollback") is None
    assert stand_in({"green": 100, "blue": 0, "older": 0}, kind="rollback", older=OLD) is None
    assert stand_in({"green": 100, "blue": 0, "older": 0}, kind="rollback") == "older"
    assert stand_in({"blue": 100, "older": 0}, older=NEW) is None


def test_a_file_in_quarantine_never_stands_in() -> None:
    assert stand_in({"older": 0, "blue": 100}, forbidden=OLDER) is None
    assert stand_in({"older": 0, "green": 100, "blue": 0}, forbidden=OLD) == "older"


def test_sets_that_share_the_traffic_stand_in_for_each_other() -> None:
    assert stand_in({"older": 0, "green": 10, "blue": 90}) is None
    assert stand_in({"green": 0, "blue": 0}) is None


def world_with(*versions: str) -> World:
    world = World()
    for version in versions:
        world.add_version(version, version.removeprefix("v") * 64)
    return world


def stands_in(world: World) -> str:
    """The version that the stand-in of the route serves; empty without one."""
    assert world.route is not None
    found = next((one for one in world.route.upstreams if one.set_name == world.route.stand_in), None)
    return next(v.version for v in world.versions if v.digest == found.digest) if found else ""


def test_the_set_before_the_live_one_stands_in_all_through_a_release_that_is_rolled_back() -> None:
    world = world_with("v1", "v2", "v3")
    world.release("v1")
    world.release("v2")
    assert stands_in(world) == "v1"
    world.verdicts = {Gate.QUALITY: [Verdict.FAIL]}
    seen: list[str] = []

    def look(release: object, step: object) -> None:
        if isinstance(step, PutWeights):
            seen.append(stands_in(world))

    over = world.release("v3", on_step=look)

    assert over.state is ReleaseState.ROLLED_BACK
    assert set(seen) == {"v1"}
    assert stands_in(world) == "v1"


def test_after_a_rollback_that_a_person_wanted_the_version_that_was_left_never_stands_in() -> None:
    world = world_with("v1", "v2", "v3")
    world.release("v1")
    world.release("v2")
    world.release("v1", trigger="rollback")
    assert world.serving() == {"v1": 100}
    assert stands_in(world) == ""
    seen: list[str] = []

    world.release("v3", on_step=lambda release, step: seen.append(stands_in(world)))

    assert "v2" not in seen
    assert stands_in(world) == "v1"
