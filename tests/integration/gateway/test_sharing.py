"""How clients fare while their requests are copied, kept together, or bridged to another set."""

import time
from collections import Counter

import pytest

from tidegate.domain import Mirror, Sticky


@pytest.mark.parametrize("mode", ["ok", "hung", "broken", "dead"])
def test_a_shadow_is_never_felt_by_a_client(service, old_and_new, fresh_set, mode):
    shadow = fresh_set(f"set-shadow-{mode}")
    service.switch({old_and_new[0]: 100, shadow: 0}, mirror=Mirror(set_name=shadow.name, percent=100))
    if mode == "dead":
        shadow.kill()
    else:
        shadow.behave(mode)

    tally = service.load(150, stream_every=10)

    assert tally.failures == []
    assert set(tally.sets) == {"set-old"}
    if mode == "hung":
        # It would wait for its hung requests when it is asked to end.
        shadow.kill()


def test_a_shadow_gets_its_share_marked_as_copies_and_is_counted_nowhere(
    service, old_and_new, fresh_set, eventually
):
    shadow = fresh_set("set-shadow-share")
    service.switch({old_and_new[0]: 100, shadow: 0}, mirror=Mirror(set_name=shadow.name, percent=30))
    service.await_healthy(shadow.name)

    tally = service.load(400)

    # 30 % of 400 is 120; six standard deviations are 55.
    copies = eventually(
        lambda: sum(path.endswith("/chat/completions") for path in shadow.behave("ok")),
        lambda seen: seen >= 65,
        "copies",
    )
    assert copies <= 175
    assert tally.failures == []
    assert "set-shadow-share" not in service.gateway.source.totals


def test_a_session_stays_on_its_set_and_one_without_is_drawn_anew(service, old_and_new):
    service.switch({old_and_new[0]: 50, old_and_new[1]: 50})
    # That all of them are drawn to one of two sets happens once in ten million times.
    sessions = [f"session-{number}" for number in range(24)]

    def where(session: str) -> set[str]:
        return {service.ask(x_session_id=session).headers["x-tidegate-set"] for _ in range(4)}

    stays = {session: where(session) for session in sessions}
    assert all(len(sets) == 1 for sets in stays.values())
    assert len({name for sets in stays.values() for name in sets}) == 2
    # A larger share of the newest set takes sessions to it, and none away from it.
    service.switch({old_and_new[0]: 20, old_and_new[1]: 80})
    assert all(where(one) == {"set-new"} for one, sets in stays.items() if sets == {"set-new"})
    drawn = Counter(service.ask().headers["x-tidegate-set"] for _ in range(60))
    assert len(drawn) == 2


def test_a_key_stays_on_its_set_where_the_service_wants_that(service, old_and_new):
    service.switch({old_and_new[0]: 50, old_and_new[1]: 50}, sticky=Sticky(by_key=True))

    assert len(service.load(60).sets) == 1


def test_an_ejected_canary_costs_clients_nothing(service, old_and_new, fresh_set, eventually):
    canary = fresh_set("set-ejected")
    service.switch({old_and_new[0]: 50, canary: 50})
    canary.behave("loading")

    tally = service.load(300, stream_every=10)

    assert tally.failures == []
    eventually(
        lambda: service.gateway.source.status,
        lambda seen: "set-ejected" not in seen.healthy_sets,
        "the ejection",
    )
    assert set(service.load(100).sets) == {"set-old"}


def test_the_warm_old_set_answers_while_the_new_one_that_has_all_traffic_cannot(
    service, old_and_new, fresh_set, eventually
):
    new = fresh_set("set-all-traffic")
    service.switch({old_and_new[0]: 0, new: 100}, stand_in="set-old")
    service.await_healthy("set-old")
    assert set(service.load(50).sets) == {"set-all-traffic"}
    new.behave("loading")

    tally = service.load(200)

    assert tally.failures == []
    assert tally.sets["set-old"] > 0
    new.behave("ok")
    eventually(
        lambda: service.ask().headers["x-tidegate-set"], lambda seen: seen == new.name, "the new set again"
    )


def test_a_killed_engine_that_had_all_traffic_costs_only_what_it_was_answering(
    service, old_and_new, fresh_set, tally, pool, over, eventually
):
    live = fresh_set("set-killed-live")
    service.switch({old_and_new[0]: 0, live: 100}, stand_in="set-old")
    service.await_healthy("set-old")
    clients = pool.submit(service.load, 100, stream_every=10, until=over, into=tally)
    eventually(lambda: tally.answered, lambda seen: seen >= 100, "requests that the live set answered")
    live.kill()
    killed = time.monotonic()
    eventually(lambda: tally.sets["set-old"], lambda seen: seen >= 200, "answers of the stand-in")
    over.set()
    clients.result()

    begun_after = [why for at, why in zip(tally.failed_starts, tally.failures, strict=True) if at > killed]
    assert begun_after == []


def test_a_request_that_broke_the_live_engine_is_not_sent_to_its_stand_in(service, fresh_set):
    warm, live = fresh_set("set-spared"), fresh_set("set-crashing")
    service.switch({warm: 0, live: 100}, stand_in=warm.name)
    service.await_healthy(warm.name)

    broken = service.ask({"crash": True})
    live.end()
    after = service.ask()

    assert (broken.status_code, broken.headers["x-tidegate-set"]) == (503, "set-crashing")
    assert (after.status_code, after.headers["x-tidegate-set"]) == (200, "set-spared")
    assert warm.behave("ok").count("/v1/chat/completions") == 1
