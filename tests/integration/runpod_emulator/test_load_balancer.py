"""The load-balancing plane: cold start, streaming, the documented refusals, rolling releases."""

import httpx
import pytest

from tests.integration.runpod_emulator.conftest import eventually


def test_a_request_waits_for_the_worker_that_it_causes(account):
    endpoint = account.balanced("lb-1")
    reply = account.http.get(f"{endpoint['requestUrls']['base']}/v1/models?x=a%20b")
    assert reply.status_code == 200
    assert reply.json()["path"] == "/v1/models?x=a%20b"
    assert reply.headers["X-Runpod-Worker-Id"] == reply.json()["worker"]
    assert "Authorization" not in reply.json()["headers"]


def test_a_stream_arrives_piece_by_piece(account, tmp_path):
    endpoint = account.balanced("lb-2")
    seen_one = tmp_path / "seen"
    url = f"{endpoint['requestUrls']['base']}/stream?n=5&until={seen_one}"
    seen = b""
    with account.http.stream("GET", url) as reply:
        for piece in reply.iter_raw():
            seen += piece
            if seen == b"data: 0\n\n":
                # The worker does not say more before this is there.
                seen_one.touch()
    assert seen.count(b"data: ") == 5


def test_a_starting_worker_is_not_asked_before_it_is_ready(account, tmp_path):
    ready = tmp_path / "ready"
    env = {"STANDIN_HEALTHY_ONCE": str(ready)}
    endpoint = account.balanced("lb-3", env=env, workers={"min": 1, "max": 1})
    eventually(lambda: account.workers(endpoint), lambda seen: seen and seen[0]["startedAt"] is not None)
    assert account.workers(endpoint)[0]["status"] == "INITIALIZING"
    with pytest.raises(httpx.ReadTimeout):
        account.http.get(endpoint["requestUrls"]["base"], timeout=httpx.Timeout(60, read=0.5))
    ready.touch()
    assert account.http.post(endpoint["requestUrls"]["base"], content=b"hi").json()["echo"] == "hi"


def test_a_queue_endpoint_is_not_allowed_here(account):
    endpoint = account.endpoint("lb-4", workers={"max": 0})
    reply = account.http.get(f"{account.environment.data_url}/lb/{endpoint['id']}/x")
    assert (reply.status_code, reply.json()) == (400, {"error": "not allowed for QB API"})


def test_a_port_that_the_endpoint_does_not_list_is_never_reached(account, runpod):
    endpoint = account.balanced("lb-5", ports=["8080/http"], workers={"min": 1, "max": 1})
    eventually(lambda: account.workers(endpoint), lambda seen: [one["status"] for one in seen] == ["RUNNING"])
    workers = account.http.get(f"{runpod.data_url}/v2/{endpoint['id']}/health").json()["workers"]
    assert (workers["running"], workers["ready"]) == (1, 0)
    with pytest.raises(httpx.ReadTimeout):
        account.http.get(endpoint["requestUrls"]["base"], timeout=httpx.Timeout(60, read=0.5))


def test_idle_workers_leave_after_their_timeout(account):
    endpoint = account.balanced("lb-6", workers={"min": 0, "max": 1, "idleTimeout": 5})
    account.http.get(endpoint["requestUrls"]["base"])
    assert len(account.workers(endpoint)) == 1
    eventually(lambda: account.workers(endpoint), lambda seen: seen == [])


def test_a_new_release_replaces_idle_workers_at_once_and_busy_ones_after_their_request(account, tmp_path):
    endpoint = account.balanced("lb-7", workers={"min": 1, "max": 1})
    path = f"/v2/serverless/{endpoint['id']}"
    eventually(lambda: account.workers(endpoint), lambda seen: seen and seen[0]["status"] == "IDLE")
    old = account.http.get(endpoint["requestUrls"]["base"]).json()["worker"]
    seen_all = tmp_path / "seen"
    url = f"{endpoint['requestUrls']['base']}/stream?n=40&until={seen_all}"
    with account.http.stream("GET", url) as reply:
        chunks = reply.iter_raw()
        seen = next(chunks)
        account.ok("PATCH", path, {"env": {"VERSION": "2"}})
        stale = next(one for one in account.workers(endpoint) if one["id"] == old)
        assert (stale["isStale"], stale["version"]) == (True, 1)
        assert account.ok("GET", f"{path}/releases")["rollout"]["inProgress"]
        seen_all.touch()
        seen += b"".join(chunks)
    assert seen.count(b"data: ") == 40
    eventually(
        lambda: [(one["isStale"], one["status"]) for one in account.workers(endpoint)],
        lambda seen: seen == [(False, "IDLE")],
    )


def test_the_health_url_of_an_endpoint_is_answered_by_its_worker(account):
    endpoint = account.balanced("lb-10", env={"HEALTH_CHECK_PATH": "/ping"})
    assert account.http.get(endpoint["requestUrls"]["health"]).status_code == 200


def test_a_body_over_the_limit_is_refused(account):
    endpoint = account.balanced("lb-8", workers={"max": 0})
    reply = account.http.post(endpoint["requestUrls"]["base"], content=b"x" * (30 * 2**20 + 1))
    assert reply.status_code == 413


def test_the_workers_log_is_streamed_from_its_real_output(account):
    endpoint = account.balanced("lb-9", workers={"min": 1, "max": 1})
    worker = eventually(lambda: account.workers(endpoint), lambda seen: seen and seen[0]["status"] == "IDLE")[
        0
    ]
    path = f"/v2/serverless/{endpoint['id']}/workers/{worker['id']}/logs"
    lines = account.log_lines(path, lambda line: line == "worker is ready")
    assert ("container", "stand-in worker started") in [(one["source"], one["line"]) for one in lines]
    own = account.log_lines(path, lambda line: "started" in line, source="container")
    assert {one["source"] for one in own} == {"container"}
    assert account.call("GET", f"/v2/serverless/{endpoint['id']}/workers/none/logs").status_code == 404
    assert account.call("GET", path, params={"tail": 5001}).status_code == 422
