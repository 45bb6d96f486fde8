"""The optional judge of `tidegate quality compare`: another model, which only ever gives advice."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.cli.endpoint_access import base_url, read_key
from tidegate.domain import Evidence, InvalidInput, Secret

if TYPE_CHECKING:
    from tidegate.quality import Bank, BankResult

TIMEOUT_S = 120.0


@dataclass(frozen=True)
class JudgeOptions:
    url: str
    model: str
    key: Secret

    @classmethod
    def of(cls, url: str, model: str, key_env: str) -> "JudgeOptions | None":
        """None where no judge is named. Raises: InvalidInput without its model: one that changes judges nothing."""
        if not url:
            return None
        if not model:
            raise InvalidInput(
                "A judge is named without its model.",
                remedy="Name model and version with --judge-model, so that it can be pinned.",
                field="--judge-model",
            )
        key = read_key(key_env, None, option="--judge-key-env")
        return cls(base_url(url, "--judge"), model, key)


def ask_and_judge(
    options: JudgeOptions,
    bank: "Bank",
    candidate: "BankResult",
    baseline: "BankResult",
    seed: int,
    alpha: float,
) -> Evidence:
    """Its row of evidence."""
    from tidegate.domain.policy import JudgePolicy
    from tidegate.quality import EndpointAsker
    from tidegate.quality.pairwise import ask_judge, judge_row

    policy = JudgePolicy(url=options.url, model=options.model)
    with EndpointAsker(options.url, options.key, options.model, timeout_s=TIMEOUT_S) as ask:
        report = ask_judge(bank, candidate, baseline, ask, max_pairs=policy.max_pairs, seed=seed)
    return judge_row(report, policy, alpha)
