"""What was measured: one sample per request, one result per arm, and its summary.

Definitions. TTFT: from sending on an open connection to the first chunk that carries text, reasoning or a tool call. ITL: mean time per
token after the first chunk, (finish - first chunk) / (tokens - tokens in the first chunk), the latter taken
as tokens per chunk rounded. Gap: time between two chunks that carry content. Speed: tokens per second of one
stream after its first chunk.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from tidegate.benchmark.stream import RELEASE_HEADER, SET_HEADER, Parsed, parse_exchange
from tidegate.benchmark.wire import Exchange
from tidegate.statistics import percentile


class Outcome(StrEnum):
    OK = "ok"
    FAILED = "failed"
    """Refused, reset, timed out, or an error status or error event."""
    TRUNCATED = "truncated"
    """Ended in order but without a finish reason or [DONE]."""


@dataclass(frozen=True)
class Sample:
    """One request of an arm. Latencies are None where the stream did not give them."""

    block: int
    index: int
    outcome: Outcome
    total_ms: float
    error: str = ""
    status: int | None = None
    ttft_ms: float | None = None
    itl_ms: float | None = None
    gaps_ms: tuple[float, ...] = ()
    tokens: int | None = None
    tokens_per_s: float | None = None
    set_name: str | None = None
    release: str | None = None


@dataclass(frozen=True)
class ArmResult:
    """All samples of one arm, warm-up excluded, in the order of their numbers."""

    name: str
    planned: int
    samples: tuple[Sample, ...] = ()
    client_lag_p95_ms: float | None = None
    """How late this client's own event loop was: latencies below it are not to be trusted."""

    @property
    def ok(self) -> tuple[Sample, ...]:
        return tuple(sample for sample in self.samples if sample.outcome is Outcome.OK)


@dataclass(frozen=True)
class Summary:
    """Figures of one arm; a percentile is None where there are too few samples for it."""

    name: str
    sent: int
    ok: int
    failed: int
    truncated: int
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    itl_p50_ms: float | None
    itl_p95_ms: float | None
    gap_max_ms: float | None
    total_p50_ms: float | None
    tokens_per_s_p50: float | None
    tokens: int
    client_lag_p95_ms: float | None

    def as_dict(self) -> dict[str, Any]:
        """Rounded, for evidence and reports."""
        return {
            key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(self).items()
        }


def summarise(result: ArmResult) -> Summary:
    """Fold the samples of an arm; latencies come from requests that succeeded."""
    ok = result.ok
    ttft = present([sample.ttft_ms for sample in ok])
    itl = present([sample.itl_ms for sample in ok])
    return Summary(
        name=result.name,
        sent=len(result.samples),
        ok=len(ok),
        failed=sum(sample.outcome is Outcome.FAILED for sample in result.samples),
        truncated=sum(sample.outcome is Outcome.TRUNCATED for sample in result.samples),
        ttft_p50_ms=percentile(ttft, 0.5),
        ttft_p95_ms=percentile(ttft, 0.95),
        itl_p50_ms=percentile(itl, 0.5),
        itl_p95_ms=percentile(itl, 0.95),
        gap_max_ms=max((gap for sample in ok for gap in sample.gaps_ms), default=None),
        total_p50_ms=percentile([sample.total_ms for sample in ok], 0.5),
        tokens_per_s_p50=percentile(present([sample.tokens_per_s for sample in ok]), 0.5),
        tokens=sum(sample.tokens or 0 for sample in ok),
        client_lag_p95_ms=result.client_lag_p95_ms,
    )


def present(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def sample_of(done: Exchange, block: int, index: int) -> Sample:
    """Judge one finished exchange of a streamed request."""
    parsed = parse_exchange(done)
    outcome, error = outcome_of_stream(done, parsed)
    itl_ms = _itl_ms(parsed)
    return Sample(
        block=block,
        index=index,
        outcome=outcome,
        total_ms=done.total_ms,
        error=error,
        status=done.status,
        ttft_ms=(parsed.content_ns[0] - done.sent_ns) / 1e6 if parsed.content_ns else None,
        itl_ms=itl_ms,
        gaps_ms=tuple((b - a) / 1e6 for a, b in zip(parsed.content_ns, parsed.content_ns[1:], strict=False)),
        tokens=parsed.tokens,
        tokens_per_s=_tokens_per_s(parsed, itl_ms, done.total_ms),
        set_name=done.headers.get(SET_HEADER),
        release=done.headers.get(RELEASE_HEADER),
    )


def outcome_of_stream(done: Exchange, parsed: Parsed) -> tuple[Outcome, str]:
    """Whether a streamed request succeeded. Without finish reason and [DONE] it never did."""
    if done.error:
        return Outcome.FAILED, done.error
    if done.status != 200:
        return Outcome.FAILED, f"HTTP {done.status}"
    if parsed.fault:
        return Outcome.FAILED, parsed.fault
    if not parsed.is_whole:
        return Outcome.TRUNCATED, "ended without " + ("[DONE]" if parsed.finish_ns else "a finish reason")
    return Outcome.OK, ""


def _itl_ms(parsed: Parsed) -> float | None:
    if parsed.tokens is None or parsed.finish_ns is None or not parsed.content_ns:
        return None
    # Several tokens may share a chunk, so the first chunk already holds more than one of them.
    later = parsed.tokens - max(1, round(parsed.tokens / len(parsed.content_ns)))
    return (parsed.finish_ns - parsed.content_ns[0]) / 1e6 / later if later > 0 else None


def _tokens_per_s(parsed: Parsed, itl_ms: float | None, total_ms: float) -> float | None:
    """From the ITL; where all chunks came in one read, tokens over the whole time, which is a lower bound."""
    if itl_ms:
        return 1000 / itl_ms
    return parsed.tokens / total_ms * 1000 if parsed.tokens and total_ms > 0 else None
