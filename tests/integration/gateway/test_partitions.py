"""A gateway that is cut off: it serves what it had, and nothing that was retired meanwhile."""

import os
import signal
import threading
import time

import httpx
import pytest

from tidegate.domain import Secret, Transient
from tidegate.gateway import ClientKey, serve
from tidegate.gateway.presence import FRESH_S


def answer(service) -> str:
    try:
        return service.ask().headers.get("x-tidegate-set", "none")
    except httpx.TransportError as error:
        return type(error).__name__


@pytest.fixture(scope="module")
def lonely(start_gateway):
    """A gateway whose ledger and Envoy a test may take away."""
    return start_gateway("lonely").service("org-lonely")


def test_an_envoy_that_dies_while_the_ledger_is_away_does_not_come_back_with_what_was_retired(
    lonely, old_and_new, eventually
):
    old, new = old_and_new
    lonely.switch({old: 100})
    source = lonely.gateway.source
    source.is_down = True
    cut_at = time.monotonic()
    # From then on a release may have gone on without it.
    eventually(lambda: time.monotonic() - cut_at, lambda passed: passed > FRESH_S + 1, "a long silence")
    assert answer(lonely) == "set-old"

    os.kill(lonely.gateway.envoy_pid, signal.SIGKILL)
    eventually(lambda: answer(lonely), lambda seen: seen == "ConnectError", "a closed port")
    lonely.want({new: 100})
    source.is_down = False

    assert eventually(lambda: answer(lonely), lambda seen: seen.startswith("set-"), "an answer") == "set-new"


def test_an_agent_that_starts_without_the_ledger_leaves_the_envoy_that_serves_alone(
    bare, old_and_new, gateway, client, eventually
):
    service = gateway.service("org-left")
    bare.publish_keys([ClientKey.of("org-left", "app", Secret(service.key))])
    bare.publish(service.route({old_and_new[0]: 100}))
    url = f"http://127.0.0.1:{bare.config.port}/org-left/chat/v1/models"
    source = type(gateway.source)(is_down=True)
    asked = threading.Event()
    source.on_answer = asked.set
    stop = threading.Event()
    thread = threading.Thread(target=serve, args=(bare.config, source, list, stop))
    thread.start()
    try:
        assert asked.wait(60)
        assert client.get(url, headers=service.auth).headers["x-tidegate-set"] == "set-old"
        assert bare.envoy.pid is not None
    finally:
        stop.set()
        thread.join()
    # A stop ends the Envoy that an earlier agent left, too.
    eventually(lambda: bare.envoy.pid, lambda pid: pid is None, "the end of that Envoy")


def test_a_set_that_could_not_be_named_in_the_ledger_gets_no_traffic(
    service, old_and_new, fresh_set, eventually
):
    unnamed = fresh_set("set-unnamed")
    service.switch({old_and_new[0]: 100})
    source = service.gateway.source
    source.is_mute = True
    generation = service.want({unnamed: 100})
    before = source.unheard
    eventually(lambda: source.unheard, lambda count: count > before + 3, "reports that nobody takes")

    assert set(service.load(20).sets) == {"set-old"}
    source.is_mute = False
    service.gateway.await_generation(generation)
    assert set(service.load(20).sets) == {"set-unnamed"}
    assert "set-unnamed" in source.status.routed_sets


def test_what_is_not_wanted_any_more_when_traffic_would_move_is_not_published(bare, old_and_new, gateway):
    service = gateway.service("org-late")
    bare.publish(service.route({old_and_new[0]: 100, old_and_new[1]: 0}))
    routes = bare.config.path("xds/rds.json").read_bytes()

    def newer() -> None:
        raise Transient("Generation 2 is not the newest any more.")

    with pytest.raises(Transient, match="newest"):
        bare.publisher.publish([service.route({old_and_new[0]: 0, old_and_new[1]: 100})], 2, newer)

    assert bare.config.path("xds/rds.json").read_bytes() == routes
    assert bare.publisher.live.generation == 1
