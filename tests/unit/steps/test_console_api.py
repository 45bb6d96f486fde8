"""The HTTP API over real HTTP and a real ledger; what takes longer than a request is collected here, not done."""

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from openapi_core import OpenAPI

from tidegate.console import ALERT_TOKEN, API_TOKEN, Console, serve
from tidegate.console.openapi import describe
from tidegate.console.operations import OPERATIONS, Desk
from tidegate.correlation import is_request_id
from tidegate.domain import Evidence, Gate, ReleaseState, ServiceRef, Transient, Verdict
from tidegate.observability.concealing import conceal
from tidegate.observability.error_recorder import ErrorRecorder
from tidegate.stack.port_choice import is_free

ACME = ServiceRef("acme", "chat")
NOW = datetime(2026, 11, 26, 2, tzinfo=UTC)
OLD = "2" * 64


@dataclass
class Api:
    url: str
    office: Any
    carried: list[Any] = field(default_factory=list)
    started: list[str] = field(default_factory=list)

    def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = API_TOKEN, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        if token is not None:
            known = self.office.ports.secrets.get(token) if token in (API_TOKEN, ALERT_TOKEN) else None
            headers["Authorization"] = f"Bearer {known.reveal() if known else token}"
        data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


@pytest.fixture
def api(office: Any, free_port: int) -> Iterator[Api]:
    for version, digest in (("w1", "2"), ("v1", "1")):
        office.register("acme", version=version, digest=digest)
        known = office.ledger.get_version("acme", "finch", version)
        office.ledger.set_alias(ACME, "champion", known, actor="t", reason="t", epoch=0)
    old = office.ledger.get_version("acme", "finch", "w1")
    office.ledger.set_alias(ACME, "previous", old, actor="t", reason="t", epoch=0)
    office.now = NOW + timedelta(hours=1)
    made = Api(f"http://127.0.0.1:{free_port}", office)

    def start(release: Any) -> str:
        if release.request.version == "w1":
            raise Transient("Prefect does not answer.")
        made.started.append(release.id)
        return "http://prefect/run"

    for name in (API_TOKEN, ALERT_TOKEN):
        office.ports.secrets.ensure(name)
    office.ports.note_error = ErrorRecorder(office.ledger, conceal)
    desk = Desk(office.ports, start, carry=made.carried.append)
    stop = threading.Event()
    console = Console(desk, office.ports.secrets.get)
    thread = threading.Thread(target=serve, args=(console, "127.0.0.1", free_port, stop), daemon=True)
    thread.start()
    while is_free("127.0.0.1", free_port):
        assert thread.is_alive()
        threading.Event().wait(0.01)
    yield made
    stop.set()
    thread.join()


