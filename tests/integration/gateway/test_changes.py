"""Traffic moves, sets die, files are refused: what clients notice and what the gateway says."""

import os
import signal
import threading
import time
from dataclasses import replace

import httpx
import psutil
import pytest

from tidegate.domain import InvalidInput, Permanent, Refused, Secret
from tidegate.gateway import ClientKey, find_envoy, serve
from tidegate.gateway.agent import Agent
from tidegate.gateway.envoy import Envoy
from tidegate.gateway.publish import Publisher


def test_switches_under_load_cost_no_request_and_no_stream(service, old_and_new, pool, over):
    old, new = old_and_new
    service.switch({old: 100, new: 0})
    running = pool.submit(service.load, 2000, stream_every=20, until=over)

    for share in (10, 50, 100, 0, 100):
        service.switch({old: 100 - share, new: share})
    over.set()

    tally = running.result(300)
    assert tally.failures == []
    assert tally.answered >= 2000
    assert set(tally.sets) == {"set-old", "set-new"}


def test_after_the_confirmation_no_new_request_goes_to_the_old_set(service, old_and_new):
    old, new = old_and_new
    service.switch({old: 100, new: 0})
    service.switch({old: 0, new: 100})

    assert set(service.load(200).sets) == {"set-new"}


def test_a_killed_set_costs_only_what_was_in_flight(service, old_and_new, fresh_set, pool, eventually):
    canary = fresh_set("set-doomed")
    service.switch({old_and_new[0]: 50, canary: 50})
    workers = 8
    running = pool.submit(service.load, 1500, workers=workers)
    eventually(
        lambda: service.ask().headers["x-tidegate-set"], lambda seen: seen == "set-doomed", "the canary"
    )

    canary.kill()
    dead_at = time.monotonic()

    tally = running.result(300)
    # A dying process still accepts what reaches it before its socket is closed: in flight until it is dead.
    assert [began for began in tally.failed_starts if began > dead_at] == []
    assert len(tally.failures) <= 2 * workers
    assert tally.answered + len(tally.failures) >= 1500
    status = service.gateway.source.status
    eventually(
        lambda: service.gateway.source.status, lambda seen: "set-doomed" not in seen.healthy_sets, f"{status}"
    )
    assert service.load(200).failures == []
    attempts = eventually(
        lambda: service.gateway.source.totals.get("set-doomed"),
        lambda seen: (
            seen is not None
            and seen.attempts_failed >= len(tally.failures)
            and seen.failed >= len(tally.failures)
        ),
        "failed attempts",
    )
    assert attempts.failed == len(tally.failures)


def test_a_set_that_answers_503_is_tried_elsewhere_and_the_attempts_are_counted(
    service, old_and_new, fresh_set, eventually
):
    busy = fresh_set("set-busy")
    service.switch({old_and_new[0]: 50, busy: 50})
    busy.behave("busy")

    tally = service.load(300)

    assert tally.failures == []
    assert set(tally.sets) == {"set-old"}
    eventually(
        lambda: service.gateway.source.totals.get("set-busy"),
        lambda seen: seen is not None and seen.attempts_failed > 50 and seen.requests == 0,
        "hidden failures of the busy set",
    )


def test_counts_equal_what_the_client_saw(service, old_and_new, fresh_set, eventually):
    sound, broken = fresh_set("set-sound"), fresh_set("set-broken")
    service.switch({sound: 50, broken: 50})
    broken.behave("broken")

    tally = service.load(400, stream_every=10)

    totals = eventually(
        lambda: service.gateway.source.totals,
        lambda seen: (
            "set-sound" in seen
            and "set-broken" in seen
            and seen["set-sound"].requests + seen["set-broken"].requests >= 400
            and seen["set-sound"].latency_count >= seen["set-sound"].requests
        ),
        "the counts",
    )
    assert totals["set-sound"].requests == tally.sets["set-sound"]
    assert totals["set-sound"].failed == 0
    assert totals["set-broken"].requests == totals["set-broken"].failed == len(tally.failures)
    assert totals["set-sound"].latency_count == totals["set-sound"].requests
    assert totals["set-sound"].mean_latency_ms > 0


def test_a_set_that_is_not_healthy_gains_no_traffic(service, old_and_new, fresh_set, eventually):
    late = fresh_set("set-late")
    late.behave("loading")
    service.switch({old_and_new[0]: 100, late: 0})

    generation = service.want({old_and_new[0]: 0, late: 100})
    status = eventually(
        lambda: service.gateway.source.status, lambda seen: "set-late" in seen.error, "a reason"
    )

    assert status.observed_generation < generation
    assert set(service.load(100).sets) == {"set-old"}
    late.behave("ok")
    service.gateway.await_generation(generation)
    assert set(service.load(100).sets) == {"set-late"}


