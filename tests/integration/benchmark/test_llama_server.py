"""The load generator and its judge against a real llama-server."""

import asyncio
from pathlib import Path

from tests.integration.benchmark.served_model import BANK, KEY, served_model
from tidegate.benchmark import PERFORMANCE_CHECKS, Arm, LoadPlan, judge_performance, measure
from tidegate.domain import Verdict
from tidegate.domain.policy import LatencyMargins, LoadDesign, PerformancePolicy
from tidegate.quality import read_bank


def test_a_smaller_model_runs_beside_the_live_one_without_a_failed_stream_or_a_loss(tmp_path: Path):
    policy = PerformancePolicy(
        metrics=LatencyMargins(ttft_p95=None), design=LoadDesign(block_pairs=6, requests_per_block=8)
    )
    plan = LoadPlan.from_policy(policy, [question.prompt for question in read_bank(BANK).questions])
    with served_model("pipit-v2", tmp_path) as live, served_model("pipit-v2-fast", tmp_path) as new:
        arms = [Arm("live", live.base_url, KEY), Arm("new", new.base_url, KEY)]
        found = asyncio.run(measure(arms, plan))
    # On a busy machine the client may call itself the limit; here the judgement of the models is tested.
    new, old = (found[name].model_copy(update={"honesty": None}) for name in ("new", "live"))
    rows = judge_performance(new, old, policy)
    assert {request.tokens for request in found["new"].measured() if request.is_ok} == {
        policy.design.max_tokens
    }
    # On a busy machine the client may be late, and what is late decides nothing; it never fails a sound model.
    verdicts = {row.check: row.verdict for row in rows}
    assert verdicts["performance.errors"] is Verdict.PASS
    assert Verdict.FAIL not in verdicts.values(), [row.summary for row in rows]
    assert set(verdicts) == PERFORMANCE_CHECKS