@pytest.fixture
def free_port() -> Iterator[int]:
    """Bound and not listening: the system gives it to nobody else, and it is free for who asks by number."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


ROLLBACK = "/v1/services/acme/chat/rollback"


def test_each_door_opens_to_its_own_token_alone(api: Api):
    group = {"version": "4", "alerts": []}
    for path, body, wrong in (
        (ROLLBACK, {"reason": "wrong prices"}, (None, "guess", ALERT_TOKEN)),
        ("/v1/alerts", group, (None, "guess", API_TOKEN)),
    ):
        for token in wrong:
            status, told = api.call("POST", path, body, token=token)
            assert (status, told["error"]["field"]) == (401, "authorization")
            assert told["error"]["remedy"]
    assert api.office.ledger.list_releases() == []
    assert api.call("GET", "/healthz", token=None)[0] == 200


def test_the_console_is_ready_while_the_ledger_answers(api: Api, monkeypatch: pytest.MonkeyPatch):
    def gone() -> int:
        raise Transient("The ledger at postgresql://tidegate:hush-hush@db/x is gone.")

    assert api.call("GET", "/readyz", token=None) == (200, {"status": "ok", "reasons": []})
    monkeypatch.setattr(api.office.ledger, "generation", gone)
    status, said = api.call("GET", "/readyz", token=None)
    assert (status, said["status"]) == (503, "not ready")
    assert "hush-hush" not in said["reasons"][0]


def test_a_rollback_is_recorded_at_once_and_the_same_key_is_the_same_one(api: Api):
    key = {"Idempotency-Key": "k-1"}
    status, first = api.call("POST", ROLLBACK, {"reason": "wrong prices", "requested_by": "lin"}, **key)
    assert (status, first["target_digest"]) == (202, OLD)
    _, again = api.call("POST", ROLLBACK, {"reason": "wrong prices", "requested_by": "lin"}, **key)
    assert again["release"] == first["release"]
    assert api.office.ledger.hold_of(ACME)
    assert api.carried
    status, told = api.call("GET", f"/v1/releases/{first['release']}")
    assert (status, told["release"]["request"]["requested_by"]) == (200, "lin")


def alert(**fields: Any) -> dict[str, Any]:
    labels = {"alertname": "SlowFirstToken", "org": "acme", "service": "chat", "severity": "page"}
    notes = {"summary": "p90 is 9 s", "description": "since 02:00", "runbook_url": "https://r/1"}
    values = {"status": "firing", "labels": labels, "annotations": notes, "startsAt": "2026-11-26T02:00:00Z"}
    return values | {"fingerprint": "f1"} | fields


def told_of(api: Api) -> list[Any]:
    seen: list[Any] = []
    api.office.ledger.route_events(lambda event: seen.append(event) or [])
    return seen


def test_alerts_become_events_once_and_touch_no_service(api: Api):
    group = {"version": "4", "groupKey": "{}:{org=acme}", "status": "firing", "alerts": [alert()]}
    for _ in range(2):
        assert api.call("POST", "/v1/alerts/tell", group, token=ALERT_TOKEN) == (200, {"recorded": 1})
    over = {**group, "alerts": [alert(status="resolved", endsAt="2026-11-26T02:10:00Z")]}
    api.call("POST", "/v1/alerts/tell", over, token=ALERT_TOKEN)
    first, last = told_of(api)
    assert (first.kind, first.severity, first.subject) == ("alert", "critical", "acme/chat")
    assert (first.title, first.text) == ("SlowFirstToken: p90 is 9 s", "since 02:00")
    assert first.remedy == "Runbook: https://r/1"
    assert (last.is_resolved, last.topic) == (True, first.topic)
    assert api.office.ledger.list_releases() == []
    assert api.call("POST", "/v1/alerts/tell", group, token=API_TOKEN)[0] == 401


def test_an_alert_that_knows_the_release_tells_it_behind_what_is_wrong(api: Api):
    notes = {
        "summary": "s",
        "description": "since 02:00\n",
        "release": "A release is open, towards pipit:v4.",
    }
    bare = {"release": "No release is open."}
    group = {"version": "4", "alerts": [alert(annotations=notes), alert(annotations=bare, fingerprint="f2")]}
    api.call("POST", "/v1/alerts/tell", group, token=ALERT_TOKEN)
    texts = {event.text for event in told_of(api)}
    assert texts == {"since 02:00\nA release is open, towards pipit:v4.", "No release is open."}


def test_an_alert_that_names_no_organization_of_ours_concerns_the_installation(api: Api):
    strange = [
        alert(fingerprint="f1", labels={"alertname": "DiskFull"}),
        alert(fingerprint="f2", labels={"alertname": "X", "org": "somebody-else", "service": "chat"}),
        alert(fingerprint="f3", labels={"alertname": "X", "org": "../etc", "severity": "info"}),
        alert(fingerprint="f5", labels={"alertname": "X", "severity": "Critical"}),
        alert(fingerprint="f4", labels={"alertname": "Watchdog", "severity": "none"}),
    ]
    group = {"version": "4", "groupKey": "g", "alerts": strange}
    assert api.call("POST", "/v1/alerts/tell", group, token=ALERT_TOKEN) == (200, {"recorded": 4})
    told = told_of(api)
    assert {event.subject for event in told} == {"installation"}
    assert [event.severity.value for event in told] == ["warning", "warning", "info", "critical"]
    assert len({event.group for event in told}) == 1


def test_an_alert_that_rolls_back_is_told_too(api: Api):
    api.call("POST", "/v1/alerts", {"version": "4", "alerts": [alert()]}, token=ALERT_TOKEN)
    assert [event.kind.value for event in told_of(api)][:1] == ["alert"]


def test_a_plan_tells_the_target_and_changes_nothing(api: Api):
    status, told = api.call("POST", ROLLBACK, {"reason": "look first", "plan": True})
    assert (status, told["target"]["digest"], told["is_safe"]) == (200, OLD, False)
    assert api.office.ledger.list_releases() == []


@pytest.mark.parametrize(
    ("path", "body", "status", "name"),
    [
        (ROLLBACK, "{", 400, "body"),
        (ROLLBACK, "[" * 100_000, 400, "body"),
        (ROLLBACK, {"reason": "x"}, 400, "reason"),
        (ROLLBACK, {"reason": "wrong prices", "force": True}, 400, "force"),
        (ROLLBACK, {"reason": "wrong prices", "to": "7" * 64}, 404, "to"),
        ("/v1/services/acme/nothing/rollback", {"reason": "wrong prices"}, 404, "service"),
        ("/v1/services/acme/chat/releases", {"model": "finch", "version": "v9"}, 404, None),
        ("/v1/nothing", {}, 404, "path"),
        ("/v1/alerts", {"version": "3", "alerts": [{}]}, 400, "version"),
    ],
)
def test_every_error_names_the_field_and_what_to_do(api: Api, path: str, body: Any, status: int, name: Any):
    token = ALERT_TOKEN if path.endswith("alerts") else API_TOKEN
    got, told = api.call("POST", path, body, token=token)
    assert (got, told["error"]["field"]) == (status, name), told
    assert told["error"]["remedy"]


def test_who_may_not_ask_is_refused_with_the_reason(api: Api):
    status, told = api.call("POST", ROLLBACK, {"reason": "wrong prices", "requested_by": "dora"})
    assert (status, told["error"]["code"]) == (403, "TG-2003")


def test_a_release_is_recorded_and_started_or_left_to_reconcile(api: Api):
    path = "/v1/services/acme/chat/releases"
    body = {"model": "finch", "version": "v1", "requested_by": "lin", "trigger": "manual"}
    status, told = api.call("POST", path, body)
    assert (status, told["run"]) == (202, "http://prefect/run")
    assert api.started == [told["release"]["id"]]
    status, told = api.call("POST", path, body | {"version": "w1"})
    assert (status, told["run"]) == (202, "")
    _, listed = api.call("GET", "/v1/releases?service=acme/chat&active=true")
    assert len(listed["releases"]) == 2


def test_a_release_is_stopped_and_only_one_that_waits_is_approved(api: Api):
    body = {"model": "finch", "version": "v1", "requested_by": "lin", "trigger": "manual"}
    _, made = api.call("POST", "/v1/services/acme/chat/releases", body)
    path = f"/v1/releases/{made['release']['id']}"
    decision = {"reason": "read the answers", "requested_by": "noor"}
    assert api.call("POST", f"{path}/approve", decision | {"of": "d"})[0] == 403
    assert api.call("GET", f"{path}/question")[0] == 403
    assert api.call("POST", f"{path}/abort", decision)[0] == 202
    entries = api.office.ledger.entries(made["release"]["id"])
    assert [entry.data["actor"] for entry in entries if entry.kind == "abort"] == ["noor"]
    assert api.office.ledger.get_release(made["release"]["id"]).state is ReleaseState.REQUESTED


def test_a_yes_is_to_what_was_looked_at_and_to_nothing_else(api: Api):
    office = api.office
    release = office.enter(office.release("acme"), ReleaseState.AWAIT_APPROVAL, **{"from": "baking"})
    path = f"/v1/releases/{release.id}"
    decision = {"reason": "read the answers", "requested_by": "noor"}
    status, told = api.call("POST", f"{path}/approve", decision)
    assert (status, told["error"]["field"]) == (400, "of")
    _, asked = api.call("GET", f"{path}/question")
    row = Evidence(gate=Gate.QUALITY, check="c", verdict=Verdict.PASS, summary="s", taken_at=office.now)
    office.ledger.add_evidence(release.id, [row], digest=release.digest, policy_digest="p")
    status, told = api.call("POST", f"{path}/approve", decision | {"of": asked["digest"]})
    assert (status, told["error"]["context"]["differs"]) == (403, "evidence")
    _, asked = api.call("GET", f"{path}/question")
    assert api.call("POST", f"{path}/approve", decision | {"of": asked["digest"]})[0] == 202
    assert api.started == [release.id]


@pytest.mark.parametrize("named", ["finch:w1", OLD])
def test_a_version_is_named_or_its_digest_is(api: Api, named: str):
    _, told = api.call("POST", ROLLBACK, {"reason": "look", "plan": True, "to": named})
    assert told["target"]["digest"] == OLD
    _, told = api.call("POST", ROLLBACK, {"reason": "look", "plan": True, "leaving": named})
    assert told["target"]["way"] == "none"
    status, told = api.call("POST", ROLLBACK, {"reason": "look", "plan": True, "to": "finch:w7"})
    assert (status, told["error"]["field"]) == (404, "to")


def test_an_alert_is_carried_out_once(api: Api):
    alert = {
        "status": "firing",
        "labels": {"tidegate_service": "acme/chat", "alertname": "Slow"},
        "startsAt": "2026-11-26T03:00:00Z",
        "fingerprint": "f1",
    }
    body = {"version": "4", "alerts": [alert, alert | {"fingerprint": "f2"}]}
    status, told = api.call("POST", "/v1/alerts", body, token=ALERT_TOKEN)
    assert status == 202
    assert {one["release"] for one in told["alerts"]} == {api.office.ledger.list_releases()[0].id}
    assert len(api.carried) == 1


def test_a_service_tells_how_it_stands(api: Api):
    status, told = api.call("GET", "/v1/services/acme/chat")
    assert (status, told["champion"], told["previous"]) == (200, "finch:v1", "finch:w1")


def test_the_api_describes_itself(api: Api):
    status, document = api.call("GET", "/openapi.json", token=None)
    assert status == 200
    OpenAPI.from_dict(document).check_spec()
    assert set(document["paths"]) == {one.path for one in OPERATIONS}
    assert document == json.loads(json.dumps(describe(OPERATIONS, document["info"]["version"])))


def test_what_ends_a_request_is_kept_but_not_who_proves_nothing_or_asks_for_nothing(api: Api):
    assert api.call("GET", "/v1/releases/r-0m3x1k7q2")[0] == 404
    assert api.call("GET", "/v1/releases/r-0m3x9zz4h")[0] == 404
    assert api.call("GET", "/v1/releases/r-0m3x1k7q2", token="wrong")[0] == 401
    assert api.call("GET", "/nowhere")[0] == 404
    api.office.ports.note_error.flush()

    (found,) = api.office.ledger.errors()

    assert (found.code, found.count) == ("TG-2002", 2)
    assert found.place.startswith("console GET /v1/releases/{")


@pytest.mark.parametrize(
    ("sent", "is_kept"), [("order-2231.1", True), ("no", False), ("with space in it", False)]
)
def test_a_call_is_answered_with_its_id_and_logged_under_it(
    api: Api, caplog: pytest.LogCaptureFixture, sent: str, is_kept: bool
):
    known = api.office.ports.secrets.get(API_TOKEN)
    headers = {"Authorization": f"Bearer {known.reveal()}", "X-Request-Id": sent}
    request = urllib.request.Request(f"{api.url}/v1/releases?service=acme/chat", headers=headers)
    with caplog.at_level("INFO", "tidegate.console.correlating"), urllib.request.urlopen(request) as reply:
        answered = reply.headers["X-Request-Id"]

    assert is_request_id(answered)
    assert (answered == sent) is is_kept
    told = [record.getMessage() for record in caplog.records if "correlating" in record.name]
    assert told == ["GET /v1/releases: 200"]
    assert known.reveal() not in caplog.text
