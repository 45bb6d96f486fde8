"""The loops of agents go on after an error, and tell of it."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tidegate.domain import NotFound, Permanent, ServiceRef
from tidegate.gateway.agent import Agent
from tidegate.gateway.config import GatewayConfig
from tidegate.gateway.key_agent import KeyAgent
from tidegate.gateway.meter import Meter
from tidegate.platforms.local import run_agent
from tidegate.steps.reconcile import ReconcileReport, take_over

SEEN = list[tuple[str, str]]


def config(folder: Path) -> GatewayConfig:
    return GatewayConfig(
        name="g",
        root=folder,
        port=1,
        admin_socket=folder / "admin.sock",
        envoy_bin=None,
        ca_file=folder / "ca",
    )


def teller() -> tuple[SEEN, Any]:
    seen: SEEN = []
    return seen, lambda part, error: seen.append((part, type(error).__name__))


def test_a_round_of_healing_that_fails_is_told_and_the_next_one_comes():
    stop, told = threading.Event(), list[str]()

    class Platform:
        rounds = 0

        def resume_all(self) -> None:
            pass

        def heal(self) -> None:
            self.rounds += 1
            if self.rounds == 1:
                raise OSError("the disk is full")
            stop.set()

    platform: Any = Platform()
    run_agent(platform, stop, 0, lambda error: told.append(str(error)))

    assert (platform.rounds, told) == (2, ["the disk is full"])


def test_keys_that_cannot_be_read_are_told_each_time(tmp_path: Path):
    seen, on_error = teller()

    def keys() -> Any:
        raise NotFound("no keys", remedy="make one")

    agent = KeyAgent(config(tmp_path), keys, on_error)
    delivery: Any = SimpleNamespace()

    assert [agent._step(delivery), agent._step(delivery)] == [False, False]
    assert seen == [("keys", "NotFound"), ("keys", "NotFound")]


def test_measurements_that_nobody_takes_are_told(tmp_path: Path):
    seen, on_error = teller()
    sink: Any = SimpleNamespace()

    def refuse() -> None:
        raise ValueError("no")

    Meter(config(tmp_path), sink, on_error)._guard(refuse)

    assert seen == [("live", "ValueError")]


def test_every_part_of_a_gateways_agent_tells_by_its_name(tmp_path: Path):
    seen, on_error = teller()
    other: Any = SimpleNamespace(pid=1)
    agent = Agent(config(tmp_path), other, admin=other, envoy=other, publisher=other, on_error=on_error)

    def refuse() -> bool:
        raise Permanent("refused", remedy="report it")

    agent._guard("routes", refuse)
    agent._guard("counts", lambda: 1 / 0 > 1)

    assert seen == [("routes", "Permanent"), ("counts", "ZeroDivisionError")]


def test_a_release_that_reconcile_cannot_drive_on_is_told_with_its_service():
    told: list[Any] = []

    def gone(release_id: str) -> Any:
        raise NotFound("gone", remedy="look")

    release: Any = SimpleNamespace(id="r-1", ref=ServiceRef("acme", "chat"))
    ports: Any = SimpleNamespace(
        ledger=SimpleNamespace(get_release=gone),
        note_error=lambda error, place, **where: told.append((place, where["ref"], where["release_id"])),
    )
    take_over(ports, release, ReconcileReport())

    assert told == [("reconcile", release.ref, "r-1")]
