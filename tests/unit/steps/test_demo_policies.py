"""The demo's policies on a slow, busy machine: a sound candidate goes on, and a slow one never does."""

import numpy as np
import pytest

from tests.unit.steps.measured_runs import MS, NOW, TOKENS, request
from tidegate.access import read_policy
from tidegate.benchmark import RunRecord
from tidegate.domain import Verdict
from tidegate.settings import SOURCE_ROOT
from tidegate.steps.judging import judge_rounds
from tidegate.steps.rounds import CANDIDATE, LIVE, Round

POLICIES = SOURCE_ROOT / "deployments" / "policies"
TTFT_MS, ITL_MS, WAIT_MS = 8.0, 0.3, 80.0
"""Of the demo models; every request waits that long for the processor, by an exponential law."""


def arm(label: str, pairs: int, draw: np.random.Generator, more_ttft: float, more_itl: float) -> RunRecord:
    blocks = [(block, block * 10_000) for block in range(pairs)]
    requests = [
        request(
            block * 4 + place,
            block,
            at + place * 100.0,
            TTFT_MS + more_ttft + draw.exponential(WAIT_MS),
            ITL_MS * draw.lognormal(0, 1.5) + more_itl,
        )
        for block, at in blocks
        for place in range(4)
    ]
    windows = tuple((at * MS, (at + 9_000) * MS) for _, at in blocks)
    return RunRecord(
        id=label,
        label=label,
        created_at=NOW,
        plan={"digest": "d", "max_tokens": TOKENS},
        window_ns=(windows[0][0], windows[-1][1]),
        block_windows_ns=windows,
        requests=tuple(requests),
    )


def verdict(org: str, seed: int, more_ttft: float = 0.0, more_itl: float = 0.0) -> Verdict:
    policy, draw = read_policy(POLICIES / f"{org}.yaml").performance, np.random.default_rng(seed)
    pairs = policy.most_block_pairs
    ours, theirs = arm(CANDIDATE, pairs, draw, more_ttft, more_itl), arm(LIVE, pairs, draw, 0, 0)
    rows = judge_rounds([Round(0, pairs, 1.0, 2, ours, theirs)], policy, is_spent=True).rows
    found = {row.verdict for row in rows}
    return next(one for one in (Verdict.FAIL, Verdict.NOT_JUDGED, Verdict.PASS) if one in found)


@pytest.mark.parametrize("org", ["swaggystacks", "scientiacapital"])
def test_a_sound_candidate_is_not_held_because_the_machine_is_busy(org: str):
    found = [verdict(org, seed) for seed in range(12)]
    assert found.count(Verdict.PASS) >= 11
    assert Verdict.FAIL not in found


@pytest.mark.parametrize("org", ["swaggystacks", "scientiacapital"])
@pytest.mark.parametrize(("more_ttft", "more_itl"), [(100.0, 0.0), (0.0, 8.0)])
def test_a_slow_one_passes_on_no_machine(org: str, more_ttft: float, more_itl: float):
    assert Verdict.PASS not in [verdict(org, seed, more_ttft, more_itl) for seed in range(6)]
