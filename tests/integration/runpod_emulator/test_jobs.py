"""The job plane with stand-in workers that speak the worker protocol by hand."""

import http.server
import json
import threading

import pytest

from tests.integration.runpod_emulator.conftest import eventually


def test_a_job_runs_on_a_worker_that_is_started_for_it(account):
    endpoint = account.endpoint("run-1")
    job = account.job_in(endpoint, account.run(endpoint, input={"a": 1}), "COMPLETED")
    assert job["output"]["echo"] == {"a": 1}
    assert job["delayTime"] >= 500
    assert job["workerId"] == job["output"]["worker"]
    health = account.http.get(endpoint["requestUrls"]["health"]).json()
    assert health["jobs"]["completed"] == 1


def test_runsync_waits_and_its_ids_say_so(account, tmp_path):
    endpoint = account.endpoint("sync-1")
    job = account.http.post(endpoint["requestUrls"]["runSync"], json={"input": {"a": 1}}).json()
    assert (job["status"], job["id"].startswith("sync-")) == ("COMPLETED", True)
    go = tmp_path / "go"
    slow = account.http.post(
        f"{endpoint['requestUrls']['runSync']}?wait=1000", json={"input": {"until": str(go)}}
    ).json()
    assert slow["status"] in ("IN_QUEUE", "IN_PROGRESS")
    go.touch()
    account.job_in(endpoint, slow["id"], "COMPLETED")


def test_each_chunk_is_streamed_once_and_the_stream_ends_empty(account):
    endpoint = account.endpoint("stream-1")
    url = endpoint["requestUrls"]["stream"].replace("{job_id}", account.run(endpoint, input={"chunks": 4}))
    seen = []
    while True:
        told = account.http.get(url).json()
        seen += [one["output"] for one in told["stream"]]
        if told["status"] == "COMPLETED" and not told["stream"]:
            break
    assert seen == [f"chunk {number}" for number in range(4)]


def test_a_handlers_error_fails_the_job_which_can_be_retried(account):
    endpoint = account.endpoint("fail-1")
    identifier = account.run(endpoint, input={"fail": True})
    assert account.job_in(endpoint, identifier, "FAILED")["error"] == "asked to fail"
    retried = account.http.post(endpoint["requestUrls"]["retry"].replace("{job_id}", identifier)).json()
    assert retried["id"] == identifier
    assert account.job_in(endpoint, identifier, "FAILED")["retries"] == 1


def test_queued_jobs_are_cancelled_and_purged(account):
    endpoint = account.endpoint("purge-1", workers={"max": 0})
    identifiers = [account.run(endpoint, input={"n": number}) for number in range(3)]
    cancelled = account.http.post(endpoint["requestUrls"]["cancel"].replace("{job_id}", identifiers[0]))
    assert cancelled.json() == {"id": identifiers[0], "status": "CANCELLED"}
    purged = account.http.post(endpoint["requestUrls"]["purgeQueue"]).json()
    assert purged == {"removed": 2, "status": "completed"}
    assert account.status(endpoint, identifiers[1]).status_code == 404
    again = account.http.post(endpoint["requestUrls"]["retry"].replace("{job_id}", identifiers[0]))
    assert again.status_code == 400


def test_an_empty_input_is_lost_on_the_way_and_the_job_fails(account):
    endpoint = account.endpoint("empty-1")
    job = account.job_in(endpoint, account.run(endpoint, input={}), "FAILED")
    assert job["error"] == "job timed out after 1 retries"


def test_a_job_over_its_execution_limit_times_out_and_its_worker_is_stopped(account):
    endpoint = account.endpoint("limit-1", timeout=500)
    job = account.job_in(endpoint, account.run(endpoint, input={"sleep_s": 30}), "TIMED_OUT")
    eventually(
        lambda: [worker["id"] for worker in account.workers(endpoint)],
        lambda seen: job["workerId"] not in seen,
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": "text"},
        {"input": None},
        {"input": {"a": 1}, "policy": {"ttl": 5}},
        {"input": {"a": 1}, "policy": {"executionTimeout": 1}},
    ],
)
def test_a_request_without_a_usable_input_or_policy_is_400(account, body):
    endpoint = account.endpoint("bad-1", workers={"max": 0})
    assert account.http.post(endpoint["requestUrls"]["run"], json=body).status_code == 400


def test_purging_too_often_is_429(account):
    endpoint = account.endpoint("purge-2", workers={"max": 0})
    url = endpoint["requestUrls"]["purgeQueue"]
    assert [account.http.post(url).status_code for _ in range(3)] == [200, 200, 429]


def test_a_webhook_is_tried_again_until_it_is_accepted(account):
    received: list[dict] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append(body | {"agent": self.headers["User-Agent"]})
            self.send_response(500 if len(received) < 3 else 200)
            self.end_headers()

        def log_message(self, *_):
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = account.endpoint("hook-1")
    url = f"http://127.0.0.1:{server.server_port}/hook"
    identifier = account.run(endpoint, input={"a": 1}, webhook=url)
    eventually(lambda: received, lambda seen: len(seen) == 3)
    server.shutdown()
    server.server_close()
    assert {one["id"] for one in received} == {identifier}
    assert received[0]["input"] == {"a": 1}
    assert received[0]["agent"] == "Go-http-client/2.0"


def test_a_deleted_endpoint_takes_its_jobs_and_processes_with_it(account, runpod):
    endpoint = account.endpoint("gone-1")
    identifier = account.run(endpoint, input={"sleep_s": 60})
    account.job_in(endpoint, identifier, "IN_PROGRESS")
    account.call("DELETE", f"/v2/serverless/{endpoint['id']}")
    assert account.status(endpoint, identifier).status_code == 404
    eventually(lambda: runpod.control.state()["workers"], lambda seen: seen == [])


def test_a_load_balancer_has_no_jobs(account):
    endpoint = account.balanced("lb-no-jobs", workers={"max": 0})
    url = f"{account.environment.data_url}/v2/{endpoint['id']}/run"
    assert account.http.post(url, json={"input": {"a": 1}}).status_code == 400
