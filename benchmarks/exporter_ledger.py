"""A ledger as large as an exporter must bear: services, finished and open releases, journals, evidence, totals."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import create_engine, insert

from tidegate.domain.live_edges import EDGES_S
from tidegate.domain.totals import (
    OUTPUT_FAULTS,
    RELEASES,
    REQUESTS,
    SET_REQUESTS,
    SUM,
    TIMED,
    TOKENS,
    Gain,
)
from tidegate.ledger import Ledger
from tidegate.ledger.columns import Rows
from tidegate.ledger.metric_tables import TotalRow
from tidegate.ledger.tables import (
    EntryRow,
    EvidenceRow,
    GatewayRow,
    OrganizationRow,
    ReleaseRow,
    RouteRow,
    ServiceRow,
    SetRow,
    VersionRow,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SERVICES_PER_ORG = 4
CODES = ("2xx", "4xx", "5xx", "timeout")
PIECE = 500


def fill(url: str, *, services: int, releases: int, evidence: int = 8) -> None:
    """Every tenth service has an open release with a candidate; the rest of the releases are over."""
    Ledger.open(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        for table, rows in _rows(services, releases, evidence):
            for at in range(0, len(rows), PIECE):
                connection.execute(insert(table), rows[at : at + PIECE])
    engine.dispose()


def _rows(services: int, releases: int, evidence: int) -> Iterator[tuple[type[Rows], list[dict[str, Any]]]]:
    refs = [(f"org-{number // SERVICES_PER_ORG:02}", f"service-{number:03}") for number in range(services)]
    orgs = sorted({org for org, _ in refs})
    yield OrganizationRow, [{"name": org, "created_at": NOW} for org in orgs]
    yield ServiceRow, [_service(*ref) for ref in refs]
    yield VersionRow, [_version(number, *refs[number % services]) for number in range(releases)]
    yield ReleaseRow, [_release(number, refs, releases) for number in range(releases)]
    yield EntryRow, [entry for number in range(releases) for entry in _journal(number)]
    yield EvidenceRow, [row for number in range(releases) for row in _evidence(number, evidence)]
    yield SetRow, [_set(number, refs, releases) for number in range(releases)]
    yield RouteRow, [_route(number, refs, releases) for number in range(services)]
    yield GatewayRow, [_gateway(number, refs) for number in (1, 2)]
    yield TotalRow, list(_totals(refs, releases))


def _digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def _name(number: int, refs: list[tuple[str, str]]) -> str:
    org, service = refs[number % len(refs)]
    return f"{org}--{service}--{number:05}"


def _is_open(number: int, services: int, releases: int) -> bool:
    return number >= releases - services and number % 10 == 0


def _service(org: str, service: str) -> dict[str, Any]:
    return {"org": org, "service": service, "epoch": 1, "epoch_of": None, "holder": None, "created_at": NOW}


def _version(number: int, org: str, service: str) -> dict[str, Any]:
    return {
        "org": org, "name": service, "version": f"v{number}", "digest": _digest(number), "size_bytes": 10**9,
        "path": f"/store/{number}.gguf", "provenance": {}, "tensor_digest": None, "registered_at": NOW,
    }  # fmt: skip


def _plan(number: int, refs: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "kind": "release", "strategy": "canary", "green_set": _name(number, refs),
        "green_digest": _digest(number), "ladder": [5, 25, 50, 100], "gates": ["structure", "quality"],
        "policy_digest": _digest(number), "expected": {f"part-{part}": float(part) for part in range(30)},
    }  # fmt: skip


def _release(number: int, refs: list[tuple[str, str]], releases: int) -> dict[str, Any]:
    org, service = refs[number % len(refs)]
    is_open = _is_open(number, len(refs), releases)
    state = "shifting" if is_open else ("done", "done", "rolled_back", "rejected")[number % 4]
    key = f"{org}/{service}/{_digest(number)}/manual"
    return {
        "id": f"r-{number:06}", "org": org, "service": service, "key": key,
        "active_key": key if is_open else None,
        "request": {"org": org, "service": service, "model": service, "version": f"v{number}"},
        "digest": _digest(number), "state": state, "epoch": 1, "plan": _plan(number, refs), "reason": "",
        "created_at": NOW - timedelta(hours=releases - number), "updated_at": NOW, "owner": "",
        "owner_seen_at": None,
    }  # fmt: skip


def _journal(number: int) -> Iterator[dict[str, Any]]:
    states = ("requested", "planned", "validating", "provisioning", "warming", "judging", "shifting")
    for seq, state in enumerate(states, 1):
        yield {
            "release_id": f"r-{number:06}", "seq": seq, "epoch": 1, "kind": "entered", "name": state,
            "data": {"reason": ""}, "at": NOW - timedelta(minutes=10 - seq),
        }  # fmt: skip


def _evidence(number: int, count: int) -> Iterator[dict[str, Any]]:
    for check in range(count):
        yield {
            "release_id": f"r-{number:06}", "epoch": 1, "digest": _digest(number), "policy_digest": "p",
            "gate": "structure", "check_id": f"check-{check}", "verdict": "pass", "summary": "good",
            "remedy": "", "data": {}, "taken_at": NOW, "stored_at": NOW,
        }  # fmt: skip


def _set(number: int, refs: list[tuple[str, str]], releases: int) -> dict[str, Any]:
    """The newest two of a service exist; the others are tombstones."""
    org, service = refs[number % len(refs)]
    exists = number >= releases - 2 * len(refs)
    name = _name(number, refs)
    spec = {
        "name": name, "org": org, "service": service, "release_id": f"r-{number:06}",
        "digest": _digest(number), "artifact_path": f"/store/{number}.gguf",
    }  # fmt: skip
    return {
        "name": name, "org": org, "service": service, "platform": "local", "spec": spec,
        "state": "wanted" if exists else "deleted", "epoch": 1, "created_at": NOW, "updated_at": NOW,
        "deleted_at": None if exists else NOW,
    }  # fmt: skip


def _route(number: int, refs: list[tuple[str, str]], releases: int) -> dict[str, Any]:
    org, service = refs[number]
    services = len(refs)
    newest = next(one for one in range(releases - services, releases) if one % services == number)
    is_open = _is_open(newest, services, releases)
    weights = {
        _name(newest - services, refs): 95 if is_open else 0,
        _name(newest, refs): 5 if is_open else 100,
    }
    return {
        "org": org, "service": service, "generation": number + 1, "epoch": 1, "upstreams": [],
        "weights": weights, "newest": None, "mirror": None, "sticky": None, "stand_in": None,
        "updated_at": NOW,
    }  # fmt: skip


def _gateway(number: int, refs: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "gateway": f"gateway-{number}", "observed_generation": len(refs), "seen_at": NOW, "healthy_sets": [],
        "active_requests": {}, "error": "", "state": "serving", "boot": "b",
        "observed": {f"{org}/{service}": at + 1 for at, (org, service) in enumerate(refs)},
        "routed_sets": [], "wanted": None,
    }  # fmt: skip


def _totals(refs: list[tuple[str, str]], releases: int) -> Iterator[dict[str, Any]]:
    gains: list[Gain] = []
    for ref in refs:
        ended = ("done", "rolled_back", "rejected")
        gains += [Gain(RELEASES, (*ref, "canary", state), releases / len(refs) / 3) for state in ended]
        for slot in ("stable", "candidate"):
            gains += [Gain(REQUESTS, (*ref, slot, code), 1000) for code in CODES]
            gains += [Gain(TOKENS, (*ref, slot, kind), 50_000) for kind in ("input", "output")]
            gains.append(Gain(OUTPUT_FAULTS, (*ref, slot, "empty"), 3))
            for figure, edges in EDGES_S.items():
                gains += [Gain(TIMED[figure], (*ref, slot), 90, edge) for edge in range(len(edges) + 1)]
                gains.append(Gain(TIMED[figure], (*ref, slot), 700.0, SUM))
    for number in range(releases - 2 * len(refs), releases):
        name = _name(number, refs)
        gains.append(Gain(SET_REQUESTS, (*refs[number % len(refs)], name), 4000))
    for gain in gains:
        metric, labels, part = gain.key
        yield {"metric": metric, "labels": labels, "part": part, "amount": gain.amount}
