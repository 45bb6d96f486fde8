"""The plan before the release: it does nothing, and it is kept to the letter or the release is refused."""

import sqlite3

import pytest

from tidegate import steps
from tidegate.domain import LiveBatch, Plan, Refused, ReleaseState, Route, ServiceRef, SetSpec, Upstream
from tidegate.steps import standing
from tidegate.steps.plan_preview import Part, preview_markdown

ACME = ServiceRef("acme", "chat")
NOT_ASKED = (
    "attempts",
    "truncated",
    "empty",
    "malformed",
    "stalls",
    "stops",
    "ttft_p50",
    "itl_p50",
    "length",
)
POLICY = f"""
live: {{metrics: {{errors: 0.9, {", ".join(f"{name}: null" for name in NOT_ASKED)}}}}}
shift: {{ladder: [10, {{weight: 50, look_s: 5, min_requests: 20}}, 100], min_requests: 60, look_s: 30}}
"""


@pytest.fixture
def live(office):
    """finch:v0 serves; v1 is wanted."""
    office.register("acme", version="v0", digest="2")
    old = office.ledger.get_version("acme", "finch", "v0")
    office.ledger.set_alias(ACME, "champion", old, actor="ann", reason="first", epoch=0)
    spec = SetSpec(
        name="blue",
        org="acme",
        service="chat",
        release_id="r-old",
        digest=old.digest,
        artifact_path="/x",
        parallel=2,
    )
    office.ledger.record_set(spec, platform="fake", epoch=0, state="ready")
    upstream = Upstream(set_name="blue", host="h", port=1, digest=old.digest, release_id="r-old")
    office.ledger.put_route(
        Route(org="acme", service="chat", upstreams=(upstream,), weights={"blue": 100}), epoch=0
    )
    send(office, 1200)
    office.set_policy("acme", POLICY)
    office.ports = office.load()
    return old


def send(office, requests: int) -> None:
    """So many requests of clients, as a gateway measured them; and probes of our own, which nobody sent."""
    for number, is_probe in ((requests, False), (999, True)):
        office.ledger.record_live(
            [
                LiveBatch(
                    gateway="g",
                    org="acme",
                    service="chat",
                    set_name="blue",
                    started_at=office.now,
                    ended_at=office.now,
                    requests=number,
                    is_probe=is_probe,
                )
            ]
        )


def contents(office) -> list[str]:
    with sqlite3.connect(office.folder / "ledger.sqlite3") as connection:
        found = list(connection.iterdump())
    connection.close()
    return found


def test_a_plan_changes_neither_ledger_nor_platform(office, live):
    before = contents(office)
    asked = list(office.platform.asked)
    found = steps.preview(office.ports, office.request("acme"))
    assert contents(office) == before
    assert office.platform.asked == asked
    assert office.ledger.list_releases() == []
    preview_markdown(found)
    assert found.as_data()["plan_digest"] == found.digest


def test_a_plan_tells_prices_samples_time_and_what_it_replaces(office, live):
    found = steps.preview(office.ports, office.request("acme"))
    assert (found.plan.blue_set, found.plan.blue_version) == ("blue", "finch:v0")
    assert (found.price_per_hour_usd, found.plan.estimated_usd) == (1.0, 1.0)
    # 1200 requests in five minutes.
    assert found.requests_per_second == 4.0
    parts = {part.name: part for part in found.parts}
    # 60 requests at 10 % of 4 a second take 150 s; 20 at 50 % take 10 s; 60 at 100 % are there before the look is over.
    assert parts["step.10"] == Part("step.10", 60, 150.0)
    assert parts["step.50"] == Part("step.50", 20, 10.0)
    assert parts["step.100"] == Part("step.100", 60, 30.0)
    assert parts["total"].seconds == 150 + 10 + 30 + parts["bake"].seconds
    changes = {one.name: (one.now, one.then) for one in found.differences}
    assert changes["version"] == ("finch:v0", "finch:v1")
    assert changes["parallel"] == ("2", "4")
    told = preview_markdown(found)
    assert "| step.10 | 60 | 150 |" in told
    assert "| version | finch:v0 | finch:v1 |" in told


