"""Where a rollback goes and what asking does: real ledger and organizations, no set and no gateway."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.domain import (
    GatewayStatus,
    NotFound,
    Plan,
    Refused,
    Release,
    ReleaseRequest,
    ReleaseState,
    ServiceRef,
    SetSpec,
    Verdict,
)
from tidegate.steps import RollbackManager
from tidegate.steps.alerts import AlertGroup, receive
from tidegate.steps.rollback_manager import Begun
from tidegate.steps.rollback_target import Target
from tidegate.steps.rollback_times import phases_of
from tidegate.steps.traffic_watch import arrival

ACME = ServiceRef("acme", "chat")
NOW = datetime(2026, 11, 26, 2, tzinfo=UTC)
OLDEST, OLD, NEW = "0" * 64, "2" * 64, "1" * 64


@pytest.fixture
def manager(office: Any) -> RollbackManager:
    """w0, then w1 and then v1 was champion; w1 is the previous one."""
    for version, digest in (("w0", "0"), ("w1", "2"), ("v1", "1")):
        office.register("acme", version=version, digest=digest)
        known = office.ledger.get_version("acme", "finch", version)
        office.ledger.set_alias(ACME, "champion", known, actor="t", reason="t", epoch=0)
    old = office.ledger.get_version("acme", "finch", "w1")
    office.ledger.set_alias(ACME, "previous", old, actor="t", reason="t", epoch=0)
    office.now = NOW + timedelta(hours=1)
    return RollbackManager(office.ports)


def begin(manager: RollbackManager, **wish: Any) -> Any:
    return manager.begin(ACME, **({"actor": "root", "reason": "wrong prices"} | wish))


def under_way(office: Any, state: ReleaseState, *, blue: str | None = OLD) -> Release:
    office.register("acme", version="v9", digest="9")
    release = office.release("acme", version="v9")
    epoch = office.ledger.acquire_lock(ACME, release.id) or 0
    plan = Plan(
        green_set="green", green_digest="9" * 64, blue_set="blue" if blue else None, blue_digest=blue,
        blue_version="finch:w1", ladder=(100,), gates=(), policy_digest="p",
    )  # fmt: skip
    office.ledger.append(release.id, epoch, "entered", state.value, {}, plan=plan)
    return office.ledger.get_release(release.id)


def end(office: Any, release: Release, state: ReleaseState) -> None:
    epoch = office.ledger.acquire_lock(ACME, release.id) or 0
    office.ledger.append(release.id, epoch, "entered", state.value, {})
    office.ledger.release_lock(ACME, release.id, epoch)


def test_it_goes_to_the_recorded_previous_version_and_holds_the_service(office, manager):
    begun = begin(manager)
    assert (begun.target.way, begun.target.digest, begun.release.digest) == ("release", OLD, OLD)
    assert "wrong prices" in office.ledger.hold_of(ACME).reason


def test_a_quarantined_previous_version_is_passed_over_for_the_newest_sound_one(office, manager):
    office.ledger.quarantine("acme", OLD, reason="answers in French", release_id="r")
    assert begin(manager).target.digest == OLDEST
    assert office.ledger.quarantine_reason("acme", OLD)


def test_nothing_sound_to_go_back_to_is_refused_and_changes_nothing(office, manager):
    for digest in (OLD, OLDEST):
        office.ledger.quarantine("acme", digest, reason="bad", release_id="r")
    with pytest.raises(Refused, match="quarantined"):
        begin(manager)
    assert office.ledger.hold_of(ACME) is None
    assert office.ledger.list_releases(ref=ACME) == []


def test_a_release_under_way_is_stopped_and_its_own_old_set_is_the_target(office, manager):
    release = under_way(office, ReleaseState.SHIFTING)
    begun = begin(manager)
    assert (begun.target.way, begun.target.digest, begun.release.id) == ("stop", OLD, release.id)
    assert [entry.kind for entry in office.ledger.entries(release.id)].count("abort") == 1


def test_while_it_is_being_recorded_the_target_is_what_served_before_it_not_the_alias(office, manager):
    """The alias `previous` may still name the version before that one."""
    under_way(office, ReleaseState.COMMITTING, blue=OLDEST)
    begun = begin(manager)
    assert (begun.target.way, begun.release.digest) == ("release", OLDEST)


def test_asked_twice_while_it_runs_it_is_one_rollback(office, manager):
    first, second = begin(manager), begin(manager)
    assert second.target.way == "join"
    assert first.release.id == second.release.id


def test_asked_again_just_after_it_went_back_nothing_goes_a_version_further(office, manager):
    release = under_way(office, ReleaseState.SHIFTING)
    begin(manager)
    end(office, release, ReleaseState.ROLLED_BACK)
    again = begin(manager)
    assert (again.target.way, again.release.id) == ("none", release.id)
    assert begin(manager, to=OLD).target.way == "release", "by name it may go further at once"


def test_the_same_token_is_the_same_rollback_also_after_it_is_over(office, manager):
    first = begin(manager, token="t-1")
    end(office, first.release, ReleaseState.DONE)
    office.now += timedelta(days=1)
    again = begin(manager, token="t-1")
    assert (again.target.way, again.release.id) == ("none", first.release.id)
    assert len(office.ledger.list_releases(ref=ACME)) == 1


def test_a_version_that_serves_nobody_is_not_left(office, manager):
    assert begin(manager, leaving="7" * 64).target.way == "none"
    assert office.ledger.hold_of(ACME) is None


def test_what_a_release_replaces_may_be_the_bad_version_and_is_not_gone_back_to(office, manager):
    release = under_way(office, ReleaseState.SHIFTING, blue=NEW)
    begun = begin(manager, leaving=NEW)
    assert (begun.target.way, begun.target.digest) == ("stop_and_release", OLD)
    assert begun.release.digest == OLD
    assert [entry.kind for entry in office.ledger.entries(release.id)].count("abort") == 1


def test_where_nothing_sound_served_before_the_bad_version_the_release_that_replaces_it_goes_on(
    office, manager
):
    release = under_way(office, ReleaseState.SHIFTING, blue=NEW)
    for digest in (OLD, OLDEST):
        office.ledger.quarantine("acme", digest, reason="bad", release_id="r")
    begun = begin(manager, leaving=NEW)
    assert (begun.target.way, begun.release.id) == ("none", release.id)
    assert "abort" not in [entry.kind for entry in office.ledger.entries(release.id)]


def test_a_version_that_a_release_has_just_replaced_needs_no_leaving(office, manager):
    under_way(office, ReleaseState.COMMITTING, blue=NEW)
    assert begin(manager, leaving=NEW).target.way == "none"


def test_the_way_back_goes_before_a_release_that_waited_longer(office, manager):
    holder = under_way(office, ReleaseState.SHIFTING, blue=NEW)
    office.register("acme", version="v8", digest="8")
    waiting = office.release("acme", version="v8")
    begun = begin(manager, to=OLD)
    assert begun.target.way == "stop_and_release"
    end(office, holder, ReleaseState.ROLLED_BACK)
    assert office.ledger.acquire_lock(ACME, waiting.id) is None
    assert office.ledger.active_release(ACME).id == begun.release.id
    assert begin(manager).target.way == "join", "asked again, it is the same rollback"
    assert office.ledger.acquire_lock(ACME, begun.release.id)
    end(office, begun.release, ReleaseState.DONE)
    assert office.ledger.acquire_lock(ACME, waiting.id)


def test_a_release_that_took_the_service_while_the_wish_was_recorded_is_stopped(office, manager):
    """It was not there yet when the rollback looked what to stop, and has the service when it is driven."""
    late = under_way(office, ReleaseState.SHIFTING, blue=NEW)
    office.ledger.heartbeat(late.id, "its owner", late.epoch)
    request = ReleaseRequest(
        org="acme", service="chat", model="finch", version="w1", requested_by="root", trigger="rollback"
    )
    release = office.ledger.request_release(request, OLD, key="k")
    begun = Begun(Target("release", OLD, "finch:w1", "as seen before", release=None), release, "manual")

    def goes_back(_seconds: float) -> None:
        stopped = [one for one in office.ledger.entries(late.id) if one.kind == "abort"]
        assert [one.data["actor"] for one in stopped] == ["root"]
        if not office.ledger.get_release(late.id).is_over:
            end(office, late, ReleaseState.ROLLED_BACK)
        elif not office.ledger.get_release(release.id).is_over:
            end(office, release, ReleaseState.DONE)

    office.ledger.heartbeat(release.id, "somebody else")
    outcome = RollbackManager(office.ports, sleep=goes_back).carry_out(ACME, begun)
    assert outcome.state == "done"


def test_an_unknown_target_is_named(office, manager):
    with pytest.raises(NotFound) as told:
        begin(manager, to="7" * 64)
    assert told.value.context["field"] == "to"


def test_the_check_tells_each_precondition_and_changes_nothing(office, manager):
    for name, digest in (("green", NEW), ("blue", OLD)):
        spec = SetSpec(
            name=f"acme--chat--{digest[:10]}-{name}", org="acme", service="chat", release_id="r",
            digest=digest, artifact_path="/x",
        )  # fmt: skip
        office.ledger.record_set(spec, platform="fake", epoch=0, state="wanted")
    before = office.ledger.alias_history(ACME)
    report = manager.verify_rollback_safety(ACME)
    verdicts = {one.name: one.verdict for one in report.preconditions}
    assert verdicts["target.ready"] is verdicts["target.identity"] is Verdict.PASS
    assert verdicts["gateways.alive"] is Verdict.FAIL
    assert not report.is_safe
    office.ledger.report_gateway(GatewayStatus(gateway="g", observed_generation=9, seen_at=office.now))
    report = manager.verify_rollback_safety(ACME)
    assert report.is_safe
    assert report.is_warm
    assert office.ledger.alias_history(ACME) == before
    assert office.ledger.list_releases(ref=ACME) == []


def test_what_must_be_started_is_read_from_the_store_first(manager):
    report = manager.verify_rollback_safety(ACME)
    verdicts = {one.name: one.verdict for one in report.preconditions}
    assert verdicts["target.ready"] is Verdict.NOT_JUDGED
    assert verdicts["target.artifact"] is Verdict.FAIL
    assert not report.is_safe


def test_phases_are_counted_from_the_decision(office, manager):
    release = under_way(office, ReleaseState.SHIFTING)
    office.now += timedelta(seconds=5)
    begin(manager)
    epoch = office.ledger.acquire_lock(ACME, release.id)
    office.now += timedelta(seconds=1)
    published = office.now
    office.now += timedelta(seconds=1)
    told = {"weights": {}, "published_at": published.isoformat()}
    office.ledger.append(release.id, epoch, "observed", "traffic", told)
    phases = phases_of(office.ledger.get_release(release.id), office.ledger.entries(release.id))
    assert phases is not None
    assert phases.seconds() == {"published": 1.0, "acknowledged": 2.0}


def test_new_requests_arrived_when_99_of_100_reach_the_target():
    moments = [NOW + timedelta(milliseconds=number) for number in range(300)]
    names = ["old"] * 100 + ["new"] * 200
    seen = list(zip(moments, names, strict=True))
    assert arrival(seen, "new") == moments[100]
    assert arrival(seen[:150], "new") is None
    assert arrival(seen, "old") is None


# ---- alerts


def alerts(*given: dict[str, Any]) -> AlertGroup:
    common = {"status": "firing", "startsAt": "2026-11-26T03:00:00Z", "fingerprint": "f1"}
    return AlertGroup.model_validate(
        {"version": "4", "receiver": "x", "alerts": [common | one for one in given]}
    )


NAMED = {"labels": {"alertname": "Slow", "tidegate_service": "acme/chat"}}


def test_an_alert_rolls_back_the_service_that_it_names_and_no_other(office, manager):
    (answer,) = receive(office.ports, alerts(NAMED))
    assert (answer.action, answer.service) == ("rolled_back", "acme/chat")
    (release,) = office.ledger.list_releases()
    assert (release.ref, release.digest, release.request.requested_by) == (ACME, OLD, "service:alerts")


@pytest.mark.parametrize(
    ("given", "action"),
    [
        (NAMED | {"status": "resolved"}, "ignored"),
        ({"labels": {"alertname": "Slow"}}, "refused"),
        ({"labels": {"tidegate_service": "acme/nothing"}}, "refused"),
        (NAMED | {"startsAt": "2026-11-26T01:00:00Z"}, "ignored"),
        ({"labels": NAMED["labels"] | {"tidegate_digest": "7" * 64}}, "ignored"),
    ],
    ids=["resolved", "names no service", "unknown service", "about an earlier version", "other digest"],
)
def test_an_alert_that_is_over_or_about_something_else_does_nothing(office, manager, given, action):
    (answer,) = receive(office.ports, alerts(given))
    assert answer.action == action
    assert answer.reason
    assert office.ledger.list_releases() == []


def test_an_alert_that_is_repeated_is_one_rollback_and_does_not_go_further(office, manager):
    (first,) = receive(office.ports, alerts(NAMED))
    (again,) = receive(office.ports, alerts(NAMED))
    assert again.release == first.release
    end(office, office.ledger.get_release(first.release), ReleaseState.DONE)
    office.now += timedelta(hours=4)
    (late,) = receive(office.ports, alerts(NAMED))
    assert (late.action, late.release) == ("ignored", first.release)
    assert len(office.ledger.list_releases()) == 1


def test_one_wrong_alert_does_not_silence_the_others(office, manager):
    answers = receive(office.ports, alerts({"labels": {}}, NAMED | {"fingerprint": "f2"}))
    assert [one.action for one in answers] == ["refused", "rolled_back"]
