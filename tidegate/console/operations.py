"""What each operation of the API does: values in, values out. HTTP is `server`'s."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tidegate.console.forms import ApprovalBody, DecisionBody, ReleaseBody, RollbackBody
from tidegate.correlation import carried
from tidegate.domain import (
    NotFound,
    Refused,
    Release,
    ReleaseRequest,
    ReleaseState,
    ServiceRef,
    TidegateError,
)
from tidegate.observability.health.endpoint import Condition, reasons
from tidegate.steps import RollbackManager, approve_release, question, request_release, stop_release
from tidegate.steps.alert_events import record_alerts
from tidegate.steps.alerts import AlertGroup, receive
from tidegate.steps.ports import Ports
from tidegate.steps.proof import identify, rollback_wish
from tidegate.steps.rollback_manager import Begun
from tidegate.steps.rollback_target import AFTER_THE_POINT_OF_RECORD, digest_of
from tidegate.steps.rollback_times import phases_of

log = logging.getLogger(__name__)
OK, ACCEPTED, UNREADY = 200, 202, 503
API, ALERTS, OPEN = "api", "alerts", "open"
Starter = Callable[[Release], str]
"""Has a release driven elsewhere, and says where to watch it. Raises when it cannot: reconcile then drives it."""


@dataclass(frozen=True)
class Call:
    """One request, after its path, query and body were read."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any = None
    key: str | None = None
    """Its idempotency key."""

    @property
    def ref(self) -> ServiceRef:
        return ServiceRef.parse(f"{self.path['org']}/{self.path['service']}")


@dataclass(frozen=True)
class Reply:
    status: int
    content: dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """One row of the API: `access` says whose secret opens it."""

    method: str
    path: str
    summary: str
    run: Callable[["Desk", Call], Reply]
    body: type[BaseModel] | None = None
    access: str = API
    query: Mapping[str, str] | None = None


@dataclass
class Desk:
    """What operations work with. `carry` runs what takes longer than a request, by default in a thread."""

    ports: Ports
    start: Starter
    carry: Callable[[Callable[[], object]], None] = lambda work: threading.Thread(
        target=work, daemon=True
    ).start()

    def carry_out(self, ref: ServiceRef, begun: Begun) -> None:
        """The rollback itself. When this process dies on the way, reconcile goes on with it."""

        def work() -> None:
            try:
                RollbackManager(self.ports).carry_out(ref, begun)
            except TidegateError as error:
                self.ports.note_error(error, "rollback of the console", ref=ref)
                log.warning("rollback of %s: %s", ref, error)

        self.carry(carried(work))

    def begin_driving(self, release: Release) -> str:
        try:
            return self.start(release)
        except TidegateError as error:
            self.ports.note_error(error, "start of a release", ref=release.ref, release_id=release.id)
            log.warning("release %s is left to reconcile: %s", release.id, error)
            return ""


def health(desk: Desk, call: Call) -> Reply:
    return Reply(OK, {"status": "ok"})


def readiness(desk: Desk, call: Call) -> Reply:
    """Whether it may do its work: without the ledger it can neither tell nor begin anything."""
    why = reasons(
        [Condition("ledger", lambda: "" if desk.ports.ledger.generation() >= 0 else "no generation")]
    )
    return Reply(UNREADY if why else OK, {"status": "not ready" if why else "ok", "reasons": why})


def service_status(desk: Desk, call: Call) -> Reply:
    snapshot = RollbackManager(desk.ports).snapshot_current_state(call.ref)
    findings = [
        one.model_dump(mode="json")
        for one in desk.ports.ledger.findings()
        if (one.org, one.service) == tuple(call.ref)
    ]
    return Reply(OK, {**snapshot.as_data(), "findings": findings})


def list_releases(desk: Desk, call: Call) -> Reply:
    named = call.query.get("service")
    ref = ServiceRef.parse(named) if named else None
    found = desk.ports.ledger.list_releases(ref=ref, only_active=call.query.get("active") == "true")
    return Reply(OK, {"releases": [one.model_dump(mode="json") for one in found]})


def release_status(desk: Desk, call: Call) -> Reply:
    release = desk.ports.ledger.get_release(call.path["release"])
    entries = desk.ports.ledger.entries(release.id)
    phases = phases_of(release, entries)
    return Reply(
        OK,
        {
            "release": release.model_dump(mode="json"),
            "journal": [entry.model_dump(mode="json") for entry in entries],
            "evidence": [row.model_dump(mode="json") for row in desk.ports.ledger.evidence(release.id)],
            "rollback_seconds": phases.seconds() if phases else {},
        },
    )


def start_release(desk: Desk, call: Call) -> Reply:
    body: ReleaseBody = call.body
    request = ReleaseRequest(
        **call.ref._asdict(), **body.model_dump(exclude={"request_token"}, exclude_none=True)
    )
    release = request_release(desk.ports, request, body.proof)
    return Reply(ACCEPTED, {"release": release.model_dump(mode="json"), "run": desk.begin_driving(release)})