def test_where_nobody_sends_requests_the_plan_says_what_the_policy_does(office):
    office.set_policy(
        "acme", "live: {when_thin: hold}\nshift: {step_deadline_s: 100, look_s: 5, ladder: [100]}\n"
    )
    office.ports = office.load()
    parts = {part.name: part.seconds for part in steps.preview(office.ports, office.request("acme")).parts}
    assert parts["step.100"] == 105.0


def test_a_plan_says_what_stands_in_its_way(office, live):
    office.ledger.quarantine("acme", "1" * 64, reason="leaks", release_id="r-9")
    standing.set_hold(office.ports, ACME, "lin", "prices are wrong")
    by_hand = steps.preview(office.ports, office.request("acme")).notes
    assert by_hand[0] == "this version is quarantined (leaks); it is refused without an override"
    assert by_hand[1] == "acme/chat is held by lin (prices are wrong); a release by hand goes on"
    by_itself = steps.preview(office.ports, office.request("acme", trigger="nightly")).notes
    assert by_itself[1].endswith("it is refused")


def test_a_release_that_is_given_the_digest_is_carried_out_with_that_plan(office, live):
    told = steps.preview(office.ports, office.request("acme"))
    release = office.release("acme", plan_digest=told.digest)
    planned = plan(office, release.id)
    assert planned.promise == told.plan.promise
    assert planned.expected == told.plan.expected
    assert planned.green_set != told.plan.green_set
    # A run that is started again finds its own plan, whatever the world looks like by then.
    office.platform.price = 9.0
    assert office.release("acme", plan_digest=told.digest).id == release.id


def plan(office, release_id: str) -> Plan:
    """As the controller makes it, and no further."""
    controller = office.ports.controller(ACME)
    controller.take_over(release_id)
    controller.drive(release_id, frozenset({ReleaseState.REQUESTED}))
    found = office.ledger.get_release(release_id)
    assert found.state is ReleaseState.PLANNED, found.reason
    return found.plan


def test_another_price_ladder_or_live_set_is_refused_by_name_and_nothing_is_recorded(office, live):
    told = steps.preview(office.ports, office.request("acme")).digest
    office.platform.price = 2.0
    office.set_policy("acme", "shift: {ladder: [5, 100]}\n")
    office.ports = office.load()
    with pytest.raises(Refused) as caught:
        office.release("acme", plan_digest=told)
    assert caught.value.context["differs"] == "estimated_usd, ladder, policy_digest"
    assert "ladder is now 5, 100" in caught.value.message
    assert "estimated_usd is now 2.0" in caught.value.message
    assert office.ledger.list_releases() == []


def test_what_changes_between_the_wish_and_the_plan_rejects_the_release_and_names_it(office, live):
    told = steps.preview(office.ports, office.request("acme")).digest
    release = office.release("acme", plan_digest=told)
    office.platform.price = 2.0
    controller = office.ports.controller(ACME)
    controller.take_over(release.id)
    controller.drive(release.id, frozenset({ReleaseState.REQUESTED}))
    found = office.ledger.get_release(release.id)
    assert found.state is ReleaseState.REJECTED
    assert found.reason == "the plan is not the one that was told: estimated_usd is now 2.0"
    assert found.plan is None
    assert office.ledger.get_route(ACME).weights == {"blue": 100}


def test_forecasts_bind_nobody(office, live):
    told = steps.preview(office.ports, office.request("acme")).digest
    office.pass_time(seconds=1)
    send(office, 9000)
    assert office.release("acme", plan_digest=told).id


def test_a_release_under_way_with_another_plan_is_not_taken_for_the_one_that_was_told(office, live):
    told = steps.preview(office.ports, office.request("acme")).digest
    office.platform.price = 2.0
    first = office.release("acme")
    plan(office, first.id)
    office.platform.price = 1.0
    with pytest.raises(Refused, match="estimated_usd"):
        office.release("acme", plan_digest=told)
