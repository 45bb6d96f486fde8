"""The judge that a policy names: another model's opinion on answers that differ. It can hold a release, and no more."""

from tidegate.domain import Evidence, Gate, NotFound, Secret, Verdict
from tidegate.domain.policy import QualityPolicy
from tidegate.quality import Bank, BankResult, EndpointAsker
from tidegate.quality.pairwise import JUDGE_CHECK, ask_judge, judge_row
from tidegate.steps.ports import Ports

TIMEOUT_S = 120.0


def judge_rows(
    ports: Ports, policy: QualityPolicy, bank: Bank, candidate: BankResult, live: BankResult | None
) -> list[Evidence]:
    """One row where a judge is named and there is something to compare, else none.

    Raises: NotFound when its key is not where the policy says.
    """
    judge = policy.judge
    if judge is None or live is None:
        return []
    asked = {entry.id for entry in candidate.results}
    if asked != {entry.id for entry in live.results}:
        text = "Not judged: candidate and live model answered different questions."
        return [Evidence(gate=Gate.QUALITY, check=JUDGE_CHECK, verdict=Verdict.NOT_JUDGED, summary=text)]
    key = Secret("") if judge.key is None else ports.secrets.get(judge.key)
    if key is None:
        raise NotFound(
            f"There is no key of the judge at '{judge.key}'.",
            remedy="Put it there, or correct quality.judge.key in the policy.",
            field="quality.judge.key",
        )
    with EndpointAsker(judge.url, key, judge.model, timeout_s=TIMEOUT_S) as ask:
        report = ask_judge(bank, candidate, live, ask, max_pairs=judge.max_pairs, seed=policy.seed)
    return [judge_row(report, judge, policy.alpha)]
