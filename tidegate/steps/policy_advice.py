"""What a policy cannot decide with the evidence that it asks for. Pure: advice, never a refusal."""

from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.domain.policy import PerformancePolicy, Policy, QualityPolicy
from tidegate.quality import Bank
from tidegate.statistics import (
    plan_quality,
    ratio_power,
    smallest_bank,
    smallest_sample,
)
from tidegate.steps.looks import look_after

QUIET_SPREAD = 0.05
"""Spread of the log ratios of block pairs on a quiet machine; with a larger one less can be shown."""
POWER = 0.8
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Advice:
    """A field whose value does not do what it seems to."""

    field: str
    message: str
    remedy: str


def advice_on(policy: Policy, bank: Bank | None = None, slots: int | None = None) -> list[Advice]:
    """What to know before this policy is used. `bank` and `slots` are the service's, where they are known."""
    found = [*_on_performance(policy.performance), *_on_load(policy.performance, slots)]
    if bank is not None:
        found += [*_on_quality(policy.quality, len(bank.questions)), *_on_slices(policy.quality, bank)]
    return [*found, *_on_leniency(policy)]


def _on_performance(policy: PerformancePolicy) -> Iterator[Advice]:
    design = policy.design
    look = look_after(design.block_pairs, policy, is_spent=design.block_pairs == policy.most_block_pairs)
    assert look is not None, "the planned end is always looked at"
    for metric, margin in policy.metrics.declared():
        power = ratio_power(design.block_pairs, margin.max_ratio, QUIET_SPREAD, alpha=look.alpha)
        if power < POWER:
            yield Advice(
                "performance.design.block_pairs",
                f"{design.block_pairs} block pairs show an equal candidate to be inside {margin.max_slowdown:.0%} "
                f"of {metric} in only {power:.0%} of releases, even on a quiet machine",
                "Plan more pairs, or allow a wider margin.",
            )
        needed = smallest_sample(SHARES[metric.rpartition("_")[2]])
        if design.requests_per_block < needed:
            yield Advice(
                "performance.design.requests_per_block",
                f"{metric} of {design.requests_per_block} requests is little more than their maximum; "
                f"{needed} are the fewest that have one",
                f"Send {needed} requests a block or more, or set performance.metrics.{metric} to null.",
            )
    if not any(True for _ in policy.metrics.declared()):
        yield Advice(
            "performance.metrics", "no latency is compared with the live model", "Give at least one a margin."
        )


def _on_load(policy: PerformancePolicy, slots: int | None) -> Iterator[Advice]:
    wanted = policy.design.concurrency
    if slots is None or wanted <= max(1, int(policy.max_capacity_share * slots)):
        return
    yield Advice(
        "performance.design.concurrency",
        f"{wanted} streams at once are more than {policy.max_capacity_share:.0%} of the {slots} slots of a set: "
        f"{max(1, int(policy.max_capacity_share * slots))} will be sent",
        "Lower the concurrency, or raise performance.max_capacity_share.",
    )


def _on_quality(policy: QualityPolicy, questions: int) -> Iterator[Advice]:
    asked = min(questions, policy.budget.max_questions or questions)
    plan = plan_quality(asked, policy.margin, alpha=policy.alpha)
    fewest = smallest_bank(policy.margin, policy.alpha)
    points = f"{policy.margin * 100:g} points"
    field = "quality.budget.max_questions" if asked < questions else "quality.margin"
    if asked < fewest:
        yield Advice(
            field,
            f"this sample budget can never decide a margin of {points}: {asked} questions are asked, and even "
            f"without one changed answer {fewest} are needed",
            f"Ask {plan.questions_for_margin:,} questions, or allow a wider margin.",
        )
    elif asked < plan.questions_for_margin:
        yield Advice(
            field,
            f"this sample budget cannot decide a margin of {points} when answers change: {asked} questions are asked, "
            f"and with {plan.discordant_share:.0%} of the answers changing {plan.questions_for_margin:,} are needed",
            f"Ask more questions, or allow a wider margin. {asked} questions can show "
            f"{plan.provable_margin * 100:.2g} points.",
        )


def _on_slices(policy: QualityPolicy, bank: Bank) -> Iterator[Advice]:
    for name, declared in policy.slices.items():
        own = sum(name == question.topic or name in _tags(question) for question in bank.questions)
        fewest = smallest_bank(declared.margin, policy.alpha)
        if own < fewest:
            yield Advice(
                f"quality.slices.{name}.margin",
                f"bank {bank.name} has {own} questions of '{name}'; a margin of {declared.margin * 100:g} points "
                f"needs at least {fewest}",
                "Add questions with that tag or topic, or allow a wider margin.",
            )


def _tags(question: object) -> tuple[str, ...]:
    return tuple(getattr(question, "tags", ()))


def _on_leniency(policy: Policy) -> Iterator[Advice]:
    for name, said in (
        ("performance", policy.performance.when_not_judged),
        ("quality", policy.quality.when_not_judged),
    ):
        if said == "pass":
            yield Advice(
                f"{name}.when_not_judged",
                "a candidate about which the samples do not decide goes live",
                "Write hold, which asks a person, unless clients bear a regression easily.",
            )
