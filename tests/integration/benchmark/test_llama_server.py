"""The load generator and its judge against a real llama-server."""

import asyncio
from pathlib import Path

from tests.integration.benchmark.served_model import BANK, KEY, served_model
from tidegate.benchmark import PERFORMANCE_CHECKS, Arm, LoadPlan, judge_performance, measure
from tidegate.domain import Gate, Verdict, fold
from tidegate.domain.policy import LatencyMargins, LoadDesign, PerformancePolicy
from tidegate.quality import read_bank


def test_a_smaller_model_passes_beside_the_live_one_without_a_failed_stream(tmp_path: Path):
    policy = PerformancePolicy(
        metrics=LatencyMargins(ttft_p95=None), design=LoadDesign(block_pairs=6, requests_per_block=8)
    )
    plan = LoadPlan.from_policy(policy, [question.prompt for question in read_bank(BANK).questions])
    with served_model("pipit-v2", tmp_path) as live, served_model("pipit-v2-fast", tmp_path) as new:
        arms = [Arm("live", live.base_url, KEY), Arm("new", new.base_url, KEY)]
        found = asyncio.run(measure(arms, plan))
    rows = judge_performance(found["new"], found["live"], policy)
    assert {request.tokens for request in found["new"].measured() if request.is_ok} == {
        policy.design.max_tokens
    }
    assert fold(Gate.PERFORMANCE, rows, PERFORMANCE_CHECKS).verdict is Verdict.PASS, [
        row.summary for row in rows
    ]
