"""The questions of a release: candidate and live model turn about, in seeded order, within the budget."""

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from tidegate.domain import Release
from tidegate.domain.policy import QualityPolicy
from tidegate.quality import Bank, BankResult, EndpointAsker
from tidegate.quality.cache import AnswerStore
from tidegate.quality.paired_run import Arm, PairedPlan, run_paired
from tidegate.quality.paired_tests import Rules
from tidegate.quality.run import BankRun
from tidegate.quality.source import Source
from tidegate.steps.planned import seconds_of_budget
from tidegate.steps.ports import Ports
from tidegate.steps.targets import PIN_HEADER, probe_key, service_url

CONCURRENCY = 2
"""The same for both models: other batch shapes give llama.cpp other rounding."""


@dataclass(frozen=True)
class Asked:
    candidate: BankResult
    live: BankResult | None


SetSource = Callable[[Ports, Release, str, str], AbstractContextManager[Source]]
"""How a set is asked, by its name and the digest that it must serve."""


def ask_release(
    ports: Ports,
    release: Release,
    policy: QualityPolicy,
    bank: Bank,
    source: SetSource | None = None,
) -> Asked:
    """Ask the new set and, where there is one, the live set. Answers are kept as they come: who takes over after a
    crash asks only what is missing, and nobody can ask again until the answers please."""
    plan, budget = release.plan, policy.budget
    assert plan is not None, "a release is judged after it was planned"
    seconds = seconds_of_budget(ports, release, budget.max_seconds, budget.max_usd)
    source = source or pinned
    with ExitStack() as stack:
        candidate = stack.enter_context(_arm(ports, release, plan.green_set, plan.green_digest, source))
        if not plan.blue_set or not plan.blue_digest:
            return Asked(_ask_alone(candidate, policy, bank, seconds, ports), None)
        live = stack.enter_context(_arm(ports, release, plan.blue_set, plan.blue_digest, source))
        wanted = PairedPlan(
            concurrency=CONCURRENCY,
            order_seed=policy.seed,
            max_questions=budget.max_questions,
            deadline_s=seconds,
            step_questions=budget.step_questions,
            early_stopping=policy.early_stopping,
            repeats=budget.repeats,
        )
        rules = Rules(policy.margin, policy.alpha)
        found = run_paired(bank, candidate, live, wanted, rules, taken_at=ports.clock())
        return Asked(found.candidate, found.baseline)


def _ask_alone(arm: Arm, policy: QualityPolicy, bank: Bank, seconds: float, ports: Ports) -> BankResult:
    """Nothing serves yet: only the candidate's own score is judged."""
    run = BankRun(bank, arm.ask, concurrency=CONCURRENCY, order_seed=policy.seed, kept=arm.kept)
    names = run.order[: policy.budget.max_questions]
    run.ask(names, 0, time.monotonic() + seconds)
    return run.result(names=names, taken_at=ports.clock())


def pinned(ports: Ports, release: Release, set_name: str, digest: str) -> AbstractContextManager[Source]:
    """The set through the gateway, and no other one."""
    pin = {PIN_HEADER: set_name}
    return EndpointAsker(service_url(ports, release.ref), probe_key(ports), digest, headers=pin)


@contextmanager
def _arm(ports: Ports, release: Release, set_name: str, digest: str, source: SetSource) -> Generator[Arm]:
    """One set, with the answers that its file gave before."""
    with ExitStack() as stack:
        ask = stack.enter_context(source(ports, release, set_name, digest))
        served, kept = ask.identify(), None
        if served.is_known and served.digest == digest:
            folder = ports.settings.home / "answers" / release.ref.org / release.ref.service
            kept = stack.enter_context(AnswerStore(folder, served))
        yield Arm(ask, label=set_name, kept=kept)
