"""The loops of agents go on after an error, and tell of it."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tidegate.domain import NotFound, Permanent, ServiceRef, Transient
from tidegate.domain.health import Health, Judgement
from tidegate.gateway.agent import Agent
from tidegate.gateway.config import GatewayConfig
from tidegate.gateway.key_agent import KeyAgent
from tidegate.gateway.meter import Meter
from tidegate.observability.health.checks import Check, Turn
from tidegate.observability.notifications import Notifier
from tidegate.platforms.local import run_agent
from tidegate.steps.address_watch import publish_addresses
from tidegate.steps.reconcile import ReconcileReport, take_over
from tidegate.steps.reconcile_watch import ReconcileWatch

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


class Kept:
    """What was told, with whose service it was."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def __call__(self, error: BaseException, place: str, *, ref: ServiceRef | None = None, **_: Any) -> None:
        self.told.append((type(error).__name__, place, str(ref or "")))

    def flush(self) -> None:
        pass


class Outbox:
    """Cannot be read at first, then holds one message."""

    def __init__(self, stop: threading.Event):
        self._stop = stop
        self._looks = 0

    def route_events(self, route: Any) -> int:
        self._looks += 1
        if self._looks == 1:
            raise Transient("busy", remedy="wait")
        return 0

    def waiting_channels(self) -> list[Any]:
        return []

    def claim_deliveries(self, *_: Any, **__: Any) -> list[str]:
        self._stop.set()
        return ["a message"]


def test_a_notifier_goes_on_and_tells_of_an_outbox_that_is_away_and_of_a_message_that_cannot_be_handled():
    stop, kept = threading.Event(), Kept()

    def deliver(claimed: Any) -> Any:
        raise ValueError("a defect")

    courier: Any = SimpleNamespace(deliver=deliver)
    outbox: Any = Outbox(stop)
    Notifier(outbox, courier, dict, lambda: datetime.now(UTC), note=kept).run(stop, 0)

    assert kept.told == [("Transient", "notifier", ""), ("ValueError", "notifier delivery", "")]


def test_addresses_go_on_after_a_ledger_that_is_away_and_after_a_defect_over_one_service():
    stop, kept = threading.Event(), Kept()
    route = SimpleNamespace(org="acme", service="chat")

    class Ledger:
        looks = 0

        def list_routes(self) -> list[Any]:
            self.looks += 1
            if self.looks == 1:
                raise Transient("busy", remedy="wait")
            return [route]

        def get_route(self, ref: ServiceRef) -> Any:
            stop.set()
            raise KeyError("a defect")

    ports: Any = SimpleNamespace(ledger=Ledger(), note_error=kept)
    publish_addresses(ports, stop, 0)

    assert kept.told == [("Transient", "addresses", ""), ("KeyError", "addresses", "acme/chat")]


def test_a_release_that_a_defect_ends_is_told_by_the_reconciler_which_goes_on():
    kept, ended = Kept(), threading.Event()

    def broken(release_id: str) -> Any:
        raise KeyError("a defect")

    release: Any = SimpleNamespace(id="r-1", ref=ServiceRef("acme", "chat"))
    ports: Any = SimpleNamespace(ledger=SimpleNamespace(get_release=broken), note_error=kept)
    watch = ReconcileWatch(ports, ended)
    watch._drive(release)

    assert kept.told == [("KeyError", "reconcile", "acme/chat")]
    assert [report.problems for report in watch._ended] == [["r-1: KeyError; see the log"]]


def test_a_defect_in_a_look_is_told_and_what_was_not_seen_is_not():
    kept = Kept()

    def broken() -> Judgement:
        raise KeyError("a defect")

    def away() -> Judgement:
        raise Transient("busy", remedy="wait")

    turn = Turn([Check("host", broken), Check("ledger", away)], str, lambda work: work(), kept)
    turn.advance(0.0)

    assert {told.judgement.health for told in turn.advance(1.0)} == {Health.UNKNOWN}
    assert kept.told == [("KeyError", "health check host", "")]