def roll_back(desk: Desk, call: Call) -> Reply:
    body: RollbackBody = call.body
    manager = RollbackManager(desk.ports)
    to, leaving = (_digest(desk, call.ref, name, body) for name in ("to", "leaving"))
    if body.plan:
        return Reply(OK, manager.verify_rollback_safety(call.ref, to, leaving).as_data())
    begun = manager.begin(
        call.ref,
        actor=body.requested_by,
        reason=body.reason,
        to=to,
        leaving=leaving,
        token=call.key,
        proof=body.proof,
    )
    if begun.release is not None and begun.target.way != "none":
        desk.carry_out(call.ref, begun)
    target = begun.target
    return Reply(
        ACCEPTED if target.way != "none" else OK,
        {
            "release": begun.release.id if begun.release else None,
            "way": target.way,
            "target": target.label,
            "target_digest": target.digest,
            "why": target.why,
        },
    )


def _digest(desk: Desk, ref: ServiceRef, field: str, body: RollbackBody) -> str | None:
    """Raises: NotFound, for a version that the organization does not have."""
    try:
        return digest_of(desk.ports, ref, getattr(body, field) or "")
    except NotFound as error:
        raise NotFound(error.message, remedy=error.remedy, field=field) from error


def asked(desk: Desk, call: Call) -> Reply:
    return Reply(OK, question(desk.ports, call.path["release"]).as_data())


def approve(desk: Desk, call: Call) -> Reply:
    body: ApprovalBody = call.body
    release = desk.ports.ledger.get_release(call.path["release"])
    if release.state not in (ReleaseState.HOLD, ReleaseState.AWAIT_APPROVAL):
        raise Refused(
            f"Release {release.id} is {release.state.value}; it waits for nobody.",
            remedy=f"See: GET /v1/releases/{release.id}.",
        )
    release = approve_release(desk.ports, release.id, body.requested_by, body.reason, body.proof, of=body.of)
    return Reply(ACCEPTED, {"release": release.model_dump(mode="json"), "run": desk.begin_driving(release)})


def abort(desk: Desk, call: Call) -> Reply:
    """As a rollback of its service, but of this release and no other."""
    body: DecisionBody = call.body
    release = desk.ports.ledger.get_release(call.path["release"])
    if release.is_over:
        return Reply(OK, {"release": release.model_dump(mode="json")})
    if release.state in AFTER_THE_POINT_OF_RECORD:
        raise Refused(
            f"Release {release.id} is {release.state.value}: its version is recorded as live.",
            remedy=f"Roll the service back: POST /v1/services/{release.ref}/rollback.",
        )
    wish = rollback_wish(desk.ports, release.ref)
    asker = identify(desk.ports, wish, body.requested_by, body.proof, release)
    if asker.proof is not None:
        desk.ports.ledger.spend(asker.proof, release.id)
    release = stop_release(desk.ports, release.id, asker.identity, body.reason)
    return Reply(ACCEPTED, {"release": release.model_dump(mode="json")})


def tell_alerts(desk: Desk, call: Call) -> Reply:
    """Once they are rows they are told, whatever becomes of this process: then the monitor may forget them."""
    events = record_alerts(desk.ports, call.body)
    return Reply(OK, {"recorded": len(events)})


def alerts(desk: Desk, call: Call) -> Reply:
    group: AlertGroup = call.body
    record_alerts(desk.ports, group)
    answers = receive(desk.ports, group)
    carried: set[str] = set()
    for one in answers:
        if one.begun is not None and one.release is not None and one.release not in carried:
            carried.add(one.release)
            desk.carry_out(ServiceRef.parse(one.service), one.begun)
    told = [
        {
            name: getattr(one, name)
            for name in ("fingerprint", "service", "action", "release", "reason", "remedy")
        }
        for one in answers
    ]
    return Reply(ACCEPTED if carried else OK, {"alerts": told})


OPERATIONS = (
    Operation("GET", "/healthz", "Says that the API answers.", health, access=OPEN),
    Operation("GET", "/readyz", "Says whether the API may do its work, and why not.", readiness, access=OPEN),
    Operation("GET", "/v1/services/{org}/{service}", "How a service stands now.", service_status),
    Operation(
        "POST", "/v1/services/{org}/{service}/releases", "Start a release.", start_release, body=ReleaseBody
    ),
    Operation(
        "POST", "/v1/services/{org}/{service}/rollback", "Bring a service back.", roll_back, body=RollbackBody
    ),
    Operation(
        "GET",
        "/v1/releases",
        "Releases, newest first.",
        list_releases,
        query={"service": "ORGANIZATION/SERVICE", "active": "`true`: only those that are not over"},
    ),
    Operation("GET", "/v1/releases/{release}", "One release with its journal and evidence.", release_status),
    Operation(
        "GET", "/v1/releases/{release}/question", "What a waiting release asks, and its digest.", asked
    ),
    Operation(
        "POST", "/v1/releases/{release}/approve", "Let a waiting release go on.", approve, body=ApprovalBody
    ),
    Operation(
        "POST", "/v1/releases/{release}/abort", "Stop a release; it goes back.", abort, body=DecisionBody
    ),
    Operation(
        "POST",
        "/v1/alerts",
        "Alertmanager's webhook (version 4): rolls back the services that firing alerts name, and tells their people.",
        alerts,
        body=AlertGroup,
        access=ALERTS,
    ),
    Operation(
        "POST",
        "/v1/alerts/tell",
        "Alertmanager's webhook (version 4): tells people, and touches no service.",
        tell_alerts,
        body=AlertGroup,
        access=ALERTS,
    ),
)
