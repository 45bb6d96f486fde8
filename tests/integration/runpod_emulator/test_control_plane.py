"""Endpoints, resources, keys and pages of the control plane; every reply is checked against RunPod's document."""

import httpx
import pytest

from tests.contracts.runpod import contract
from tests.integration.runpod_emulator.conftest import eventually


def test_an_endpoint_is_created_read_changed_and_gone(account):
    made = account.endpoint("chat-1", env={"A": "1"})
    assert made["requestUrls"]["run"].startswith(account.environment.data_url)
    path = f"/v2/serverless/{made['id']}"
    assert account.ok("GET", path) == made
    changed = account.ok("PATCH", path, {"env": {"B": "2"}, "workers": {"max": 2}})
    assert changed["env"] == {"B": "2"}
    assert changed["workers"] == {"min": 0, "max": 2, "idleTimeout": 10}
    assert account.call("DELETE", path).status_code == 204
    assert account.call("GET", path).status_code == 404


def test_a_change_of_the_container_makes_a_release_that_tells_old_and_new(account):
    path = f"/v2/serverless/{account.endpoint('chat-2')['id']}"
    account.ok("PATCH", path, {"workers": {"max": 2}})
    assert account.ok("GET", f"{path}/releases")["endpointVersion"] == 1
    account.ok("PATCH", path, {"image": "registry.example/standin:2"})
    told = account.ok("GET", f"{path}/releases")
    assert told["endpointVersion"] == 2
    assert told["releases"][0]["diff"] == [
        {
            "field": "template.imageName",
            "old": "registry.example/standin:1",
            "new": "registry.example/standin:2",
        }
    ]
    assert told["rollout"] == {
        "inProgress": False,
        "workersOnLatest": 0,
        "workersTotal": 0,
        "percentOnLatest": 0,
    }


