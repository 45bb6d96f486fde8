"""Sets that are serverless endpoints: create, adopt, judge, stop, start and remove, with the organization's own key.

Nothing is ever changed in place but the number of workers: another file is another endpoint. Every effect
begins by looking, and every order of effects may break off anywhere and be asked for again.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from tidegate.domain import (
    CapacityShortage,
    NotFound,
    Refused,
    Resource,
    RunPodServiceConfig,
    SetSpec,
    SetState,
    SetStatus,
    TidegateError,
    Transient,
    owner_of_set,
)
from tidegate.platforms.runpod.addresses import address_of
from tidegate.platforms.runpod.client import RunPodClient
from tidegate.platforms.runpod.costs import price_ceiling, require_means
from tidegate.platforms.runpod.diagnosis import Action, Judgement, Seen, judge
from tidegate.platforms.runpod.errors import Missing, NoCapacity
from tidegate.platforms.runpod.logs import LogBounds
from tidegate.platforms.runpod.marks import PRICE, Marks, Wanted, require_same_digest
from tidegate.platforms.runpod.observing import Observer
from tidegate.platforms.runpod.orders import endpoint_order, marked, need_of, worker_bounds
from tidegate.platforms.runpod.pace import Pace
from tidegate.platforms.runpod.placement import EndpointRung, Need, endpoint_ladder
from tidegate.platforms.runpod.remembering import Freshness
from tidegate.platforms.runpod.removal import Patience, remove_endpoint
from tidegate.platforms.runpod.replies import Endpoint
from tidegate.platforms.runpod.tenant import Tenant
from tidegate.platforms.runpod.wire import EndpointKind, Product

log = logging.getLogger(__name__)

REPAIR_EVERY_S = 60.0
EVIDENCE_LINES = 20
LOGGED_WORKERS = 3


class EndpointSets:
    """Sets of one organization that are serverless endpoints, of both kinds."""

    def __init__(
        self,
        tenant: Tenant,
        client: RunPodClient,
        *,
        memory_of: Callable[[SetSpec], int],
        freshness: Freshness | None = None,
        patience: Patience | None = None,
        pace: Pace | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        """`memory_of` estimates what a worker needs on its GPU for a set."""
        self.tenant = tenant
        self.client = client
        self._memory_of = memory_of
        self._patience = patience or Patience()
        self._pace = pace or Pace()
        self._clock = clock
        self._remembered: set[str] = set()
        self._observer = Observer(client, freshness or Freshness(), self._pace)

    def holds(self, name: str) -> bool:
        return self._observer.find(name) is not None

    def names(self) -> frozenset[str]:
        """Of everything of this kind in the account."""
        return frozenset(endpoint.name for endpoint in self.client.control.list_endpoints())

    def create(self, spec: SetSpec) -> SetStatus:
        """Raises: Refused, InvalidInput, CapacityShortage, Transient."""
        config = self.tenant.config(spec.service)
        with self._observer.memory(spec.name).lock:
            endpoint = self._observer.find(spec.name, is_fresh=True)
            if endpoint is None:
                self._place(spec, config)
                self._keep_oldest(spec.name)
            else:
                self._adopt(endpoint, spec)
        return self.status(spec.name)

    def status(self, name: str) -> SetStatus:
        """State of a set. What cannot go on by itself is mended or ended here, whoever asks first."""
        memory = self._observer.memory(name)
        with memory.lock:
            endpoint = self._observer.find(name)
            if endpoint is None:
                memory.forget()
                return SetStatus.absent(name)
            marks = Marks.read(endpoint.env)
            if marks is None:
                return SetStatus(
                    name=name, state=SetState.UNKNOWN, message="An endpoint of this name is not ours."
                )
            self._remember(endpoint, marks)
            try:
                seen = self._observer.look(endpoint, marks)
            except Missing:
                # It went away between the two questions.
                memory.forget()
                return SetStatus.absent(name)
            judgement = judge(seen, self.tenant.rules(name))
            if marks.wanted is Wanted.RUNNING:
                memory.note(judgement.state is SetState.READY, self._pace.now())
            return self._answer(endpoint, seen, self._act(endpoint, marks, judgement))

    def invoke(self, name: str, path: str, body: Mapping[str, object], timeout_s: float) -> dict[str, object]:
        """Raises: NotFound, Transient (no worker answered), InvalidInput (the engine says 4xx)."""
        endpoint = self._require(name)
        if endpoint.type == EndpointKind.QUEUE:
            data: object = self.client.jobs.openai(endpoint, path, body, timeout_s)
        else:
            data = self.client.load_balancer.ask(endpoint, path, body, timeout_s).data
        if not isinstance(data, dict):
            raise Transient(f"Set {name} answered no object.", remedy="Ask again.", set=name)
        return {str(key): value for key, value in data.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - any JSON

    def metrics(self, name: str) -> dict[str, float]:
        """Counts of workers by status; empty when there is no set."""
        endpoint = self._observer.find(name)
        if endpoint is None:
            return {}
        counts = self.client.control.workers(endpoint.id).summary.model_dump()
        return {f"workers_{word}": float(count) for word, count in counts.items()}

    def logs(self, name: str, lines: int) -> str:
        """Why it was given up, if it was, and the last lines of its workers. RunPod keeps those for minutes only."""
        endpoint = self._observer.find(name)
        if endpoint is None:
            return ""
        marks = Marks.read(endpoint.env)
        reason = [marks.problem] if marks and marks.problem else []
        return "\n".join([*reason, *self._worker_lines(endpoint, lines)])

    def stop(self, name: str) -> None:
        """Workers to 0; the endpoint stays, known as stopped, and costs nothing."""
        with self._observer.memory(name).lock:
            for endpoint in self._observer.all_of(name):
                marks = self._require_marks(endpoint)
                if marks.wanted is not Wanted.STOPPED:
                    self._put(endpoint, marks.want(Wanted.STOPPED), 0, 0)

    def start(self, name: str) -> SetStatus:
        """Raises: NotFound, Refused (the account cannot pay), Transient."""
        with self._observer.memory(name).lock:
            endpoint = self._require(name)
            marks = self._require_marks(endpoint)
            if marks.wanted is not Wanted.RUNNING:
                self._run(endpoint, marks)
        return self.status(name)

    def delete(self, name: str) -> None:
        """Workers to 0, queue purged, drained, deleted, confirmed. Raises: Transient when it does not go away."""
        memory = self._observer.memory(name)
        with memory.lock:
            for endpoint in self._observer.all_of(name):
                self._require_marks(endpoint)
                self._remove(endpoint)
            memory.forget()

    def list_owned(self) -> list[SetStatus]:
        """Sets of this organization only, even when the account holds more."""
        names: dict[str, None] = {}
        for endpoint in self.client.control.list_endpoints():
            owner = owner_of_set(endpoint.name)
            if owner is not None and owner.org == self.tenant.org and Marks.read(endpoint.env):
                if endpoint.name not in names:
                    self._observer.seed(endpoint)
                names[endpoint.name] = None
        found = [self.status(name) for name in names]
        return [status for status in found if status.state is not SetState.ABSENT]

    def price_per_hour_usd(self, spec: SetSpec) -> Decimal:
        """The most that the set can cost per hour. Raises: Refused when nothing that is allowed fits."""
        config = self.tenant.config(spec.service)
        return price_ceiling(self._need(spec, config), self.client.control.catalog.gpus(), config.max_workers)

    # Placing

    def _place(self, spec: SetSpec, config: RunPodServiceConfig) -> None:
        """Climb the ladder until RunPod takes it. Raises: CapacityShortage when no rung holds."""
        need = self._need(spec, config)
        gpus = self.client.control.catalog.gpus(Product.SERVERLESS, count=config.gpus_per_worker)
        ladder = endpoint_ladder(need, gpus)
        require_means(
            self.client.account.state(),
            ladder[0].price_per_hour_usd * config.min_workers,
            self.tenant.funded_hours,
        )
        memory = self._observer.memory(spec.name)
        memory.forget()
        for rung in ladder:
            if set(rung.pools) <= memory.starved:
                continue
            if self._try_rung(spec, config, rung):
                return
        # Next time everything is tried again: by then there may be stock.
        memory.starved.clear()
        raise CapacityShortage(
            f"RunPod has no room for set {spec.name} in any of the pools that fit: "
            f"{', '.join(pool for rung in ladder for pool in rung.pools)}.",
            remedy="Wait, or allow more GPU types or data centres.",
            set=spec.name,
        )

    def _try_rung(self, spec: SetSpec, config: RunPodServiceConfig, rung: EndpointRung) -> bool:
        try:
            endpoint = self.client.control.create_endpoint(endpoint_order(spec, config, rung, self._clock()))
        except NoCapacity as shortage:
            log.info("runpod: no room for %s in %s: %s", spec.name, ", ".join(rung.pools), shortage.message)
            return False
        self._observer.seed(endpoint)
        marks = self._require_marks(endpoint)
        self._remember(endpoint, marks)
        require_same_digest(marks, spec)
        return True

    def _adopt(self, endpoint: Endpoint, spec: SetSpec) -> None:
        """One that was stopped is started again; one that was given up stays so, with its reason."""
        marks = self._require_marks(endpoint)
        require_same_digest(marks, spec)
        if marks.wanted is Wanted.STOPPED:
            self._run(endpoint, marks)

    def _keep_oldest(self, name: str) -> None:
        """Two processes that saw no endpoint may both have made one: both keep the same, and remove the other."""
        for extra in self._observer.all_of(name)[1:]:
            log.warning("runpod: a second endpoint named %s is removed: %s", name, extra.id)
            self._remove(extra)

    def _remember(self, endpoint: Endpoint, marks: Marks) -> None:
        if endpoint.id not in self._remembered and endpoint.created_at is not None:
            most = Decimal(endpoint.env.get(PRICE, "0")) * marks.max_workers
            self.tenant.remember(Resource(endpoint.name, endpoint.id, "endpoint", endpoint.created_at, most))
            self._remembered.add(endpoint.id)

    # Acting on a judgement

    def _act(self, endpoint: Endpoint, marks: Marks, judgement: Judgement) -> Judgement:
        memory = self._observer.memory(endpoint.name)
        if judgement.action is Action.REPAIR:
            self._repair(endpoint, marks)
        elif judgement.action is Action.GIVE_UP:
            tail = "\n".join(self._worker_lines(endpoint, EVIDENCE_LINES))
            problem = f"{judgement.message}\n{tail}" if tail else judgement.message
            log.warning("runpod: set %s is given up: %s", endpoint.name, judgement.message)
            self._put(endpoint, marks.want(Wanted.FAILED, problem=problem), 0, 0)
            return Judgement(SetState.FAILED, problem)
        elif judgement.action is Action.TAKE_BACK:
            log.warning("runpod: set %s is taken back: %s", endpoint.name, judgement.message)
            self._remove(endpoint)
            memory.forget()
            memory.starved |= set(endpoint.gpu.pools if endpoint.gpu else ())
            return Judgement(SetState.ABSENT, judgement.message)
        return judgement

    def _repair(self, endpoint: Endpoint, marks: Marks) -> None:
        memory = self._observer.memory(endpoint.name)
        now = self._pace.now()
        if memory.repaired_at is not None and now - memory.repaired_at < REPAIR_EVERY_S:
            return
        memory.repaired_at = now
        log.warning("runpod: workers of %s are set back to %d", endpoint.name, marks.max_workers)
        change = worker_bounds(marks.min_workers, marks.max_workers)
        self._observer.seed(self.client.control.update_endpoint(endpoint.id, change, is_repeatable=True))

    def _run(self, endpoint: Endpoint, marks: Marks) -> None:
        """Let a stopped or failed one run again, from now on with fresh patience."""
        self._observer.memory(endpoint.name).forget()
        again = marks.want(Wanted.RUNNING, now=self._clock())
        self._put(endpoint, again, marks.min_workers, marks.max_workers)

    def _put(self, endpoint: Endpoint, marks: Marks, low: int, high: int) -> None:
        change = marked(marks, endpoint.env, low, high)
        self._observer.memory(endpoint.name).answers.clear()
        self._observer.seed(self.client.control.update_endpoint(endpoint.id, change, is_repeatable=True))

    def _remove(self, endpoint: Endpoint) -> None:
        remove_endpoint(self.client, endpoint, self._patience, self._pace)

    # Reading

    def _answer(self, endpoint: Endpoint, seen: Seen, judgement: Judgement) -> SetStatus:
        if judgement.state is SetState.ABSENT:
            return SetStatus(name=endpoint.name, state=SetState.ABSENT, message=judgement.message)
        address = address_of(endpoint)
        return SetStatus(
            name=endpoint.name,
            state=judgement.state,
            digest=seen.proof.digest if seen.proof else None,
            host=address.host,
            port=address.port,
            tls=address.tls,
            path_prefix=address.path_prefix,
            credential=self.tenant.credential,
            message=judgement.message,
            since=seen.marks.started_at,
            load_seconds=self._observer.memory(endpoint.name).load_s,
            restarts=self._observer.memory(endpoint.name).restarts,
            memory_bytes=self._observer.engine_memory(endpoint)
            if judgement.state is SetState.READY
            else None,
            usd_per_hour=float(Decimal(endpoint.env.get(PRICE, "0")) * seen.paid_workers),
        )

    def _worker_lines(self, endpoint: Endpoint, lines: int) -> list[str]:
        """The last lines of a few workers, of those that left too; what cannot be read is said."""
        found: list[str] = []
        try:
            present = [worker.id for worker in self.client.control.workers(endpoint.id).workers]
            for worker_id in (present or self._observer.memory(endpoint.name).last_workers)[:LOGGED_WORKERS]:
                bounds = LogBounds(lines=lines, quiet_s=1.0, total_s=5.0)
                entries = self.client.control.worker_log(endpoint.id, worker_id, tail=lines, bounds=bounds)
                found += [f"{worker_id} {entry.source}: {entry.line}" for entry in entries]
        except TidegateError as error:
            found.append(f"(the log cannot be read: {error.message})")
        return found[-lines:]

    def _require(self, name: str) -> Endpoint:
        endpoint = self._observer.find(name)
        if endpoint is None:
            raise NotFound(f"There is no set {name} on RunPod.", remedy="Create it.", set=name)
        return endpoint

    def _require_marks(self, endpoint: Endpoint) -> Marks:
        marks = Marks.read(endpoint.env)
        if marks is None or marks.name != endpoint.name:
            raise Refused(
                f"Endpoint {endpoint.name} ({endpoint.id}) at RunPod does not carry our marks; it is left alone.",
                remedy="Rename or delete it in RunPod's console.",
                endpoint=endpoint.id,
            )
        return marks

    def _need(self, spec: SetSpec, config: RunPodServiceConfig) -> Need:
        def known_places() -> list[str]:
            return [place.id for place in self.client.control.catalog.data_centers()]

        return need_of(config, self._memory_of(spec), self.tenant.allowance, known_places)
