"""What is added up for ever: gains, and the totals that they become. Names of metrics are those of the exporter."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from tidegate.domain.errors import InvalidInput
from tidegate.domain.live_edges import edge_of
from tidegate.domain.release import ReleaseState

SUM = -1
"""Part of a total that holds a counter's amount, or the sum of a histogram; the others count by edge."""
LAST_VALUE, LAST_TIME = 0, 1
"""Parts of a total that holds the last value seen and when, in Unix seconds."""
SEPARATOR = "/"

OPERATION_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0)
CALL_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
PIPELINE_S = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)

REQUESTS = "tidegate_requests_total"
SET_REQUESTS = "tidegate_set_requests_total"
TOKENS = "tidegate_tokens_total"
INTERRUPTIONS = "tidegate_stream_interruptions_total"
OUTPUT_FAULTS = "tidegate_output_validation_failures_total"
CANARY_SAMPLES = "tidegate_canary_samples_total"
PROBE = "tidegate_probe_success"
TIMED = {
    "ttft_ms": "tidegate_time_to_first_token_seconds",
    "itl_ms": "tidegate_time_per_output_token_seconds",
    "total_ms": "tidegate_request_duration_seconds",
}
"""Figures of `live_edges.EDGES_S` and the histograms that they become."""
RELEASES = "tidegate_releases_total"
GATE_DECISIONS = "tidegate_gate_decisions_total"
SET_OPERATIONS = "tidegate_set_operations_total"
SET_OPERATION_SECONDS = "tidegate_set_operation_duration_seconds"
SET_READY_SECONDS = "tidegate_set_ready_duration_seconds"
SET_LOAD_SECONDS = "tidegate_set_load_duration_seconds"
PLATFORM_CALLS = "tidegate_platform_api_requests_total"
PLATFORM_CALL_SECONDS = "tidegate_platform_api_request_duration_seconds"
REJECTED = "tidegate_rejected_requests_total"
COST = "tidegate_cost_usd_total"
PIPELINE_RUNS = "tidegate_pipeline_runs_total"
PIPELINE_SECONDS = "tidegate_pipeline_run_duration_seconds"
PIPELINE_SUCCESS = "tidegate_pipeline_last_success_timestamp_seconds"
RECONCILED = "tidegate_reconcile_last_success_timestamp_seconds"
EVAL_SCORE = "tidegate_eval_score_ratio"
EVAL_LAST_RUN = "tidegate_eval_last_run_timestamp_seconds"
EVAL_REGRESSION = "tidegate_eval_regression"
WRONG_BYTES = "tidegate_artifact_verification_failures_total"


class Total(NamedTuple):
    """One number, as stored."""

    metric: str
    labels: tuple[str, ...]
    part: int
    amount: float


@dataclass(frozen=True)
class Gain:
    """So much more of something. Gains of the same metric, labels and part are one."""

    metric: str
    labels: tuple[str, ...]
    amount: float = 1.0
    part: int = SUM

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes it the same row. Raises: InvalidInput for a label that would run into the next one."""
        if any(SEPARATOR in one for one in self.labels):
            raise InvalidInput(
                f"A label of {self.metric} holds '{SEPARATOR}': {self.labels}.",
                remedy="This is a defect of Tidegate: report it with this message.",
                field="labels",
            )
        return self.metric, SEPARATOR.join(self.labels), self.part


def observed(metric: str, labels: tuple[str, ...], seconds: float, edges: tuple[float, ...]) -> list[Gain]:
    """One value of a histogram."""
    return [Gain(metric, labels, part=edge_of(seconds, edges)), Gain(metric, labels, max(0.0, seconds))]


def added(gains: Iterable[Gain]) -> list[tuple[tuple[str, str, int], float]]:
    """Each row once, in an order that is the same for all writers: two of them then never wait for each other."""
    sums: dict[tuple[str, str, int], float] = {}
    for gain in gains:
        sums[gain.key] = sums.get(gain.key, 0.0) + gain.amount
    return sorted((key, amount) for key, amount in sums.items() if amount)


@dataclass(frozen=True)
class PipelineRun:
    """A run of a flow that ended."""

    id: str
    flow: str
    state: str
    seconds: float
    ended_at: datetime


STABLE, CANDIDATE, SHADOWED = "stable", "candidate", "shadow"


def candidate_of(state: str, plan: dict[str, Any] | None) -> str | None:
    """The set that an open release tries out: until it is the live one, or known to be none. A way back has none."""
    if plan is None or plan.get("kind") == "rollback" or state == ReleaseState.RETIRING:
        return None
    found = plan.get("green_set")
    return str(found) if found else None