def test_a_removed_set_finishes_its_stream(service, old_and_new, fresh_set, pool, eventually):
    leaving = fresh_set("set-leaving")
    service.switch({leaving: 100})
    running = pool.submit(service.ask, {"stream": True, "until": "left", "delay_s": 0.1})
    eventually(
        lambda: service.gateway.source.status,
        lambda seen: seen.active_requests.get("set-leaving") == 1,
        "the stream in flight",
    )

    service.switch({old_and_new[0]: 100})

    assert service.ask().headers["x-tidegate-set"] == "set-old"
    clusters = service.gateway.config.path("xds/cds.json")
    assert "set-leaving" in clusters.read_text()
    leaving.behave("left")
    assert running.result(60).text.endswith("data: [DONE]\n\n")
    eventually(clusters.read_text, lambda text: "set-leaving" not in text, "removal of the cluster")


def test_new_keys_are_taken_and_old_ones_refused_without_dropping_a_stream(
    service, old_and_new, pool, eventually
):
    service.switch({old_and_new[0]: 100})
    stream = pool.submit(service.ask, {"stream": True, "until": "keys-changed", "delay_s": 0.1})
    eventually(
        lambda: service.gateway.source.status.active_requests, lambda seen: "set-old" in seen, "the stream"
    )

    keys = service.gateway.keys
    keys[:] = [key for key in keys if key.org != service.org] + [
        ClientKey.of(service.org, "app", Secret(f"second-{service.key}"))
    ]

    eventually(service.ask, lambda reply: reply.status_code == 401, "refusal of the old key")
    assert service.ask(authorization=f"Bearer second-{service.key}").status_code == 200
    old_and_new[0].behave("keys-changed")
    assert stream.result(60).text.endswith("data: [DONE]\n\n")


def test_an_older_epoch_of_a_service_is_refused(service, old_and_new, eventually):
    old, new = old_and_new
    service.switch({old: 100}, epoch=7)

    service.want({new: 100}, epoch=6)

    status = eventually(
        lambda: service.gateway.source.status, lambda seen: "epoch 6" in seen.error, "a refusal"
    )
    assert service.org in status.error
    assert service.ask().headers["x-tidegate-set"] == "set-old"
    service.switch({new: 100}, epoch=8)
    assert service.ask().headers["x-tidegate-set"] == "set-new"


def test_an_older_generation_is_refused_as_a_whole(service, old_and_new, eventually):
    old, new = old_and_new
    source = service.gateway.source
    generation = service.switch({old: 100})

    source.number = generation - 1
    source.routes[service.org, "chat"] = service.route({new: 100})

    eventually(lambda: source.status, lambda seen: f"generation {generation - 1}" in seen.error, "a refusal")
    assert service.ask().headers["x-tidegate-set"] == "set-old"
    source.number = generation
    service.switch({new: 100})


def test_a_route_that_cannot_be_rendered_leaves_the_former_one_live(service, old_and_new, eventually):
    old, new = old_and_new
    service.switch({old: 100})
    wrong = service.route({new: 100})
    bad = wrong.upstreams[0].model_copy(update={"release_id": "two\r\nlines"})

    service.gateway.source.put(wrong.model_copy(update={"upstreams": (bad,)}))

    eventually(lambda: service.gateway.source.status, lambda seen: "release_id" in seen.error, "a reason")
    assert service.ask().headers["x-tidegate-set"] == "set-old"
    service.switch({new: 100})
    assert service.ask().headers["x-tidegate-set"] == "set-new"


def test_an_unreachable_ledger_does_not_stop_the_gateway(service, old_and_new):
    old, new = old_and_new
    service.switch({old: 100, new: 0})
    service.gateway.source.is_down = True

    generation = service.want({old: 0, new: 100})
    assert service.load(100).failures == []
    service.gateway.source.is_down = False

    service.gateway.await_generation(generation)
    assert set(service.load(50).sets) == {"set-new"}


def test_a_killed_envoy_comes_back_with_the_same_weights(service, old_and_new, eventually):
    service.switch({old_and_new[0]: 30, old_and_new[1]: 70})
    before = service.load(100)
    eventually(
        lambda: service.gateway.source.totals.get("set-new"),
        lambda seen: seen is not None,
        "counts before the crash",
    )
    former = service.gateway.envoy_pid

    os.kill(former, signal.SIGKILL)

    eventually(lambda: service.gateway.envoy_pid, lambda pid: pid != former, "a new process")
    eventually(lambda: _status_of(service), lambda status: status == 200, "an answer")
    tally = service.load(600)
    assert before.failures == tally.failures == []
    # 70 % of 600 is 420; six standard deviations are 67.
    assert 353 <= tally.sets["set-new"] <= 487


def _status_of(service) -> int:
    try:
        return service.ask().status_code
    except httpx.TransportError:
        return 0


