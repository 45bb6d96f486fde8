"""Load on what is live, beside its clients: bounded, judged against a service level, and kept in the ledger."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tidegate.benchmark import Arm, LoadPlan, Mode, RunRecord, Slo, measure
from tidegate.benchmark.report.document import BenchmarkReport
from tidegate.benchmark.report.reports import as_markdown, summary_of
from tidegate.benchmark.report.verdicts import Exit, verdict_of_report
from tidegate.domain import (
    Measurement,
    MeasurementKind,
    NotFound,
    ServiceRef,
    SetSpec,
    Verdict,
    pack_record,
)
from tidegate.steps.artifacts import prompts_of, service_bank, tags_of
from tidegate.steps.evaluation import live_set
from tidegate.steps.ports import Ports
from tidegate.steps.targets import arm

VERDICTS = {Exit.DONE: Verdict.PASS, Exit.FAIL: Verdict.FAIL, Exit.NOT_JUDGED: Verdict.NOT_JUDGED}
WARM_UP_PER_SLOT = 1
LEAST_WARM_UP = 20
MOST_WARM_UP = 100


class LoadTest(BaseModel):
    """What is sent to a live service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    set_name: str = Field(default="", description="One set of the service; empty: the one with most traffic.")
    mode: Literal["closed", "constant", "poisson", "gamma"] = "closed"
    concurrency: int = Field(default=1, ge=1, le=1024)
    rate: float = Field(default=1.0, gt=0, le=10_000)
    burstiness: float = Field(default=1.0, ge=0.01, le=100)
    duration_s: float = Field(default=30.0, ge=1, le=3600)
    max_tokens: int = Field(default=24, ge=1, le=100_000)
    slo: str = Field(default="", description="Limits such as `ttft=500,itl=50`; empty: nothing is judged.")
    wanted_share: float = Field(default=0.95, gt=0, lt=1)
    max_capacity_share: float | None = Field(default=None, gt=0, le=1, description="None: the policy's.")
    seed: int = Field(default=0, ge=0)


class LoadTestResult(BaseModel):
    """What came of it. `measurement` is its id in the ledger."""

    model_config = ConfigDict(frozen=True)

    service: str
    set_name: str
    digest: str
    measurement: str
    verdict: Verdict
    word: str
    sentence: str
    markdown: str


Measure = Callable[[Arm, LoadPlan], RunRecord]


def load_test(
    ports: Ports, ref: ServiceRef, asked: LoadTest, measure_with: Measure | None = None
) -> LoadTestResult:
    """Measure one set through the gateway and record it.

    Raises: NotFound when nothing is live or the set is not the service's, InvalidInput for an SLO that is none.
    """
    slo = Slo.parse(asked.slo) if asked.slo else None
    spec = _set_of(ports, ref, asked.set_name)
    bank = service_bank(ports, ref)
    plan = plan_of(asked, prompts_of(bank), _slots_for_tests(ports, ref, asked, spec))
    plan = replace(plan, prompt_tags=tags_of(bank))
    target = arm(ports, ref, spec.name, spec.digest, f"{ref}")
    run = (measure_with or _measure)(target, plan)
    report = BenchmarkReport.of_run(run, slo, asked.wanted_share)
    ports.ledger.record_measurement(_measurement(report, ref, spec.digest))
    verdict = verdict_of_report(report)
    return LoadTestResult(
        service=str(ref),
        set_name=spec.name,
        digest=spec.digest,
        measurement=report.id,
        verdict=VERDICTS[verdict.exit],
        word=verdict.word,
        sentence=verdict.sentence,
        markdown=as_markdown(report).decode(),
    )


def plan_of(asked: LoadTest, prompts: tuple[str, ...], slots: int) -> LoadPlan:
    """The load that is asked for, with at most `slots` requests in flight.

    In a closed loop fewer workers are used. An open loop keeps its times: what would be more than the slots
    waits, is counted as late, and makes the run one that decides nothing.
    """
    mode = Mode(asked.mode)
    return LoadPlan(
        prompts=prompts,
        mode=mode,
        concurrency=min(asked.concurrency, slots),
        rate=asked.rate if mode.is_open else None,
        burstiness=asked.burstiness,
        requests=None,
        duration_s=asked.duration_s,
        blocks=1,
        max_tokens=asked.max_tokens,
        warmup_requests=max(LEAST_WARM_UP, WARM_UP_PER_SLOT * slots),
        warmup_most=MOST_WARM_UP,
        most_in_flight=slots,
        seed=asked.seed,
        keep_alive=True,
    )


def _set_of(ports: Ports, ref: ServiceRef, set_name: str) -> SetSpec:
    ports.service(ref)
    name = set_name or live_set(ports, ref)[0]
    recorded = ports.ledger.get_set(name)
    if recorded is None or (recorded[0].org, recorded[0].service) != (ref.org, ref.service):
        known = ", ".join(spec.name for spec, _ in ports.ledger.list_sets(ref)) or "(it has none)"
        raise NotFound(f"{ref} has no set '{name}'.", remedy=f"Use one of: {known}.", field="set_name")
    return recorded[0]


def _slots_for_tests(ports: Ports, ref: ServiceRef, asked: LoadTest, spec: SetSpec) -> int:
    """Requests that may be in flight beside the clients: a share of one set's slots, and at least one.

    What is asked for can only lower the share that the policy allows.
    """
    allowed = ports.service(ref).policy.performance.max_capacity_share
    share = min(allowed, asked.max_capacity_share or allowed)
    return max(1, math.floor(share * spec.parallel))


def _measure(target: Arm, plan: LoadPlan) -> RunRecord:
    return asyncio.run(measure([target], plan))[target.name]


def _measurement(report: BenchmarkReport, ref: ServiceRef, digest: str) -> Measurement:
    return Measurement(
        id=report.id,
        kind=MeasurementKind.LOAD,
        org=ref.org,
        service=ref.service,
        digest=digest,
        label=report.label,
        taken_at=report.created_at,
        summary=summary_of(report),
        record=pack_record(report.as_json()),
    )
