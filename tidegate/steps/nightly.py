"""The nightly look at what is live: question bank and benchmark against the service's recorded baseline."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.benchmark import LoadPlan, RunRecord, judge_performance, measure
from tidegate.domain import NIGHTLY, Evidence, NotFound, Permission, ServiceRef, Verdict
from tidegate.quality import BankResult, judge_quality
from tidegate.steps.artifacts import service_bank
from tidegate.steps.evaluation import live_set
from tidegate.steps.ports import Ports
from tidegate.steps.reporting import MARKS, markdown_table
from tidegate.steps.targets import arm

BASELINE = "nightly"


@dataclass(frozen=True)
class NightlyResult:
    """One service's night. `not_judged` on the first night of a digest: there was nothing to compare with."""

    service: str
    digest: str
    verdict: Verdict
    summary: str
    evidence: tuple[Evidence, ...] = ()


def services_with_traffic(ports: Ports) -> list[ServiceRef]:
    """Services that serve somebody now, and belong to an organization that lets the nightly schedule look."""
    routes = [route for route in ports.ledger.list_routes() if any(route.weights.values())]
    return [ServiceRef(route.org, route.service) for route in routes if _lets_night_look(ports, route.org)]


def _lets_night_look(ports: Ports, org: str) -> bool:
    """An organization that says who may do what must name the schedule too."""
    if org not in ports.organizations:
        return False
    organization = ports.organizations[org]
    return not organization.has_identities or organization.may(NIGHTLY, Permission.VALIDATE)


def check_live_service(ports: Ports, ref: ServiceRef, night: str) -> NightlyResult:
    """Measure the live set and compare with the baseline of the same digest; record one when there is none.

    `night` names the run, so that a repeated task finds the work of its first try.
    """
    try:
        name, digest = live_set(ports, ref)
    except NotFound as error:
        return NightlyResult(str(ref), "", Verdict.NOT_JUDGED, error.message)
    assert ports.gpu is not None, "wiring.load() always sets the GPU runner"
    job = ports.gpu.start("nightly", f"{ref}", attempt=night)
    measured = _measure(ports, ref, name, digest)
    bank = BankResult.model_validate(job.wait()["bank"])
    baseline = ports.ledger.baseline(ref, BASELINE)
    if baseline is None or baseline["digest"] != digest:
        ports.ledger.record_baseline(ref, BASELINE, digest, _as_data(bank, measured))
        return NightlyResult(
            str(ref), digest, Verdict.NOT_JUDGED, "first night of this version: baseline recorded"
        )
    return _judge(ports, ref, digest, bank, measured, baseline["data"])


def _measure(ports: Ports, ref: ServiceRef, name: str, digest: str) -> RunRecord:
    policy = ports.service(ref).policy.performance
    prompts = tuple(question.prompt for question in service_bank(ports, ref).questions)
    load = LoadPlan.from_policy(policy, prompts)
    return asyncio.run(measure([arm(ports, ref, name, digest, "live")], load))["live"]


def _as_data(bank: BankResult, measured: RunRecord) -> dict[str, Any]:
    return {"bank": bank.model_dump(mode="json"), "performance": measured.model_dump(mode="json")}


def _judge(
    ports: Ports,
    ref: ServiceRef,
    digest: str,
    bank: BankResult,
    measured: RunRecord,
    baseline: dict[str, Any],
) -> NightlyResult:
    policy = ports.service(ref).policy
    rows = judge_quality(bank, BankResult.model_validate(baseline["bank"]), policy.quality)
    rows += judge_performance(measured, RunRecord.from_data(baseline["performance"]), policy.performance)
    verdict = Verdict.PASS
    for candidate in (Verdict.NOT_JUDGED, Verdict.ERROR, Verdict.FAIL):
        if any(row.verdict is candidate for row in rows):
            verdict = candidate
    worst = [row.summary for row in rows if row.verdict is verdict]
    summary = "no regression" if verdict is Verdict.PASS else "; ".join(worst)
    return NightlyResult(str(ref), digest, verdict, summary, tuple(rows))


def nightly_markdown(results: Sequence[NightlyResult]) -> str:
    """One row per service, and the evidence of those that are not as they were."""
    rows = [{"service": r.service, "verdict": MARKS[r.verdict], "summary": r.summary} for r in results]
    parts = ["# Nightly regression", "", markdown_table(["service", "verdict", "summary"], rows), ""]
    for result in results:
        if result.evidence:
            table = [
                {"check": row.check, "verdict": MARKS[row.verdict], "what was found": row.summary}
                for row in result.evidence
            ]
            parts += [
                f"## {result.service}",
                "",
                markdown_table(["check", "verdict", "what was found"], table),
                "",
            ]
    return "\n".join(parts)
