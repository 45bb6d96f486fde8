"""Events stand or fall with what caused them, and a message has one owner, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain import (
    Evidence,
    Fenced,
    Gate,
    InvalidInput,
    NotFound,
    ReleaseRequest,
    ServiceRef,
    Verdict,
)
from tidegate.domain.channel import ChannelRef
from tidegate.domain.deliveries import Arrived, Bundle, DeliveryState, NextTry, Sending, Unsure
from tidegate.domain.events import Event, EventKind, Severity

REF = ServiceRef("acme", "chat")
MAIL, HOOK = ChannelRef("acme", "mail"), ChannelRef("acme", "hook")
LEASE = timedelta(seconds=60)
START = datetime(2026, 11, 26, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(open_ledger, clock):
    return open_ledger(clock=clock)


def event(number: int = 1, **fields) -> Event:
    values = {"key": f"k{number}", "kind": "hold", "severity": "warning", "org": "acme", "topic": "t"}
    return Event.model_validate(values | {"title": f"event {number}", "at": START} | fields)


def routed(ledger, *refs: ChannelRef) -> list[Event]:
    seen: list[Event] = []

    def route(one: Event) -> list[ChannelRef]:
        seen.append(one)
        return list(refs)

    ledger.route_events(route)
    return seen


def everything(standing) -> Sending:
    return Sending(tuple(Bundle((one,)) for one in standing.waiting))


def plan(ledger, ref: ChannelRef, decide=everything) -> int:
    kind = "webhook" if ref == HOOK else "email"
    return ledger.plan_channel(ref, kind, decide, START - timedelta(days=1))


def claim(ledger, name: str = "c1", most: int = 16):
    return ledger.claim_deliveries(name, LEASE, most, known_by_id=frozenset({"webhook"}))


def one_claimed(ledger, ref: ChannelRef = MAIL):
    ledger.record_events([event()])
    routed(ledger, ref)
    plan(ledger, ref)
    (claimed,) = claim(ledger)
    return claimed


# ---- events and their causes


def request(ledger, key: str = "k", trigger: str = "manual"):
    wanted = ReleaseRequest(org="acme", service="chat", model="pipit", version="v1", trigger=trigger)
    return ledger.request_release(wanted, "a" * 64, key=key)


def test_a_release_that_ends_leaves_its_entry_and_its_event_together(timed):
    release = request(timed)
    row = Evidence(gate=Gate.STRUCTURE, check="gguf.offset", verdict=Verdict.FAIL, summary="s")
    timed.add_evidence(release.id, [row], digest="a" * 64, policy_digest="p")
    entry = timed.append(release.id, 0, "entered", "rejected", {"reason": "bad", "gate": "structure"})
    (told,) = routed(timed)
    assert (told.key, told.kind) == (f"release/{release.id}/{entry.seq}", EventKind.GATE_FAILED)
    assert (told.at, told.data["failed_checks"]) == (entry.at, ["gguf.offset"])


def test_an_entry_that_is_refused_leaves_no_event(timed):
    release = request(timed)
    with pytest.raises(Fenced):
        timed.append(release.id, 7, "entered", "hold", {"reason": "x"})
    assert routed(timed) == []


def test_an_event_that_cannot_be_written_takes_its_cause_with_it(timed, monkeypatch):
    """Both or none: a crash between the two would otherwise lose the event for ever."""
    release = request(timed)
    from tidegate.ledger import telling

    def broken(*arguments: object) -> None:
        raise RuntimeError("killed here")

    monkeypatch.setattr(telling, "add_event", broken)
    with pytest.raises(RuntimeError):
        timed.append(release.id, 0, "entered", "rejected", {"reason": "bad"})
    assert timed.get_release(release.id).state == "requested"


def test_holds_and_findings_are_told_when_they_begin_and_not_while_they_stand(timed, clock):
    for _ in range(2):
        timed.hold_service(REF, reason="prices", actor="ada")
        timed.note_finding("backup.old", "ledger", "no backup for a day")
        clock.now += timedelta(minutes=5)
    assert [one.kind for one in routed(timed)] == [EventKind.HOLD, EventKind.BACKUP_FAILED]
    timed.resolve_finding("backup.old", "ledger")
    timed.note_finding("backup.old", "ledger", "again")
    assert [one.text for one in routed(timed)] == ["again"]


def test_an_event_is_recorded_once_however_often_it_is_reported(timed):
    timed.record_events([event(), event(title="again")])
    timed.record_events([event()])
    assert [one.title for one in routed(timed)] == ["event 1"]
    assert routed(timed) == []


# ---- planning


def test_each_channel_gets_each_event_in_one_message(timed):
    timed.record_events([event(1), event(2)])
    routed(timed, MAIL, HOOK)
    assert set(timed.waiting_channels()) == {MAIL, HOOK}
    assert (plan(timed, MAIL), plan(timed, MAIL), plan(timed, HOOK)) == (2, 0, 2)
    assert timed.waiting_channels() == []
    assert len({one.id for one in timed.deliveries()}) == 4


def test_what_is_dropped_waits_no_more_and_what_is_left_goes_on_waiting(timed):
    timed.record_events([event(1), event(2), event(3)])
    routed(timed, MAIL)
    plan(timed, MAIL, lambda standing: Sending((Bundle(standing.waiting[:1]),), standing.waiting[1:2]))
    seen = []
    plan(timed, MAIL, lambda standing: seen.append(standing) or Sending())
    assert [one.title for one in seen[0].waiting] == ["event 3"]
    assert seen[0].messages == (START,)


def test_a_channel_remembers_what_it_was_told_of_a_trouble(timed, clock):
    timed.record_events([event(1, trouble="disk", severity="critical")])
    routed(timed, MAIL, HOOK)
    plan(timed, MAIL)
    clock.now += timedelta(minutes=1)
    timed.record_events([event(2, trouble="disk")])
    routed(timed, MAIL, HOOK)
    seen = {}
    for ref in (MAIL, HOOK):
        plan(timed, ref, lambda standing, ref=ref: seen.update({ref: standing.told}) or Sending())
    assert seen[MAIL]["disk"].severity is Severity.CRITICAL
    assert seen[HOOK] == {}


def test_a_channel_that_is_gone_keeps_nothing_waiting(timed):
    timed.record_events([event()])
    routed(timed, MAIL)
    timed.drop_waiting(MAIL, "gone")
    assert timed.waiting_channels() == []


# ---- claims


def test_a_message_has_one_owner_and_a_channel_one_message_under_way(timed):
    timed.record_events([event(1), event(2)])
    routed(timed, MAIL)
    plan(timed, MAIL)
    (first,) = claim(timed, "c1")
    assert claim(timed, "c2") == []
    timed.begin_sending(first, LEASE)
    timed.finish_delivery(first, Arrived("250"))
    (second,) = claim(timed, "c2")
    assert [one.title for one in (*first.events, *second.events)] == ["event 1", "event 2"]


def test_the_most_urgent_message_is_claimed_first(timed):
    timed.record_events([event(1), event(2, severity="critical")])
    routed(timed, MAIL)
    plan(timed, MAIL)
    assert [one.delivery.title for one in claim(timed, most=1)] == ["event 2"]


def test_a_claim_that_ran_out_sends_nothing_any_more(timed, clock):
    claimed = one_claimed(timed)
    clock.now += LEASE
    (other,) = claim(timed, "c2")
    assert (other.delivery.id, other.delivery.attempts) == (claimed.delivery.id, 2)
    with pytest.raises(Fenced):
        timed.begin_sending(claimed, LEASE)
    assert timed.finish_delivery(claimed, Arrived()) is None
    timed.begin_sending(other, LEASE)


@pytest.mark.parametrize(("ref", "state"), [(MAIL, "unconfirmed"), (HOOK, "claimed")])
def test_one_that_may_have_gone_out_is_sent_again_only_where_its_id_is_known(timed, clock, ref, state):
    claimed = one_claimed(timed, ref)
    timed.begin_sending(claimed, LEASE)
    clock.now += LEASE
    again = claim(timed, "c2")
    assert [one.delivery.id for one in again] == ([claimed.delivery.id] if ref == HOOK else [])
    assert [one.state.value for one in timed.deliveries()] == [state]


def test_an_owner_that_was_only_slow_may_still_say_that_it_arrived(timed, clock):
    claimed = one_claimed(timed)
    timed.begin_sending(claimed, LEASE)
    clock.now += LEASE
    claim(timed, "c2")
    late = timed.finish_delivery(claimed, Arrived("250 late"))
    assert late is not None
    assert (late.state, late.receipt, late.error) == (DeliveryState.SENT, "250 late", "")


def test_a_message_whose_every_owner_dies_is_given_up(timed, clock):
    one_claimed(timed)
    for _ in range(25):
        clock.now += LEASE
        claim(timed)
    (dead,) = timed.deliveries()
    assert (dead.state, dead.attempts) == (DeliveryState.DEAD, 20)


def test_a_failed_try_waits_for_its_time_and_a_retry_by_hand_starts_anew(timed, clock):
    claimed = one_claimed(timed)
    timed.finish_delivery(claimed, NextTry(START + timedelta(seconds=5), "busy"))
    assert claim(timed) == []
    clock.now += timedelta(seconds=5)
    (again,) = claim(timed)
    timed.finish_delivery(again, NextTry(None, "no such user"))
    (dead,) = timed.deliveries(state=DeliveryState.DEAD)
    assert (dead.error, dead.attempts) == ("no such user", 2)
    assert timed.retry_delivery(dead.id[:5]).state is DeliveryState.WAITING
    (last,) = claim(timed)
    timed.begin_sending(last, LEASE)
    timed.finish_delivery(last, Arrived())
    with pytest.raises(InvalidInput, match="is sent"):
        timed.retry_delivery(dead.id)
    with pytest.raises(NotFound):
        timed.retry_delivery("n-none")


def test_counts_and_the_oldest_event_that_waits_are_told_to_monitors(timed, clock):
    assert timed.oldest_undelivered() is None
    claimed = one_claimed(timed)
    assert timed.oldest_undelivered() == START
    timed.finish_delivery(claimed, Unsure("no answer"))
    assert timed.oldest_undelivered() is None
    assert timed.outbox_counts() == {("acme", "mail", "unconfirmed"): 1}


# ---- what must not be hidden


def test_however_much_waits_for_the_morning_what_is_urgent_is_seen_with_what_was_said_before_of_it(timed):
    from tidegate.ledger.outbox import MOST_AT_ONCE

    trouble = {"trouble": "disk", "severity": "critical"}
    held = [event(number) for number in range(MOST_AT_ONCE)]
    over, again = event(1000, is_resolved=True, **trouble), event(1001, **trouble)
    timed.record_events([*held, over, again])
    while routed(timed, MAIL):
        pass
    seen: list[str] = []

    def look(standing) -> Sending:
        seen.extend(one.key for one in standing.waiting)
        return Sending()

    plan(timed, MAIL, look)
    assert seen[-2:] == ["k1000", "k1001"]
    assert len(seen) == MOST_AT_ONCE + 2


def test_a_mail_whose_notifier_died_while_it_sent_is_a_finding_until_one_arrives(timed, clock):
    claimed = one_claimed(timed)
    timed.begin_sending(claimed, LEASE)
    clock.now += LEASE
    assert claim(timed, "c2") == []
    (finding,) = timed.findings()
    assert (finding.kind, finding.subject) == ("notification.failing", "acme/mail")
    assert f"tidegate notify retry {claimed.delivery.id}" in finding.remedy
    timed.finish_delivery(claimed, Arrived())
    assert timed.findings() == []


def test_a_message_that_goes_on_failing_is_a_finding_long_before_it_is_given_up(timed, clock):
    claimed = one_claimed(timed)
    for tries in (1, 2, 3):
        assert timed.findings() == [], tries
        timed.finish_delivery(claimed, NextTry(clock.now, "it answered 500"))
        (claimed,) = claim(timed) if tries < 3 else (claimed,)
    assert "failed 3 times: it answered 500" in timed.findings()[0].summary


def test_a_clock_that_is_put_back_keeps_neither_a_lease_nor_a_next_try_from_ending(timed, clock):
    clock.now += timedelta(days=400)
    claimed = one_claimed(timed)
    clock.now = START
    (again,) = claim(timed, "c2")
    assert again.delivery.id == claimed.delivery.id
    timed.finish_delivery(again, NextTry(START + timedelta(days=400), "it answered 500"))
    assert [one.delivery.id for one in claim(timed, "c3")] == [claimed.delivery.id]


def test_what_failed_before_leaves_room_for_what_did_not(timed, clock):
    refs = [ChannelRef("acme", f"c{number}") for number in range(4)]
    timed.record_events([event()])
    routed(timed, *refs)
    for ref in refs[:3]:
        plan(timed, ref)
    for one in claim(timed):
        timed.finish_delivery(one, NextTry(clock.now, "no answer"))
    plan(timed, refs[3])
    taken = timed.claim_deliveries("c2", LEASE, 16, known_by_id=(), retries=1)
    assert sorted(one.delivery.attempts for one in taken) == [1, 2]


def test_the_id_of_a_message_follows_from_what_happened_and_not_from_a_number_that_comes_again():
    one, other = Bundle((event(1),)), Bundle((event(2),))
    assert one.events[0].number == other.events[0].number
    assert one.id_parts != other.id_parts


def test_a_person_who_mended_the_channel_need_not_wait_for_the_next_try(timed, clock):
    claimed = one_claimed(timed)
    timed.finish_delivery(claimed, NextTry(clock.now + timedelta(minutes=15), "it answered 500"))
    assert claim(timed, "c2") == []
    assert timed.retry_delivery(claimed.delivery.id).attempts == 0
    assert len(claim(timed, "c3")) == 1
