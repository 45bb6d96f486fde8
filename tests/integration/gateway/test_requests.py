"""What a client of the gateway sees: keys, errors, headers, attribution, shares."""

import json
import stat

import httpx
import pytest

PROBE_KEY = "probe-key-of-the-tests"
PROBE = {"authorization": f"Bearer {PROBE_KEY}"}


def test_a_gateway_without_routes_answers_404_for_everything(client, bare):
    reply = client.get(f"http://127.0.0.1:{bare.config.port}/any/thing/v1/models")

    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "not_found"


def test_a_request_with_a_key_reaches_the_set_under_v1(service, old_and_new):
    service.switch({old_and_new[0]: 100})

    reply = service.ask({"model": "any"})

    assert reply.status_code == 200
    assert reply.json()["seen"]["path"] == "/v1/chat/completions"


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"x-api-key": "wrong"}])
def test_without_a_known_key_the_answer_is_401(client, service, old_and_new, headers):
    service.switch({old_and_new[0]: 100})

    reply = client.post(service.url, json={}, headers=headers)

    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == "invalid_api_key"


def test_a_key_is_also_taken_from_x_api_key(client, service, old_and_new):
    service.switch({old_and_new[0]: 100})

    assert client.post(service.url, json={}, headers={"x-api-key": service.key}).status_code == 200


def test_a_key_of_another_organization_is_forbidden(client, gateway, service, old_and_new):
    service.switch({old_and_new[0]: 100})
    stranger = gateway.service(f"{service.org}x")

    reply = client.post(service.url, json={}, headers=stranger.auth)

    assert reply.status_code == 403
    assert reply.json()["error"]["type"] == "permission_error"


def test_dot_segments_do_not_lead_into_another_organization(client, gateway, service, old_and_new):
    service.switch({old_and_new[0]: 100})
    stranger = gateway.service(f"{service.org}y")
    path = f"/{stranger.org}/chat/v1/../../../{service.org}/chat/v1/models"

    reply = client.send(
        httpx.Request("GET", gateway.url, headers=stranger.auth, extensions={"target": path.encode()})
    )

    assert reply.status_code == 403


def test_an_unknown_service_is_404(client, gateway, service):
    reply = client.post(f"{gateway.url}/{service.org}/nothing/v1/models", headers=service.auth)

    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["error"]["code"] == "not_found"


def test_a_service_whose_weights_are_all_zero_answers_503(service, old_and_new):
    service.switch({old_and_new[0]: 0})

    reply = service.ask()

    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == "service_unavailable"


def test_every_answer_of_a_set_names_its_set_and_release(service, old_and_new):
    service.switch({old_and_new[0]: 0, old_and_new[1]: 100})

    reply = service.ask(x_tidegate_release="forged")

    assert reply.headers["x-tidegate-set"] == "set-new"
    assert reply.headers["x-tidegate-release"] == "rel-set-new"


def test_errors_of_the_gateway_itself_are_blamed_on_no_release(client, service, old_and_new):
    service.switch({old_and_new[0]: 100})

    reply = client.post(service.url, json={})

    assert "x-tidegate-release" not in reply.headers
    assert "x-tidegate-set" not in reply.headers


def test_neither_keys_nor_forged_headers_reach_the_set(service, old_and_new):
    service.switch({old_and_new[0]: 100})

    reply = service.ask(
        x_api_key="second-key",
        x_forwarded_for="10.1.2.3",
        x_envoy_max_retries="9",
        x_tidegate_client="somebody/else",
        x_tidegate_pinned="set-new",
        x_tidegate_p="forged",
    )

    seen = {name.lower(): value for name, value in reply.json()["seen"]["headers"].items()}
    assert seen["x-tidegate-client"] == f"{service.org}/app"
    assert "authorization" not in seen
    foreign = [
        name for name in seen if name.startswith(("x-tidegate", "x-envoy", "x-forwarded-for", "x-api-key"))
    ]
    assert foreign == ["x-tidegate-client"]


def test_the_probe_may_pin_a_set_without_weight(client, service, old_and_new):
    service.switch({old_and_new[0]: 100, old_and_new[1]: 0})

    replies = [
        client.post(service.url, json={}, headers={**PROBE, "x-tidegate-pin": "set-new"}) for _ in range(5)
    ]

    assert {reply.headers["x-tidegate-set"] for reply in replies} == {"set-new"}
    assert all("x-tidegate-pin" not in reply.text.lower() for reply in replies)


@pytest.mark.parametrize("pin", ["set-new", "set-old", "no-such-set"])
def test_a_client_that_pins_is_refused(service, old_and_new, pin):
    service.switch({old_and_new[0]: 100, old_and_new[1]: 0})

    assert service.ask(x_tidegate_pin=pin).status_code == 403


def test_a_pin_on_a_set_that_is_not_there_is_404_for_the_probe(client, service, old_and_new):
    service.switch({old_and_new[0]: 100})

    reply = client.post(service.url, json={}, headers={**PROBE, "x-tidegate-pin": "no-such-set"})

    assert reply.status_code == 404


def test_weights_are_the_shares_of_requests(service, old_and_new):
    service.switch({old_and_new[0]: 80, old_and_new[1]: 20})

    tally = service.load(1000)

    assert not tally.failures
    # 20 % of 1,000 is 200; six standard deviations are 76.
    assert 124 <= tally.sets["set-new"] <= 276


def test_a_session_stays_on_the_new_set_while_its_share_grows(service, old_and_new):
    sessions = [f"session-{number}" for number in range(60)]

    def on_the_new_set() -> set[str]:
        return {
            one for one in sessions if service.ask(x_session_id=one).headers["x-tidegate-set"] == "set-new"
        }

    service.switch({old_and_new[0]: 80, old_and_new[1]: 20})
    early = on_the_new_set()
    service.switch({old_and_new[0]: 50, old_and_new[1]: 50})

    assert early
    assert early <= on_the_new_set()


def test_a_stream_arrives_untouched(service, old_and_new):
    service.switch({old_and_new[0]: 100})

    reply = service.ask({"stream": True, "chunks": 3})

    assert reply.headers["content-type"] == "text/event-stream"
    events = [json.loads(line[6:]) for line in reply.text.split("\n\n")[:3]]
    assert events == [{"n": number, "set": "set-old"} for number in range(3)]


def test_logs_name_the_client_and_hold_no_key(client, gateway, service, old_and_new, eventually):
    service.switch({old_and_new[0]: 100})
    service.ask({"model": "any"})
    client.post(service.url, params={"api_key": "in-the-query"}, headers={"x-api-key": "wrong-key-here"})

    log = gateway.config.access_log
    text = eventually(
        log.read_text, lambda text: f'"client":"{service.org}/app"' in text, "the line in the log"
    )
    whole = text + gateway.config.envoy_log.read_text()
    assert PROBE_KEY not in whole
    assert service.key not in whole
    assert "in-the-query" not in whole
    assert "wrong-key-here" not in whole


def test_files_with_keys_and_the_admin_socket_are_private(gateway):
    paths = [gateway.config.path("xds/ecds-auth.json"), gateway.config.admin_socket, gateway.config.envoy_log]

    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