def test_an_unknown_field_is_422_and_named(account):
    reply = account.call("POST", "/v2/serverless", {"name": "x", "bogus": 1})
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    assert "$: additional properties 'bogus' not allowed" in reply.json()["errors"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1,", b'{"name": NaN}', b"\xff"])
def test_a_body_that_is_no_json_is_400(account, content):
    assert account.call("POST", "/v2/serverless", content=content).status_code == 400


def test_lists_come_in_pages_newest_first(account):
    made = [account.endpoint(f"page-{number}", workers={"max": 0})["id"] for number in range(5)]
    first = account.ok("GET", "/v2/serverless", params={"limit": 2})
    assert [one["id"] for one in first["endpoints"]] == made[:2:-1]
    assert first["pagination"]["hasNextPage"]
    seen, cursor = [], first["pagination"]["nextCursor"]
    account.call("DELETE", f"/v2/serverless/{made[4]}")
    while cursor:
        page = account.ok("GET", "/v2/serverless", params={"limit": 2, "cursor": cursor})
        seen += [one["id"] for one in page["endpoints"]]
        cursor = page["pagination"]["nextCursor"]
    assert seen == made[2::-1]


@pytest.mark.parametrize("query", [{"cursor": "nonsense"}, {"limit": 0}, {"limit": 1001}, {"limit": "x"}])
def test_a_wrong_page_is_422(account, query):
    assert account.call("GET", "/v2/serverless", params=query).status_code == 422


def test_an_organization_neither_sees_nor_reaches_what_another_owns(account, stranger):
    endpoint = account.endpoint("mine")
    volume = account.ok("POST", "/v2/network-volumes", {"name": "v", "size": 10, "dataCenter": "EU-RO-1"})
    assert stranger.ok("GET", "/v2/serverless")["endpoints"] == []
    for method, path, body in (
        ("GET", f"/v2/serverless/{endpoint['id']}", None),
        ("PATCH", f"/v2/serverless/{endpoint['id']}", {"name": "taken"}),
        ("DELETE", f"/v2/serverless/{endpoint['id']}", None),
        ("GET", f"/v2/serverless/{endpoint['id']}/workers", None),
        ("GET", f"/v2/network-volumes/{volume['id']}", None),
    ):
        assert stranger.call(method, path, body).status_code == 404
    assert stranger.http.post(endpoint["requestUrls"]["run"], json={"input": {"a": 1}}).status_code == 404
    assert stranger.http.get(endpoint["requestUrls"]["health"]).status_code == 404
    stolen = stranger.call(
        "POST",
        "/v2/serverless",
        {
            "name": "thief",
            "type": "QUEUE",
            "image": "standin",
            "scaling": {"type": "QUEUE_DELAY", "queueDelay": 1},
            "gpu": {"pools": ["ADA_24"]},
            "networkVolumes": [volume["id"]],
        },
    )
    assert stolen.status_code == 400


def test_a_key_does_only_what_its_scopes_allow(account, runpod):
    endpoint = account.endpoint("scoped")
    reader = runpod.control.add_key("swaggystacks", ["api:read"]).reveal()
    runner = runpod.control.add_key("swaggystacks", ["serverless"]).reveal()
    with httpx.Client(headers={"Authorization": f"Bearer {reader}"}, timeout=60) as http:
        url = f"{runpod.api_url}/v2/serverless/{endpoint['id']}"
        assert http.get(url).status_code == 200
        refused = http.patch(url, json={"name": "x"})
        contract().check_reply(refused.request, refused)
        assert refused.status_code == 403
        assert http.post(endpoint["requestUrls"]["run"], json={"input": {"a": 1}}).status_code == 403
    with httpx.Client(headers={"Authorization": runner}, timeout=60) as http:
        assert http.get(endpoint["requestUrls"]["health"]).status_code == 200
        assert http.get(f"{runpod.api_url}/v2/serverless").status_code == 403


def test_a_revoked_key_is_unknown_on_both_planes(account, runpod):
    key = runpod.control.add_key("swaggystacks", ["api:read", "serverless"])
    with httpx.Client(headers={"Authorization": f"Bearer {key.reveal()}"}, timeout=60) as http:
        assert http.get(f"{runpod.api_url}/v2/pods").status_code == 200
        runpod.control.revoke_key(key)
        assert http.get(f"{runpod.api_url}/v2/pods").status_code == 401
        assert http.get(f"{runpod.data_url}/v2/x/health").status_code == 401


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_without_a_known_key_everything_is_401(runpod, headers):
    for url in (f"{runpod.api_url}/v2/pods", f"{runpod.data_url}/v2/x/health", f"{runpod.data_url}/lb/x/y"):
        assert httpx.get(url, headers=headers, timeout=60).status_code == 401
    assert httpx.get(f"{runpod.api_url}/emulator/state", headers=headers, timeout=60).status_code == 401


def test_the_operators_key_is_no_customers_and_a_customers_none_of_the_operator(account, runpod):
    operator = {"Authorization": f"Bearer {runpod.key('operator').reveal()}"}
    assert httpx.get(f"{runpod.api_url}/v2/pods", headers=operator, timeout=60).status_code == 401
    assert account.http.get(f"{runpod.api_url}/emulator/state").status_code == 403


def test_version_1_is_gone(runpod):
    reply = httpx.post(f"{runpod.api_url}/v1/endpoints", json={}, timeout=60)
    assert reply.status_code == 410


def test_a_wrong_method_is_405_and_says_what_is_allowed(account, runpod):
    reply = account.http.put(f"{runpod.api_url}/v2/serverless", json={})
    assert (reply.status_code, "POST" in reply.headers["Allow"]) == (405, True)
    assert reply.headers["content-type"] == "application/problem+json"


def test_graphql_answers_myself_and_nothing_else(account, runpod):
    url = f"{runpod.api_url}/graphql"
    query = "query { myself { id clientBalance currentSpendPerHr spendLimit } }"
    told = account.http.post(url, json={"query": query}).json()["data"]["myself"]
    assert set(told) == {"id", "clientBalance", "currentSpendPerHr", "spendLimit"}
    assert httpx.post(url, json={"query": query}, timeout=60).json() == {"data": {"myself": None}}
    assert (
        httpx.post(url, json={"query": query}, headers={"Authorization": "Bearer no"}, timeout=60).status_code
        == 401
    )
    assert "errors" in account.http.post(url, json={"query": "query { gpuTypes { id } }"}).json()


def test_replies_tell_the_budget_and_a_spent_one_is_429(account, runpod):
    reply = account.call("GET", "/v2/registries")
    assert reply.headers["RateLimit"].startswith('"minute";r=')
    assert "x-request-id" in reply.headers
    runpod.faults.set("control_429", 7, count=1)
    refused = account.call("GET", "/v2/registries")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")


def test_templates_are_copied_once_and_names_are_unique(account):
    body = {"name": "base", "image": "standin:9", "serverless": True, "env": {"A": "t"}, "disk": 33}
    template = account.ok("POST", "/v2/templates", body)
    assert account.call("POST", "/v2/templates", body).status_code == 400
    scaling = {"type": "QUEUE_DELAY", "queueDelay": 4}
    made = account.ok(
        "POST",
        "/v2/serverless",
        {
            "name": "t",
            "type": "QUEUE",
            "scaling": scaling,
            "gpu": {"pools": ["ADA_24"]},
            "templateId": template["id"],
        },
    )
    assert (made["image"], made["disk"], made["env"]) == ("standin:9", 33, {"A": "t"})
    account.ok("PATCH", f"/v2/templates/{template['id']}", {"image": "other"})
    assert account.ok("GET", f"/v2/serverless/{made['id']}")["image"] == "standin:9"
    assert account.call("GET", "/v2/templates/none").status_code == 404


def test_a_volume_only_grows_and_stays_in_its_data_center(account):
    volume = account.ok("POST", "/v2/network-volumes", {"name": "v", "size": 20, "dataCenter": "EU-RO-1"})
    path = f"/v2/network-volumes/{volume['id']}"
    assert account.call("PATCH", path, {"size": 10}).status_code == 400
    assert account.ok("PATCH", path, {"size": 30, "name": "w"})["size"] == 30
    assert account.call("PATCH", path, {}).status_code == 422
    unknown = account.call("POST", "/v2/network-volumes", {"name": "v", "size": 20, "dataCenter": "MOON-1"})
    assert "EU-RO-1" in unknown.json()["detail"]


def test_a_deleted_registry_disappears_from_its_templates(account):
    registry = account.ok("POST", "/v2/registries", {"name": "hub", "username": "u", "password": "p"})
    assert set(registry) == {"id", "name"}
    body = {"name": "private", "image": "x", "registry": registry["id"]}
    template = account.ok("POST", "/v2/templates", body)
    account.call("DELETE", f"/v2/registries/{registry['id']}")
    assert account.ok("GET", f"/v2/templates/{template['id']}")["registry"] is None


def test_the_catalog_tells_stock_by_data_center(account, runpod):
    query = {"include": "AVAILABILITY", "product": "SERVERLESS"}
    gpu = "NVIDIA GeForce RTX 4090"
    assert account.call("GET", "/v2/catalog/gpus", params={"include": "AVAILABILITY"}).status_code == 400
    account.ok("GET", "/v2/catalog/gpus", params=query)
    assert account.ok("GET", f"/v2/catalog/gpus/{gpu}", params=query)["availability"] == "HIGH"
    runpod.control.set_stock(gpu, 0)
    runpod.control.set_stock(gpu, 2, "US-KS-2")
    told = account.ok("GET", f"/v2/catalog/gpus/{gpu}", params=query)
    runpod.control.set_stock(gpu, 16)
    assert told["availability"] == "LOW"
    assert [center["id"] for center in told["dataCenters"]] == ["US-KS-2"]
    for path in ("gpus", "cpus", "cpus/cpu3c", "datacenters", "datacenters/EU-RO-1", "templates"):
        account.ok("GET", f"/v2/catalog/{path}")
    include = {"include": "GPU_AVAILABILITY,CPU_AVAILABILITY"}
    assert account.ok("GET", "/v2/catalog/datacenters", params=include)["dataCenters"][0]["gpuAvailability"]


def test_ssh_keys_and_delegations_are_kept(account):
    keys = {"keys": ["ssh-ed25519 AAAA me@here"]}
    assert account.ok("PUT", "/v2/account/ssh-keys", keys) == keys
    assert account.ok("GET", "/v2/account/ssh-keys") == keys
    assert account.call("PUT", "/v2/account/ssh-keys", {"keys": ["nonsense"]}).status_code == 422
    made = account.ok("POST", "/v2/registries/delegations", {"resource": "repo:tag"})
    assert [one["id"] for one in account.ok("GET", "/v2/registries/delegations")["delegations"]] == [
        made["id"]
    ]
    assert account.call("DELETE", f"/v2/registries/delegations/{made['id']}").status_code == 204


def test_more_workers_than_the_balance_allows_are_refused(account, runpod):
    runpod.faults.set("balance_usd", 50, scope="swaggystacks")
    account.endpoint("small", workers={"max": 5})
    reply = account.call(
        "POST",
        "/v2/serverless",
        {
            "name": "more",
            "type": "QUEUE",
            "image": "standin",
            "scaling": {"type": "QUEUE_DELAY", "queueDelay": 1},
            "gpu": {"pools": ["ADA_24"]},
            "workers": {"max": 1},
        },
    )
    assert (reply.status_code, "quota of 5" in reply.json()["detail"]) == (400, True)


def test_worker_seconds_are_billed_from_the_containers_start(account):
    endpoint = account.endpoint("billed", workers={"min": 1, "max": 1})
    eventually(lambda: account.workers(endpoint), lambda seen: [one["status"] for one in seen] == ["IDLE"])
    query = {"serverlessId": endpoint["id"], "bucketSize": "hour"}

    def bill():
        return account.ok("GET", "/v2/billing/serverless", params=query)["metadata"]["totals"]

    running = eventually(bill, lambda totals: totals["gpuAmount"] > 1.116 / 3600 * 0.2)
    assert running["cpuAmount"] == 0
    account.ok("PATCH", f"/v2/serverless/{endpoint['id']}", {"workers": {"min": 0, "max": 0}})
    eventually(lambda: account.workers(endpoint), lambda seen: seen == [])
    assert bill() == bill()
    for path in ("", "/pods", "/network-volumes", "/endpoints"):
        account.ok("GET", f"/v2/billing{path}")


def test_billing_may_lag(account, runpod):
    runpod.faults.set("billing_delay_s", 3600)
    assert account.ok("GET", "/v2/billing")["metadata"]["totals"]["serverlessGpuAmount"] >= 0
    assert account.call("GET", "/v2/billing", params={"startTime": "yesterday"}).status_code == 422