def test_what_envoy_refuses_is_put_back_and_the_reason_is_told(client, bare, old_and_new, gateway):
    service = replace(gateway.service("org-refused"), org="org-refused")
    keys = [ClientKey.of("org-refused", "app", Secret("key-of-org-refused"))]
    good = service.route({old_and_new[0]: 100, old_and_new[1]: 0})
    bare.publish_keys(keys)
    bare.publish(good)
    files = {path: path.read_bytes() for path in (bare.config.root / "xds").iterdir()}
    wrong = replace(bare.config, stream_idle_s=-1)
    publisher = Publisher(wrong, bare.admin, find_envoy())

    with pytest.raises(Permanent, match=r"(?i)duration"):
        publisher.publish([service.route({old_and_new[0]: 0, old_and_new[1]: 100})], 2)

    assert files == {path: path.read_bytes() for path in (bare.config.root / "xds").iterdir()}
    assert publisher.live.generation == 1
    url = f"http://127.0.0.1:{bare.config.port}/org-refused/chat/v1/models"
    assert client.get(url, headers=service.auth).headers["x-tidegate-set"] == "set-old"


def test_the_offline_check_stops_bad_clusters_before_envoy_sees_them(bare, old_and_new, gateway):
    service = gateway.service("org-offline")
    files = {path: path.read_bytes() for path in (bare.config.root / "xds").iterdir()}
    publisher = Publisher(replace(bare.config, stream_idle_s=-1), bare.admin, find_envoy())

    with pytest.raises(Permanent, match="offline check"):
        publisher.publish([service.route({old_and_new[0]: 100})], 1)

    assert files == {path: path.read_bytes() for path in (bare.config.root / "xds").iterdir()}


def test_an_envoy_that_outlived_its_agent_is_replaced_and_finishes_its_stream(
    client, bare, old_and_new, gateway, pool, eventually, request
):
    service = gateway.service("org-orphan")
    keys = [ClientKey.of("org-orphan", "app", Secret(service.key))]
    bare.publish_keys(keys)
    bare.publish(service.route({old_and_new[0]: 100}))
    url = f"http://127.0.0.1:{bare.config.port}/org-orphan/chat/v1/chat/completions"
    body = {"stream": True, "until": "orphan-replaced", "delay_s": 0.1}
    stream = pool.submit(client.post, url, json=body, headers=service.auth)
    eventually(bare.admin.active_requests, lambda active: active == 1, "the stream")
    orphan = bare.envoy.pid

    successor = Envoy(bare.config, bare.admin, find_envoy())
    request.addfinalizer(successor.stop)
    successor.start()

    assert successor.pid != orphan
    assert psutil.pid_exists(orphan)
    for _ in range(20):
        assert client.post(url, json={}, headers=service.auth).status_code == 200
    old_and_new[0].behave("orphan-replaced")
    assert stream.result(60).text.endswith("data: [DONE]\n\n")
    eventually(
        lambda: (successor.tend(), bare.envoy.pid)[1], lambda pid: pid is None, "the end of the orphan"
    )
    bare.admin.close()
    assert successor.is_ready()


def test_a_stop_lets_requests_in_flight_finish(client, bare, old_and_new, gateway, pool, eventually):
    service = gateway.service("org-stop")
    keys = [ClientKey.of("org-stop", "app", Secret(service.key))]
    bare.publish_keys(keys)
    bare.publish(service.route({old_and_new[0]: 100}))
    url = f"http://127.0.0.1:{bare.config.port}/org-stop/chat/v1/chat/completions"
    body = {"stream": True, "until": "stop-begun", "delay_s": 0.1}
    stream = pool.submit(client.post, url, json=body, headers=service.auth)
    eventually(bare.admin.active_requests, lambda active: active == 1, "the stream")

    assert bare.envoy.stop(meanwhile=lambda: old_and_new[0].behave("stop-begun")) == 0

    assert stream.result(60).text.endswith("data: [DONE]\n\n")
    assert bare.envoy.pid is None
    with pytest.raises(httpx.ConnectError):
        client.get(url)


def test_a_second_agent_for_the_same_folder_is_refused(gateway):
    with pytest.raises(Refused, match="already runs"):
        serve(gateway.config, gateway.source, list, threading.Event())


def test_a_socket_path_that_is_too_long_is_named(bare):
    config = replace(bare.config, admin_socket=bare.config.root / ("x" * 100))

    with pytest.raises(InvalidInput, match="admin socket"):
        Envoy(config, bare.admin, find_envoy()).start()


def test_a_long_access_log_is_set_aside_and_writing_goes_on(client, bare, eventually):
    config = replace(bare.config, max_access_log_bytes=1)
    agent = Agent(config, NoSource(), admin=bare.admin, envoy=bare.envoy, publisher=bare.publisher)
    url = f"http://127.0.0.1:{bare.config.port}/"
    client.get(f"{url}first")
    eventually(config.access_log.read_text, lambda text: "/first" in text, "the first line")

    agent.step()
    client.get(f"{url}second")

    # Envoy makes the new file when it next has something to write.
    eventually(config.access_log.exists, bool, "the new file")
    eventually(config.access_log.read_text, lambda text: "/second" in text, "the second line")
    assert "/first" in config.access_log.with_name("access.log.1").read_text()
    assert "/first" not in config.access_log.read_text()


class NoSource:
    """A source that never answers."""

    def __getattr__(self, name):
        raise ConnectionError("no ledger")
