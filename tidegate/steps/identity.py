"""Proves which file each worker of a set serves: the digest that it reports, and what it says to a fixed question.

The digest of an engine is a name that somebody gave it when it was started. What it says cannot be given: it is held
against what the file itself said when it was validated, against an earlier proof of the same file on this platform,
and, where there is neither yet, against the other workers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tidegate.domain import Evidence, Gate, Release, SetSpec, TidegateError, Verdict
from tidegate.probes import ProbeTarget
from tidegate.probes.endpoint import FINGERPRINT_PROMPT, FINGERPRINT_TOKENS
from tidegate.probes.fingerprint import Fingerprint
from tidegate.probes.workers import Heard, WorkerAnswer, hear_workers, liars
from tidegate.steps.artifacts import file_subject
from tidegate.steps.evaluation import JOB_RESULTS, job_token
from tidegate.steps.ports import Ports
from tidegate.steps.targets import PIN_HEADER, probe_key, service_url

WORKERS_CHECK = "identity.workers"
FINGERPRINTS = "fingerprint"
"""Kind of result in the ledger: what a file said when all workers of a set were proven to serve it."""
SERVING = ("workers_running", "workers_idle")
MOST_WORKERS = 64
ALONE = "one question"
"""Purpose of the questions of a validation that have no turn before them."""


@dataclass(frozen=True)
class Known:
    """What is known of a file: the question, what it said when it was validated, and when it was last proven."""

    prompt: str
    validated: str = ""
    proven: Fingerprint | None = None


@dataclass(frozen=True)
class IdentityRound:
    """One round over some sets of a release. `transport` replaces the network, for tests."""

    ports: Ports
    release: Release
    transport: httpx.BaseTransport | None = None

    def prove(self, sets: Sequence[str]) -> dict[str, Any]:
        """As `Checks.prove_identity` says; beside it how many workers of each set were heard."""
        proven: list[str] = []
        failed: dict[str, str] = {}
        away: dict[str, str] = {}
        workers: dict[str, dict[str, int]] = {}
        for name in sets:
            recorded = self.ports.ledger.get_set(name)
            if recorded is None:
                away[name] = "the ledger knows no such set"
                continue
            spec = recorded[0]
            known = self._known(spec)
            heard = hear_workers(
                self._target(spec),
                known.prompt,
                FINGERPRINT_TOKENS,
                self._expected(name),
                transport=self.transport,
            )
            workers[name] = {"heard": len(heard.workers), "expected": heard.expected}
            lying, reference = judge(heard, spec, known)
            if lying:
                failed[name] = "; ".join(sorted(lying))
            elif heard.missing or reference is None:
                away[name] = heard.missing or "no worker said anything"
            else:
                proven.append(name)
                self._remember(spec, known, reference)
        return {"proven": proven, "failed": failed, "open": away, "workers": workers}

    def _target(self, spec: SetSpec) -> ProbeTarget:
        return ProbeTarget(
            base_url=service_url(self.ports, self.release.ref),
            key=probe_key(self.ports),
            headers={PIN_HEADER: spec.name},
            model=spec.digest,
            context_tokens=spec.context_tokens,
            expected_digest=spec.digest,
            expected_release=spec.release_id,
        )

    def _expected(self, name: str) -> int:
        """Workers that the platform counts now. One that keeps no workers is itself the only one."""
        try:
            found = self.ports.platform(self.release.ref).metrics(name)
        except TidegateError:
            return 1
        return max(1, min(MOST_WORKERS, int(sum(found.get(word, 0.0) for word in SERVING))))

    def _known(self, spec: SetSpec) -> Known:
        kept = self.ports.ledger.result(FINGERPRINTS, self._key(spec))
        if kept is not None:
            return Known(kept["prompt"], "", Fingerprint.model_validate(kept["said"]))
        return validated(self._validation(spec)) or Known(FINGERPRINT_PROMPT)

    def _key(self, spec: SetSpec) -> str:
        """With the service's platform: other engines on other hardware round differently."""
        return f"{spec.org}|{self.ports.service(self.release.ref).platform}|{spec.digest}"

    def _validation(self, spec: SetSpec) -> Mapping[str, Any]:
        """What the inference gate of the release that made the set kept; empty when it is not there."""
        subject = file_subject(self.release.ref, spec.digest)
        token = job_token("inference", subject, f"{spec.release_id}-0")
        return self.ports.ledger.result(JOB_RESULTS, token) or {}

    def _remember(self, spec: SetSpec, known: Known, said: Fingerprint) -> None:
        if known.proven is None:
            data = {"prompt": known.prompt, "said": said.model_dump(mode="json"), "set": spec.name}
            self.ports.ledger.record_result(FINGERPRINTS, self._key(spec), data)


def workers_row(found: Mapping[str, Any], name: str) -> Evidence:
    """One round about one set as a row of the identity gate: every worker is proven, or it does not pass. Pure."""
    counts = found["workers"].get(name, {"heard": 0, "expected": 0})
    data = {"workers": counts}
    if name in found["failed"]:
        return Evidence(
            gate=Gate.IDENTITY,
            check=WORKERS_CHECK,
            verdict=Verdict.FAIL,
            summary=f"Not every worker serves the right file: {found['failed'][name]}.",
            remedy="Remove the set: a worker was started with another file, or still has the old one.",
            data=data,
        )
    if name not in found["proven"]:
        return Evidence(
            gate=Gate.IDENTITY,
            check=WORKERS_CHECK,
            verdict=Verdict.ERROR,
            summary=f"Not every worker could be asked which file it serves: {found['open'].get(name, 'not asked')}.",
            remedy="See the set's status and log; then ask again.",
            data=data,
        )
    text = f"{counts['heard']} of {counts['expected']} workers serve the right file, by digest and by what they say."
    return Evidence(gate=Gate.IDENTITY, check=WORKERS_CHECK, verdict=Verdict.PASS, summary=text, data=data)


def judge(heard: Heard, spec: SetSpec, known: Known) -> tuple[list[str], Fingerprint | None]:
    """What is wrong with which worker, and what a sound one said. Pure."""
    reference = known.proven or _reference(heard.answered, known.validated)
    if reference is None:
        wrong = [one for one in heard.answered if one.digest != spec.digest]
        return [_told(one.worker, f"it reports {(one.digest or 'no file')[:12]}") for one in wrong], None
    found = liars(heard.answered, spec.digest, spec.release_id, reference)
    problems = [_told(worker, why) for worker, why in found.items()]
    if known.validated and (why := reference.differs_from_text(known.validated)):
        problems.append(f"all workers: not what the file said when it was validated: {why}")
    return problems, reference


def _reference(answers: Sequence[WorkerAnswer], validated: str) -> Fingerprint | None:
    """An answer that fits the validation; without one, what most workers say."""
    said = [one.said for one in answers if one.said is not None]
    fitting = [one for one in said if validated and not one.differs_from_text(validated)]
    candidates = fitting or said
    return max(candidates, key=lambda one: sum(not one.difference(other) for other in said), default=None)


def _told(worker: str, why: str) -> str:
    return f"worker {worker}: {why}" if worker else why


def validated(result: Mapping[str, Any]) -> Known | None:
    """The first question of a validation that was asked alone and got an answer."""
    part: Mapping[str, Any] = result.get("part") or {}
    said = {one["id"]: str(one["text"]) for one in part.get("test_responses", ())}
    for query in part.get("test_queries", ()):
        if query["purpose"] == ALONE and said.get(query["id"]):
            return Known(str(query["prompt"]), said[query["id"]])
    return None
