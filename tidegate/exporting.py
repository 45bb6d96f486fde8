"""Puts the exporter together: which collectors an installation has, from its settings and its ports."""

import gc
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.domain import ServiceRef, TidegateError

if TYPE_CHECKING:
    from tidegate.domain import Organization
    from tidegate.domain.policy import ObjectivePolicy
    from tidegate.observability.collect_host import Spent
    from tidegate.observability.collecting import Collecting, Collector
    from tidegate.observability.exporter import Exporter
    from tidegate.steps.ports import Ports

CONTROL_PLANES = frozenset({"runpod"})
"""Platforms that are asked over the network."""
YOUNG_OBJECTS, YOUNG_TURNS, OLD_TURNS = 10_000, 50, 20
SWITCH_INTERVAL_S = 0.001


def build(
    ports: "Ports", connect_prefect: Callable[[], Any], flows: Sequence[str], *, has_gpus: bool = False
) -> "tuple[Collecting, Exporter]":
    """Everything that `tidegate exporter` shows. `connect_prefect` gives a `PrefectApi`, or raises a domain error."""
    from tidegate.ledger import Ledger
    from tidegate.observability.collect_ledger import LedgerCollector
    from tidegate.observability.collect_platform import EnginePages, PlatformCollector
    from tidegate.observability.collecting import Collecting
    from tidegate.observability.exporter import Exporter
    from tidegate.observability.ledger_source import Moments

    ledger = ports.ledger
    assert isinstance(ledger, Ledger), "load() opens it"
    configured = [ServiceRef(org.name, name) for org in ports.organizations.values() for name in org.services]
    moments, pages = Moments(ledger, configured), EnginePages()
    named = sorted(ports.platforms)
    collectors: list[Collector] = [
        LedgerCollector(
            ledger,
            moments,
            platforms=named,
            called=[name for name in named if name in CONTROL_PLANES],
            flows=flows,
            clock=lambda: ports.clock().timestamp(),
        ),
        *(PlatformCollector(ports.platforms[name], moments, ledger, pages) for name in named),
        *_of_this_host(ports, moments, ledger, has_gpus=has_gpus),
        *_of_others(ports, ledger, connect_prefect),
    ]
    collecting = Collecting(collectors, note=ports.note_error)
    return collecting, Exporter(collecting, pages.all, note=ports.note_error)


def _of_this_host(ports: "Ports", moments: Any, ledger: Any, *, has_gpus: bool) -> "list[Collector]":
    from tidegate.notifying import FreshOrganizations
    from tidegate.observability.collect_gateway import GatewayCollector
    from tidegate.observability.collect_gpu import GpuCollector, load_library
    from tidegate.observability.collect_host import (
        HostCollector,
        MoneyCollector,
        ObjectiveCollector,
        StoreCollector,
    )

    settings = ports.settings
    organizations = FreshOrganizations(settings.organizations_dir, settings.policies_dir, ports.note_error)
    found: list[Collector] = [
        HostCollector(settings.home, partial(processes_of, settings.home)),
        StoreCollector(settings.store_dir),
        MoneyCollector(partial(spent, ports)),
        ObjectiveCollector(moments.services, partial(promised, organizations)),
        GatewayCollector(partial(gateways_of, settings.runtime_dir, moments), ledger),
    ]
    return [*found, GpuCollector(load_library())] if has_gpus else found


def _of_others(ports: "Ports", ledger: Any, connect_prefect: Callable[[], Any]) -> "list[Collector]":
    from tidegate.observability.collect_health import ExpiryCollector, HealthCollector
    from tidegate.observability.collect_notices import ErrorCollector, NoticeCollector
    from tidegate.observability.collect_prefect import PrefectCollector
    from tidegate.observability.health import CHECKS
    from tidegate.stack.prefect_runs import PrefectRuns
    from tidegate.watching.expiring import expiring

    return [
        PrefectCollector(lambda: PrefectRuns(connect_prefect()), ledger, ports.clock),
        NoticeCollector(ledger),
        ErrorCollector(ledger),
        HealthCollector(ledger, CHECKS, ports.clock),
        ExpiryCollector(lambda: expiring(ports, ledger)[0]),
    ]


