"""How one service's requests are shared out: copies to a shadow, what stays together, who stands in."""

import pytest
from pydantic import ValidationError

from tidegate.domain import Mirror, Route, Sticky
from tidegate.gateway import render
from tidegate.gateway.config import CLUSTERS, LISTENERS, ROUTES


def entries(files):
    table = files[ROUTES]["resources"][0]["virtual_hosts"][0]["routes"]
    return [entry for entry in table if entry["match"]["prefix"] == "/acme/chat/v1/"]


def live(files):
    return entries(files)[-1]["route"]


def clusters(files):
    return {cluster["name"]: cluster for cluster in files[CLUSTERS]["resources"]}


def test_a_shadow_gets_copies_of_its_share_under_its_own_name(config, make_route):
    route = make_route({"old": 100, "new": 0}, mirror=Mirror(set_name="new", percent=7))

    (policy,) = live(render([route], (), 1, config))["request_mirror_policies"]

    assert policy["cluster"] == "new_copies"
    assert policy["runtime_fraction"]["default_value"] == {"numerator": 7, "denominator": "HUNDRED"}


def test_a_probe_s_pinned_requests_are_never_copied(config, make_route):
    route = make_route({"old": 100, "new": 0}, mirror=Mirror(set_name="new", percent=100))

    *pinned, _ = entries(render([route], (), 1, config))

    assert all("request_mirror_policies" not in entry.get("route", {}) for entry in pinned)


def test_copies_that_nobody_answers_are_bounded_in_number(config, make_route):
    copies = clusters(render([make_route({"old": 100})], (), 1, config))["old_copies"]

    assert copies["circuit_breakers"]["thresholds"][0]["max_requests"] == 64


def test_a_mirror_that_comes_or_goes_changes_the_routes_alone(config, make_route):
    plain = make_route({"old": 100, "new": 0})
    copied = plain.model_copy(update={"mirror": Mirror(set_name="new", percent=50)})

    before, after = render([plain], (), 1, config), render([copied], (), 2, config)

    assert [name for name in before if before[name].get("resources") != after[name].get("resources")] == [
        ROUTES
    ]


def test_requests_of_one_session_stay_together_and_others_are_drawn_anew(config, make_route):
    route = live(render([make_route({"old": 90, "new": 10})], (), 1, config))

    assert route["weighted_clusters"]["use_hash_policy"] == {"value": True}
    assert route["hash_policy"] == [{"header": {"header_name": "x-session-id"}, "terminal": True}]


def test_a_service_may_keep_requests_together_by_its_own_header_else_by_key(config, make_route):
    route = make_route({"old": 90, "new": 10}, sticky=Sticky(header="x-conversation", by_key=True))

    policies = live(render([route], (), 1, config))["hash_policy"]

    assert [one["header"]["header_name"] for one in policies] == ["x-conversation", "x-tidegate-client"]


@pytest.mark.parametrize("header", ["", "X-Session", "two words", "a:b", "x\r\ny"])
def test_what_is_no_name_of_a_header_is_refused(header):
    with pytest.raises(ValidationError):
        Sticky(header=header)


def test_a_proven_set_without_weight_answers_when_the_only_serving_one_cannot(config, make_route):
    files = render([make_route({"old": 0, "new": 100}, stand_in="old")], (), 1, config)

    assert live(files)["weighted_clusters"]["clusters"] == [{"name": "new_else_old", "weight": 100}]
    assert "new_else_old" in clusters(files)


def test_a_set_that_serves_itself_comes_before_one_that_stands_in(config, make_route):
    route = make_route({"warm": 0, "old": 90, "new": 10}, stand_in="warm")

    names = [one["name"] for one in live(render([route], (), 1, config))["weighted_clusters"]["clusters"]]

    assert names == ["new_else_old", "old_else_new"]


def test_a_stand_in_must_be_routed_and_without_traffic(make_route):
    upstreams = make_route({"old": 50, "new": 50}).upstreams

    for name in ("old", "nobody"):
        with pytest.raises(ValidationError, match="stand in"):
            Route(
                org="acme", service="chat", upstreams=upstreams, weights={"old": 50, "new": 50}, stand_in=name
            )


def test_neither_mirror_nor_stickiness_touches_the_listener(config, make_route):
    busy = make_route({"old": 100, "new": 0}, mirror=Mirror(set_name="new", percent=1), stand_in="new")

    assert (
        render([busy], (), 1, config)[LISTENERS]["resources"]
        == render((), (), 0, config)[LISTENERS]["resources"]
    )
