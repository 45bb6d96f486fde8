"""Files as a function of routes, keys and a generation."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import InvalidInput, Mirror, Route, Secret, Upstream
from tidegate.gateway import PROBE_CLIENT, ClientKey, GatewayConfig, render
from tidegate.gateway.config import AUTH, BOOTSTRAP, CLUSTERS, DOORS, LISTENERS, ROUTES
from tidegate.gateway.render import encode

KEY_TEXTS = ("key-of-acme", "key-of-other", "key-of-probe")


def service_entries(files, prefix="/acme/chat/v1/"):
    table = files[ROUTES]["resources"][0]["virtual_hosts"][0]["routes"]
    return [entry for entry in table if entry["match"]["prefix"] == prefix]


def weighted(files):
    return service_entries(files)[-1]["route"]["weighted_clusters"]["clusters"]


def admitted(entry):
    return entry["typed_per_filter_config"]["api_keys"]["filter_context"]


def key_program(files):
    return files[AUTH]["resources"][0]["typed_config"]["default_source_code"]["inline_string"]


def test_nothing_wanted_still_gives_all_files_and_a_404(config):
    files = render((), (), 0, config)

    assert set(files) == {BOOTSTRAP, LISTENERS, CLUSTERS, DOORS, ROUTES, AUTH}
    (only,) = files[ROUTES]["resources"][0]["virtual_hosts"][0]["routes"]
    assert only["direct_response"]["status"] == 404


def test_the_newest_set_comes_first_and_each_falls_back_to_the_other(config, make_route, keys):
    clusters = weighted(render([make_route({"old": 95, "new": 5})], keys, 1, config))

    assert clusters == [{"name": "new_else_old", "weight": 5}, {"name": "old_else_new", "weight": 95}]


def test_a_set_without_weight_is_never_a_fallback(config, make_route, keys):
    clusters = weighted(render([make_route({"old": 100, "new": 0})], keys, 1, config))

    assert clusters == [{"name": "old", "weight": 100}]


def test_a_change_of_weights_changes_the_routes_only(config, make_route, keys):
    before = render([make_route({"old": 100, "new": 0})], keys, 1, config)
    after = render([make_route({"old": 0, "new": 100})], keys, 2, config)

    changed = [name for name in before if before[name].get("resources") != after[name].get("resources")]
    assert changed == [ROUTES]


def test_the_listener_never_depends_on_routes_keys_or_generation(config, make_route, keys):
    busy = render([make_route({"old": 100})], keys, 9, config)[LISTENERS]["resources"]

    assert busy == render((), (), 0, config)[LISTENERS]["resources"]


def test_only_the_probe_may_use_pinned_entries(config, make_route, keys):
    *pinned, plain = service_entries(render([make_route({"old": 100, "new": 0})], keys, 1, config))

    assert len(pinned) == 3
    assert all(entry["match"]["headers"][0]["name"] == "x-tidegate-pin" for entry in pinned)
    assert all(admitted(entry) == {"org": "acme", "probe_only": True} for entry in pinned)
    assert admitted(plain) == {"org": "acme", "probe_only": False}


def test_nothing_but_the_last_404_is_open_without_a_key(config, make_route, keys):
    files = render([make_route({"old": 50, "new": 50})], keys, 1, config)
    *of_services, last = files[ROUTES]["resources"][0]["virtual_hosts"][0]["routes"]

    assert all("disabled" not in json.dumps(entry["typed_per_filter_config"]) for entry in of_services)
    assert last["direct_response"]["status"] == 404
    assert {name for name, one in last["typed_per_filter_config"].items() if one["disabled"]} == {
        "api_keys",
        "only_known_clients",
    }


def test_a_change_of_keys_changes_no_route(config, make_route, keys):
    before = render([make_route({"old": 100})], keys, 1, config)
    after = render([make_route({"old": 100})], keys[:1], 1, config)

    assert [name for name in before if before[name] != after[name]] == [AUTH]


def test_a_client_that_an_organization_calls_like_the_probe_is_no_probe():
    assert ClientKey.of("acme", PROBE_CLIENT, Secret("some-long-key")).identity == f"acme/{PROBE_CLIENT}"


def test_digests_stand_in_one_file_only_and_keys_in_none(config, make_route, keys):
    files = render([make_route({"old": 100})], keys, 1, config)

    for key in keys:
        assert [name for name, content in files.items() if key.digest in json.dumps(content)] == [AUTH]
    assert not [text for text in KEY_TEXTS if text in json.dumps(files)]


def test_a_key_is_known_with_its_owner_and_its_end(config):
    key = ClientKey("acme", "app", "ab" * 32, datetime(2026, 12, 1, tzinfo=UTC))

    program = key_program(render((), [key], 1, config))

    assert f'["{"ab" * 32}"]="acme acme/app 1796083200",' in program


def test_the_order_of_keys_changes_nothing(config, keys):
    assert render((), keys, 1, config) == render((), keys[::-1], 1, config)


def test_copies_go_to_the_shadow_from_clients_routes_and_never_from_those_of_probes(config, make_route):
    route = make_route({"old": 100, "new": 0}, mirror=Mirror(set_name="new", percent=20))

    (table,) = render([route], (), 1, config)[ROUTES]["resources"]

    policies = [
        entry["route"].get("request_mirror_policies", [])
        for entry in table["virtual_hosts"][0]["routes"]
        if "route" in entry
    ]
    pinned, (policy,) = policies[:-1], policies[-1]
    assert (policy["cluster"], pinned) == ("new_copies", [[], []])


def test_the_version_names_generation_and_content(config, make_route, keys):
    first = render([make_route({"old": 100})], keys, 7, config)[ROUTES]["version_info"]
    second = render([make_route({"old": 0})], keys, 7, config)[ROUTES]["version_info"]

    assert first.startswith("gen-7-")
    assert first != second


def test_sets_that_still_drain_keep_their_clusters(config, make_route, keys):
    former = make_route({"old": 100}).upstreams

    files = render([make_route({"new": 100})], keys, 2, config, keep=[former])

    assert set(named(files)) == {"old", "new", "old_copies", "new_copies"}


@pytest.mark.parametrize(
    ("org", "client", "digest"),
    [
        ("acme", 'app"] = 1', "ab" * 32),
        ("acme", "two words", "ab" * 32),
        ("acme", "app", '"' * 64),
        ("acme", "app", "ab"),
        ("../x", "app", "ab" * 32),
    ],
)
def test_a_key_that_would_end_the_text_of_the_program_is_refused(config, org, client, digest):
    with pytest.raises(InvalidInput):
        render((), [ClientKey(org, client, digest)], 1, config)


def test_a_host_name_is_resolved_by_envoy(config, keys):
    upstream = Upstream(set_name="near", host="gpu.example.org", port=80, digest="a" * 64, release_id="r-1")
    route = Route(org="acme", service="chat", upstreams=(upstream,), weights={"near": 100})

    assert named(render([route], keys, 1, config))["near"]["type"] == "STRICT_DNS"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("set_name", "with.dot"),
        ("set_name", "two words"),
        ("set_name", "a_else_b"),
        ("release_id", "line\r\nbreak"),
        ("release_id", "%REQ(authorization)%"),
        ("host", "with space"),
        ("host", ""),
        ("path_prefix", '/a" .. os.exit() .. "'),
        ("path_prefix", "/ends/"),
        ("path_prefix", "no-slash"),
        ("credential", "../../etc/passwd"),
    ],
)
def test_a_value_that_envoy_would_misread_is_refused_by_name(config, keys, make_route, field, value):
    route = make_route({"old": 100})
    upstream = route.upstreams[0].model_copy(update={field: value})
    bad = route.model_copy(update={"upstreams": (upstream,), "weights": {upstream.set_name: 100}})

    with pytest.raises(InvalidInput, match=field):
        render([bad], keys, 1, config)


@pytest.mark.parametrize(
    ("org", "service"), [("../x", "chat"), ("acme", "a/b"), ("ACME", "chat"), ("acme", "")]
)
def test_a_name_that_is_no_path_segment_is_refused(config, keys, make_route, org, service):
    with pytest.raises(InvalidInput):
        render([make_route({"old": 100}, org=org, service=service)], keys, 1, config)


def test_two_routes_for_one_service_are_refused(config, keys, make_route):
    with pytest.raises(InvalidInput, match="acme/chat"):
        render([make_route({"old": 100}), make_route({"new": 100})], keys, 1, config)


def test_one_set_in_two_services_is_refused(config, keys, make_route):
    with pytest.raises(InvalidInput, match="shared"):
        render([make_route({"shared": 100}), make_route({"shared": 100}, service="other")], keys, 1, config)


def test_a_key_that_two_clients_carry_is_refused_without_being_printed(config):
    twice = [
        ClientKey.of("acme", "app", Secret("same-secret")),
        ClientKey.of("other", "app", Secret("same-secret")),
    ]

    with pytest.raises(InvalidInput, match="acme/app") as raised:
        render((), twice, 1, config)

    assert "same-secret" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "short", "with space in it", "line\nbreak-here", "ümlauts-in-key"])
def test_a_key_that_fits_no_header_is_refused_without_being_printed(text):
    with pytest.raises(InvalidInput, match="acme/app") as raised:
        ClientKey.of("acme", "app", Secret(text))

    assert not text or text not in str(raised.value)


@given(st.dictionaries(st.sampled_from(["aa", "bb", "cc", "dd"]), st.integers(1, 100), min_size=1))
def test_every_cluster_that_a_route_names_exists(tmp_path_factory, shares):
    total = sum(shares.values())
    weights = {name: share * 100 // total for name, share in shares.items()}
    weights[min(weights)] += 100 - sum(weights.values())
    upstreams = tuple(
        Upstream(set_name=name, host="127.0.0.1", port=9000, digest="a" * 64, release_id="r-1")
        for name in weights
    )
    route = Route(org="acme", service="chat", upstreams=upstreams, weights=weights, newest="aa")
    root = tmp_path_factory.getbasetemp()
    config = GatewayConfig(name="gateway-1", root=root, port=8080, admin_socket=root / "a.sock")

    files = render([route], (), 1, config)

    known = {cluster["name"] for cluster in files[CLUSTERS]["resources"]}
    entries = weighted(files)
    assert {entry["name"] for entry in entries} <= known
    assert sum(entry["weight"] for entry in entries) == 100
    assert encode(files[ROUTES]) == encode(render([route], (), 1, config)[ROUTES])


@pytest.fixture
def remote() -> Upstream:
    return Upstream(
        set_name="far",
        host="ab12.api.example.org",
        port=443,
        digest="a" * 64,
        release_id="r-1",
        tls=True,
        path_prefix="/v2/ab12/openai",
        credential="runpod-credential-acme",
    )


def named(files) -> dict[str, dict]:
    return {cluster["name"]: cluster for cluster in files[CLUSTERS]["resources"]}


def test_a_set_elsewhere_stands_behind_a_door_and_a_local_set_does_not(config, make_route, remote):
    route = make_route({"old": 100})
    mixed = route.model_copy(
        update={"upstreams": (*route.upstreams, remote), "weights": {"old": 50, "far": 50}}
    )

    before, after = named(render([route], (), 1, config)), named(render([mixed], (), 2, config))

    assert set(after) - set(before) == {
        *("far", "far_door", "far_copies"),
        *("far_else_old", "old_else_far"),
    }
    assert before["old"] == after["old"]


def test_only_the_connection_of_a_set_elsewhere_is_checked(config, remote):
    route = Route(org="acme", service="chat", upstreams=(remote,), weights={"far": 100})

    clusters = named(render([route], (), 1, config))
    unchecked = named(render([route], (), 1, replace(config, remote_check_s=None)))

    assert "health_checks" not in clusters["far"]
    assert [check["tcp_health_check"] for check in clusters["far_door"]["health_checks"]] == [{}]
    assert "health_checks" not in unchecked["far_door"]


@pytest.mark.parametrize(
    ("port", "host"), [(443, "ab12.api.example.org"), (8443, "ab12.api.example.org:8443")]
)
def test_the_host_header_names_a_port_only_when_it_is_unusual(config, remote, port, host):
    upstream = remote.model_copy(update={"port": port})
    route = Route(org="acme", service="chat", upstreams=(upstream,), weights={"far": 100})

    (table,) = render([route], (), 1, config)[DOORS]["resources"]

    assert table["virtual_hosts"][0]["routes"][0]["route"]["host_rewrite_literal"] == host


def test_a_set_without_credential_gets_none(config, remote):
    upstream = remote.model_copy(update={"credential": None})
    route = Route(org="acme", service="chat", upstreams=(upstream,), weights={"far": 100})

    assert "credential_injector" not in json.dumps(render([route], (), 1, config))
