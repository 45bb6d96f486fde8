"""What a run says in figures: `RunSummary` and how it is made. Every definition is in `definitions`."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from tidegate.benchmark.chunks import Chunking, chunking_of
from tidegate.benchmark.definitions import definitions, meaning
from tidegate.benchmark.figures import Distribution, Published, Rate, Share, distribution
from tidegate.benchmark.goodput import Slo, miss
from tidegate.benchmark.latencies import FIGURES, Latencies, latencies
from tidegate.benchmark.record import ClientHonesty, Outcome, Phase, RequestRecord, RunRecord, Span
from tidegate.benchmark.windows import Windows, ended_inside, mean_in_flight, rate, steady_output

SUMMARY_VERSION = 1
MAX_REASONS = 20
"""Kinds of errors that are listed; the rest is counted together."""


class RequestCounts(Published):
    """Requests by phase, and those of the measured window by how they ended."""

    planned: int = Field(description="All of the measured window, also those that were never sent.")
    sent: int
    ok: int
    failed: int
    truncated: int = Field(description="Ended in order, but before they were whole.")
    not_sent: int
    ended_after_window: int = Field(
        description="In flight when the window closed; waited for, and part of every latency."
    )
    warmup: int = Field(description="Sent before the window; in no latency.")
    cooldown: int = Field(description="Sent after it; in no latency.")


class ErrorGroup(Published):
    reason: str
    outcome: Outcome
    count: int


class TokenTotals(Published):
    """Tokens of the successful requests of the window."""

    output: int
    reasoning: int | None = Field(
        description="How many of them were reasoning; None: the server did not say."
    )
    prompt: int | None = Field(description="None: the server did not say.")
    cached: int | None = Field(description="Prompt tokens from the server's cache; None: it did not say.")
    cached_share: float | None = Field(description=meaning("cached_share"))
    sources: dict[str, int] = Field(
        description="Requests by who counted their tokens: the server's `usage`, its `timings`, its `tokenize`, or "
        "`chunks` (nobody: chunks were counted)."
    )
    is_estimated: bool = Field(description="Some counts are chunks, not tokens.")
    cache_prompt: bool | None = Field(description="Whether the server might reuse prompts; None: unknown.")


class ChunkFigures(Published):
    """How tokens came in chunks, which the time per token depends on."""

    tokens_per_chunk: float | None = Field(description=meaning("tokens_per_chunk"))
    first_tokens: float = Field(description="Tokens in the first chunk (k1), as `basis` says.")
    basis: Literal["stated", "regular", "estimated", "none"] = Field(
        description="`stated` by the server, `regular`: from a pattern that most requests fit, `estimated`: the mean."
    )
    is_gap_itl: bool = Field(description="One token per chunk within 2 %: a gap is a time per token.")


class RunSummary(Published):
    """Figures of one run, over its measured window. Latencies come from requests that succeeded."""

    schema_version: Literal[1] = SUMMARY_VERSION
    id: str
    label: str
    target: str
    model: str
    created_at: AwareDatetime
    mode: str
    plan_digest: str
    window_s: float = Field(description="Measured time; pauses between blocks are left out.")
    blocks: int = Field(description="Blocks that were measured.")
    requests: RequestCounts
    errors: tuple[ErrorGroup, ...] = Field(description="Why requests failed, the most frequent first.")
    error_share: Share = Field(description=meaning("error_share"))
    ttft: Distribution = Field(description=meaning("ttft"))
    ttft_planned: Distribution | None = Field(description=meaning("ttft_planned"))
    ttft_answer: Distribution = Field(description=meaning("ttft_answer"))
    e2e: Distribution = Field(description=meaning("e2e"))
    e2e_planned: Distribution | None = Field(description=meaning("e2e_planned"))
    itl: Distribution = Field(description=meaning("itl"))
    gap: Distribution = Field(description=meaning("gap"))
    stall: Distribution = Field(description=meaning("stall"))
    tps_per_user: Distribution = Field(description=meaning("tps_per_user"))
    server_prompt: Distribution | None = Field(description=meaning("server_prompt"))
    server_predicted: Distribution | None = Field(description=meaning("server_predicted"))
    outside_server: Distribution | None = Field(description=meaning("outside_server"))
    output_tps: Rate = Field(description=meaning("output_tps"))
    output_tps_steady: Rate | None = Field(description=meaning("output_tps_steady"))
    request_rate: Rate = Field(description=meaning("request_rate"))
    sent_rate: Rate = Field(description=meaning("sent_rate"))
    in_flight_mean: float = Field(description=meaning("in_flight"))
    in_flight_most: int
    slo: Slo | None
    goodput: Rate | None = Field(description=meaning("goodput"))
    attainment: Share | None = Field(description=meaning("attainment"))
    misses: dict[str, int] = Field(description="Requests that were not good, by what they missed first.")
    tokens: TokenTotals
    chunks: ChunkFigures
    honesty: ClientHonesty | None
    not_gateable: tuple[str, ...] = Field(
        description="Why the latencies of this run must not decide anything; empty: they may."
    )
    notes: tuple[str, ...]

    def distributions(self) -> dict[str, Distribution]:
        """Those that there are, by name, in the order of a report."""
        found = {name: getattr(self, name, None) for name in definitions()}
        return {name: value for name, value in found.items() if isinstance(value, Distribution)}


def summarise(run: RunRecord, slo: Slo | None = None) -> RunSummary:
    """Fold a run into its figures."""
    measured, windows, chunking = run.measured(), Windows.of(run), chunking_of(run.requests)
    times = [latencies(request, chunking) for request in measured]
    good_times = [found for request, found in zip(measured, times, strict=True) if request.is_ok]
    in_flight, most = mean_in_flight(run, windows)
    return RunSummary(
        id=run.id,
        label=run.label,
        target=run.target,
        model=run.model,
        created_at=run.created_at,
        mode=run.mode,
        plan_digest=run.plan_digest,
        window_s=windows.seconds,
        blocks=len({request.block for request in measured}),
        requests=_counts(run, measured, windows.spans[-1]),
        errors=_errors(measured),
        in_flight_mean=in_flight,
        in_flight_most=most,
        tokens=_tokens(run, measured),
        chunks=ChunkFigures(
            tokens_per_chunk=chunking.tokens_per_chunk,
            first_tokens=chunking.first_tokens,
            basis=chunking.basis,
            is_gap_itl=chunking.is_one_token,
        ),
        honesty=run.honesty,
        not_gateable=not_gateable(run),
        notes=run.notes,
        **_distributions(run, measured, good_times),
        **_rates(run, measured, windows, chunking),
        **_service_level(run, measured, times, windows, slo),
    )


def not_gateable(run: RunRecord) -> tuple[str, ...]:
    """Why latencies of this run may be shown but must not decide."""
    if run.honesty is not None and run.honesty.verdict == "client-bound":
        return tuple(f"client-bound: {reason}" for reason in run.honesty.reasons)
    return ()


def _counts(run: RunRecord, measured: Sequence[RequestRecord], last: Span) -> RequestCounts:
    outcomes = Counter(request.outcome for request in measured)
    phases = Counter(request.phase for request in run.requests)
    return RequestCounts(
        planned=len(measured),
        sent=len(measured) - outcomes[Outcome.NOT_SENT],
        ok=outcomes[Outcome.OK],
        failed=outcomes[Outcome.FAILED],
        truncated=outcomes[Outcome.TRUNCATED],
        not_sent=outcomes[Outcome.NOT_SENT],
        ended_after_window=sum(
            request.end_ns is not None and request.end_ns > last[1] for request in measured
        ),
        warmup=phases[Phase.WARMUP],
        cooldown=phases[Phase.COOLDOWN],
    )


def _errors(measured: Sequence[RequestRecord]) -> tuple[ErrorGroup, ...]:
    counts = Counter(
        (request.error or "unknown", request.outcome) for request in measured if not request.is_ok
    )
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    groups = [
        ErrorGroup(reason=reason, outcome=outcome, count=count)
        for (reason, outcome), count in ordered[:MAX_REASONS]
    ]
    if rest := sum(count for _, count in ordered[MAX_REASONS:]):
        groups.append(ErrorGroup(reason="other reasons", outcome=Outcome.FAILED, count=rest))
    return tuple(groups)


def _distributions(
    run: RunRecord, measured: Sequence[RequestRecord], times: Sequence[Latencies]
) -> dict[str, Distribution | None]:
    failed = len(measured) - len(times)
    found: dict[str, Distribution | None] = {}
    for name, figure in FIGURES.items():
        values = present([figure(entry) for entry in times])
        unit = definitions()[name].unit
        # A slow answer is a high time but a low speed: the failures of a speed lie at its other end.
        found[name] = distribution(values, unit, 0 if name == "tps_per_user" else failed)
    if not run.is_open_loop:
        found |= {"ttft_planned": None, "e2e_planned": None}
    found["gap"] = distribution([gap for entry in times for gap in entry.gaps_ms], "ms")
    ok = [request for request in measured if request.is_ok]
    found["server_prompt"] = _if_any(present([request.server_prompt_ms for request in ok]))
    found["server_predicted"] = _if_any(present([request.server_predicted_ms for request in ok]))
    found["outside_server"] = _if_any(present([entry.outside_server_ms for entry in times]))
    return found


def _if_any(values: Sequence[float]) -> Distribution | None:
    return distribution(values, "ms") if values else None


def _rates(
    run: RunRecord, measured: Sequence[RequestRecord], windows: Windows, chunking: Chunking
) -> dict[str, Any]:
    sent = [(request.sent_ns, 1.0) for request in measured if request.sent_ns is not None]
    outcomes = Counter(request.outcome for request in measured)
    bad = outcomes[Outcome.FAILED] + outcomes[Outcome.TRUNCATED]
    return {
        "output_tps": rate(
            windows, ended_inside(run.requests, windows, lambda one: one.tokens or 0), "tokens/s"
        ),
        "output_tps_steady": steady_output(run, windows, chunking),
        "request_rate": rate(windows, ended_inside(run.requests, windows, lambda _: 1.0), "requests/s"),
        "sent_rate": rate(windows, sent, "requests/s"),
        "error_share": Share.of(bad, len(sent)),
    }


def _service_level(
    run: RunRecord,
    measured: Sequence[RequestRecord],
    times: Sequence[Latencies],
    windows: Windows,
    slo: Slo | None,
) -> dict[str, Any]:
    if slo is None or not slo.limits():
        return {"slo": None, "goodput": None, "attainment": None, "misses": {}}
    reasons = [
        miss(request, found, slo, run.is_open_loop) for request, found in zip(measured, times, strict=True)
    ]
    missed = Counter(filter(None, reasons))
    # Counted where they began: every good request of the window counts, whenever it ended.
    starts = [
        (request.start_ns, 1.0)
        for request, reason in zip(measured, reasons, strict=True)
        if not reason and request.start_ns is not None
    ]
    return {
        "slo": slo,
        "goodput": rate(windows, starts, "requests/s"),
        "attainment": Share.of(len(measured) - missed.total(), len(measured)),
        "misses": dict(missed.most_common()),
    }


def _tokens(run: RunRecord, measured: Sequence[RequestRecord]) -> TokenTotals:
    ok = [request for request in measured if request.is_ok]
    sources = Counter(request.token_source for request in ok if request.token_source is not None)
    prompts = present([request.prompt_tokens for request in ok])
    reasoning = present([request.reasoning_tokens for request in ok])
    cached = [request for request in ok if request.cached_tokens is not None and request.prompt_tokens]
    total_cached = sum(request.cached_tokens or 0 for request in cached)
    of_those = sum(request.prompt_tokens or 0 for request in cached)
    return TokenTotals(
        output=sum(request.tokens or 0 for request in ok),
        reasoning=round(sum(reasoning)) if reasoning else None,
        prompt=round(sum(prompts)) if prompts else None,
        cached=total_cached if cached else None,
        cached_share=total_cached / of_those if of_those else None,
        sources=dict(sources),
        is_estimated=sources["chunks"] > 0,
        cache_prompt=run.cache_prompt,
    )


def present(values: Sequence[float | None]) -> list[float]:
    """Without those that are missing."""
    return [value for value in values if value is not None]
