"""The nightly look at what is live: question bank and benchmark beside the service's baseline and earlier nights.

A platform that is short of capacity or away says nothing about a model: such a night is not judged, and named so.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tidegate.benchmark import LoadPlan, RunRecord, judge_performance, measure, summarise
from tidegate.benchmark.figures import Distribution
from tidegate.domain import (
    NIGHTLY,
    Evidence,
    Gate,
    NotFound,
    Permission,
    Refused,
    ServiceRef,
    SetState,
    TidegateError,
    Verdict,
)
from tidegate.domain.policy import PerformancePolicy
from tidegate.domain.totals import EVAL_LAST_RUN, EVAL_REGRESSION, EVAL_SCORE
from tidegate.quality import BankResult, judge_quality
from tidegate.steps.artifacts import prompts_of, service_bank
from tidegate.steps.evaluation import live_set
from tidegate.steps.night_figures import (
    Agreement,
    Night,
    NightFigures,
    accepted_token_cost,
    agreement,
    judge_drift,
    judge_trends,
    night_summary,
    night_verdict,
)
from tidegate.steps.performance import allowed_concurrency
from tidegate.steps.ports import Ports
from tidegate.steps.targets import arm

BASELINE, NIGHTS = "nightly", "night"
REGRESSION = "quality.regression"
"""The finding of a night that proved something to be worse."""
MOST_NIGHTS = 400
AWAY = frozenset({SetState.PENDING, SetState.STARTING, SetState.STOPPING, SetState.STOPPED, SetState.UNKNOWN})
"""What a set is in when its platform has no room for it, or cannot say. A failed or absent set is an error."""


@dataclass(frozen=True)
class NightlyResult:
    """One service's night. `not_judged` on the first night of a digest: there was nothing to compare with."""

    service: str
    digest: str
    verdict: Verdict
    summary: str
    evidence: tuple[Evidence, ...] = ()
    nights: tuple[Night, ...] = ()
    """Of the same file since its baseline, oldest first, tonight last."""

    @property
    def is_regression(self) -> bool:
        """Something is proven to be worse; an error or an outage is not."""
        return self.verdict is Verdict.FAIL


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

    Raises: Transient when something could not be reached; `unreachable` makes a result of it.
    """
    try:
        name, digest = live_set(ports, ref)
    except NotFound as error:
        return NightlyResult(str(ref), "", Verdict.NOT_JUDGED, error.message)
    if away := _away(ports, ref, name):
        return NightlyResult(str(ref), digest, Verdict.NOT_JUDGED, away)
    assert ports.gpu is not None, "wiring.load() always sets the GPU runner"
    job = ports.gpu.start("nightly", f"{ref}", attempt=night)
    measured = _measure(ports, ref, name, digest)
    bank = BankResult.model_validate(job.wait()["bank"])
    if bank.model_digest not in (None, digest):
        # Both looks ask the route what is live: a release between them would mix two versions in one night.
        text = "not judged: another version went live during the look"
        return NightlyResult(str(ref), digest, Verdict.NOT_JUDGED, text)
    if bank.missing == bank.total and not any(one.is_ok for one in measured.measured()):
        return _unanswered(ports, ref, name, digest, bank)
    return _compare(ports, ref, night, _Tonight(name, digest, bank, measured))


@dataclass(frozen=True)
class _Tonight:
    set_name: str
    digest: str
    bank: BankResult
    measured: RunRecord


def _away(ports: Ports, ref: ServiceRef, name: str) -> str:
    """Why the platform cannot serve the set now through no fault of the model; empty when it can."""
    status = ports.platform(ref).status(name)
    if status.state not in AWAY:
        return ""
    said = f": {status.message}" if status.message else ""
    return f"not judged: {ports.service(ref).platform} says that {name} is {status.state.value}{said}"


def _unanswered(ports: Ports, ref: ServiceRef, name: str, digest: str, bank: BankResult) -> NightlyResult:
    """Nothing was answered at all: an outage of the platform, or a set that is ready and does not answer."""
    if away := _away(ports, ref, name):
        return NightlyResult(str(ref), digest, Verdict.NOT_JUDGED, away)
    first = next((row.error for row in bank.results if row.error), "no reply")
    text = f"The set {name} is said to be ready and answered nothing: {first}."
    remedy = f"See its log: tidegate logs {name}; bring the service back: tidegate rollback {ref}."
    row = Evidence(
        gate=Gate.QUALITY, check="nightly.answers", verdict=Verdict.ERROR, summary=text, remedy=remedy
    )
    return NightlyResult(str(ref), digest, Verdict.ERROR, text, (row,))


def unreachable(service: str, error: TidegateError) -> NightlyResult:
    """The night of a service that could not be looked at: not judged when trying later may help, else an error."""
    verdict = Verdict.NOT_JUDGED if error.is_retryable else Verdict.ERROR
    return NightlyResult(service, "", verdict, f"could not be looked at: {error.message}")


def broken(service: str, error: object) -> NightlyResult:
    """The night of a service whose look ended in a fault of our own."""
    text = f"the look itself failed ({type(error).__name__}); see the run's log"
    return NightlyResult(service, "", Verdict.ERROR, text)


def _measure(ports: Ports, ref: ServiceRef, name: str, digest: str) -> RunRecord:
    service, bank = ports.service(ref), service_bank(ports, ref)
    load = night_plan(service.policy.performance, prompts_of(bank), service.parallel)
    return asyncio.run(measure([arm(ports, ref, name, digest, "live")], load))["live"]


def night_plan(policy: PerformancePolicy, prompts: Sequence[str], slots: int) -> LoadPlan:
    """One arm of the service's planned comparison, within the share of a set's slots that its clients leave."""
    plan = LoadPlan.from_policy(policy, prompts)
    return replace(
        plan,
        concurrency=allowed_concurrency(policy, slots),
        deadline_s=min(plan.limit_s, policy.budget.max_seconds),
    )


def _compare(ports: Ports, ref: ServiceRef, night: str, tonight: _Tonight) -> NightlyResult:
    baseline = ports.ledger.baseline(ref, BASELINE)
    if baseline is None or baseline["digest"] != tonight.digest:
        ports.ledger.record_baseline(
            ref, BASELINE, tonight.digest, {"bank": tonight.bank.model_dump(mode="json")}
        )
        recorded = ports.ledger.baseline(ref, BASELINE)
        since = recorded["at"] if recorded else None
        nights = _record(ports, ref, figures(ports, ref, night, tonight, None), since, tonight.bank)
        text = "first night of this version: baseline recorded"
        return NightlyResult(str(ref), tonight.digest, Verdict.NOT_JUDGED, text, nights=tuple(nights))
    known = BankResult.model_validate(baseline["data"]["bank"])
    same = agreement(tonight.bank, known)
    nights = _record(ports, ref, figures(ports, ref, night, tonight, same), baseline["at"], known)
    policy = ports.service(ref).policy
    rows = [
        *judge_quality(tonight.bank, known, policy.quality),
        # Hard limits alone: runs of different nights have no common blocks, so their difference is judged as a trend.
        *judge_performance(tonight.measured, None, policy.performance),
        judge_drift(same, policy.nightly),
        *judge_trends(nights, policy.nightly),
    ]
    verdict = night_verdict(rows)
    summary = night_summary(rows, verdict)
    _note_regression(ports, ref, verdict, summary)
    ports.ledger.note_last(EVAL_REGRESSION, tuple(ref), float(verdict is Verdict.FAIL))
    return NightlyResult(str(ref), tonight.digest, verdict, summary, tuple(rows), tuple(nights))


def _note_regression(ports: Ports, ref: ServiceRef, verdict: Verdict, summary: str) -> None:
    """It stands until a night passes: people are told when it begins. A night that judged nothing says nothing."""
    if verdict is Verdict.FAIL:
        remedy = f"See: tidegate nightly history {ref}; bring the service back: tidegate rollback {ref} --reason ..."
        ports.ledger.note_finding(REGRESSION, str(ref), summary, remedy=remedy, ref=ref)
    elif verdict is Verdict.PASS:
        ports.ledger.resolve_finding(REGRESSION, str(ref))


def figures(
    ports: Ports, ref: ServiceRef, night: str, tonight: _Tonight, same: Agreement | None
) -> NightFigures:
    """The few numbers of a night that are kept for ever."""
    summary, score = summarise(tonight.measured), _score(tonight.bank)
    speed = summary.output_tps.value or None
    price = ports.platform(ref).status(tonight.set_name).usd_per_hour
    return NightFigures(
        night=night,
        digest=tonight.digest,
        score=score,
        ttft_p50_ms=_median(summary.ttft),
        itl_p50_ms=_median(summary.itl),
        output_tokens_per_s=speed,
        usd_per_million_accepted_tokens=accepted_token_cost(price, speed, score),
        same_answers=None if same is None else same.same,
    )


def _score(bank: BankResult) -> float | None:
    """Share of right answers among those given."""
    answered = bank.total - bank.missing
    return bank.right / answered if answered else None


def _median(found: Distribution) -> float | None:
    return None if found.p50 is None else found.p50.value


def _record(
    ports: Ports, ref: ServiceRef, tonight: NightFigures, since: datetime | None, baseline: BankResult
) -> list[Night]:
    """Keep tonight, once, and return the nights that it is compared with, oldest first."""
    _show(ports, ref, tonight, _score(baseline))
    kept = nights_of(ports, ref, tonight.digest, since)
    if not any(one.figures.night == tonight.night for one in kept):
        ports.ledger.record_baseline(ref, NIGHTS, tonight.digest, tonight.model_dump(mode="json"))
        kept = nights_of(ports, ref, tonight.digest, since)
    return kept


def _show(ports: Ports, ref: ServiceRef, tonight: NightFigures, baseline: float | None) -> None:
    """For the metrics: tonight, and beside it what it is compared with. What a version is called is known by its file."""
    version = ports.ledger.version_by_digest(ref.org, tonight.digest)
    labels = *ref, version.name if version else "unknown", ports.service(ref).policy.quality.bank
    ports.ledger.note_last(EVAL_LAST_RUN, labels, ports.clock().timestamp())
    shown = (
        ("score", "candidate", tonight.score),
        ("score", "baseline", baseline),
        ("same_answers", "candidate", tonight.same_answers),
    )
    for name, role, value in shown:
        if value is not None:
            ports.ledger.note_last(EVAL_SCORE, (*labels, name, role), value)


def all_nights(ports: Ports, ref: ServiceRef, limit: int) -> list[Night]:
    """The newest nights first, whatever file was served."""
    rows = ports.ledger.baseline_history(ref, NIGHTS, limit=limit)
    return [Night(at=row["at"], figures=NightFigures.model_validate(row["data"])) for row in rows]


def nights_of(ports: Ports, ref: ServiceRef, digest: str, since: datetime | None) -> list[Night]:
    """Nights of this file since then, oldest first."""
    rows = ports.ledger.baseline_history(ref, NIGHTS, limit=MOST_NIGHTS)
    return [
        Night(at=row["at"], figures=NightFigures.model_validate(row["data"]))
        for row in reversed(rows)
        if row["digest"] == digest and (since is None or row["at"] >= since)
    ]


def accept_nights(ports: Ports, ref: ServiceRef, actor: str) -> bool:
    """Take what is live as it is now: the next night is the first of a new baseline. False when there was none."""
    ports.service(ref)
    former = ports.ledger.baseline(ref, BASELINE)
    if former is None:
        return False
    ports.ledger.record_baseline(ref, BASELINE, "", {})
    # What was a regression until now is none from here on.
    evidence = {"former": former["digest"], "former_at": former["at"].isoformat()}
    ports.ledger.note_deed("baseline.accepted", actor=actor, ref=ref, evidence=evidence)
    return True


def rollback_reason(ports: Ports, result: NightlyResult) -> str:
    """Why the service goes back to its previous version by itself; empty when it stays.

    Only for a proven regression of what is live still, only where the policy says so. The way back has its own
    guards: it takes a previous version that is ready and not quarantined.

    Raises: Refused while a release is under way: the way back would stop that one, about which the night knows nothing.
    """
    ref = ServiceRef.parse(result.service)
    if not result.is_regression or not ports.service(ref).policy.nightly.roll_back:
        return ""
    try:
        if live_set(ports, ref)[1] != result.digest:
            return ""
    except NotFound:
        return ""
    active = ports.ledger.active_release(ref)
    if active is not None and active.request.trigger != "rollback":
        raise Refused(
            f"release {active.id} of {ref} is under way",
            remedy=f"Let it end; then, if the service is still worse: tidegate rollback {ref}.",
        )
    return f"nightly regression: {result.summary}"[:500]


def after_the_night(result: NightlyResult, told: str) -> NightlyResult:
    """The same night, with what was done about it."""
    return replace(result, summary=f"{result.summary}; {told}") if told else result


def parsed_services(ports: Ports, names: Sequence[str]) -> list[ServiceRef]:
    """The services that a form names, each once. Raises: InvalidInput, NotFound for one that there is not: before
    anything is measured, not when the reports are to be written."""
    refs = list(dict.fromkeys(ServiceRef.parse(name) for name in names))
    for ref in refs:
        ports.service(ref)
    return refs


def by_organization(results: Sequence[NightlyResult]) -> dict[str, list[NightlyResult]]:
    """What one organization learns says nothing about another: each has its own report."""
    found: dict[str, list[NightlyResult]] = {}
    for result in results:
        found.setdefault(ServiceRef.parse(result.service).org, []).append(result)
    return found
