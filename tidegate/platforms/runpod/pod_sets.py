"""Sets that are pods: placed on one machine, kept running, given up or moved, with the organization's own key.

A pod costs money every hour that it runs, used or not. What is wanted is written on it before anything is done, so
that whoever looks next finishes what broke off. Its port is open to everybody: the engine asks for the set's own key.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from tidegate.domain import (
    CapacityShortage,
    NotFound,
    Refused,
    Resource,
    RunPodServiceConfig,
    Secret,
    SetSpec,
    SetState,
    SetStatus,
    TidegateError,
    Transient,
    engine_credential,
    owner_of_set,
)
from tidegate.platforms.runpod.client import RunPodClient
from tidegate.platforms.runpod.diagnosis import Action, Judgement
from tidegate.platforms.runpod.engine_metrics import parse_metrics
from tidegate.platforms.runpod.errors import Conflict, Missing, NoCapacity
from tidegate.platforms.runpod.logs import LogBounds
from tidegate.platforms.runpod.marks import PORT, PRICE, Marks, Wanted, require_same_digest
from tidegate.platforms.runpod.observing import MEMORY_FIELD
from tidegate.platforms.runpod.orders import pod_marked, pod_marks, pod_order, same_pod_elsewhere
from tidegate.platforms.runpod.pace import Pace
from tidegate.platforms.runpod.placement import Need, PodRung
from tidegate.platforms.runpod.pod_diagnosis import OVER, PodSeen, judge_pod
from tidegate.platforms.runpod.pod_observing import PodObserver, in_order
from tidegate.platforms.runpod.pod_placing import PodPlacer, machine_name
from tidegate.platforms.runpod.remembering import Freshness
from tidegate.platforms.runpod.removal import Patience, remove_pod
from tidegate.platforms.runpod.replies import Pod
from tidegate.platforms.runpod.tenant import Tenant
from tidegate.platforms.runpod.wire import CreatePod, PodAction

log = logging.getLogger(__name__)

EVIDENCE_LINES = 20
METRICS_PATH = "/metrics"
LONGEST_REVIVAL_PAUSE_S = 60.0


class PodSets:
    """Sets of one organization that are pods."""

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
        """`memory_of` estimates what the engine needs on its GPU for a set."""
        self.tenant = tenant
        self.client = client
        self._proxy = client.pods
        self._memory_of = memory_of
        self._patience = patience or Patience()
        self._pace = pace or Pace()
        self._clock = clock
        self._placer = PodPlacer(tenant, client)
        self._remembered: set[str] = set()
        self._observer = PodObserver(client, client.pods, freshness or Freshness(), self._pace)

    def holds(self, name: str) -> bool:
        return self._observer.find(name) is not None

    def names(self) -> frozenset[str]:
        """Of everything of this kind in the account."""
        return frozenset(pod.name for pod in self.client.control.list_pods())

    def create(self, spec: SetSpec) -> SetStatus:
        """Raises: Refused, InvalidInput, NeedsOperator (no engine keys), CapacityShortage, Transient."""
        config = self.tenant.config(spec.service)
        with self._observer.memory(spec.name).lock:
            pod = self._observer.find(spec.name, is_fresh=True)
            if pod is None:
                self._place(spec, config)
                self._keep_first(spec.name)
            else:
                marks = self._require_marks(pod)
                require_same_digest(marks, spec)
                if marks.wanted is Wanted.STOPPED:
                    self._run(pod, marks)
        return self.status(spec.name)

    def status(self, name: str) -> SetStatus:
        """State of a set. What cannot go on by itself is mended or ended here, whoever asks first."""
        memory = self._observer.memory(name)
        with memory.lock:
            pod = self._observer.find(name)
            if pod is None:
                memory.forget()
                return SetStatus.absent(name)
            marks = Marks.read(pod.env)
            if marks is None:
                return SetStatus(name=name, state=SetState.UNKNOWN, message="A pod of this name is not ours.")
            self._remember(pod)
            seen = self._observer.look(pod, marks, self._key(marks), self._clock())
            judgement = judge_pod(seen, self.tenant.rules(name))
            if marks.wanted is Wanted.RUNNING:
                memory.note(judgement.state is SetState.READY, self._pace.now())
            return self._answer(pod, seen, self._act(pod, marks, judgement))

    def invoke(self, name: str, path: str, body: Mapping[str, object], timeout_s: float) -> dict[str, object]:
        """Raises: NotFound, Transient (the engine did not answer), InvalidInput (the engine says 4xx)."""
        pod, key = self._open(name)
        data: object = self._proxy.ask(pod.id, PORT, path, key, body, timeout_s)
        if not isinstance(data, dict):
            raise Transient(f"Set {name} answered no object.", remedy="Ask again.", set=name)
        return {str(key): value for key, value in data.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - any JSON

    def metrics(self, name: str) -> dict[str, float]:
        """The engine's own figures, its memory, and the load of its GPUs; empty when there is no set that answers."""
        try:
            pod, key = self._open(name)
            found = parse_metrics(self._proxy.text(pod.id, PORT, METRICS_PATH, key))
        except TidegateError:
            return {}
        memory = self._observer.report(pod, key).get(MEMORY_FIELD)
        if isinstance(memory, int):
            found["memory_bytes"] = float(memory)
        gpus = pod.runtime.gpus if pod.runtime else ()
        loads = {f"gpu{number}_utilization": float(gpu.util) for number, gpu in enumerate(gpus)}
        return found | loads

    def logs(self, name: str, lines: int) -> str:
        """Why it was given up, if it was, and the last lines of its log. RunPod keeps those for minutes only."""
        pod = self._observer.find(name)
        if pod is None:
            return ""
        marks = Marks.read(pod.env)
        reason = [marks.problem] if marks and marks.problem else []
        return "\n".join([*reason, *self._lines(pod, lines)])

    def stop(self, name: str) -> None:
        """End its container; the pod stays, known as stopped, and costs nothing by the hour."""
        with self._observer.memory(name).lock:
            for pod in self._observer.all_of(name):
                marks = self._require_marks(pod)
                if marks.wanted is not Wanted.STOPPED:
                    self._put(pod, marks.want(Wanted.STOPPED))
                self._end(pod)

    def start(self, name: str) -> SetStatus:
        """Raises: NotFound, Refused, CapacityShortage (no machine has room), Transient."""
        with self._observer.memory(name).lock:
            pod = self._require(name)
            marks = self._require_marks(pod)
            if marks.wanted is not Wanted.RUNNING:
                self._run(pod, marks)
        return self.status(name)

    def delete(self, name: str) -> None:
        """Stopped, deleted, confirmed. Raises: Transient when it does not go away."""
        memory = self._observer.memory(name)
        with memory.lock:
            for pod in self._observer.all_of(name):
                self._require_marks(pod)
                remove_pod(self.client, pod, self._patience, self._pace)
            memory.forget()

    def list_owned(self) -> list[SetStatus]:
        """Sets of this organization only, even when the account holds more."""
        names: dict[str, None] = {}
        for pod in in_order(self.client.control.list_pods()):
            owner = owner_of_set(pod.name)
            if owner is not None and owner.org == self.tenant.org and Marks.read(pod.env):
                if pod.name not in names:
                    self._observer.seed(pod)
                names[pod.name] = None
        found = [self.status(name) for name in names]
        return [status for status in found if status.state is not SetState.ABSENT]

    def price_per_hour_usd(self, spec: SetSpec) -> Decimal:
        """The most that the set can cost per hour. Raises: Refused when nothing that is allowed fits."""
        return self._placer.price_ceiling(self._memory_of(spec), self.tenant.config(spec.service))

    # Placing

    def _place(self, spec: SetSpec, config: RunPodServiceConfig) -> None:
        """Climb the ladder until RunPod takes it. Raises: CapacityShortage when no rung holds."""
        keys = self.tenant.keys()
        need = self._placer.need(self._memory_of(spec), config)
        marks = pod_marks(spec, need, keys.newest, self._clock())
        key = keys.key_of(spec.name, keys.newest)
        assert key is not None, "the newest one is there"
        self._observer.memory(spec.name).forget()
        pod = self._climb(spec.name, config, need, lambda rung: pod_order(spec, config, rung, marks, key))
        require_same_digest(self._require_marks(pod), spec)

    def _climb(
        self, name: str, config: RunPodServiceConfig, need: Need, order: Callable[[PodRung], CreatePod]
    ) -> Pod:
        """The pod on the first rung that has room. Raises: CapacityShortage, Refused, InvalidInput."""
        pod = self._placer.climb(name, config, need, order, self._observer.memory(name).starved)
        self._observer.seed(pod)
        self._remember(pod)
        return pod

    def _keep_first(self, name: str) -> None:
        """Two processes that saw no pod may both have made one: both keep the same, and remove the other."""
        found = self._observer.all_of(name)
        for extra in found[1:]:
            log.warning("runpod: a second pod named %s is removed: %s", name, extra.id)
            remove_pod(self.client, extra, self._patience, self._pace)
        if found and found[0].status not in OVER:
            # Not when the list lags behind the pod that was just made.
            self._observer.seed(found[0])

    def _remember(self, pod: Pod) -> None:
        if pod.id not in self._remembered and pod.created_at is not None:
            price = Decimal(pod.env.get(PRICE) or pod.cost)
            self.tenant.remember(Resource(pod.name, pod.id, "pod", pod.created_at, price))
            self._remembered.add(pod.id)

    # Acting on a judgement

    def _act(self, pod: Pod, marks: Marks, judgement: Judgement) -> Judgement:
        match judgement.action:
            case Action.REPAIR:
                return self._revive(pod, marks, judgement)
            case Action.END:
                self._end(pod)
            case Action.GIVE_UP:
                tail = "\n".join(self._lines(pod, EVIDENCE_LINES))
                problem = f"{judgement.message}\n{tail}" if tail else judgement.message
                log.warning("runpod: set %s is given up: %s", pod.name, judgement.message)
                self._put(pod, marks.want(Wanted.FAILED, problem=problem))
                self._end(pod)
                return Judgement(SetState.FAILED, problem)
            case Action.TAKE_BACK:
                log.warning("runpod: set %s is taken back: %s", pod.name, judgement.message)
                remove_pod(self.client, pod, self._patience, self._pace)
                memory = self._observer.memory(pod.name)
                memory.forget()
                if pod.gpu is not None and pod.cloud is not None:
                    memory.starved.add(machine_name(pod.gpu.id, pod.cloud))
                return Judgement(SetState.ABSENT, judgement.message)
            case Action.NONE:
                pass
        return judgement

    def _revive(self, pod: Pod, marks: Marks, judgement: Judgement) -> Judgement:
        """Start it again, at growing intervals; elsewhere when its machine has no room for it any more."""
        memory = self._observer.memory(pod.name)
        now = self._pace.now()
        pause_s = min(2.0**memory.revivals - 1, LONGEST_REVIVAL_PAUSE_S)
        if memory.revived_at is not None and now - memory.revived_at < pause_s:
            return judgement
        memory.revived_at = now
        again = replace(marks, restarts=marks.restarts + 1)
        try:
            self._begin(pod, again)
        except CapacityShortage as shortage:
            return Judgement(judgement.state, shortage.message)
        memory.revivals += 1
        return judgement

    def _run(self, pod: Pod, marks: Marks) -> None:
        """Let a stopped or failed one run again, from now on with fresh patience."""
        self._observer.memory(pod.name).forget()
        self._begin(pod, replace(marks.want(Wanted.RUNNING, now=self._clock()), restarts=0))

    def _begin(self, pod: Pod, marks: Marks) -> None:
        """A stopped pod is bound to its machine, which may be gone or full: then another pod takes its place.

        Raises: CapacityShortage when no machine has room.
        """
        pod = self._put(pod, marks)
        try:
            self.client.control.act_on_pod(pod.id, PodAction.START)
        except NoCapacity:
            log.warning("runpod: the machine of %s has no room for it: it moves", pod.name)
            self._move(pod, marks)
        except Conflict:
            # It runs already: somebody else was faster.
            log.info("runpod: pod %s runs already", pod.name)
        self._observer.memory(pod.name).answers.clear()

    def _move(self, pod: Pod, marks: Marks) -> None:
        """First the new pod, then the end of the old one: the set is never without one."""
        config = self.tenant.config_of(pod.name)
        if config is None:
            raise CapacityShortage(
                f"The machine of {pod.name} has no room for it, and its service has no settings for another.",
                remedy="Put the service's `runpod:` settings back, or delete the set.",
            )
        need = self._placer.need(marks.need_bytes, config)
        self._climb(pod.name, config, need, lambda rung: same_pod_elsewhere(pod, config, rung, marks))
        self._keep_first(pod.name)

    def _put(self, pod: Pod, marks: Marks) -> Pod:
        changed = self.client.control.update_pod(pod.id, pod_marked(marks, pod.env), is_repeatable=True)
        self._observer.memory(pod.name).answers.clear()
        self._observer.seed(changed)
        return changed

    def _end(self, pod: Pod) -> None:
        """No error when it is over, or gone, already."""
        if pod.status not in OVER:
            try:
                self.client.control.act_on_pod(pod.id, PodAction.STOP)
            except (Conflict, Missing) as error:
                log.info("runpod: pod %s needs no stop: %s", pod.name, error.message)
        self._observer.memory(pod.name).answers.clear()

    # Reading

    def _answer(self, pod: Pod, seen: PodSeen, judgement: Judgement) -> SetStatus:
        if judgement.state is SetState.ABSENT:
            return SetStatus(name=pod.name, state=SetState.ABSENT, message=judgement.message)
        address = self._proxy.address(pod.id, PORT)
        is_ready = judgement.state is SetState.READY
        report = self._observer.report(pod, self._key(seen.marks)) if is_ready else {}
        memory_bytes = report.get(MEMORY_FIELD)
        return SetStatus(
            name=pod.name,
            state=judgement.state,
            digest=seen.proof.digest if seen.proof else None,
            host=address.host,
            port=address.port,
            tls=address.tls,
            path_prefix=address.path_prefix,
            credential=engine_credential(seen.marks.key_id, pod.name),
            restarts=seen.marks.restarts,
            message=judgement.message,
            since=seen.marks.started_at,
            load_seconds=self._observer.memory(pod.name).load_s,
            memory_bytes=memory_bytes if isinstance(memory_bytes, int) else None,
            usd_per_hour=float(pod.cost),
        )

    def _lines(self, pod: Pod, lines: int) -> list[str]:
        """The last lines of its log; what cannot be read is said."""
        bounds = LogBounds(lines=lines, quiet_s=1.0, total_s=5.0)
        try:
            entries = self.client.control.pod_log(pod.id, tail=lines, bounds=bounds)
            return [f"{entry.source}: {entry.line}" for entry in entries][-lines:]
        except TidegateError as error:
            return [f"(the log cannot be read: {error.message})"]

    def _key(self, marks: Marks) -> Secret | None:
        keys = self.tenant.engine_keys(False)
        return keys.key_of(marks.name, marks.key_id) if keys else None

    def _open(self, name: str) -> tuple[Pod, Secret]:
        """A pod and its engine's key. Raises: NotFound, Refused."""
        pod = self._require(name)
        key = self._key(self._require_marks(pod))
        if key is None:
            raise Refused(
                f"The secret that the key of set {name} comes from is not there.",
                remedy=f"Put its line back into engine-keys-{self.tenant.org}, or make the set again.",
                set=name,
            )
        return pod, key

    def _require(self, name: str) -> Pod:
        pod = self._observer.find(name)
        if pod is None:
            raise NotFound(f"There is no set {name} on RunPod.", remedy="Create it.", set=name)
        return pod

    def _require_marks(self, pod: Pod) -> Marks:
        marks = Marks.read(pod.env)
        if marks is None or marks.name != pod.name:
            raise Refused(
                f"Pod {pod.name} ({pod.id}) at RunPod does not carry our marks; it is left alone.",
                remedy="Rename or delete it in RunPod's console.",
                pod=pod.id,
            )
        return marks
