"""The part of Prefect's REST API that we use, over HTTP. Prefect itself is never imported here.

Traps: an idempotency key lives as long as its run and hides new parameters, and a run may be created by
anyone in any state, so a state read here is never evidence for a promotion.
"""

import time
from dataclasses import dataclass
from typing import Any, cast

import httpx

from tidegate.domain import InvalidInput, NeedsOperator, NotFound, Refused, Secret, Transient

REQUEST_TIMEOUT_S = 30.0
TRIES = 4
FIRST_PAUSE_S = 0.5
# SQLite was locked or the server is starting: it may be asked again, because creates carry a key or a unique name.
BUSY = (429, 502, 503)
FINAL_STATES = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
PAGE_SIZE = 200

Json = dict[str, Any]


@dataclass(frozen=True)
class FlowRun:
    """A run as Prefect tells it."""

    id: str
    name: str
    state: str
    """SCHEDULED, PENDING, RUNNING, COMPLETED, FAILED, CRASHED, CANCELLING, CANCELLED, PAUSED."""
    message: str
    url: str
    parameters: Json

    @property
    def is_over(self) -> bool:
        return self.state in FINAL_STATES


@dataclass(frozen=True)
class WorkerSeen:
    """A worker of a pool and whether the server heard from it lately."""

    pool: str
    name: str
    is_online: bool
    last_heartbeat: str