def promised(
    organizations: "Callable[[], Mapping[str, Organization]]", ref: ServiceRef
) -> "ObjectivePolicy | None":
    """As the files say now: an alert follows a changed promise without a restart."""
    org = organizations().get(ref.org)
    service = org.services.get(ref.service) if org else None
    return service.policy.objectives if service else None


def processes_of(home: Path) -> Mapping[str, bool]:
    """Processes of the embedded stack, by what the supervisor wrote and by whether they live now."""
    from tidegate.stack.processes import is_alive
    from tidegate.stack.record import read_record

    record = read_record(home)
    if record is None or record.state in ("stopping", "stopped"):
        return {}
    return {
        one.name: one.identity is not None and is_alive(one.identity)
        for one in record.processes
        if one.kind == "service"
    }


def gateways_of(
    runtime_dir: Path, moments: Any
) -> Mapping[str, Callable[[], Mapping[tuple[str, str, str], int]]]:
    """Gateways whose Envoy runs on this host."""
    sockets = {one.name: runtime_dir / f"{one.name}.sock" for one in moments.overview().gateways}
    return {name: partial(_refused_at, socket) for name, socket in sockets.items() if socket.exists()}


def _refused_at(socket: Path) -> Mapping[tuple[str, str, str], int]:
    from tidegate.gateway.admin import Admin
    from tidegate.gateway.refused import read_refused

    with Admin(socket) as admin:
        return read_refused(admin)


def spent(ports: "Ports") -> "list[Spent]":
    """Budgets and what was spent of them this month. A bill that cannot be read leaves its organization out."""
    from tidegate.observability.collect_host import Spent
    from tidegate.steps.costs import month_to_date

    found: list[Spent] = []
    for org in ports.organizations.values():
        budget = org.monthly_budget_usd
        try:
            spending = month_to_date(ports, org.name)
        except TidegateError:
            found.append(Spent(org.name, budget))
            continue
        if spending is None:
            found.append(Spent(org.name, budget, 0.0 if budget is not None else None))
            continue
        bills = sorted(ports.bills)
        billed = float(spending.total.billed_usd) if spending.is_billed and len(bills) == 1 else None
        of_platform = {bills[0]: billed} if billed is not None else {}
        found.append(Spent(org.name, budget, float(spending.total.total_usd), of_platform))
    return found


def run(
    ports: "Ports",
    connect_prefect: Callable[[], Any],
    flows: Sequence[str],
    *,
    host: str,
    port: int,
    stop: threading.Event,
    has_gpus: bool = False,
) -> None:
    """The process, until `stop` is set."""
    from tidegate.observability.exporter import serve

    # Collecting is not worth a request that is late: whoever serves on this host goes first.
    os.nice(5)
    collecting, exporter = build(ports, connect_prefect, flows, has_gpus=has_gpus)
    answer_promptly()
    serve(exporter, collecting, host, port, stop)
    ports.note_error.flush()


def answer_promptly() -> None:
    """A scrape must not wait for what goes on beside it in this process.

    A full collection of Python's garbage walks every object of every library, while nobody else runs: 98 ms of a quiet
    core, and half a second of a busy one, several times in a look at 10,000 releases. What exists now stays for as long
    as the process, and is set aside. And a look gives way to a request a thousand times a second, instead of 200.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_TURNS, OLD_TURNS)
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def run_gpu_host(*, host: str, port: int, stop: threading.Event) -> None:
    """Only the GPUs and resources of this host: for a machine without a ledger."""
    from tidegate.observability.collect_gpu import GpuCollector, load_library
    from tidegate.observability.collect_host import HostCollector
    from tidegate.observability.collecting import Collecting
    from tidegate.observability.exporter import Exporter, serve

    collecting = Collecting([GpuCollector(load_library()), HostCollector(Path("/"), dict)])
    serve(Exporter(collecting, dict), collecting, host, port, stop)
