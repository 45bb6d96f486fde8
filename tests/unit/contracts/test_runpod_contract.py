"""The checker that everything about RunPod is checked with must itself refuse what it should."""

from typing import Any

import httpx
import pytest

from tests.contracts.runpod import Breach, contract

KEYED = {"Authorization": "Bearer key"}
ENDPOINT: dict[str, Any] = {
    "name": "a",
    "type": "LOAD_BALANCER",
    "image": "worker:1",
    "scaling": {"type": "REQUEST_COUNT", "requestCount": 1},
    "gpu": {"pools": ["ADA_24"], "count": 1},
}


def request(method: str, path: str, body: Any = None, headers: dict[str, str] = KEYED) -> httpx.Request:
    return httpx.Request(method, f"http://127.0.0.1:1{path}", headers=headers, json=body)


@pytest.mark.parametrize(
    "allowed",
    [
        request("POST", "/v2/serverless", ENDPOINT),
        request("GET", "/v2/serverless?cursor=x&limit=3"),
        request("GET", "/v2/catalog/gpus?include=AVAILABILITY&product=POD,SERVERLESS&count=2"),
        request("GET", "/v2/catalog/gpus/NVIDIA%20GeForce%20RTX%204090"),
        request("DELETE", "/v2/pods/p1"),
    ],
)
def test_a_request_that_runpod_documents_is_allowed(allowed: httpx.Request) -> None:
    contract().check_request(allowed)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (request("POST", "/v2/serverless", {**ENDPOINT, "bogus": 1}), "bogus"),
        (request("POST", "/v2/serverless", {**ENDPOINT, "name": ""}), "non-empty"),
        (
            request(
                "POST",
                "/v2/serverless",
                {**ENDPOINT, "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4}},
            ),
            "queueDelay",
        ),
        (request("POST", "/v2/serverless", ENDPOINT, headers={}), "Security"),
        (request("GET", "/v2/serverless?name=a"), "name"),
        (request("GET", "/v2/pods/p1/logs?tail=9000"), "9000"),
        (request("GET", "/v1/endpoints"), "Path not found"),
        (request("PUT", "/v2/pods/p1"), "put"),
    ],
)
def test_a_request_that_runpod_would_refuse_is_a_breach(wrong: httpx.Request, why: str) -> None:
    with pytest.raises(Breach) as breach:
        contract().check_request(wrong)

    assert why in str(breach.value)


def test_replies_are_checked_by_status_and_media_type() -> None:
    asked = request("GET", "/v2/serverless")
    problem = {"title": "Unauthorized", "status": 401, "detail": "missing bearer token"}
    problem_type = {"content-type": "application/problem+json"}

    contract().check_reply(asked, httpx.Response(200, json={"endpoints": []}))
    contract().check_reply(asked, httpx.Response(401, json=problem, headers=problem_type))
    contract().check_reply(request("DELETE", "/v2/pods/p1"), httpx.Response(204))
    with pytest.raises(Breach, match="required"):
        contract().check_reply(asked, httpx.Response(200, json={"endpoints": [{}]}))
    with pytest.raises(Breach, match="mimetype"):
        contract().check_reply(asked, httpx.Response(401, json=problem))
    with pytest.raises(Breach, match="required"):
        contract().check_reply(asked, httpx.Response(401, json={"detail": "x"}, headers=problem_type))


def test_a_request_is_known_by_its_operation() -> None:
    assert (
        contract().operation(request("GET", "/v2/registries/delegations")) == "GET /v2/registries/delegations"
    )
    assert contract().operation(request("GET", "/v2/pods/p1")) == "GET /v2/pods/{id}"
    assert "GET /v2/pods/{id}" in contract().operations()
