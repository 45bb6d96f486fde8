"""Work that loads a model or asks it many questions: the bodies of the GPU flow. Results are plain data."""

import hashlib
import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from tidegate.correlation import bind, span
from tidegate.domain import (
    Evidence,
    Gate,
    InvalidInput,
    NotFound,
    Policy,
    Refused,
    Release,
    ServiceRef,
    Verdict,
)
from tidegate.domain.policy import DRIFT_CHECKS
from tidegate.drift import judge_drift
from tidegate.quality import Bank, BankResult, EndpointAsker, judge_quality, run_bank
from tidegate.steps.artifacts import check_file_inference, parse_file_subject, policy_bank, service_bank
from tidegate.steps.asking import ask_release
from tidegate.steps.drift import drift_of
from tidegate.steps.judge_advice import judge_rows
from tidegate.steps.planned import planned_policy
from tidegate.steps.ports import GpuWork, Ports
from tidegate.steps.targets import PIN_HEADER, probe_key, service_url
from tidegate.steps.versions import compare_files

log = logging.getLogger("tidegate.gpu")
JOB_RESULTS = "gpu-job"
QUALITY_RUNS = "quality-run"
"""Answers of a release's models, by its id: what they show can be judged again under another policy."""


def job_token(work: GpuWork, subject: str, attempt: str) -> str:
    """Names one attempt of one piece of work: the same wish again finds the same job."""
    return f"{work}:{subject}:{attempt}"


def evaluate(ports: Ports, work: GpuWork, subject: str, token: str) -> dict[str, Any]:
    """Do one piece of GPU work and keep its result in the ledger under `token`.

    `subject` is `org/service@digest` for inference, `org/service@digest..digest` for compare, a release id for
    quality, `org/service` for nightly.

    Raises: NotFound, InvalidInput for an unknown subject or a token of other work; Transient when something could
    not be reached.
    """
    if not token.startswith(job_token(work, subject, "")):
        # Who reads the result asks by token: a run for one service must not answer for another.
        raise InvalidInput(
            f"The token '{token}' is not of {work} of {subject}.",
            remedy="GPU work is started by other flows, with the token of its own subject.",
            field="token",
        )
    done = ports.ledger.result(JOB_RESULTS, token)
    if done is not None:
        return done
    with _named(ports, work, subject):
        log.info("%s of %s begins here", work, subject)
        result = _worked(ports, work, subject)
        log.info("%s of %s has its result", work, subject)
    ports.ledger.record_result(JOB_RESULTS, token, result)
    return result


@contextmanager
def _named(ports: Ports, work: GpuWork, subject: str) -> Generator[None]:
    """The work is logged in the name of what it is for."""
    if work == "quality":
        release = ports.ledger.get_release(subject)
        ref, release_id = release.ref, release.id
    else:
        ref, release_id = ServiceRef.parse(subject.partition("@")[0]), None
    with bind(org=ref.org, service=ref.service, release_id=release_id), span(f"gpu work: {work}"):
        yield


def _worked(ports: Ports, work: GpuWork, subject: str) -> dict[str, Any]:
    if work == "inference":
        ref, digest = parse_file_subject(subject)
        part = check_file_inference(ports, ref, digest)
        return {"evidence": _as_data(part.evidence(digest)), "part": part.model_dump(mode="json")}
    if work == "quality":
        return {"evidence": _as_data(_quality(ports, subject))}
    if work == "compare":
        return compare_files(ports, subject)
    return {"bank": _ask_live(ports, ServiceRef.parse(subject)).model_dump(mode="json")}


def _as_data(rows: list[Evidence]) -> list[dict[str, Any]]:
    return [row.model_dump(mode="json") for row in rows]


def _quality(ports: Ports, release_id: str) -> list[Evidence]:
    """The question bank on the new set and, paired, on the live one."""
    release = ports.ledger.get_release(release_id)
    if release.plan is None:
        raise NotFound(
            f"Release {release.id} has no plan yet.", remedy="Let it reach its judging step first."
        )
    policy = planned_policy(ports, release)
    bank = policy_bank(ports, policy)
    asked = ask_release(ports, release, policy.quality, bank)
    live = asked.live.model_dump(mode="json") if asked.live else None
    answers = {"candidate": asked.candidate.model_dump(mode="json"), "live": live}
    ports.ledger.record_result(QUALITY_RUNS, release.id, answers)
    rows = judge_quality(asked.candidate, asked.live, policy.quality)
    rows += judge_rows(ports, policy.quality, bank, asked.candidate, asked.live)
    return [*rows, *_drift(ports, release, policy)] if policy.drift.is_declared else rows


def _drift(ports: Ports, release: Release, policy: Policy) -> list[Evidence]:
    """How far the next tokens moved, on the files themselves. Whatever keeps it from being measured is a row."""
    checks = sorted(policy.declared_checks(Gate.QUALITY) & frozenset(DRIFT_CHECKS.values()))
    assert release.plan is not None, "a release is judged after it was planned"
    if release.plan.blue_digest is None:
        return [
            _drift_row(check, Verdict.PASS, "No baseline: there is nothing to drift from.")
            for check in checks
        ]
    try:
        report = drift_of(ports, release.ref, release.digest, release.plan.blue_digest, policy=policy)
    except (InvalidInput, NotFound, Refused) as error:
        return [_drift_row(check, Verdict.NOT_JUDGED, error.message, error.remedy) for check in checks]
    return judge_drift(report, policy.drift)


def _drift_row(check: str, verdict: Verdict, summary: str, remedy: str = "") -> Evidence:
    return Evidence(gate=Gate.QUALITY, check=check, verdict=verdict, summary=summary, remedy=remedy)


def _ask_live(ports: Ports, ref: ServiceRef) -> BankResult:
    name, digest = live_set(ports, ref)
    return ask_set(ports, ref, name, digest, service_bank(ports, ref), fresh=True)


def live_set(ports: Ports, ref: ServiceRef) -> tuple[str, str]:
    """Name and digest of the set with the most live traffic. Raises: NotFound when nothing is live."""
    route = ports.ledger.get_route(ref)
    live = [(route.weights[u.set_name], u.set_name, u.digest) for u in route.upstreams] if route else []
    best = max(live, default=(0, "", ""))
    if best[0] == 0:
        raise NotFound(
            f"Nothing is live for {ref}.",
            remedy=f"Release a version first: tidegate release {ref} MODEL:VERSION.",
        )
    return best[1], best[2]


def ask_set(
    ports: Ports, ref: ServiceRef, set_name: str, digest: str, bank: Bank, *, fresh: bool = False
) -> BankResult:
    """Answers of one set to a bank; kept by digest + bank, since greedy answers of a file do not change.

    `fresh` asks again all the same: a nightly run is after changes of what is served.
    """
    key = hashlib.sha256(f"{ref}|{digest}|{bank.digest}".encode()).hexdigest()
    kept = None if fresh else ports.ledger.result("bank", key)
    if kept is not None:
        return BankResult.model_validate(kept)
    pin = {PIN_HEADER: set_name}
    with EndpointAsker(service_url(ports, ref), probe_key(ports), digest, headers=pin) as ask:
        result = run_bank(bank, ask, taken_at=ports.clock())
    if result.missing == 0:
        ports.ledger.record_result("bank", key, result.model_dump(mode="json"))
    return result