class PrefectApi:
    """One Prefect server. `url` ends in `/api`; every method raises the domain's errors only."""

    def __init__(
        self,
        url: str,
        auth: Secret | None = None,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ):
        self.url = url.rstrip("/")
        credentials: httpx.BasicAuth | None = None
        if auth is not None:
            user, _, password = auth.reveal().partition(":")
            credentials = httpx.BasicAuth(user, password)
        # Never through a proxy of the environment: the server is ours, and the address loopback or private.
        self._client = httpx.Client(auth=credentials, timeout=timeout_s, trust_env=False, transport=transport)

    def __enter__(self) -> "PrefectApi":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def is_healthy(self) -> bool:
        """True when the server answers at all; it needs no credential for that."""
        try:
            return self._client.get(f"{self.url}/health").status_code == 200
        except httpx.HTTPError:
            return False

    def upsert_work_pool(self, pool: Json) -> None:
        """Create the pool or bring it to this description. Prefect refuses to change the type of a pool."""
        name = str(pool["name"])
        found = self._find(f"/work_pools/{name}")
        if found is None:
            self._call("POST", "/work_pools/", pool)
        elif found["type"] != pool["type"]:
            raise NeedsOperator(
                f"The work pool '{name}' exists with type {found['type']}, not {pool['type']}.",
                remedy=f"Remove it if nothing else uses it (prefect work-pool delete {name}), then try again.",
            )
        else:
            self._call(
                "PATCH",
                f"/work_pools/{name}",
                {key: pool[key] for key in pool if key not in ("name", "type")},
            )

    def create_flow_run(
        self, deployment: str, parameters: Json, idempotency_key: str | None = None, name: str | None = None
    ) -> FlowRun:
        """Start `flow/deployment`; the same key again returns the first run, whatever became of it.

        Raises:
            InvalidInput: when the key belongs to a run with other parameters, or Prefect refuses them.
        """
        flow, _, label = deployment.partition("/")
        found = self._find(f"/deployments/name/{flow}/{label}")
        if found is None:
            raise NotFound(
                f"Prefect knows no deployment '{deployment}'.",
                remedy="Run: tidegate down, then tidegate up, which deploys it again.",
            )
        body: Json = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        if idempotency_key:
            body["idempotency_key"] = idempotency_key
        if name:
            body["name"] = name
        run = self._flow_run(self._call("POST", f"/deployments/{found['id']}/create_flow_run", body))
        different = [key for key, value in parameters.items() if run.parameters.get(key) != value]
        if different:
            raise InvalidInput(
                f"The run {run.name} has the same key but other parameters ({', '.join(different)}).",
                remedy=f"Look at it: {run.url}. Use another key for another request.",
                field="idempotency_key",
            )
        return run

    def get_flow_run(self, run_id: str) -> FlowRun:
        """Raises: NotFound."""
        return self._flow_run(self._call("GET", f"/flow_runs/{run_id}"))

    def cancel(self, run_id: str) -> None:
        """Ask a run to stop. A backstop: releases are stopped through the journal."""
        self._call("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})

    def wait(self, run_id: str, timeout_s: float, poll_s: float = 0.5) -> FlowRun:
        """The run once it is over, or as it is when the time is."""
        deadline = time.monotonic() + timeout_s
        while True:
            run = self.get_flow_run(run_id)
            if run.is_over or time.monotonic() >= deadline:
                return run
            time.sleep(poll_s)

    def deployments(self) -> list[str]:
        """`flow/deployment` of every deployment."""
        flows = {flow["id"]: flow["name"] for flow in self._pages("/flows/filter")}
        return sorted(
            f"{flows.get(item['flow_id'], '?')}/{item['name']}" for item in self._pages("/deployments/filter")
        )

    def work_pools(self) -> list[str]:
        return sorted(str(pool["name"]) for pool in self._pages("/work_pools/filter"))

    def workers(self, pool: str) -> list[WorkerSeen]:
        """Workers of a pool that the server remembers, living or not."""
        return [
            WorkerSeen(pool, item["name"], item["status"] == "ONLINE", str(item["last_heartbeat_time"]))
            for item in self._pages(f"/work_pools/{pool}/workers/filter")
        ]

    def find(self, path: str) -> list[Json]:
        """Everything that a `/.../filter` path lists, as Prefect tells it."""
        return self._pages(path)

    def find_runs(self, where: Json, most: int) -> list[Json]:
        """Flow runs that fit a filter, as Prefect tells them."""
        return self._pages("/flow_runs/filter", where, most)

    def _pages(self, path: str, where: Json | None = None, most: int | None = None) -> list[Json]:
        rows: list[Json] = []
        while True:
            asked = {**(where or {}), "limit": PAGE_SIZE, "offset": len(rows)}
            page = cast("list[Json]", self._call("POST", path, asked))
            rows += page
            if len(page) < PAGE_SIZE or (most is not None and len(rows) >= most):
                return rows

    def _flow_run(self, item: Json) -> FlowRun:
        state = cast("Json", item.get("state") or {})
        return FlowRun(
            id=item["id"],
            name=item["name"],
            state=str(state.get("type", "UNKNOWN")),
            message=str(state.get("message") or ""),
            url=f"{self.url.removesuffix('/api')}/runs/flow-run/{item['id']}",
            parameters=item.get("parameters") or {},
        )

    def _find(self, path: str) -> Json | None:
        try:
            return self._call("GET", path)
        except NotFound:
            return None

    def _call(self, method: str, path: str, body: Json | None = None) -> Any:
        """One call, repeated while the server says that it is busy."""
        response = self._send(method, path, body)
        for number in range(TRIES - 1):
            if response.status_code not in BUSY:
                break
            time.sleep(FIRST_PAUSE_S * 2**number)
            response = self._send(method, path, body)
        if response.is_error:
            raise _translated(response, f"{method} {path}")
        return response.json() if response.content else None

    def _send(self, method: str, path: str, body: Json | None) -> httpx.Response:
        try:
            return self._client.request(method, self.url + path, json=body)
        except httpx.HTTPError as error:
            raise Transient(
                f"The Prefect server at {self.url} cannot be reached ({type(error).__name__}).",
                remedy="See: tidegate status. If it is down: tidegate up.",
            ) from error


def _translated(response: httpx.Response, what: str) -> Exception:
    status, detail = response.status_code, _detail(response)
    if status in (401, 403):
        return Refused(
            f"The Prefect server refused {what} ({status}).",
            remedy="Its authentication string differs from ours. Run: tidegate down, then tidegate up.",
        )
    if status == 404:
        return NotFound(f"Prefect does not know {what.split(' ', 1)[1]}.", remedy="See: tidegate doctor.")
    if status in (400, 409, 422):
        return InvalidInput(f"Prefect refused {what} ({status}): {detail}", remedy="Correct the named value.")
    return Transient(
        f"Prefect failed at {what} ({status}): {detail}", remedy="Try again; see: tidegate logs prefect."
    )


def _detail(response: httpx.Response) -> str:
    try:
        content: Any = response.json()
    except ValueError:
        return response.text[:300]
    found: Any = (
        cast("Json", content).get("detail") or cast("Json", content).get("exception_detail") or content
    )
    return str(found)[:300]
