"""Three organizations in a real ledger, and what can be broken of one of them. Every row is written as Tidegate does it."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from tests.integration.observability.sinks import People
from tidegate.access import ALERT_TOKEN, SecretStore
from tidegate.domain import (
    GatewayStatus,
    LiveBatch,
    Plan,
    ReleaseRequest,
    Route,
    Secret,
    ServiceRef,
    Upstream,
)
from tidegate.domain.health import BackupMark
from tidegate.domain.totals import EVAL_REGRESSION, RECONCILED
from tidegate.ledger import Ledger
from tidegate.settings import SOURCE_ROOT, Settings, load_settings

ACME, GLOBEX, HOUSE = "acme", "globex", "house"
CHAT, DESK = ServiceRef(ACME, "chat"), ServiceRef(ACME, "desk")
OF_GLOBEX = ServiceRef(GLOBEX, "chat")
DIGEST = "a" * 64
LATER = timedelta(hours=1)
"""A slow machine must not find a healthy world silent: what says `I am here` says it for the next hour."""
NOBODY_ANSWERS = "http://127.0.0.1:1/api"


def now() -> datetime:
    return datetime.now(UTC)


def long_ago() -> datetime:
    return now() - timedelta(hours=2)


@dataclass
class World:
    """An installation in a folder. Nothing is wrong with it until somebody breaks it."""

    settings: Settings
    environ: Mapping[str, str]
    ledger: Ledger
    batches: int = 0
    asked: dict[str, Any] = field(default_factory=dict[str, Any])

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tidegate.cli", *words]

    def alert_token(self) -> Secret:
        return SecretStore(self.settings.secrets_dir, {}).ensure(ALERT_TOKEN)

    def a_release_waits_since_long_ago(self) -> None:
        """Its set has all the traffic, does not run, and no gateway has heard of it."""
        with Ledger.open(self.settings.ledger_url, clock=long_ago) as before:
            wanted = ReleaseRequest(org=CHAT.org, service=CHAT.service, model="pipit", version="v4")
            release = before.request_release(wanted, DIGEST, key="k")
            epoch = before.acquire_lock(CHAT, release.id)
            assert epoch is not None
            plan = Plan(
                green_set="acme--chat--green", green_digest=DIGEST, blue_set=None, blue_digest=None, blue_version=None,
                ladder=(100,), gates=("structure",), policy_digest="p",
            )  # fmt: skip
            before.append(release.id, epoch, "entered", "planned", {}, plan=plan)
            before.append(release.id, epoch, "entered", "hold", {"reason": "nobody can decide"})
        self.asked = {"release": release.id, "epoch": epoch}

    def its_traffic_goes_nowhere(self) -> None:
        name = "acme--chat--blue"
        gone = Upstream(
            set_name=name, host="127.0.0.1", port=1, digest=DIGEST, release_id=self.asked["release"]
        )
        self._route(Route(org=CHAT.org, service=CHAT.service, upstreams=(gone,), weights={name: 100}))

    def nothing_is_routed(self) -> None:
        self._route(Route(org=CHAT.org, service=CHAT.service))

    def _route(self, route: Route) -> None:
        self.asked["generation"] = self.ledger.put_route(route, epoch=self.asked["epoch"])

    def the_gateway_has(self, generation: int) -> None:
        status = GatewayStatus(
            gateway="gateway-1", observed_generation=generation, seen_at=now() + LATER, observed={str(CHAT): generation}
        )  # fmt: skip
        self.ledger.report_gateway(status)

    def the_release_ends(self) -> None:
        self.ledger.append(self.asked["release"], self.asked["epoch"], "entered", "rejected", {"reason": "x"})

    def clients_get(self, ref: ServiceRef, *, empty: int = 0, **codes: int) -> None:
        self._live(ref, codes={name.removeprefix("c"): count for name, count in codes.items()}, empty=empty)

    def probes_fail(self, ref: ServiceRef, *, fail: bool) -> None:
        self._live(ref, codes={}, is_probe=True, requests=1, failed=int(fail))

    def _live(self, ref: ServiceRef, *, codes: dict[str, int], **more: Any) -> None:
        self.batches += 1
        at = now() + timedelta(milliseconds=self.batches)
        batch: dict[str, Any] = {
            "gateway": "gateway-1", "org": ref.org, "service": ref.service, "set_name": f"{ref.org}--{ref.service}--blue",
            "started_at": at, "ended_at": at, "requests": sum(codes.values()), "codes": codes,
        }  # fmt: skip
        self.ledger.record_live([LiveBatch(**(batch | more))])

    def the_night_finds(self, ref: ServiceRef, *, regression: bool) -> None:
        self.ledger.note_last(EVAL_REGRESSION, tuple(ref), float(regression))

    def reality_differs(self) -> None:
        self.ledger.note_finding("weights.drift", str(CHAT), "other weights", ref=CHAT)

    def reality_is_as_wanted(self) -> None:
        self.ledger.resolve_finding("weights.drift", str(CHAT))


@contextmanager
def a_healthy_world(folder: Path, people: People) -> Iterator[World]:
    """Each organization has a webhook and a mailbox of its own, and hears of alerts alone."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "PREFECT_"))
    }
    environ = {
        **kept,
        "TIDEGATE_HOME": str(folder / "home"),
        "TIDEGATE_DEPLOYMENTS_DIR": str(folder / "deployments"),
        # Prefect is away: this is what the operators hear of, and nobody else.
        "PREFECT_API_URL": NOBODY_ANSWERS,
        "PYTHONPATH": str(SOURCE_ROOT),
    }
    settings = load_settings(environ)
    for services, name in ((("chat", "desk"), ACME), (("chat",), GLOBEX), (("chat",), HOUSE)):
        _organization(settings, name, services, people)
    with Ledger.open(settings.ledger_url) as ledger:
        ledger.note_last(RECONCILED, (), (now() + LATER).timestamp())
        for step in ("made", "verified"):
            ledger.note_backup(BackupMark(step, "b", now(), 1, 1.0))
        world = World(settings, environ, ledger)
        world.the_gateway_has(0)
        yield world


def _organization(settings: Settings, name: str, services: tuple[str, ...], people: People) -> None:
    often = {
        "events": ["alert"],
        "digest": {"after": 1000},
        "rate": {"burst": 1000, "per_hour": 1000},
        "installation": name == HOUSE,
    }
    server = {
        "host": "127.0.0.1",
        "port": people.smtp_port,
        "security": "none",
        "sender": "tidegate@house.example",
    }
    content = {
        "name": name,
        "display_name": name,
        "services": {service: {} for service in services},
        "notifications": {
            "hook": {"kind": "webhook", "address": f"{name}-hook", "allow_private": True, **often},
            "mail": {"kind": "email", "address": f"{name}-mail", "mail": server, **often},
        },
    }
    for path, text in (
        (settings.organizations_dir / f"{name}.yaml", yaml.safe_dump(content)),
        (settings.policies_dir / f"{name}.yaml", ""),
        (settings.secrets_dir / f"{name}-hook", f"{people.http}/{name}"),
        (settings.secrets_dir / f"{name}-mail", f"team@{name}.example"),
    ):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
