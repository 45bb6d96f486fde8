"""Whether two runs may be compared at all, and why not. A difference that the plan made says nothing of the model."""

from collections.abc import Iterator
from typing import Any

from tidegate.benchmark.chunks import chunking_of
from tidegate.benchmark.metrics import Metric
from tidegate.benchmark.record import RequestRecord, RunRecord
from tidegate.benchmark.summary import not_gateable

MIN_OK_SHARE = 0.5
"""Below this share of the planned requests a latency is not judged: what is missing may be the slow ones."""
MUST_AGREE = {
    "max_tokens": "the length of the answers (max_tokens)",
    "ignore_eos": "whether answers may end early (ignore_eos)",
    "cache_prompt": "the use of the prompt cache (cache_prompt)",
    "concurrency": "the requests at once (concurrency)",
    "rate": "the requests per second (rate)",
    "stream": "whether answers are streamed (stream)",
    "endpoint": "what is asked of the server (endpoint)",
}
LENGTH_TOLERANCE = 0.1
CHUNK_TOLERANCE = 0.1
CACHE_TOLERANCE = 0.1


def is_paired(base: RunRecord, candidate: RunRecord) -> bool:
    """Both were sent the same schedule in the same blocks: a block of one has its twin in the other."""
    blocks = [{request.block for request in run.measured()} for run in (base, candidate)]
    return (
        bool(base.plan_digest)
        and base.plan_digest == candidate.plan_digest
        and len(blocks[0] & blocks[1]) > 1
    )


def is_side_by_side(base: RunRecord, candidate: RunRecord) -> bool:
    """Taken in one go, in alternating blocks: a change of the machine hit both."""
    return base.created_at == candidate.created_at and base.id != candidate.id


def obstacles(base: RunRecord, candidate: RunRecord) -> tuple[str, ...]:
    """Why no latency of the two can be compared; empty when they can."""
    return tuple(_obstacles(base, candidate))


def _obstacles(base: RunRecord, candidate: RunRecord) -> Iterator[str]:
    for name, run in (("base", base), ("candidate", candidate)):
        yield from (f"the {name} run is {reason}" for reason in not_gateable(run))
        if reason := incomplete(run):
            yield f"the {name} run has {reason}"
    if base.mode != candidate.mode:
        yield f"the load differs: {base.mode} and {candidate.mode}"
    for key, what in MUST_AGREE.items():
        ours, theirs = _setting(base, key), _setting(candidate, key)
        if ours != theirs:
            yield f"{what} differs: {ours} and {theirs}"
    shares = [_cached_share(run) for run in (base, candidate)]
    if shares[0] is not None and shares[1] is not None and abs(shares[0] - shares[1]) > CACHE_TOLERANCE:
        yield f"the prompt cache helped differently: {shares[0]:.0%} and {shares[1]:.0%} of the prompt tokens"


def obstacle_of(metric: Metric, base: RunRecord, candidate: RunRecord) -> str:
    """Why this metric cannot be compared although others can; empty when it can."""
    for name, run in (("base", base), ("candidate", candidate)):
        measured = run.measured()
        failed = sum(not request.is_ok for request in measured)
        if measured and failed / len(measured) >= 1 - metric.share:
            return (
                f"{failed} of {len(measured)} requests of the {name} run failed: the quantile lies among them"
            )
    if metric.figure == "itl":
        for name, run in (("base", base), ("candidate", candidate)):
            if any(request.token_source == "chunks" for request in run.measured()):
                return f"nobody counted the tokens of the {name} run, so chunks are all there is"
    if metric.figure in ("gap", "stall"):
        sizes = [chunking_of(run.requests).tokens_per_chunk for run in (base, candidate)]
        if _differ(sizes[0], sizes[1], CHUNK_TOLERANCE):
            return f"chunks hold different numbers of tokens: {sizes[0]:.2f} and {sizes[1]:.2f}"
    if metric.figure in ("e2e", "stall"):
        lengths = [_mean_length(run.measured()) for run in (base, candidate)]
        if _differ(lengths[0], lengths[1], LENGTH_TOLERANCE):
            return f"answers have different lengths: {lengths[0]:.0f} and {lengths[1]:.0f} tokens on average"
    return ""


def incomplete(run: RunRecord) -> str:
    """What is missing of a run; empty when enough is there."""
    measured = run.measured()
    ok = sum(request.is_ok for request in measured)
    if not measured:
        return "no requests in its measured window"
    return "" if ok >= MIN_OK_SHARE * len(measured) else f"only {ok} of {len(measured)} requests measured"


def _setting(run: RunRecord, key: str) -> Any:
    return run.cache_prompt if key == "cache_prompt" else run.plan.get(key)


def _differ(one: float | None, other: float | None, tolerance: float) -> bool:
    return one is not None and other is not None and abs(one - other) > tolerance * max(one, other)


def _mean_length(requests: tuple[RequestRecord, ...]) -> float | None:
    lengths = [request.tokens for request in requests if request.is_ok and request.tokens]
    return sum(lengths) / len(lengths) if lengths else None


def _cached_share(run: RunRecord) -> float | None:
    known = [
        (request.cached_tokens, request.prompt_tokens)
        for request in run.measured()
        if request.is_ok and request.cached_tokens is not None and request.prompt_tokens
    ]
    return sum(cached for cached, _ in known) / sum(prompt for _, prompt in known) if known else None
