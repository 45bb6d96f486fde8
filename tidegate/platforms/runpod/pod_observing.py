"""Looks at one set that is a pod: the pod itself, and what its engine says to our key."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, cast

from tidegate.domain import Secret, TidegateError
from tidegate.platforms.runpod.client import RunPodClient
from tidegate.platforms.runpod.diagnosis import Proof, count_starts
from tidegate.platforms.runpod.errors import Missing
from tidegate.platforms.runpod.logs import LogBounds
from tidegate.platforms.runpod.marks import HEALTH_PORT, PORT, Marks, Wanted
from tidegate.platforms.runpod.observing import MODELS_PATH, SYSTEM_LOG_LINES, served_digest
from tidegate.platforms.runpod.pace import Pace
from tidegate.platforms.runpod.pod_diagnosis import OVER, PodSeen
from tidegate.platforms.runpod.pod_proxy import PodProxy
from tidegate.platforms.runpod.remembering import Freshness, Memories, Memory
from tidegate.platforms.runpod.replies import Pod, PodStatus

REPORT_PATH = "/worker"
LOG_SLACK = timedelta(seconds=30)


class PodObserver:
    """All looks at the pods of one account."""

    def __init__(self, client: RunPodClient, proxy: PodProxy, freshness: Freshness, pace: Pace):
        self._client = client
        self._proxy = proxy
        self._freshness = freshness
        self._pace = pace
        self._memories = Memories(freshness, pace)

    def memory(self, name: str) -> Memory:
        return self._memories.of(name)

    def find(self, name: str, *, is_fresh: bool = False) -> Pod | None:
        """The pod of a set. Of several with its name, the first of `in_order`."""
        memory = self.memory(name)
        known = memory.resource_id
        age_s = 0.0 if is_fresh else self._memories.age_limit(memory)
        if known is not None:
            try:
                pod = self._memories.kept(memory, "pod", age_s, lambda: self._client.control.pod(known))
                if pod.status != PodStatus.TERMINATED:
                    return pod
            except Missing:
                pass
            memory.forget()
        found = next(iter(self.all_of(name)), None)
        if found is not None:
            self.seed(found)
        return found

    def all_of(self, name: str) -> list[Pod]:
        """Every pod of that name, the one that counts first."""
        return in_order(one for one in self._client.control.list_pods() if one.name == name)

    def seed(self, pod: Pod) -> None:
        """Take over what a list, a create or a change said already."""
        memory = self.memory(pod.name)
        memory.resource_id = pod.id
        self._memories.keep(memory, "pod", pod)

    def look(self, pod: Pod, marks: Marks, key: Secret | None, now: datetime) -> PodSeen:
        """Everything that the state of a set is judged by. Without its key a pod can prove nothing."""
        memory = self.memory(pod.name)
        proof: Proof | None = None
        if marks.wanted is Wanted.RUNNING and pod.status == PodStatus.RUNNING:
            proof = self._memories.kept(
                memory, "proof", self._freshness.proof_s, lambda: self._prove(pod.id, key)
            )
            if proof.digest is None:
                # What the control plane said may be old: look and ask again at the next call.
                memory.answers.pop("pod", None)
                memory.answers.pop("proof", None)
        since = memory.trouble_since
        trouble_s = 0.0 if since is None else self._pace.now() - since
        is_proven = proof is not None and proof.digest is not None
        return PodSeen(
            marks=marks,
            status=pod.status,
            trouble_s=trouble_s,
            proof=proof,
            was_ready=memory.was_ready,
            container_starts=0 if is_proven else self._starts(pod, memory, trouble_s, now),
            revivals=memory.revivals,
        )

    def report(self, pod: Pod, key: Secret | None) -> dict[str, Any]:
        """What the worker says of itself; empty when it does not."""
        if key is None or pod.status != PodStatus.RUNNING:
            return {}

        def ask() -> dict[str, Any]:
            try:
                data: object = self._proxy.ask(pod.id, HEALTH_PORT, REPORT_PATH, key, timeout_s=5.0)
            except TidegateError:
                return {}
            return cast("dict[str, Any]", data) if isinstance(data, dict) else {}

        return self._memories.kept(self.memory(pod.name), "report", self._freshness.report_s, ask)

    def _prove(self, pod_id: str, key: Secret | None) -> Proof:
        """The engine names its model only to who has its key: one question proves the digest and the key."""
        if key is None:
            return Proof(problem="the secret that its engine's key comes from is not there")
        try:
            data: object = self._proxy.ask(
                pod_id, PORT, MODELS_PATH, key, timeout_s=self._freshness.proof_timeout_s
            )
        except TidegateError as error:
            return Proof(problem=error.message)
        return served_digest(data)

    def _starts(self, pod: Pod, memory: Memory, trouble_s: float, now: datetime) -> int:
        """Starts of its container since it is in trouble, by RunPod's system log: a host may start it again by itself,
        without a word in the pod's status. 0 when the log cannot be read, because that is no evidence."""
        if pod.status in OVER or trouble_s <= self._freshness.log_after_s:
            return 0
        since = now - timedelta(seconds=trouble_s) - LOG_SLACK

        def ask() -> int:
            bounds = LogBounds(SYSTEM_LOG_LINES, self._freshness.log_quiet_s, total_s=5.0)
            try:
                lines = self._client.control.pod_log(
                    pod.id, source="system", tail=SYSTEM_LOG_LINES, since=since, bounds=bounds
                )
                return count_starts([line.line for line in lines])
            except TidegateError:
                return 0

        return self._memories.kept(memory, "starts", self._freshness.log_s, ask)


def in_order(pods: Iterable[Pod]) -> list[Pod]:
    """Those that still live before those that are over, the oldest first: every process keeps the same one.

    One that is over may be what is left of a lost machine, beside the pod that took its place.
    """
    alive = [pod for pod in pods if pod.status != PodStatus.TERMINATED]
    return sorted(alive, key=lambda pod: (pod.status in OVER, *_age(pod)))


def _age(pod: Pod) -> tuple[str, str]:
    return (pod.created_at.isoformat() if pod.created_at else "", pod.id)
