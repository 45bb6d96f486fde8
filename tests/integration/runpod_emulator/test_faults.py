"""Every way in which the real platform has been seen to fail, made to happen on purpose."""

import os
import signal
import time

import httpx
import psutil
import pytest

from tests.integration.runpod_emulator.conftest import SHORT, eventually

BODY = {
    "name": "lost",
    "type": "QUEUE",
    "image": "standin",
    "scaling": {"type": "QUEUE_DELAY", "queueDelay": 1},
    "gpu": {"pools": ["ADA_24"], "count": 1},
}


def names(account):
    return [one["name"] for one in account.ok("GET", "/v2/serverless")["endpoints"]]


def test_a_create_whose_reply_is_lost_has_happened(account, runpod):
    runpod.faults.set("create_reply_lost", count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        account.call("POST", "/v2/serverless", BODY)
    assert names(account) == ["lost"]
    assert account.call("POST", "/v2/serverless", {**BODY, "name": "second"}).status_code == 201


def test_a_deletion_whose_reply_is_lost_has_happened(account, runpod):
    endpoint = account.endpoint("deleted", workers={"max": 0})
    runpod.faults.set("delete_reply_lost", count=1)
    with pytest.raises(httpx.TransportError):
        account.call("DELETE", f"/v2/serverless/{endpoint['id']}")
    assert names(account) == []


def test_a_stock_out_of_one_pool_throttles_its_workers_and_leaves_others_alone(account, runpod):
    runpod.faults.set("stock_out", scope="ADA_24")
    starved = account.endpoint("starved", workers={"min": 1, "max": 1})
    lucky = account.endpoint("lucky", gpu={"pools": ["AMPERE_24"]}, workers={"min": 1, "max": 1})
    eventually(lambda: account.workers(lucky), lambda seen: [one["status"] for one in seen] == ["IDLE"])
    assert [one["status"] for one in account.workers(starved)] == ["THROTTLED"]
    assert account.workers(starved)[0]["gpuTypeId"] is None
    runpod.faults.clear("stock_out")
    eventually(lambda: account.workers(starved), lambda seen: [one["status"] for one in seen] == ["IDLE"])


def test_a_listed_data_center_without_stock_refuses_the_create(account, runpod):
    runpod.faults.set("stock_out", scope="EU-CZ-1")
    reply = account.call("POST", "/v2/serverless", {**BODY, "dataCenterIds": ["EU-CZ-1"]})
    assert (reply.status_code, "no longer any instances" in reply.json()["detail"]) == (400, True)
    runpod.faults.set("capacity_400", scope="ADA_24")
    assert account.call("POST", "/v2/serverless", BODY).status_code == 400


def test_a_storm_of_429_tells_how_long_to_wait_and_ends(account, runpod):
    runpod.faults.play([{"knob": "control_429", "value": 2, "at": 0, "for": 5}])
    refused = account.call("GET", "/v2/serverless")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    eventually(lambda: account.call("GET", "/v2/serverless").status_code, lambda status: status == 200)


def test_a_burst_of_5xx_hits_both_planes_without_effect(account, runpod):
    endpoint = account.endpoint("burst", workers={"max": 0})
    runpod.faults.set("control_5xx", 503)
    runpod.faults.set("data_5xx", 502)
    assert account.call("POST", "/v2/serverless", BODY).status_code == 503
    assert account.http.post(endpoint["requestUrls"]["run"], json={"input": {"a": 1}}).status_code == 502
    runpod.faults.clear()
    assert names(account) == ["burst"]
    health = account.http.get(endpoint["requestUrls"]["health"]).json()
    assert health["jobs"]["inQueue"] == 0


def test_a_slow_pull_keeps_the_worker_initializing_and_costs_nothing(account, runpod):
    runpod.faults.set("image_pull_s", 600)
    endpoint = account.endpoint("slow-pull", workers={"min": 1, "max": 1})
    eventually(lambda: account.workers(endpoint), lambda seen: seen and seen[0]["gpuTypeId"] is not None)
    worker = account.workers(endpoint)[0]
    assert (worker["status"], worker["startedAt"]) == ("INITIALIZING", None)
    bill = account.ok("GET", "/v2/billing/serverless", params={"serverlessId": endpoint["id"]})
    assert bill["records"] == []
    runpod.faults.set("image_pull_s", 0.5)
    pulled = account.endpoint("pulled", workers={"min": 1, "max": 1})
    eventually(lambda: account.workers(pulled), lambda seen: seen and seen[0]["status"] == "IDLE")
    assert account.workers(endpoint)[0]["status"] == "INITIALIZING"


def test_an_image_that_does_not_exist_is_unhealthy_and_the_system_log_says_why(account):
    endpoint = account.endpoint("no-image", image="nobody/knows:1", workers={"min": 1, "max": 1})
    worker = eventually(
        lambda: account.workers(endpoint), lambda seen: seen and seen[0]["status"] == "UNHEALTHY"
    )[0]
    path = f"/v2/serverless/{endpoint['id']}/workers/{worker['id']}/logs"
    account.log_lines(path, lambda line: "manifest unknown" in line, source="system")


def test_a_throttled_endpoint_stays_throttled_until_the_fault_ends(account, runpod):
    runpod.faults.set("throttled", scope="for-ever")
    endpoint = account.endpoint("for-ever", workers={"min": 1, "max": 1})
    identifier = account.run(endpoint, input={"a": 1})
    health = eventually(
        lambda: account.http.get(endpoint["requestUrls"]["health"]).json(),
        lambda seen: seen["workers"]["throttled"] == 1,
    )
    assert health["jobs"]["inQueue"] == 1
    runpod.faults.clear()
    account.job_in(endpoint, identifier, "COMPLETED")


def test_a_crash_loop_restarts_the_container_again_and_again_and_is_billed(account):
    endpoint = account.endpoint("crash", env={"STANDIN_CRASH": "3"}, workers={"min": 1, "max": 1})
    worker = eventually(
        lambda: account.workers(endpoint), lambda seen: seen and seen[0]["status"] == "UNHEALTHY"
    )[0]
    starts = []
    path = f"/v2/serverless/{endpoint['id']}/workers/{worker['id']}/logs"
    account.log_lines(
        path, lambda line: (line == "start container" and starts.append(line)) or len(starts) == 3
    )
    bill = account.ok("GET", "/v2/billing/serverless", params={"serverlessId": endpoint["id"]})
    assert bill["metadata"]["totals"]["gpuAmount"] > 0


def test_a_worker_that_is_not_ready_in_time_is_unhealthy(account):
    env = {"STANDIN_SLOW_S": "60", "RUNPOD_INIT_TIMEOUT": "0.5"}
    endpoint = account.balanced("late", env=env, workers={"min": 1, "max": 1})
    eventually(lambda: account.workers(endpoint), lambda seen: seen and seen[0]["status"] == "UNHEALTHY")


def test_a_worker_killed_in_the_middle_of_a_stream_breaks_it_visibly(account, runpod):
    endpoint = account.balanced("killed", workers={"min": 1, "max": 1})
    account.http.get(endpoint["requestUrls"]["base"])
    runpod.faults.set("kill_mid_stream", 2, scope=endpoint["id"], count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        read_whole_stream(account, endpoint)
    url = endpoint["requestUrls"]["base"]
    eventually(lambda: account.http.get(url).status_code, lambda status: status == 200)


def read_whole_stream(account, endpoint):
    with account.http.stream("GET", f"{endpoint['requestUrls']['base']}/stream?n=100000") as reply:
        return b"".join(reply.iter_raw())


def test_a_job_of_a_killed_worker_runs_again_once_and_then_fails(account, runpod):
    endpoint = account.endpoint("lost-worker")
    runpod.faults.set("kill_mid_job", scope=endpoint["id"], count=1)
    survived = account.job_in(endpoint, account.run(endpoint, input={"sleep_s": 0.3}), "COMPLETED", "FAILED")
    assert (survived["status"], survived["retries"]) == ("COMPLETED", 1)
    runpod.faults.set("kill_mid_job", scope=endpoint["id"])
    job = account.job_in(endpoint, account.run(endpoint, input={"sleep_s": 0.3}), "COMPLETED", "FAILED")
    assert (job["status"], job["error"]) == ("FAILED", "job timed out after 1 retries")


def test_health_counters_may_tell_of_the_past(account, runpod):
    endpoint = account.endpoint("lagging", workers={"max": 0})
    runpod.faults.set("health_lag_s", 3600, scope=endpoint["id"])
    account.run(endpoint, input={"a": 1})
    url = endpoint["requestUrls"]["health"]
    assert account.http.get(url).json()["jobs"]["inQueue"] == 0
    runpod.faults.clear()
    assert account.http.get(url).json()["jobs"]["inQueue"] == 1


def test_a_new_endpoint_may_be_unknown_to_the_data_plane_and_to_lists(account, runpod):
    runpod.faults.set("new_endpoint_404_s", 3600)
    runpod.faults.set("list_lag_s", 3600)
    endpoint = account.endpoint("fresh", workers={"max": 0})
    assert account.http.get(endpoint["requestUrls"]["health"]).status_code == 404
    assert names(account) == []
    assert account.call("GET", f"/v2/serverless/{endpoint['id']}").status_code == 200


def test_the_edge_gives_up_before_a_slow_job_does(account, runpod):
    endpoint = account.endpoint("slow-edge")
    runpod.faults.set("edge_limit_s", 0.2)
    reply = account.http.post(endpoint["requestUrls"]["runSync"], json={"input": {"sleep_s": 1}})
    assert reply.status_code == 524


def test_clocks_may_differ(account, runpod):
    before = account.endpoint("skew", workers={"max": 0})
    runpod.faults.set("clock_skew_s", -86400)
    eventually(
        lambda: account.ok("GET", f"/v2/serverless/{before['id']}")["createdAt"],
        lambda told: told < before["createdAt"],
    )


def test_an_unknown_knob_is_refused_and_nothing_of_its_timeline_is_set(account, runpod):
    from tidegate.domain import NeedsOperator

    with pytest.raises(NeedsOperator, match="no_such_knob"):
        runpod.faults.play([{"knob": "throttled"}, {"knob": "no_such_knob"}])
    assert runpod.faults.active() == []


def test_a_worker_killed_from_outside_is_replaced_and_leaves_nobody(account, runpod):
    endpoint = account.balanced("outside", workers={"min": 1, "max": 1})
    account.http.get(endpoint["requestUrls"]["base"])
    pid = next(one["pid"] for one in runpod.control.state()["workers"] if one["endpointId"] == endpoint["id"])
    os.killpg(pid, signal.SIGKILL)
    eventually(lambda: psutil.pid_exists(pid), lambda exists: not exists)
    url = endpoint["requestUrls"]["base"]
    eventually(lambda: account.http.get(url).status_code, lambda status: status == 200)


def test_a_worker_whose_heartbeats_are_lost_loses_its_job_to_another_try(account, runpod):
    endpoint = account.endpoint("no-pings")
    runpod.faults.set("drop_pings", scope=endpoint["id"])
    job = account.job_in(endpoint, account.run(endpoint, input={"sleep_s": 60}), "FAILED")
    assert (job["error"], job["retries"]) == ("job timed out after 1 retries", 1)


def test_a_result_that_is_refused_is_lost_and_the_job_runs_again(account, runpod):
    endpoint = account.endpoint("no-done")
    runpod.faults.set("done_status", 500, scope=endpoint["id"], count=1)
    job = account.job_in(endpoint, account.run(endpoint, input={"a": 1}), "COMPLETED", "FAILED")
    assert (job["status"], job["retries"]) == ("COMPLETED", 1)


def test_workers_are_refused_their_jobs_while_takes_fail(account, runpod):
    endpoint = account.endpoint("no-take", workers={"min": 1, "max": 1})
    eventually(lambda: account.workers(endpoint), lambda seen: [one["status"] for one in seen] == ["IDLE"])
    runpod.faults.set("take_status", 500, scope=endpoint["id"])
    # A poll that is open already is answered, with one job; the next ones are refused.
    _, second = (account.run(endpoint, input={"a": number}) for number in (1, 2))
    time.sleep(2 * SHORT["take_hold_s"])
    assert account.status(endpoint, second).json()["status"] == "IN_QUEUE"
    runpod.faults.clear("take_status")
    account.job_in(endpoint, second, "COMPLETED")


def test_without_money_every_worker_leaves(account, runpod):
    endpoint = account.endpoint("broke", workers={"min": 1, "max": 1})
    eventually(lambda: account.workers(endpoint), lambda seen: [one["status"] for one in seen] == ["IDLE"])
    runpod.faults.set("balance_usd", 0, scope="swaggystacks")
    eventually(lambda: account.workers(endpoint), lambda seen: seen == [])


def test_nobody_starts_above_the_accounts_spend_limit_per_hour(account):
    gpu = {"pools": ["HOPPER_141"], "count": 8}
    endpoint = account.endpoint("dear", gpu=gpu, workers={"min": 2, "max": 2})
    assert len(eventually(lambda: account.workers(endpoint), lambda seen: seen)) == 1
    cheap = account.endpoint("cheap", workers={"min": 1, "max": 1})
    eventually(lambda: account.workers(cheap), lambda seen: [one["status"] for one in seen] == ["IDLE"])
    assert len(account.workers(endpoint)) == 1
