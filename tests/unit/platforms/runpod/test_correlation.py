"""Calls to RunPod can be joined with our logs, and what is made there names its maker."""

import logging

import httpx
import pytest

from tests.unit.platforms.runpod.conftest import KEY, FakeRunPod, endpoint_json
from tidegate.correlation import bind, is_request_id, parse_traceparent, trace_of_release
from tidegate.domain import RunPodServiceConfig, SetSpec
from tidegate.platforms.runpod import RunPodClient
from tidegate.platforms.runpod.marks import FLOW_RUN_ID, worker_environment
from tidegate.platforms.runpod.wire import UpdateEndpoint, WorkersChange

CHANGE = UpdateEndpoint(workers=WorkersChange(max=0))
SPEC = SetSpec(name="a--b--c", org="a", service="b", release_id="r-1", digest="1" * 64, artifact_path="/x")
CONFIG = RunPodServiceConfig.model_validate({"image": "i", "model_url": "s3://b/{digest}"})


def test_a_call_carries_the_request_and_the_trace_of_the_release(client: RunPodClient, server: FakeRunPod):
    server.will(httpx.Response(200, json={"endpoints": []}))
    with bind(release_id="r-1", request_id="order-1234"):
        client.control.list_endpoints()

    sent = server.requests[0].headers
    parent = parse_traceparent(sent["traceparent"])
    assert sent["x-request-id"] == "order-1234"
    assert parent is not None
    assert parent.trace_id == trace_of_release("r-1")


def test_a_call_of_nobody_has_an_id_of_its_own(client: RunPodClient, server: FakeRunPod):
    server.will(httpx.Response(200, json={"endpoints": []}))
    client.control.list_endpoints()

    assert is_request_id(server.requests[0].headers["x-request-id"])


def test_what_changes_something_is_told_with_its_time_and_the_vendor_s_id(
    client: RunPodClient, server: FakeRunPod, caplog: pytest.LogCaptureFixture
):
    server.will(httpx.Response(200, json=endpoint_json(), headers={"x-request-id": "of-runpod"}))
    with caplog.at_level(logging.INFO, "tidegate.platforms.runpod.transport"):
        client.control.update_endpoint("ep1", CHANGE, is_repeatable=True)

    (record,) = caplog.records
    assert record.getMessage().endswith(": 200")
    assert (vars(record)["vendor_request_id"], vars(record)["duration_ms"] >= 0) == ("of-runpod", True)
    assert KEY not in str(vars(record))


def test_what_is_made_names_the_run_that_made_it():
    assert FLOW_RUN_ID not in worker_environment(SPEC, CONFIG)
    with bind(flow_run_id="0197c1f4"):
        assert worker_environment(SPEC, CONFIG)[FLOW_RUN_ID] == "0197c1f4"
